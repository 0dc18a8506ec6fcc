//! `sessile keys`: one line for each session, as they are read.

use std::ops::ControlFlow;

use serde::Serialize;

use super::output::Output;
use super::text::{hex, instant};
use super::{Look, Outcome};
use crate::error::{Error, Result};
use crate::fs::layout::Kind;
use crate::inspect::Session;

/// A session without its value.
#[derive(Serialize)]
pub(super) struct Line {
    pub(super) key: String,
    pub(super) deadline_ms: i64,
    /// The absolute deadline.
    pub(super) ends_ms: i64,
    /// How far a touch moves the deadline; 0 if it does not.
    pub(super) idle_ms: u64,
    pub(super) expired: bool,
    /// Bytes of the encoded value.
    pub(super) bytes: u64,
    pub(super) codec: u32,
    pub(super) schema_tag: u64,
    pub(super) file: String,
    /// Of the frame that holds it, if that is in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lsn: Option<u64>,
    /// Of the block that holds it, if that is known and in a base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offset: Option<u64>,
}

impl Line {
    pub(super) fn of(session: &Session) -> Line {
        let (kind, number, place) = session.place;
        Line {
            key: hex(&session.key.to_bytes()),
            deadline_ms: session.deadline.as_millis(),
            ends_ms: session.cap.as_millis(),
            idle_ms: session.idle_ms,
            expired: session.expired,
            bytes: session.bytes,
            codec: session.encoding.codec,
            schema_tag: session.encoding.schema,
            file: kind.name(number),
            lsn: (kind == Kind::Log).then_some(place),
            offset: (kind == Kind::Base && place > 0).then_some(place),
        }
    }
}

pub(super) fn run(look: &Look, expired: bool, output: &mut Output) -> Result<Outcome> {
    let mut damage = look.reading.damage.clone();
    if !look.json {
        output.line(&format!("{:<32}  {:<20}  {:>8}  file", "key", "deadline", "bytes"))?;
    }
    let walked = look.reading.walk(&mut damage, |session| {
        if session.expired && !expired {
            return ControlFlow::Continue(());
        }
        match print(session, look.json, output) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::<Error>::Break(error),
        }
    })?;
    if let ControlFlow::Break(error) = walked {
        return Err(error);
    }
    for damage in &damage {
        let at = damage.offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
        output.complain(&format!("{}{at}: {}; lost: {}", damage.file, damage.what, damage.lost));
    }
    if let Some(text) = look.left_out() {
        output.complain(&text);
    }
    Ok(Outcome::of(&damage))
}

fn print(session: &Session, json: bool, output: &mut Output) -> Result<()> {
    let line = Line::of(session);
    if json {
        return output.json(&line);
    }
    let (key, at) = (&line.key, instant(session.deadline));
    let mark = if line.expired { ", expired" } else { "" };
    output.line(&format!("{key}  {at}  {:>8}  {}{mark}", line.bytes, line.file))
}
