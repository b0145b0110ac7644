//! A fault in a text whose file and line are not known yet.

use crate::diagnostic::Diagnostic;

/// The bytes `start..end` of a text are wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) message: String,
    pub(super) hint: String,
}

impl Fault {
    /// Says what would do.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same for the reader, with the place in `text`.
    pub(super) fn at(self, file: &str, text: &str) -> Diagnostic {
        Diagnostic::at(file, text, self.start..self.end, self.message).with_hint(self.hint)
    }
}
