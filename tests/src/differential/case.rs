//! The text of a case:
//!
//! ```text
//! title: UDP is new until the reply
//! about: ct_state `new`: a UDP connection that has not seen a reply
//! covers: 1.2 new
//!
//! [ports]
//! 1
//! 2 tag=10
//!
//! [flows]
//! ip,actions=ct(table=1)
//! table=1,ip,ct_state=+new,in_port=1,actions=ct(commit),2
//!
//! [groups]
//! group_id=1,type=all,bucket=actions=output:2
//!
//! [packets]
//! @0ms 1: udp 10.0.0.5:4000 > 192.0.2.9:53
//!     -> 2
//! @1ms $ ct-stats-show
//!     < Connections Stats:
//!     <     Total: 1
//!
//! [connections]
//! udp,orig=(src=10.0.0.5,...
//!
//! [hits]
//! 1 1
//!
//! [buckets]
//! 1 of 1: 1
//! ```
//!
//! `about` names what of Open vSwitch the case holds weir against; `covers` is a row of
//! `differential/rows`, one in each line. `-> PORT` is the frame that
//! went in, `-> PORT: PACKET` another one. `$` is a command of `weir`, which Open vSwitch knows as
//! one of `ovs-appctl dpctl` (or of `ovs-ofctl`, `ct-flush`); the lines behind `<` are its answer, sorted, or
//! `refused`. `[connections]` is the sorted dump in the end,
//! `[hits]` counts packets per flow, in order; `[buckets]` for each of the `[groups]`, which are
//! added before the flows, `PACKETS of GROUP: PACKETS OF ITS BUCKETS`. A line behind `ovs` or `weir` is expected of that
//! switch alone, and then `differs:` says why; `refused:` is what weir says against a policy
//! that Open vSwitch runs. `[flows ovs]` is what Open vSwitch is given instead, line for line;
//! `[config]` is TOML for weir; `[ovs]` holds control commands for `ovs-vswitchd`.
//! `include FILE` in `[flows]` or `[groups]` stands for the lines of a file of the repository.
//! A line that begins with `#` is a comment; one that begins with a blank continues a header.

use std::fs;
use std::path::{Path, PathBuf};

use weir_config::diagnostic::Diagnostic;

use super::expectation::{Expected, Side};
use super::outcome::SentFrame;

mod render;
mod source;
#[cfg(test)]
mod tests;

use source::Source;

const HEADERS: [&str; 5] = ["title", "about", "covers", "differs", "refused"];
const SECTIONS: [&str; 10] = [
    "ports",
    "groups",
    "flows",
    "flows ovs",
    "config",
    "ovs",
    "packets",
    "connections",
    "hits",
    "buckets",
];

/// Why a case cannot be read: points at its text.
pub type CaseError = Box<Diagnostic>;

/// A policy, the packets that it meets and what becomes of them.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// The file's name without its ending.
    pub name: String,
    /// Where it was read from.
    pub path: PathBuf,
    /// One line for the reader.
    pub title: String,
    /// Rows, bullets and surprises of Open vSwitch's behaviour that it shows.
    pub about: Vec<String>,
    /// Rows of `differential/rows` that it shows.
    pub covers: Vec<String>,
    /// Why weir answers differently, if it does.
    pub differs: Vec<String>,
    /// What weir's error says if it refuses the policy, which Open vSwitch runs.
    pub refused: Option<String>,
    /// The bridge's ports.
    pub ports: Vec<PortSpec>,
    /// The policy, one OpenFlow line each.
    pub flows: Vec<String>,
    /// What Open vSwitch is given instead, if not the same.
    pub flows_ovs: Vec<String>,
    /// TOML added to weir's configuration.
    pub config: String,
    /// Commands for `ovs-vswitchd` ahead of the first packet.
    pub ovs_commands: Vec<String>,
    /// What goes in, in order; no two at the same time.
    pub packets: Vec<Packet>,
    /// What is asked among the packets, in order.
    pub questions: Vec<Question>,
    /// Connections in the end, one dump line each.
    pub conntrack: Expected<String>,
    /// Packets per flow in the order of `flows`, as numbers with blanks between.
    pub hits: Expected<String>,
    /// Groups, one line each.
    pub groups: Vec<String>,
    /// Packets per bucket, one line for each group, by number.
    pub buckets: Expected<String>,
    text: String,
}

/// A port of the bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSpec {
    /// OpenFlow number, or `LOCAL`.
    pub number: String,
    /// Settings such as `tag` = `10`.
    pub settings: Vec<(String, String)>,
}

impl PortSpec {
    /// The name that both switches know it by.
    pub fn name(&self) -> String {
        port_name(&self.number)
    }

    /// Whether it is the bridge's own port.
    pub fn is_local(&self) -> bool {
        self.number == "LOCAL"
    }
}

/// The name of port `number`: `p1`, or the bridge's own for `LOCAL`.
pub fn port_name(number: &str) -> String {
    match number {
        "LOCAL" => "br0".to_owned(),
        number => format!("p{number}"),
    }
}

/// A frame that goes in, and the frames that are expected to come out.
#[derive(Clone, Debug)]
pub struct Packet {
    /// When, in milliseconds since the case began.
    pub time_ms: u64,
    /// Where: OpenFlow number, or `LOCAL`.
    pub port: String,
    /// The frame.
    pub frame: Vec<u8>,
    /// What is sent for it.
    pub expected: Expected<SentFrame>,
    /// The time as it is written.
    when: String,
    /// The comment and empty lines above it.
    comments: String,
}

/// A command to the running switch, and what it is expected to answer.
#[derive(Clone, Debug)]
pub struct Question {
    /// When, in milliseconds since the case began.
    pub time_ms: u64,
    /// How many packets went in before.
    pub packets: usize,
    /// The verb and its arguments.
    pub words: Vec<String>,
    /// The sorted lines of the answer.
    pub expected: Expected<String>,
    /// The time as it is written.
    when: String,
    /// The comment and empty lines above it.
    comments: String,
}

impl Case {
    /// Reads one case file.
    ///
    /// # Errors
    /// If it cannot be read, or is not a case.
    pub fn read(path: &Path) -> Result<Self, CaseError> {
        let file = path.display().to_string();
        let text =
            fs::read_to_string(path).map_err(|error| Diagnostic::file(&file, error.to_string()))?;
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut case = Self::parse(&file, &text)?;
        case.name = name;
        case.path = path.to_owned();
        Ok(case)
    }

    /// Reads all cases (`*.case`) of a folder, by name.
    ///
    /// # Errors
    /// If the folder or one of them cannot be read.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>, CaseError> {
        let unreadable = |error: std::io::Error| {
            Box::new(Diagnostic::file(
                folder.display().to_string(),
                error.to_string(),
            ))
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|ending| ending == "case") {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Parses the text of a case; `file` is its name for error messages.
    ///
    /// # Errors
    /// If it is not a case.
    pub fn parse(file: &str, text: &str) -> Result<Self, CaseError> {
        let source = Source { file, text };
        let mut case = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        let mut section = None;
        let mut comments = String::new();
        for line in text.lines() {
            let content = line.trim();
            if let Some(name) = content
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                let known = SECTIONS.into_iter().find(|known| *known == name);
                let named = known.or_else(|| case.is_toml(section, name));
                let Some(named) = named else {
                    return Err(source.unknown(content, "section", name, &SECTIONS));
                };
                section = Some(named);
                if named == "config" && known.is_none() {
                    case.config.push_str(line);
                    case.config.push('\n');
                }
                continue;
            }
            if section == Some("packets") && (content.is_empty() || content.starts_with('#')) {
                comments.push_str(line);
                comments.push('\n');
                continue;
            }
            if content.is_empty() || (content.starts_with('#') && section != Some("config")) {
                continue;
            }
            match section {
                None => case.header(&source, line)?,
                Some("ports") => case.ports.push(source.port(content)?),
                Some("flows") => case.flows.extend(source.lines(content)?),
                Some("flows ovs") => case.flows_ovs.push(content.to_owned()),
                Some("config") => {
                    case.config.push_str(line);
                    case.config.push('\n');
                }
                Some("ovs") => case.ovs_commands.push(content.to_owned()),
                Some("packets") if content.starts_with('@') => {
                    let comments = std::mem::take(&mut comments);
                    case.step(&source, content, comments)?;
                }
                Some("packets") => case.expected_of_step(&source, content)?,
                Some("connections") => push(&mut case.conntrack, content),
                Some("groups") => case.groups.extend(source.lines(content)?),
                Some("buckets") => push(&mut case.buckets, content),
                Some(_) => push(&mut case.hits, content),
            }
        }
        case.check(&source)?;
        Ok(case)
    }

    /// The flow file for `side`; each flow's cookie is the number of its line, from 1.
    pub fn flow_file(&self, side: Side) -> String {
        let flows = match side {
            Side::Ovs if !self.flows_ovs.is_empty() => &self.flows_ovs,
            Side::Both | Side::Ovs | Side::Weir => &self.flows,
        };
        let numbered = flows.iter().zip(1..).map(|(line, number)| {
            let bare = line
                .strip_prefix("cookie=0x0,")
                .unwrap_or(line)
                .trim_start();
            format!("cookie={number:#x},{bare}\n")
        });
        numbered.collect()
    }

    /// Whether the switches are expected to answer differently.
    pub fn is_split(&self) -> bool {
        self.refused.is_some()
            || self.packets.iter().any(|packet| packet.expected.is_split())
            || self.questions.iter().any(|asked| asked.expected.is_split())
            || self.conntrack.is_split()
            || self.hits.is_split()
            || self.buckets.is_split()
    }

    /// Within `[config]` a bracketed line that is no section of ours belongs to the TOML.
    fn is_toml(&self, section: Option<&str>, name: &str) -> Option<&'static str> {
        let toml = section == Some("config") && !SECTIONS.contains(&name);
        toml.then_some("config")
    }

    fn header(&mut self, source: &Source<'_>, line: &str) -> Result<(), CaseError> {
        if line.starts_with(' ') {
            let last = self.differs.last_mut().or(self.about.last_mut());
            let last = last.ok_or_else(|| source.error(line.trim(), "continues nothing"))?;
            last.push(' ');
            last.push_str(line.trim());
            return Ok(());
        }
        let (key, value) = line
            .split_once(':')
            .ok_or_else(|| source.error(line, "expected `title:`, `about:` or a section"))?;
        let value = value.trim().to_owned();
        if value.is_empty() {
            return Err(source.error(key, "is empty"));
        }
        match key {
            "title" => self.title = value,
            "about" => self.about.push(value),
            "covers" => self.covers.push(value),
            "differs" => self.differs.push(value),
            "refused" => self.refused = Some(value),
            _ => return Err(source.unknown(key, "header", key, &HEADERS)),
        }
        Ok(())
    }

    /// A packet or a question.
    fn step(&mut self, source: &Source<'_>, line: &str, comments: String) -> Result<(), CaseError> {
        let packet = self.packets.last().map(|packet| packet.time_ms);
        let last = packet.max(self.questions.last().map(|asked| asked.time_ms));
        let (when, time_ms, rest) = source.time(line)?;
        if last.is_some_and(|last| last >= time_ms) {
            return Err(source.error(line, "comes no later than the one before"));
        }
        match rest.strip_prefix("$ ") {
            Some(words) => self.questions.push(Question {
                time_ms,
                packets: self.packets.len(),
                words: words.split_whitespace().map(str::to_owned).collect(),
                expected: Expected(Vec::new()),
                when: when.to_owned(),
                comments,
            }),
            None => {
                let (port, frame) = source.packet(rest)?;
                self.packets.push(Packet {
                    time_ms,
                    port: port.to_owned(),
                    frame,
                    expected: Expected(Vec::new()),
                    when: when.to_owned(),
                    comments,
                });
            }
        }
        Ok(())
    }

    /// What the last step is expected to do.
    fn expected_of_step(&mut self, source: &Source<'_>, line: &str) -> Result<(), CaseError> {
        let (side, rest) = Side::split(line);
        let Some(answer) = rest.strip_prefix("< ") else {
            return self.expected_frame(source, line);
        };
        match self.questions.last_mut() {
            Some(asked) if asked.packets == self.packets.len() => {
                asked.expected.0.push((side, answer.to_owned()));
                Ok(())
            }
            _ => Err(source.error(line, "answers no question")),
        }
    }

    fn expected_frame(&mut self, source: &Source<'_>, line: &str) -> Result<(), CaseError> {
        let (side, rest) = Side::split(line);
        let rest = rest
            .strip_prefix("->")
            .ok_or_else(|| source.error(line, "expected `@TIME PORT: PACKET` or `-> PORT`"))?;
        let packet = self
            .packets
            .last_mut()
            .ok_or_else(|| source.error(line, "is expected before a packet went in"))?;
        if rest.trim() == "nothing" {
            return Ok(());
        }
        let (port, frame) = match rest.split_once(':') {
            None => (rest.trim(), packet.frame.clone()),
            Some((port, text)) => (port.trim(), source.frame(text.trim())?),
        };
        if !self.ports.iter().any(|known| known.number == port) {
            return Err(source.error(port, "is not in [ports]"));
        }
        packet.expected.0.push((
            side,
            SentFrame {
                port: port.to_owned(),
                frame,
            },
        ));
        Ok(())
    }

    fn check(&self, source: &Source<'_>) -> Result<(), CaseError> {
        let whole = |message: &str| Err(Box::new(Diagnostic::file(source.file, message)));
        if self.title.is_empty() || self.about.is_empty() {
            return whole("`title:` and `about:` are needed");
        }
        let steps = self.packets.len() + self.questions.len();
        if self.ports.is_empty() || self.flows.is_empty() || steps == 0 {
            return whole("[ports], [flows] and [packets] are needed");
        }
        if !self.flows_ovs.is_empty() && self.flows_ovs.len() != self.flows.len() {
            return whole("[flows ovs] has not as many lines as [flows]");
        }
        for packet in &self.packets {
            if !self.ports.iter().any(|known| known.number == packet.port) {
                return whole(&format!("port {} is not in [ports]", packet.port));
            }
        }
        Ok(())
    }
}

fn push(expected: &mut Expected<String>, line: &str) {
    let (side, text) = Side::split(line);
    expected.0.push((side, text.to_owned()));
}
