//! What a case expects, of both switches or of one.

use std::fmt::Display;

#[cfg(test)]
mod tests;

/// Whom an expectation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Both switches: they agree.
    Both,
    /// Open vSwitch alone.
    Ovs,
    /// weir alone.
    Weir,
}

impl Side {
    /// The word in front of a line of the case file; empty for both.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Both => "",
            Self::Ovs => "ovs ",
            Self::Weir => "weir ",
        }
    }

    /// Splits the word for the side off a line.
    pub(super) fn split(line: &str) -> (Self, &str) {
        for side in [Self::Ovs, Self::Weir] {
            if let Some(rest) = line.strip_prefix(side.word()) {
                return (side, rest.trim_start());
            }
        }
        (Self::Both, line)
    }

    const fn covers(self, asked: Self) -> bool {
        matches!(
            (self, asked),
            (Self::Both, _) | (Self::Ovs, Self::Ovs) | (Self::Weir, Self::Weir)
        )
    }
}

/// A list of expected things, each with whom it is expected of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected<T>(pub Vec<(Side, T)>);

impl<T: Clone + PartialEq> Expected<T> {
    /// What `side` is expected to do: the common things and its own, in order.
    pub fn of(&self, side: Side) -> Vec<T> {
        let own = self.0.iter().filter(|(whom, _)| whom.covers(side));
        own.map(|(_, thing)| thing.clone()).collect()
    }

    /// Whether something is expected of one side only.
    pub fn is_split(&self) -> bool {
        self.0.iter().any(|(side, _)| *side != Side::Both)
    }

    /// Expects `ovs` and `weir` of the two switches, in their orders, as one thing where they
    /// agree.
    pub(super) fn merge(ovs: &[T], weir: &[T]) -> Self {
        let mut merged = Vec::new();
        let mut rest = weir;
        for thing in ovs {
            match rest.iter().position(|other| other == thing) {
                Some(at) => {
                    merged.extend(rest[..at].iter().map(|other| (Side::Weir, other.clone())));
                    merged.push((Side::Both, thing.clone()));
                    rest = &rest[at + 1..];
                }
                None => merged.push((Side::Ovs, thing.clone())),
            }
        }
        merged.extend(rest.iter().map(|thing| (Side::Weir, thing.clone())));
        Self(merged)
    }
}

impl<T: Display> Expected<T> {
    /// One line per thing behind `indent` and the side's word.
    pub(super) fn render(&self, indent: &str) -> String {
        self.0
            .iter()
            .map(|(side, thing)| format!("{indent}{}{thing}\n", side.word()))
            .collect()
    }
}
