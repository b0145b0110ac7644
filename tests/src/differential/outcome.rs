//! What a switch did with a case, and how that is held against what is expected.

use std::fmt::Write;

use weir_packet::text::describe;

use super::case::Case;
use super::commands::REFUSED;
use super::expectation::Side;

#[cfg(test)]
mod tests;

/// A frame that a switch sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentFrame {
    /// OpenFlow number of the port, or `LOCAL`.
    pub port: String,
    /// The frame.
    pub frame: Vec<u8>,
}

/// Everything that is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Per frame that went in, the frames that came out: by port in the case's order, and in
    /// order of sending per port.
    pub sent: Vec<Vec<SentFrame>>,
    /// The connection dump, sorted.
    pub conntrack: Vec<String>,
    /// Packets per flow, in the order of the case's flows.
    pub hits: Vec<u64>,
    /// The dumped flows without statistics, in the same order.
    pub flows: Vec<String>,
    /// What groups counted, as in `[buckets]`, by number.
    pub buckets: Vec<String>,
    /// Per question, the sorted lines of the answer.
    pub answers: Vec<Vec<String>>,
}

impl Outcome {
    /// Puts an outcome together. `dump` is the output of `dump-flows` for flows whose cookies
    /// are their line numbers, from 1 to `flow_count`.
    ///
    /// # Errors
    /// If a line of the dump cannot be read.
    pub fn new<'a>(
        sent: Vec<Vec<SentFrame>>,
        mut conntrack: Vec<String>,
        dump: impl Iterator<Item = &'a str>,
        flow_count: usize,
    ) -> Result<Self, String> {
        conntrack.retain(|line| !line.trim().is_empty());
        conntrack.sort();
        let mut hits = vec![0; flow_count];
        let mut flows = vec![String::new(); flow_count];
        for line in dump.filter(|line| line.contains("actions=")) {
            let unreadable = || format!("cannot read the dumped flow `{line}`");
            let cookie = value_of(line, "cookie=0x").ok_or_else(unreadable)?;
            let number = usize::from_str_radix(cookie, 16).map_err(|_| unreadable())?;
            let packets = value_of(line, "n_packets=").ok_or_else(unreadable)?;
            let at = number.checked_sub(1).filter(|at| *at < flow_count);
            let at = at.ok_or_else(unreadable)?;
            hits[at] = packets.parse().map_err(|_| unreadable())?;
            flows[at] = without_statistics(line);
        }
        Ok(Self {
            sent,
            conntrack,
            hits,
            flows,
            buckets: Vec::new(),
            answers: Vec::new(),
        })
    }

    /// The same with what was answered to each question: the text, or that it was refused.
    #[must_use]
    pub fn with_answers(mut self, answers: Vec<Option<String>>) -> Self {
        let lines = |answer: Option<String>| {
            let text = answer.unwrap_or_else(|| REFUSED.to_owned());
            let lines = text.lines().map(str::trim_end);
            let mut lines: Vec<_> = lines
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect();
            lines.sort();
            lines
        };
        self.answers = answers.into_iter().map(lines).collect();
        self
    }

    /// The same with what groups counted; `dump` is the output of `dump-group-stats`.
    #[must_use]
    pub fn with_groups<'a>(mut self, dump: impl Iterator<Item = &'a str>) -> Self {
        let mut groups: Vec<(u32, String)> = dump
            .filter_map(|line| {
                let id = value_of(line, "group_id=")?;
                let mut counts = line.split("packet_count=").skip(1);
                let number = |text: &'a str| text.split(',').next().unwrap_or_default();
                let all = number(counts.next()?);
                let buckets: Vec<_> = counts.map(number).collect();
                let line = format!("{all} of {id}: {}", buckets.join(" "));
                Some((id.parse().ok()?, line.trim_end().to_owned()))
            })
            .collect();
        groups.sort();
        self.buckets = groups.into_iter().map(|(_, line)| line).collect();
        self
    }

    /// The counts with blanks between, as in `[hits]`.
    pub fn hits_text(&self) -> String {
        let numbers: Vec<String> = self.hits.iter().map(u64::to_string).collect();
        numbers.join(" ")
    }

    /// How this differs from what the case expects of `side`; empty if not at all.
    pub fn differences(&self, case: &Case, side: Side) -> String {
        let mut text = String::new();
        for (packet, sent) in case.packets.iter().zip(&self.sent) {
            let expected = packet.expected.of(side);
            if expected != *sent {
                let line = describe(&packet.frame);
                let _ = writeln!(text, "@{}ms {}: {line}", packet.time_ms, packet.port);
                list(&mut text, "expected", &expected, show);
                list(&mut text, "sent", sent, show);
            }
        }
        for (asked, answer) in case.questions.iter().zip(&self.answers) {
            let expected = asked.expected.of(side);
            if expected != *answer {
                let _ = writeln!(text, "@{}ms $ {}", asked.time_ms, asked.words.join(" "));
                list(&mut text, "expected", &expected, Clone::clone);
                list(&mut text, "answered", answer, Clone::clone);
            }
        }
        let expected = case.conntrack.of(side);
        if expected != self.conntrack {
            let _ = writeln!(text, "conntrack");
            list(&mut text, "expected", &expected, Clone::clone);
            list(&mut text, "dumped", &self.conntrack, Clone::clone);
        }
        let expected = case.hits.of(side);
        if expected != [self.hits_text()] {
            let _ = writeln!(text, "packets per flow");
            list(&mut text, "expected", &expected, Clone::clone);
            list(&mut text, "counted", &[self.hits_text()], Clone::clone);
        }
        let expected = case.buckets.of(side);
        if expected != self.buckets {
            let _ = writeln!(text, "packets per bucket");
            list(&mut text, "expected", &expected, Clone::clone);
            list(&mut text, "counted", &self.buckets, Clone::clone);
        }
        text
    }
}

fn show(sent: &SentFrame) -> String {
    format!("-> {}: {}", sent.port, describe(&sent.frame))
}

fn list<T>(text: &mut String, title: &str, things: &[T], show: impl Fn(&T) -> String) {
    let _ = writeln!(
        text,
        "  {title}{}",
        if things.is_empty() { " nothing" } else { "" }
    );
    for thing in things {
        let _ = writeln!(text, "    {}", show(thing));
    }
}

/// What stands between `key` and the next comma or blank.
fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = &line[line.find(key)? + key.len()..];
    Some(&rest[..rest.find([',', ' ']).unwrap_or(rest.len())])
}

/// A dumped flow without what depends on time, traffic or the cookies that were put in.
fn without_statistics(line: &str) -> String {
    const STATISTICS: [&str; 6] = [
        "cookie=",
        "duration=",
        "n_packets=",
        "n_bytes=",
        "idle_age=",
        "hard_age=",
    ];
    let (head, actions) = line.split_at(line.find("actions=").unwrap_or(line.len()));
    let kept: Vec<&str> = head
        .split([' ', ','])
        .filter(|part| !part.is_empty())
        .filter(|part| !STATISTICS.iter().any(|key| part.starts_with(key)))
        .collect();
    format!("{} {actions}", kept.join(","))
}
