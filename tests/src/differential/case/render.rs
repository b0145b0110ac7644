//! Writing a case back with what the switches answered.

use std::fmt::Write;

use weir_packet::text::describe;

use super::{Case, Packet, Question};
use crate::differential::expectation::{Expected, Side};
use crate::differential::outcome::{Outcome, SentFrame};

const INDENT: &str = "    ";

impl Case {
    /// The text of the case as if Open vSwitch answered `ovs`, and weir `weir`. Without an
    /// answer of weir's, what the case now expects of weir alone stays.
    pub fn with_answers(&self, ovs: &Outcome, weir: Option<&Outcome>) -> String {
        let head = self.text.split("[packets]\n").next().unwrap_or_default();
        let mut text = format!("{head}[packets]\n");
        for (at, packet) in self.packets.iter().enumerate() {
            self.render_questions(at, ovs, weir, &mut text);
            let Packet {
                comments,
                when,
                port,
                frame,
                ..
            } = packet;
            let _ = writeln!(text, "{comments}@{when} {port}: {}", describe(frame));
            let weir = weir.map(|outcome| outcome.sent[at].as_slice());
            packet.render(&merge(&packet.expected, &ovs.sent[at], weir), &mut text);
        }
        self.render_questions(self.packets.len(), ovs, weir, &mut text);
        let weir_conntrack = weir.map(|outcome| outcome.conntrack.as_slice());
        let conntrack = merge(&self.conntrack, &ovs.conntrack, weir_conntrack);
        if !conntrack.0.is_empty() {
            let _ = write!(text, "\n[connections]\n{}", conntrack.render(""));
        }
        let weir_hits = weir.map(|outcome| [outcome.hits_text()]);
        let weir_hits = weir_hits.as_ref().map(<[String; 1]>::as_slice);
        let hits = merge(&self.hits, &[ovs.hits_text()], weir_hits);
        let _ = write!(text, "\n[hits]\n{}", hits.render(""));
        let weir_buckets = weir.map(|outcome| outcome.buckets.as_slice());
        let buckets = merge(&self.buckets, &ovs.buckets, weir_buckets);
        if !buckets.0.is_empty() {
            let _ = write!(text, "\n[buckets]\n{}", buckets.render(""));
        }
        text
    }

    /// Those behind which `packets` packets went in.
    fn render_questions(
        &self,
        packets: usize,
        ovs: &Outcome,
        weir: Option<&Outcome>,
        text: &mut String,
    ) {
        for (at, asked) in self.questions.iter().enumerate() {
            if asked.packets != packets {
                continue;
            }
            let Question {
                comments,
                when,
                words,
                ..
            } = asked;
            let _ = writeln!(text, "{comments}@{when} $ {}", words.join(" "));
            let weir = weir.map(|outcome| outcome.answers[at].as_slice());
            for (side, line) in merge(&asked.expected, &ovs.answers[at], weir).0 {
                let _ = writeln!(text, "{INDENT}{}< {line}", side.word());
            }
        }
    }
}

impl Packet {
    fn render(&self, expected: &Expected<SentFrame>, text: &mut String) {
        for (side, sent) in &expected.0 {
            let _ = write!(text, "{INDENT}{}-> {}", side.word(), sent.port);
            if sent.frame != self.frame {
                let _ = write!(text, ": {}", describe(&sent.frame));
            }
            text.push('\n');
        }
        let silent: &[Side] = if expected.0.is_empty() {
            &[Side::Both]
        } else {
            &[Side::Ovs, Side::Weir]
        };
        for side in silent {
            if expected.of(*side).is_empty() {
                let _ = writeln!(text, "{INDENT}{}-> nothing", side.word());
            }
        }
    }
}

/// What to expect, given the answers: `old` says what weir alone is to do if it was not asked.
fn merge<T: Clone + PartialEq>(old: &Expected<T>, ovs: &[T], weir: Option<&[T]>) -> Expected<T> {
    match weir {
        Some(weir) => Expected::merge(ovs, weir),
        None if old.is_split() => Expected::merge(ovs, &old.of(Side::Weir)),
        None => Expected::merge(ovs, ovs),
    }
}
