//! The text of a case while it is read: its small grammars, and errors that point into it.

use std::fs;
use std::path::Path;

use weir_config::diagnostic::{Diagnostic, nearest};
use weir_packet::text;

use super::{CaseError, PortSpec};

const EXPECTED_STEP: &str = "expected `@TIME PORT: PACKET` or `@TIME $ COMMAND`";

/// The text being parsed, for error messages. All `&str` given to its methods are parts of it.
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    pub(super) fn error(&self, part: &str, message: &str) -> CaseError {
        let start = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        Box::new(Diagnostic::at(
            self.file,
            self.text,
            start..start + part.len(),
            message,
        ))
    }

    pub(super) fn unknown(
        &self,
        part: &str,
        what: &str,
        word: &str,
        known: &[&'static str],
    ) -> CaseError {
        let error = self.error(part, &format!("unknown {what}"));
        match nearest(word, known.iter().copied()) {
            Some(near) => Box::new(error.with_hint(format!("did you mean `{near}`?"))),
            None => error,
        }
    }

    /// `NUMBER|LOCAL [KEY=VALUE]...`
    pub(super) fn port(&self, line: &str) -> Result<PortSpec, CaseError> {
        let mut words = line.split_whitespace();
        let number = words.next().unwrap_or_default();
        if number != "LOCAL" && number.parse::<u16>().is_err() {
            return Err(self.error(number, "is no port number"));
        }
        let settings = words.map(|word| match word.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(self.error(word, "expected KEY=VALUE")),
        });
        Ok(PortSpec {
            number: number.to_owned(),
            settings: settings.collect::<Result<_, _>>()?,
        })
    }

    /// `@TIME STEP`: the time as it is written and in milliseconds, and the step.
    pub(super) fn time<'a>(&self, line: &'a str) -> Result<(&'a str, u64, &'a str), CaseError> {
        let (when, rest) = line[1..]
            .split_once(' ')
            .ok_or_else(|| self.error(line, EXPECTED_STEP))?;
        let (number, unit_ms) = if let Some(number) = when.strip_suffix("ms") {
            (number, 1)
        } else if let Some(number) = when.strip_suffix('s') {
            (number, 1_000)
        } else {
            return Err(self.error(when, "expected a time such as 5ms or 60s"));
        };
        let time: u64 = number
            .parse()
            .map_err(|_| self.error(number, "is not a whole number"))?;
        Ok((when, time.saturating_mul(unit_ms), rest))
    }

    /// `PORT: PACKET`
    pub(super) fn packet<'a>(&self, step: &'a str) -> Result<(&'a str, Vec<u8>), CaseError> {
        let (port, text) = step
            .split_once(':')
            .ok_or_else(|| self.error(step, EXPECTED_STEP))?;
        Ok((port.trim(), self.frame(text.trim())?))
    }

    /// The line, or those of the file that it includes.
    pub(super) fn lines(&self, line: &str) -> Result<Vec<String>, CaseError> {
        let Some(file) = line.strip_prefix("include ") else {
            return Ok(vec![line.to_owned()]);
        };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        let text =
            fs::read_to_string(path).map_err(|error| self.error(file, &error.to_string()))?;
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(lines.map(str::to_owned).collect())
    }

    pub(super) fn frame(&self, line: &str) -> Result<Vec<u8>, CaseError> {
        text::parse(line).map_err(|error| {
            let from = line.char_indices().nth(error.column.saturating_sub(1));
            let rest = &line[from.map_or(line.len(), |(at, _)| at)..];
            let word = &rest[..rest.find(' ').unwrap_or(rest.len())];
            self.error(word, &error.message)
        })
    }
}
