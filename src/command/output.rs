//! Where a command's words go: results to standard output, everything else to standard error.
//!
//! Whatever comes from a store or a directory is made harmless for terminals here, in one place.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::text::harmless;
use crate::error::{Error, Result};

pub(super) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    closed: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        Output { out: BufWriter::new(io::stdout().lock()), closed: false }
    }

    /// Prints as it is, but for what terminals would obey.
    pub(super) fn text(&mut self, text: &str) -> Result<()> {
        let written = self.out.write_all(harmless(text).as_bytes());
        self.done(written)
    }

    pub(super) fn line(&mut self, text: &str) -> Result<()> {
        self.text(text)?;
        self.text("\n")
    }

    /// Prints as one line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<()> {
        self.line(&to_json(serde_json::to_string(value))?)
    }

    /// Prints as JSON for people.
    pub(super) fn pretty(&mut self, value: &impl Serialize) -> Result<()> {
        self.line(&to_json(serde_json::to_string_pretty(value))?)
    }

    /// Nobody is left to read the output.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn finish(&mut self) -> Result<()> {
        let flushed = self.out.flush();
        self.done(flushed)
    }

    fn done(&mut self, result: io::Result<()>) -> Result<()> {
        result.map_err(|error| {
            self.closed |= error.kind() == io::ErrorKind::BrokenPipe;
            Error::io("standard output cannot be written", error)
        })
    }

    /// Says something that is not the result.
    pub(super) fn complain(&mut self, message: &str) {
        // There is nowhere else to say that this went wrong.
        let _ = self.out.flush();
        let _ = writeln!(io::stderr(), "sessile: {}", harmless(message));
    }
}

fn to_json(text: serde_json::Result<String>) -> Result<String> {
    text.map_err(|error| Error::config("this cannot be written as JSON").caused_by(error))
}

/// A bar on the terminal; none where standard error is not one.
pub(super) fn bar(all: u64, what: &'static str) -> ProgressBar {
    let target = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent} % {eta}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(all), target).with_style(style);
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
