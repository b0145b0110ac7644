//! What counters said: of ports that come and go, of the pipeline, of memory and buffers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_tests::namespaces::Lab;

use super::policy;

/// A port that carries nothing for so long has nothing under way.
const QUIET: Duration = Duration::from_millis(300);
/// How long something may be under way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Frames that a port received and sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// What ports carried before their devices went, and what they said last.
#[derive(Debug, Default)]
pub(crate) struct Books(Mutex<BTreeMap<u64, (Carried, Carried)>>);

impl Books {
    /// Reads what all ports say. A device that was opened anew has begun at 0, which is seen if this is done
    /// before it goes and after it is back.
    pub(crate) fn note(&self, lab: &Lab) {
        let mut all = self.0.lock().expect("nobody panicked");
        for row in lab.weir_json(&["dump-ports"]).as_array().expect("rows") {
            let now = Carried {
                received: number(row, "rx_packets"),
                sent: number(row, "tx_packets"),
            };
            let (before, last) = all.entry(number(row, "id")).or_default();
            if now.received < last.received || now.sent < last.sent {
                before.received += last.received;
                before.sent += last.sent;
            }
            *last = now;
        }
    }

    /// Reads what all ports say once nothing is under way any more, for `port` (all: `None`): before it goes.
    ///
    /// # Panics
    /// If that never is so.
    pub(crate) fn note_last(&self, lab: &Lab, port: Option<u64>) {
        let until = Instant::now() + PATIENCE;
        loop {
            let before = self.ports();
            sleep(QUIET);
            self.note(lab);
            let now = self.ports();
            let is_as_before = match port {
                Some(id) => before.get(&id) == now.get(&id),
                None => before == now,
            };
            if is_as_before {
                return;
            }
            assert!(Instant::now() < until, "{before:?}, then {now:?}");
        }
    }

    /// Each port, and what it carried in all.
    pub(crate) fn ports(&self) -> BTreeMap<u64, Carried> {
        let all = self.0.lock().expect("nobody panicked");
        let sum = |(&id, (before, last)): (&u64, &(Carried, Carried))| {
            let received = before.received + last.received;
            let sent = before.sent + last.sent;
            (id, Carried { received, sent })
        };
        all.iter().map(sum).collect()
    }
}

/// A number of a row.
pub(crate) fn number(row: &Value, name: &str) -> u64 {
    row[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} of {row:#}"))
}

/// The sum of a column.
fn sum(rows: &Value, name: &str) -> u64 {
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| number(row, name)).sum()
}

/// Frames that the pipeline took from a port: each matches one rule of table 0, which has rules for each.
fn taken(lab: &Lab, port: u64) -> u64 {
    let filter = format!("table=0,in_port={port}");
    sum(&lab.weir_json(&["dump-flows", &filter]), "n_packets")
}

/// Packets are counted alike by devices, lcores, rules and drops. Returns how many there were, and how many
/// of them were dropped.
///
/// # Panics
/// If they are not.
pub(crate) fn balance(lab: &Lab, books: &Books) -> (u64, u64) {
    books.note_last(lab, None);
    let ports = books.ports();
    let drops = lab.weir_json(&["dump-drops"]);
    let drops_text = lab.weir(&["dump-drops"]);
    let told = || {
        let (flows, ports) = (lab.weir(&["dump-flows"]), lab.weir(&["dump-ports"]));
        format!("{books:?}\n{flows}\n{ports}\n{drops_text}")
    };
    for (id, carried) in &ports {
        let taken = taken(lab, *id);
        assert_eq!(carried.received, taken, "port {id}: {}", told());
    }
    let received: u64 = ports.values().map(|port| port.received).sum();
    let sent: u64 = ports.values().map(|port| port.sent).sum();
    let lcores = sum(&lab.weir_json(&["pmd-stats-show"]), "packets");
    assert_eq!(received, lcores, "{}", told());
    let dropped = sum(&drops, "packets");
    assert_eq!(received, sent + dropped, "{}", told());
    (received, dropped)
}

/// Buffers that are in frames or with devices, as Prometheus is told.
pub(crate) fn buffers(lab: &Lab) -> u64 {
    let told = lab
        .play("switch", &format!("scrape {}", policy::metrics()))
        .told();
    let line = told.lines().filter_map(|line| {
        let value = line.strip_prefix("weir_mbufs_in_use{")?;
        value.split(' ').nth(1)?.parse::<u64>().ok()
    });
    line.sum()
}
