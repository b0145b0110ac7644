//! Which links are up: groups that watch a port choose by it.
//!
//! A port whose device is gone has none. The datapath is asked every now and then. A change makes a new snapshot, and lcores obey it
//! from their next poll on.

use std::sync::Arc;
use std::time::Duration;

use weir_packet::Tick;
use weir_tables::datapath::Datapath;
use weir_tables::port::PortNo;

use super::Management;

/// How often links are looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// When links were looked at last.
#[derive(Debug, Default)]
pub(super) struct Links {
    seen: Option<Tick>,
}

impl<D: Datapath> Management<D> {
    /// Looks at the links, if it is time, and lets the lcores know what changed.
    pub(super) fn look_at_links(&mut self) {
        let now = self.datapath.now();
        if self
            .links
            .seen
            .is_some_and(|seen| now.since(seen) < INTERVAL)
        {
            return;
        }
        self.links.seen = Some(now);
        self.look_at_devices(now);
        let ports = &self.policy.ports;
        let mut links = self.datapath.links();
        // Where there is no device there is no link.
        links.retain(|(no, _)| !self.devices.is_absent(*no));
        links.extend(self.devices.absent().map(|no| (no, false)));
        let changed: Vec<PortNo> = links
            .iter()
            .filter(|(no, up)| {
                let index = ports.index_of(*no);
                index.is_some_and(|index| ports.has_link(index) != *up)
            })
            .map(|(no, _)| *no)
            .collect();
        if changed.is_empty() {
            return;
        }
        let is_up = |no| links.iter().all(|(other, up)| *other != no || *up);
        self.policy.ports = Arc::new(ports.with_links(is_up));
        self.policy.tables.links_changed(&changed);
        self.publish();
    }
}
