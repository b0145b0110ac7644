//! The configuration file (TOML).
//!
//! Reading has two stages. `raw` is what was typed, each value with its place; `validate`
//! turns it into [`Config`], which holds only what can run. A key that this version knows but
//! does not execute is refused at its place, so no setting is silently without effect.
//!
//! Invariants of a [`Config`]
//!   1. There is at least one port; names, numbers and devices are unique.
//!   2. Every number is within the range its field's documentation names.
//!   3. Paths are relative to the working directory (or absolute): those in the file are
//!      relative to the file, and have been joined with its directory.
//!   4. `print` is the inverse of `parse`, but for the places of later complaints.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_ct::Settings;
use weir_packet::reassembly::Bounds;
use weir_tables::cache::CacheSettings;
use weir_tables::datapath::QueueAffinity;
use weir_tables::packet_in::PacketInSettings;
use weir_tables::port::PortNo;
use weir_tables::tunnel::options::TlvMapping;

use crate::diagnostic::Diagnostic;

mod changes;
mod print;
mod raw;
#[cfg(test)]
mod tests;
mod timeouts;
mod tunnels;
mod validate;

pub use changes::PortChanges;
pub use tunnels::{Neighbour, Tunnel};

/// The socket on which `weir` listens and to which its verbs connect, unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/weir/weir.sock";

/// A configuration that can run.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[eal]`
    pub eal: Eal,
    /// `[[port]]`, in the order of the file.
    pub ports: Vec<Port>,
    /// `[[neighbour]]`, in the order of the file.
    pub neighbours: Vec<Neighbour>,
    /// `[[geneve_option]]`, in the order of the file; they fit into one map.
    pub options: Vec<TlvMapping>,
    /// `[bridge]`
    pub bridge: Bridge,
    /// `[cache]`: at most 16,777,216 entries each and 4,096 masks; `None`: 0 entries, no cache.
    pub caches: CacheSettings,
    /// `[conntrack]`; at most 100,000,000 connections, timeouts in whole seconds, 1 to 4,294,967,295.
    pub conntrack: Settings,
    /// `[controller]`: packets for controllers; 1 to 65,536 slots, a rate and a burst of 1 to
    /// 10,000,000.
    pub controller: PacketInSettings,
    /// `[fragments] waiting`: pieces of datagrams, 128 to 65,536 and at most half of the buffers.
    pub fragments: Bounds,
    /// `[control]`
    pub control: Control,
    /// `[metrics] listen`: where Prometheus may ask; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// A complaint for each port without a device.
    without_device: Vec<Diagnostic>,
}

/// `[eal]`: what DPDK's environment abstraction layer is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eal {
    /// The lcores that forward packets, 0 to 1023, each once; at least one.
    pub lcores: Vec<u16>,
    /// Into how many parts connections and tables are split, of which each lcore runs one or more;
    /// `None`: as many as lcores. Never fewer than these, at most 127.
    pub shards: Option<u16>,
    /// Whether to use hugepages; otherwise `--no-huge`. With them the memory of tables is taken at the
    /// start, not as they fill.
    pub hugepages: bool,
    /// Memory for DPDK, in MiB, 64 to 1,048,576.
    pub memory_mb: u32,
    /// Packet buffers per NUMA node, 512 to 16,777,216.
    pub mbufs: u32,
    /// Further EAL arguments, passed on as they are.
    pub args: Vec<String>,
    /// Whether the hash by which devices spread packets over their queues decides on the lcore that owns
    /// them, if there is such a device; otherwise a hash in software.
    pub rss: bool,
    /// How long an lcore sleeps once many polls in a row found nothing; zero: it never does.
    /// At most a second.
    pub idle_sleep: Duration,
}

impl Eal {
    /// Into how many parts connections and tables are split.
    pub fn shard_count(&self) -> usize {
        self.shards.map_or(self.lcores.len(), usize::from)
    }
}

/// `[[port]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Unique; letters, digits, `.`, `_` and `-`, at most 15 bytes, not a number.
    pub name: String,
    /// OpenFlow port number, 1 to 0xfeff or LOCAL, unique.
    pub id: PortNo,
    /// What DPDK opens; `None` for a tunnel, or where nothing is opened (`weir replay`).
    pub device: Option<Device>,
    /// Receive queues, at most one for each lcore; `None`: as many, or the most that the device has.
    pub queues: Option<u16>,
    /// Receive queues that one of the lcores is to poll, with its number; each queue once, sorted. The
    /// others are dealt out.
    pub affinity: QueueAffinity,
    /// The longest IP packet in bytes, 68 to 9000; of a tunnel what fits the port below.
    pub mtu: u16,
    /// What makes it a tunnel.
    pub tunnel: Option<Tunnel>,
    /// What NORMAL does with VLANs here.
    pub vlans: Vlans,
}

/// A DPDK device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// A PCI address with domain, in lower case: `0000:3b:00.0`.
    Pci(String),
    /// A virtual device: name and arguments, as EAL's `--vdev` takes them.
    Vdev(String),
}

/// The VLANs of a port, for NORMAL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vlans {
    /// An access port: untagged outside, in this VLAN (0 to 4095) inside.
    Access(u16),
    /// A trunk for all VLANs; untagged allowed.
    All,
    /// A trunk for these VLANs (0 to 4095; 0: untagged), at least one, sorted.
    Trunk(Vec<u16>),
}

/// `[bridge]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// Its name, as verbs may give it.
    pub name: String,
    /// Flow files, loaded in this order as one change.
    pub flows: Vec<FlowSource>,
    /// Group files, loaded in this order before the flows, in the same change.
    pub groups: Vec<FlowSource>,
    /// What table 0 starts with.
    pub fail_mode: FailMode,
}

/// Where flow or group text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowSource {
    /// Text that is part of the program, with the name under which errors show it.
    Embedded(NamedText),
    /// A file.
    File(PathBuf),
}

/// Some text and the name under which errors show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedText {
    /// The file as the user named it.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// What table 0 starts with; a miss drops in either mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailMode {
    /// Nothing.
    Secure,
    /// A visible `priority=0 actions=NORMAL`.
    Standalone,
}

/// `[control]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The Unix socket.
    pub socket: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner: a user's name or number; `None`: who started the switch.
    pub owner: Option<String>,
    /// Its group: a group's name or number; `None`: that of who started the switch.
    pub group: Option<String>,
}

impl Config {
    /// Reads and validates the file at `path`; does not read the flow files it names.
    ///
    /// # Errors
    /// If it cannot be read, is not TOML, or asks for what cannot run.
    pub fn load(path: &Path) -> Result<Self, Diagnostic> {
        let NamedText { name, text } = read_text(path)?;
        Self::parse(&name, &text)
    }

    /// Validates `text`. `name` is how errors call it, and paths in it are relative to the
    /// directory part of `name`. Touches no file; never panics.
    ///
    /// # Errors
    /// If it is not TOML, or asks for what cannot run.
    pub fn parse(name: &str, text: &str) -> Result<Self, Diagnostic> {
        let raw = toml::from_str(text).map_err(|error| toml_error(name, text, &error))?;
        validate::Validator { name, text }.config(raw)
    }

    /// What `weir run` runs without a file: two TAP ports and the stateful firewall of
    /// `examples/stateful-firewall.toml`, without hugepages and PCI.
    pub fn embedded() -> Self {
        const NAME: &str = "stateful-firewall.toml (embedded)";
        let mut config = Self::parse(NAME, include_str!("../../examples/stateful-firewall.toml"))
            .expect("a test parses it");
        config.bridge.flows = vec![FlowSource::Embedded(NamedText {
            name: "stateful-firewall.flows (embedded)".to_owned(),
            text: include_str!("../../examples/stateful-firewall.flows").to_owned(),
        })];
        config
    }

    /// Checks that every port has a device to open, as everything but `weir replay` needs.
    ///
    /// # Errors
    /// Points at the first port that has none.
    pub fn require_devices(&self) -> Result<(), Diagnostic> {
        self.without_device
            .first()
            .map_or(Ok(()), |complaint| Err(complaint.clone()))
    }

    /// Whether any port is a PCI device; if not, EAL need not look for any (`--no-pci`).
    pub fn uses_pci(&self) -> bool {
        self.ports
            .iter()
            .any(|port| matches!(port.device, Some(Device::Pci(_))))
    }

    /// Reads the flow text of the bridge, in order.
    ///
    /// # Errors
    /// Names the first file that cannot be read.
    pub fn flow_texts(&self) -> Result<Vec<NamedText>, Diagnostic> {
        self.bridge.flows.iter().map(FlowSource::read).collect()
    }

    /// Reads the group text of the bridge, in order.
    ///
    /// # Errors
    /// Names the first file that cannot be read.
    pub fn group_texts(&self) -> Result<Vec<NamedText>, Diagnostic> {
        self.bridge.groups.iter().map(FlowSource::read).collect()
    }
}

impl fmt::Display for Config {
    /// The configuration as TOML, every default spelt out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print::to_toml(self))
    }
}

impl FlowSource {
    /// Reads the text.
    ///
    /// # Errors
    /// If the file cannot be read or is not UTF-8.
    pub fn read(&self) -> Result<NamedText, Diagnostic> {
        match self {
            Self::Embedded(text) => Ok(text.clone()),
            Self::File(path) => read_text(path),
        }
    }
}

/// Reads a text file; `-` is standard input.
///
/// # Errors
/// If it cannot be read, or points at the first byte that is not UTF-8.
pub fn read_text(path: &Path) -> Result<NamedText, Diagnostic> {
    let name = path.display().to_string();
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    }
    .map_err(|error| Diagnostic::file(&name, format!("cannot be read: {error}")))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(NamedText { name, text }),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            // Up to there nothing was replaced, so the offset is the same in the lossy text.
            Err(Diagnostic::at(name, &text, valid..valid + 1, "not UTF-8"))
        }
    }
}

/// Turns the TOML library's error into one of ours.
fn toml_error(name: &str, text: &str, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    let message = error.message();
    let quoted = |text: &str| -> Vec<String> {
        text.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    // serde's own wording of an unknown key: "unknown field `x`, expected one of `a`, `b`".
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let mut names = quoted(rest).into_iter();
        let unknown = names.next().unwrap_or_default();
        let known: Vec<String> = names.collect();
        return unknown_key(name, text, span, &unknown, known.iter().map(String::as_str));
    }
    let plain = message
        .replace("expected i64", "expected an integer")
        .replace("a sequence", "an array")
        .replace("a boolean", "true or false")
        .replace("a map", "a table");
    let plain = match plain.split_once("expected struct ") {
        Some((head, _)) => format!("{head}expected a table"),
        None => plain,
    };
    // The library takes the end of a line where a value belongs for a string without quotes.
    let found = text.get(span.clone()).unwrap_or("");
    let plain = if plain.starts_with("string values must be quoted") && found.trim().is_empty() {
        "a value is missing".to_owned()
    } else {
        plain.lines().next().unwrap_or("not TOML").to_owned()
    };
    Diagnostic::at(name, text, span, plain)
}

/// Complains of a key that does not exist and names the nearest that does.
fn unknown_key<'a>(
    name: &str,
    text: &str,
    span: std::ops::Range<usize>,
    unknown: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let hint = match crate::diagnostic::nearest(unknown, known.clone()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("expected {}", known.collect::<Vec<_>>().join(" or ")),
    };
    Diagnostic::at(name, text, span, format!("unknown key {unknown}")).with_hint(hint)
}
