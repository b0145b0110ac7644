//! Words with their columns, and the values that stand in them.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::super::TextError;
use super::super::packet::Mac;

/// The words of a line that were not read yet.
pub(super) struct Words<'a> {
    rest: std::iter::Peekable<std::vec::IntoIter<Word<'a>>>,
    /// One behind the last character.
    end: usize,
}

/// A word, or the part of one behind its `=`.
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    pub(super) column: usize,
    pub(super) text: &'a str,
}

impl<'a> Words<'a> {
    /// `>`, `{` and `}` are words of their own wherever they stand.
    pub(super) fn new(line: &'a str) -> Self {
        let mut words: Vec<Word<'a>> = Vec::new();
        let mut start: Option<(usize, usize)> = None;
        let mut column = 0;
        for (at, letter) in line.char_indices() {
            column += 1;
            let alone = matches!(letter, '>' | '{' | '}');
            if alone || letter.is_whitespace() {
                if let Some((column, from)) = start.take() {
                    words.push(Word {
                        column,
                        text: &line[from..at],
                    });
                }
                if alone {
                    words.push(Word {
                        column,
                        text: &line[at..at + letter.len_utf8()],
                    });
                }
            } else {
                start.get_or_insert((column, at));
            }
        }
        if let Some((column, from)) = start {
            words.push(Word {
                column,
                text: &line[from..],
            });
        }
        Self {
            rest: words.into_iter().peekable(),
            end: column + 1,
        }
    }

    pub(super) fn at_end(&mut self) -> bool {
        self.rest.peek().is_none()
    }

    pub(super) fn peek(&mut self) -> Option<Word<'a>> {
        self.rest.peek().copied()
    }

    /// The next word; `wanted` says what it should be.
    pub(super) fn next(&mut self, wanted: &str) -> Result<Word<'a>, TextError> {
        let end = self.end;
        self.rest.next().ok_or_else(|| TextError {
            column: end,
            message: format!("the line ends, expected {wanted}"),
        })
    }

    /// Reads the next word if it is this one.
    pub(super) fn word(&mut self, word: &str) -> bool {
        self.rest.next_if(|next| next.text == word).is_some()
    }

    pub(super) fn require(&mut self, word: &str) -> Result<(), TextError> {
        if self.word(word) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{word}`")))
        }
    }

    /// Reads the next word if it is `KEY=...`; what is behind the sign, which may not be nothing.
    pub(super) fn value(&mut self, key: &str) -> Result<Option<Word<'a>>, TextError> {
        let Some(word) = self.peek() else {
            return Ok(None);
        };
        let Some(text) = word
            .text
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix('='))
        else {
            return Ok(None);
        };
        self.rest.next();
        let column = word.column + key.chars().count() + 1;
        if text.is_empty() {
            return Err(TextError {
                column,
                message: format!("`{key}=` without a value"),
            });
        }
        Ok(Some(Word { column, text }))
    }

    pub(super) fn require_value(&mut self, key: &str) -> Result<Word<'a>, TextError> {
        match self.value(key)? {
            Some(value) => Ok(value),
            None => Err(self.unexpected(&format!("`{key}=`"))),
        }
    }

    /// The error that the next word is not what is expected.
    pub(super) fn unexpected(&mut self, wanted: &str) -> TextError {
        match self.peek() {
            Some(word) => word.error(&format!("expected {wanted}")),
            None => TextError {
                column: self.end,
                message: format!("the line ends, expected {wanted}"),
            },
        }
    }
}

impl<'a> Word<'a> {
    pub(super) fn error(self, why: &str) -> TextError {
        TextError {
            column: self.column,
            message: format!("`{}`: {why}", self.text),
        }
    }

    /// A number from 0 to `most`, decimal or hexadecimal.
    pub(super) fn number<T>(self, most: T) -> Result<T, TextError>
    where
        T: Copy + Display + TryFrom<u64> + PartialOrd,
    {
        let parsed = match self.text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => self.text.parse(),
        };
        parsed
            .ok()
            .filter(|_| !self.text.contains('+'))
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| *number <= most)
            .ok_or_else(|| self.error(&format!("expected a number from 0 to {most}")))
    }

    /// `AA:BB:CC:DD:EE:FF`
    pub(super) fn mac(self) -> Result<Mac, TextError> {
        let mut mac = [0; 6];
        let mut parts = self.text.split(':');
        for byte in &mut mac {
            *byte = parts
                .next()
                .filter(|part| matches!(part.len(), 1 | 2) && !part.contains('+'))
                .and_then(|part| u8::from_str_radix(part, 16).ok())
                .ok_or_else(|| self.error("expected an Ethernet address"))?;
        }
        match parts.next() {
            None => Ok(mac),
            Some(_) => Err(self.error("expected an Ethernet address")),
        }
    }

    pub(super) fn ipv4(self) -> Result<Ipv4Addr, TextError> {
        self.parsed("an IPv4 address")
    }

    pub(super) fn ipv6(self) -> Result<Ipv6Addr, TextError> {
        self.parsed("an IPv6 address")
    }

    pub(super) fn ip(self) -> Result<IpAddr, TextError> {
        self.parsed("an IP address")
    }

    pub(super) fn parsed<T: FromStr>(self, wanted: &str) -> Result<T, TextError> {
        self.text
            .parse()
            .map_err(|_| self.error(&format!("expected {wanted}")))
    }

    /// Bytes in hexadecimal digits.
    pub(super) fn hex(self) -> Result<Vec<u8>, TextError> {
        let (pairs, odd) = self.text.as_bytes().as_chunks::<2>();
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let bytes: Option<Vec<u8>> = pairs
            .iter()
            .map(|&[high, low]| Some((digit(high)? << 4 | digit(low)?) as u8))
            .collect();
        bytes
            .filter(|_| odd.is_empty())
            .ok_or_else(|| self.error("expected an even number of hexadecimal digits"))
    }

    /// What is before and behind the first `:`.
    pub(super) fn split(self) -> (Self, Option<Self>) {
        match self.text.split_once(':') {
            None => (self, None),
            Some((left, right)) => {
                let column = self.column + left.chars().count() + 1;
                (
                    Self { text: left, ..self },
                    Some(Self {
                        column,
                        text: right,
                    }),
                )
            }
        }
    }

    /// The number that a name stands for, or a number as it is.
    pub(super) fn named(self, names: &[(&str, u8)]) -> Result<u8, TextError> {
        match names.iter().find(|named| named.0 == self.text) {
            Some(named) => Ok(named.1),
            None => self.number(u8::MAX).map_err(|_| {
                let names: Vec<&str> = names.iter().map(|named| named.0).collect();
                self.error(&format!("expected a number or {}", list(&names)))
            }),
        }
    }
}

/// `a, b or c`
pub(super) fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
