//! Children of the bench: itself, started again for one part of a work, and servers.
//!
//! They die with their parent, so nothing is left behind when it is killed.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::Result;
use crate::works::PARTS;

/// The word before the part's name on a child's command line.
pub const WORD: &str = "child";

/// A command whose process is killed when the calling thread ends: call it from the main one.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    command.stdin(Stdio::null());
    command
}

/// Starts a child that does `part` for `rival`; its output is a pipe.
pub fn spawn(part: &str, rival: &str, dir: &Path, sessions: usize) -> Result<Child> {
    let mut command = command(std::env::current_exe()?);
    command.args([WORD, part, rival, &sessions.to_string()]).arg(dir).stdout(Stdio::piped());
    Ok(command.spawn()?)
}

/// Runs a child to its end; the figures that it printed.
pub fn run(part: &str, rival: &str, dir: &Path, sessions: usize) -> Result<Vec<f64>> {
    let output = spawn(part, rival, dir, sessions)?.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("the child for {part} of {rival} ended with {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

/// What a child does; `arguments` are those after [`WORD`].
pub fn main(arguments: Vec<std::ffi::OsString>) -> Result<()> {
    let [part, rival, sessions, dir] = <[_; 4]>::try_from(arguments).map_err(|_| "four words")?;
    let sessions: usize = sessions.to_str().ok_or("a number of sessions")?.parse()?;
    let found = PARTS.iter().find(|(name, of, _)| part == *name && rival == *of);
    let (_, _, run) = found.ok_or("no such part")?;
    run(&PathBuf::from(dir), sessions)
}
