//! The machine that figures were taken on.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::process::Command;

use crate::contender::Memory;
use crate::failure::output_of;
use crate::processor;

/// What a figure depends on, as far as the system tells.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Family, model and stepping.
    pub cpu_id: String,
    /// How many CPUs there are.
    pub cpus: usize,
    /// Sizes of the caches of the first CPU, by level.
    pub caches: String,
    /// The hypervisor's flag.
    pub virtual_machine: bool,
    /// Ticks of the time stamp counter per second.
    pub tsc_hz: f64,
    /// Memory in MB.
    pub memory_mb: u64,
    /// Free huge pages, and the size of one in kB.
    pub huge_pages: (u64, u64),
    /// The kernel's release.
    pub kernel: String,
    /// The distribution.
    pub system: String,
}

impl Machine {
    /// Looks at this machine; takes a fifth of a second.
    pub fn this() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let first = table(cpuinfo.split("\n\n").next().unwrap_or_default());
        let memory = table(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
        let system = table(&fs::read_to_string("/etc/os-release").unwrap_or_default());
        let text = |map: &BTreeMap<String, String>, key: &str| {
            map.get(key)
                .map_or("?", |value| value.trim_matches('"'))
                .to_owned()
        };
        let number = |key: &str| {
            let value = memory
                .get(key)
                .and_then(|value| value.split_whitespace().next());
            value.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        let flags = text(&first, "flags");
        let id = ["cpu family", "model", "stepping"]
            .map(|key| text(&first, key))
            .join("/");
        Self {
            cpu: text(&first, "model name"),
            cpu_id: id,
            cpus: cpuinfo
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            caches: caches(),
            virtual_machine: flags.split(' ').any(|flag| flag == "hypervisor"),
            tsc_hz: processor::tsc_hz(),
            memory_mb: number("MemTotal") / 1024,
            huge_pages: (number("HugePages_Free"), number("Hugepagesize")),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or("?".to_owned(), |release| release.trim().to_owned()),
            system: text(&system, "PRETTY_NAME"),
        }
    }

    /// Huge pages if there are enough for `mb`, else ordinary ones.
    pub fn memory_for(&self, mb: u32) -> Memory {
        let (pages, size_kb) = self.huge_pages;
        if pages * size_kb / 1024 >= u64::from(mb) {
            Memory::HugePages
        } else {
            Memory::OrdinaryPages
        }
    }

    /// A short name that is fit for a folder: `intel-xeon-2cpu`.
    pub fn slug(&self) -> String {
        let words = self
            .cpu
            .replace("(R)", "")
            .replace("(TM)", "")
            .to_lowercase();
        let words = words.split(|c: char| !c.is_ascii_alphanumeric());
        let words = words.filter(|word| !matches!(*word, "" | "processor" | "cpu"));
        let name: Vec<&str> = words.take(3).collect();
        format!("{}-{}cpu", name.join("-"), self.cpus)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cpu,
            cpu_id,
            cpus,
            caches,
            memory_mb,
            kernel,
            system,
            ..
        } = self;
        let host = if self.virtual_machine {
            "a virtual machine"
        } else {
            "bare metal"
        };
        writeln!(
            f,
            "* {cpus} CPUs: {cpu} (family/model/stepping {cpu_id}), {host}; {caches}"
        )?;
        writeln!(f, "* time stamp counter at {:.3} GHz", self.tsc_hz / 1e9)?;
        writeln!(f, "* {memory_mb} MB of memory; {system}, Linux {kernel}")
    }
}

/// The date, in UTC.
pub fn today() -> String {
    let date = output_of(Command::new("date").args(["-u", "+%F"]));
    date.map_or("undated".to_owned(), |date| date.trim().to_owned())
}

/// The commit of the working tree, with `-dirty` if it was changed; `?` outside of one.
pub fn commit() -> String {
    let described = output_of(Command::new("git").args(["describe", "--always", "--dirty"]));
    described.map_or("?".to_owned(), |commit| commit.trim().to_owned())
}

/// `key: value` or `key=value` lines.
fn table(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once([':', '=']));
    pairs
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

fn caches() -> String {
    let described = (0..8).filter_map(|index| {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}");
        let read = |name: &str| fs::read_to_string(format!("{path}/{name}")).ok();
        let (level, size, kind) = (read("level")?, read("size")?, read("type")?);
        let kind = match kind.trim() {
            "Data" => "d",
            "Instruction" => "i",
            _ => "",
        };
        Some(format!("L{}{kind} {}", level.trim(), size.trim()))
    });
    described.collect::<Vec<_>>().join(", ")
}
