//! Errors in text that a person wrote: where, what was found, what would do.
//!
//! Shared by TOML and OpenFlow text, so that both read alike:
//!
//! ```text
//! flows.txt:3:20: port out of range
//!   table=0,tcp,tp_dst=70000,actions=output:2
//!                      ^^^^^ expected 0 to 65535, or value/mask
//! ```

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// An error that points at the text that caused it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The file as the user named it; `-` for standard input, or a word such as `argument`.
    pub file: String,
    /// The line, from 1; 0: the file as a whole (it cannot be read, say).
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// Characters to underline; at least one is.
    pub width: usize,
    /// What is wrong.
    pub message: String,
    /// The line itself, without its end.
    pub source_line: String,
    /// What would do; empty if the message says all.
    pub hint: String,
}

impl Diagnostic {
    /// Points at the bytes `span` of `text`. A span that ends beyond its first line is cut
    /// there; one beyond the text points behind its last character.
    pub fn at(
        file: impl Into<String>,
        text: &str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        let start = floor_char_boundary(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor_char_boundary(text, span.end).clamp(start, line_end);
        Self {
            file: file.into(),
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].chars().count().max(1),
            message: message.into(),
            source_line: text[line_start..line_end].trim_end_matches('\r').to_owned(),
            hint: String::new(),
        }
    }

    /// An error about the file as a whole.
    pub fn file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            width: 0,
            message: message.into(),
            source_line: String::new(),
            hint: String::new(),
        }
    }

    /// All of `errors`, each on lines of its own.
    pub fn list(errors: &[Self]) -> String {
        errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The same with a hint beside the caret.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file, self.message)?;
            return match self.hint.as_str() {
                "" => Ok(()),
                hint => write!(f, ": {hint}"),
            };
        }
        writeln!(
            f,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )?;
        // Whatever the text holds, it may not move the cursor: the caret would point elsewhere,
        // and a terminal would obey the escape sequences of a hostile file.
        let shown: String = self.source_line.chars().map(visible).collect();
        // A tab is as wide as the terminal makes it, so the caret line repeats it.
        let pad: String = self
            .source_line
            .chars()
            .chain(std::iter::repeat(' '))
            .take(self.column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        write!(f, "  {shown}\n  {pad}{}", "^".repeat(self.width.max(1)))?;
        match self.hint.as_str() {
            "" => Ok(()),
            hint => write!(f, " {hint}"),
        }
    }
}

impl std::error::Error for Diagnostic {}

fn visible(c: char) -> char {
    if c.is_control() && c != '\t' {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at)
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0)
}

/// The candidate nearest to `word`, if it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()).div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}
