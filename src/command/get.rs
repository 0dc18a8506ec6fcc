//! `sessile get`: one session, with its value as far as it says what it is.

use std::io::{self, Read};

use serde::Serialize;
use serde_json::Value as Json;

use super::arguments::Looking;
use super::keys::Line;
use super::output::Output;
use super::text::{duration, hex, instant};
use super::{Look, Outcome};
use crate::error::{Error, Result};
use crate::id::Key;
use crate::session;

/// Bytes of a name on standard input at most.
const NAME_BYTES_MAX: u64 = 4096;

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    line: Line,
    #[serde(flatten)]
    content: Content,
    left_out: Option<String>,
}

/// What is known of a value.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    /// It says what it is, or is one of our session layer.
    Value(Json),
    /// Its bytes in hexadecimal.
    Hex(String),
}

pub(super) fn run(looking: &Looking, key: Option<Key>, output: &mut Output) -> Result<Outcome> {
    let key = match key {
        Some(key) => key,
        None => read_name()?,
    };
    let look = &Look::at(looking)?;
    let found = look.reading.find(&key)?;
    let Some(found) = found.filter(|found| !found.session.expired) else {
        for damage in &look.reading.damage {
            output.complain(&format!("{}: {}; lost: {}", damage.file, damage.what, damage.lost));
        }
        output.complain("there is no such session; it may have ended");
        let damaged = !look.reading.damage.is_empty();
        return Ok(if damaged { Outcome::Damaged } else { Outcome::Absent });
    };
    let encoding = found.session.encoding;
    let content = session::describe(encoding.codec, encoding.schema, &found.bytes);
    let content = content.map_or_else(|| Content::Hex(hex(&found.bytes)), Content::Value);
    let report = Report { line: Line::of(&found.session), content, left_out: look.left_out() };
    match look.json {
        true => output.pretty(&report)?,
        false => report.print(look, output)?,
    }
    Ok(Outcome::of(&look.reading.damage))
}

/// The key of the id, or whatever name, that is on standard input.
fn read_name() -> Result<Key> {
    let mut name = Vec::new();
    let input = io::stdin().lock().take(NAME_BYTES_MAX + 1).read_to_end(&mut name);
    input.map_err(|error| Error::io("standard input cannot be read", error))?;
    let name = name.strip_suffix(b"\n").unwrap_or(&name);
    if name.is_empty() || name.len() as u64 > NAME_BYTES_MAX {
        return Err(Error::config("standard input holds no id: give it one, and a newline if any"));
    }
    Ok(Key::of(name))
}

impl Report {
    fn print(&self, look: &Look, output: &mut Output) -> Result<()> {
        let Line { key, deadline_ms, ends_ms, idle_ms, bytes, codec, schema_tag, file, .. } =
            &self.line;
        let of = |ms: i64| crate::clock::Timestamp::from_millis(ms);
        let left = duration(of(*deadline_ms).since(look.at));
        let idle = duration(std::time::Duration::from_millis(*idle_ms));
        output.line(&format!("key        {key}"))?;
        output.line(&format!("deadline   {}, in {left}", instant(of(*deadline_ms))))?;
        output.line(&format!("ends       {}, whatever it is used for", instant(of(*ends_ms))))?;
        output.line(&format!("idle       {idle}"))?;
        output.line(&format!("lies in    {file}, {bytes} B, codec {codec}, tag {schema_tag}"))?;
        match &self.content {
            Content::Value(value) => {
                output.line("value")?;
                output.pretty(value)?;
            }
            Content::Hex(hex) => {
                output.line("value      does not say what it is:")?;
                output.line(hex)?;
            }
        }
        self.left_out.iter().try_for_each(|text| output.line(&format!("left out   {text}")))
    }
}
