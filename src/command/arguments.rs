//! The command line. Never repeats what it was given but for options that it could have known:
//! anything else may be a secret that was put in the wrong place.

use std::ffi::OsString;

use lexopt::prelude::*;

use crate::clock::Timestamp;
use crate::id::Key;

/// The text of `sessile --help`.
pub(super) const HELP: &str = "\
sessile: looks into the directory of a session store, and measures on this machine

    sessile stat DIR            sessions, files, how far the log has come
    sessile verify DIR          checks every checksum; says file, offset and what is lost
    sessile keys DIR            key, deadline, size and place of every session
    sessile get DIR KEY         one session and its value; KEY in hex, as `keys` prints it
    sessile get DIR -           the same for an id, or any other name, on standard input
    sessile bench DIR           the store's own work, measured in a directory that is empty or not
                                there; removed afterwards

options of these:
    --json                      JSON instead of text; `keys` prints one object a line
    --at MILLISECONDS           judge deadlines by this time since 1970, not by the clock
    --expired                   `keys` lists what has expired as well
options of `bench`:
    --sessions N                sessions in the store; 100000 unless told otherwise
    --threads N                 threads; as many as there are processors unless told otherwise
    --seconds N                 time for each work; 2 unless told otherwise
    --json                      JSON instead of a table

All but `bench` change nothing and lock nothing, and read a directory that is in use too. Ids are
never printed: a store has only digests of them. Give an id to `get` on standard input and never
on the command line, where every user of the machine can see it.

ends with 0: fine; 1: damage was found; 2: not understood, or cannot be read; 3: no such session
";

/// What `bench` starts itself as; for nobody else.
pub(super) const FILL: &str = "bench-fill";
pub(super) const SWEEP: &str = "bench-sweep";

/// What is to be done.
#[derive(Debug)]
pub(super) enum Command {
    Help,
    Version,
    Stat(Looking),
    Verify(Looking),
    /// With the expired ones or without.
    Keys(Looking, bool),
    /// `None`: the id comes on standard input.
    Get(Looking, Option<Key>),
    Bench(Measuring),
    /// What `bench` starts itself for: fills the directory, and waits for its end.
    Fill(Measuring),
    /// The same: waits for the end of the one that measures, and removes its files.
    Sweep(OsString, bool),
}

/// What is to be measured.
#[derive(Clone, Debug)]
pub(super) struct Measuring {
    pub(super) directory: OsString,
    pub(super) sessions: u64,
    pub(super) threads: usize,
    /// For each work.
    pub(super) seconds: f64,
    pub(super) json: bool,
}

/// At which directory, and how.
#[derive(Debug)]
pub(super) struct Looking {
    pub(super) directory: OsString,
    pub(super) json: bool,
    pub(super) at: Option<Timestamp>,
}

pub(super) fn parse() -> Result<Command, String> {
    parse_from(lexopt::Parser::from_env())
}

fn parse_from(mut parser: lexopt::Parser) -> Result<Command, String> {
    let mut words: Vec<OsString> = Vec::new();
    let mut given = Given::default();
    while let Some(argument) = parser.next().map_err(|_| "an option has a value, and takes none")? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("version") | Short('V') => return Ok(Command::Version),
            Long("json") => given.json = true,
            Long("expired") => given.expired = true,
            Long("at") => given.at = Some(number(&mut parser, "--at")?),
            Long("sessions") => given.sessions = Some(number(&mut parser, "--sessions")?),
            Long("threads") => given.threads = Some(number(&mut parser, "--threads")?),
            Long("seconds") => given.seconds = Some(number(&mut parser, "--seconds")?),
            Long(name) if is_word(name) => return Err(format!("there is no option `--{name}`")),
            Value(word) => words.push(word),
            Long(_) | Short(_) => return Err("there is an option that does not exist".to_owned()),
        }
    }
    given.command(words)
}

/// The options, as they were given.
#[derive(Default)]
struct Given {
    json: bool,
    expired: bool,
    at: Option<i64>,
    sessions: Option<u64>,
    threads: Option<usize>,
    seconds: Option<f64>,
}

impl Given {
    fn command(self, words: Vec<OsString>) -> Result<Command, String> {
        let mut words = words.into_iter();
        let command = words.next().ok_or("say what to do")?;
        let name = command.to_str().unwrap_or_default();
        if !["stat", "verify", "keys", "get", "bench", FILL, SWEEP].contains(&name) {
            let said = if is_word(name) { format!(" `{name}`") } else { String::new() };
            return Err(format!("there is no command{said}"));
        }
        self.check(name)?;
        let directory = words.next().ok_or_else(|| format!("`{name}` needs a directory"))?;
        let at = self.at.map(Timestamp::from_millis);
        let looking = Looking { directory: directory.clone(), json: self.json, at };
        let command = match name {
            "stat" => Command::Stat(looking),
            "verify" => Command::Verify(looking),
            "keys" => Command::Keys(looking, self.expired),
            "bench" => Command::Bench(self.measuring(directory)?),
            FILL => Command::Fill(self.measuring(directory)?),
            SWEEP => Command::Sweep(directory, words.next().is_some()),
            _ => {
                let missing = "`get` needs a key, or `-` and an id on standard input";
                Command::Get(looking, key(&words.next().ok_or(missing)?)?)
            }
        };
        match words.next() {
            Some(_) => Err(format!("`{name}` takes fewer arguments")),
            None => Ok(command),
        }
    }

    /// That every option is one of this command's.
    fn check(&self, name: &str) -> Result<(), String> {
        let measures = ["bench", FILL].contains(&name);
        let wrong = [
            ("--expired", self.expired && name != "keys"),
            ("--at", self.at.is_some() && measures),
            ("--sessions", self.sessions.is_some() && !measures),
            ("--threads", self.threads.is_some() && !measures),
            ("--seconds", self.seconds.is_some() && !measures),
        ];
        let wrong = wrong.into_iter().find(|(_, wrong)| *wrong);
        wrong.map_or(Ok(()), |(option, _)| Err(format!("`{name}` has no option `{option}`")))
    }

    fn measuring(&self, directory: OsString) -> Result<Measuring, String> {
        let threads = self.threads.unwrap_or_else(|| {
            crate::sync::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let sessions = self.sessions.unwrap_or(100_000);
        let seconds = self.seconds.unwrap_or(2.0);
        if !(1..=100_000_000).contains(&sessions) {
            return Err("`--sessions` must be between 1 and 100000000".to_owned());
        }
        if !(1..=1024).contains(&threads) {
            return Err("`--threads` must be between 1 and 1024".to_owned());
        }
        if !(0.01..=3600.0).contains(&seconds) {
            return Err("`--seconds` must be between 0.01 and 3600".to_owned());
        }
        Ok(Measuring { directory, sessions, threads, seconds, json: self.json })
    }
}

/// Short, and of letters: nobody's id.
fn is_word(text: &str) -> bool {
    text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn number<T: std::str::FromStr>(parser: &mut lexopt::Parser, option: &str) -> Result<T, String> {
    let value = parser.value().map_err(|_| format!("`{option}` needs a number"))?;
    let value = value.to_str().and_then(|value| value.parse().ok());
    value.ok_or_else(|| format!("`{option}` needs a number"))
}

/// A key in hexadecimal; `None` for `-`.
fn key(word: &OsString) -> Result<Option<Key>, String> {
    let refused = "this is no key: 32 hexadecimal digits, as `sessile keys` prints them. An id goes \
                   to standard input (`sessile get DIR -`), for every user of this machine can see \
                   the command line; if this was one, end that session";
    let text = word.to_str().ok_or(refused)?;
    if text == "-" {
        return Ok(None);
    }
    let mut bytes = [0; 16];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return Err(refused.to_owned());
    }
    for ([high, low], byte) in pairs.iter().zip(&mut bytes) {
        let digit =
            |letter: u8| char::from(letter).to_digit(16).and_then(|digit| digit.try_into().ok());
        let (high, low): (u8, u8) = digit(*high).zip(digit(*low)).ok_or(refused)?;
        *byte = high << 4 | low;
    }
    Ok(Some(Key::from_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Command, String> {
        parse_from(lexopt::Parser::from_args(words))
    }

    #[test]
    fn what_is_not_understood_is_said_and_what_may_be_secret_is_not_repeated() {
        let id = "-Zabcdefghijklmnopqrstuvwxyz0123";
        for (words, said) in [
            (&[][..], "say what to do"),
            (&["frob", "x"], "`frob`"),
            (&["stat"], "needs a directory"),
            (&["stat", "x", "--frob"], "`--frob`"),
            (&["stat", "x", "--at"], "`--at` needs a number"),
            (&["stat", "x", "--at", "soon"], "`--at` needs a number"),
            (&["stat", "x", "--json=1"], "takes none"),
            (&["stat", "x", "y"], "takes fewer"),
            (&["stat", "x", "--expired"], "no option `--expired`"),
            (&["bench", "x", "--at", "1"], "no option `--at`"),
            (&["stat", "x", "--threads", "1"], "no option `--threads`"),
            (&["bench", "x", "--threads", "0"], "between 1 and"),
            (&["bench", "x", "--seconds", "NaN"], "between 0.01 and"),
            (&["get", "x"], "needs a key"),
            (&["get", "x", "00"], "no key"),
            (&["get", "x", "--", id], "no key"),
            (&["get", "x", id], "does not exist"),
            (&[id], "does not exist"),
            (&["Zabcdefghijklmnopqrstuvwxyz01234"], "no command"),
        ] {
            let message = parsed(words).unwrap_err();
            assert!(message.contains(said), "{words:?}: {message}");
            assert!(!message.contains("abcdefghijkl"), "{message}");
        }
    }

    #[test]
    fn a_key_is_read_as_it_is_printed() {
        let Ok(Command::Get(_, Some(key))) = parsed(&["get", "x", &"0aF1".repeat(8)]) else {
            panic!("it is one");
        };
        assert_eq!(key.to_bytes(), [0x0a, 0xf1].repeat(8)[..]);
    }
}
