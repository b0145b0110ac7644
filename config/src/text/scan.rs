//! Cuts flow text into keys and values, each with its place.
//!
//! The rules are those of Open vSwitch: pairs are separated by commas or white space; a key
//! ends at `=`, `:` or `(`; parentheses nest. Beyond them, a quoted name may hold any of these.

use super::error::Fault;

/// A piece of the text and where it begins, in bytes from the text's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tok<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl<'a> Tok<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// This piece is wrong.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault {
            start: self.at,
            end: self.at + self.text.len(),
            message: message.into(),
            hint: String::new(),
        }
    }

    /// The part from byte `from` to byte `to` of this piece.
    pub(super) fn part(&self, from: usize, to: usize) -> Self {
        Self {
            text: &self.text[from..to],
            at: self.at + from,
        }
    }

    /// The part from byte `from` on.
    pub(super) fn from(&self, from: usize) -> Self {
        self.part(from, self.text.len())
    }

    /// What stands before and behind the first `separator`.
    pub(super) fn split_once(&self, separator: &str) -> Option<(Self, Self)> {
        let at = self.text.find(separator)?;
        Some((self.part(0, at), self.from(at + separator.len())))
    }

    /// Without white space at the ends.
    pub(super) fn trim(&self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        let trimmed = self.text.trim();
        Self {
            text: trimmed,
            at: self.at + start,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// A key, and its value if there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a> {
    pub(super) key: Tok<'a>,
    /// Empty if there is none.
    pub(super) value: Tok<'a>,
    pub(super) form: Form,
    /// `dst` of `key(value)->dst`.
    pub(super) target: Option<Tok<'a>>,
    /// All of it.
    pub(super) whole: Tok<'a>,
}

/// How the value is attached to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Not at all.
    Bare,
    /// `key=value` or `key:value`
    Assigned,
    /// `key(value)`
    Parenthesised,
}

/// The pairs of a text, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a> {
    rest: Tok<'a>,
}

impl<'a> Pairs<'a> {
    pub(super) const fn new(text: Tok<'a>) -> Self {
        Self { rest: text }
    }

    /// What has not been read.
    pub(super) const fn rest(&self) -> Tok<'a> {
        self.rest
    }

    /// The next pair, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Pair<'a>>, Fault> {
        let text = self.rest;
        let start = text.text.len() - text.text.trim_start_matches(is_separator).len();
        let text = text.from(start);
        if text.is_empty() {
            self.rest = text;
            return Ok(None);
        }
        let key_end = if text.text.starts_with('"') {
            quoted_end(text)?
        } else {
            text.text
                .find(|letter| is_separator(letter) || matches!(letter, ':' | '=' | '('))
                .unwrap_or(text.text.len())
        };
        let key = text.part(0, key_end);
        let behind = text.from(key_end);
        let (value, form, end) = match behind.text.bytes().next() {
            Some(b'=' | b':') => {
                let value = behind.from(1);
                let len = value_end(value)?;
                (value.part(0, len), Form::Assigned, key_end + 1 + len)
            }
            Some(b'(') => {
                let close = closing(behind)?;
                (
                    behind.part(1, close),
                    Form::Parenthesised,
                    key_end + close + 1,
                )
            }
            _ => (behind.part(0, 0), Form::Bare, key_end),
        };
        let (target, end) = match text.text[end..].strip_prefix("->") {
            Some(_) if form == Form::Parenthesised => {
                let target = text.from(end + 2);
                let len = value_end(target)?;
                (Some(target.part(0, len)), end + 2 + len)
            }
            _ => (None, end),
        };
        self.rest = text.from(end);
        Ok(Some(Pair {
            key,
            value,
            form,
            target,
            whole: text.part(0, end),
        }))
    }
}

impl<'a> Pair<'a> {
    /// The value, for a key that must have one.
    pub(super) fn required(&self, what: &str) -> Result<Tok<'a>, Fault> {
        if self.value.is_empty() {
            Err(self.whole.fault(format!("{} needs {what}", self.key.text)))
        } else {
            Ok(self.value)
        }
    }

    /// Refuses a value, for a key that has none.
    pub(super) fn bare(&self) -> Result<(), Fault> {
        if self.value.is_empty() && self.target.is_none() {
            Ok(())
        } else {
            Err(self
                .value
                .fault(format!("{} takes no argument", self.key.text)))
        }
    }
}

/// Where a comment begins: at the first `#` that is not quoted.
pub(super) fn comment_start(line: &str) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (at, letter) in line.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted => return at,
            _ => {}
        }
    }
    // An unfinished quote is no quote.
    if quoted {
        line.find('#').unwrap_or(line.len())
    } else {
        line.len()
    }
}

/// The name within the quotes of `text`, which begins with one.
pub(super) fn unquote(text: Tok<'_>) -> Result<String, Fault> {
    let inner = text
        .text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or_else(|| text.fault("missing \" at the end of a quoted name"))?;
    let mut name = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            name.push(letter);
            continue;
        }
        name.push(match letters.next() {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some(letter @ ('"' | '\\' | '/')) => letter,
            Some('u') => {
                let digits: String = letters.by_ref().take(4).collect();
                u32::from_str_radix(&digits, 16)
                    .ok()
                    .filter(|_| digits.len() == 4)
                    .and_then(char::from_u32)
                    .ok_or_else(|| text.fault("bad \\u escape in a quoted name"))?
            }
            _ => return Err(text.fault("unknown escape in a quoted name")),
        });
    }
    Ok(name)
}

pub(super) const fn is_separator(letter: char) -> bool {
    matches!(letter, ',' | ' ' | '\t' | '\r' | '\n')
}

/// Length of the value that `text` begins with.
fn value_end(text: Tok<'_>) -> Result<usize, Fault> {
    let mut at = if text.text.starts_with('"') {
        quoted_end(text)?
    } else {
        0
    };
    while let Some(letter) = text.text[at..].chars().next() {
        if is_separator(letter) {
            break;
        }
        at += if letter == '(' {
            closing(text.from(at))? + 1
        } else {
            letter.len_utf8()
        };
    }
    Ok(at)
}

/// Length of the quoted name that `text` begins with, quotes included.
fn quoted_end(text: Tok<'_>) -> Result<usize, Fault> {
    let mut escaped = false;
    for (at, letter) in text.text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Ok(at + 1),
            _ => {}
        }
    }
    Err(text.part(0, 1).fault("quote is not closed"))
}

/// Where the parenthesis that `text` begins with is closed.
fn closing(text: Tok<'_>) -> Result<usize, Fault> {
    let mut depth = 0_usize;
    for (at, letter) in text.text.bytes().enumerate() {
        match letter {
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return Ok(at);
                }
            }
            _ => {}
        }
    }
    Err(text.part(0, 1).fault("parenthesis is not closed"))
}
