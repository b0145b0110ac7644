//! Ports whose devices disappear: an interface that somebody deletes, a card that is pulled out.
//!
//! The lcores give such a port back, so that nobody polls what is not there, and the device is closed;
//! the port keeps its number, its name and its place, without a link. Every second it is tried to open the
//! device again. An interface that weir makes itself, as that of a TAP, is back then.

use std::time::Duration;

use weir_packet::Tick;
use weir_tables::datapath::Datapath;
use weir_tables::port::{PortIndex, PortNo};

use super::Management;
use crate::file::Port;

/// How often it is tried to open a device again.
const AGAIN: Duration = Duration::from_secs(1);

/// Ports without their devices, and what was.
#[derive(Debug, Default)]
pub(super) struct Devices {
    absent: Vec<Absent>,
    /// How often the device of a port was lost, by its number.
    losses: Vec<(PortNo, u64)>,
}

#[derive(Debug)]
struct Absent {
    index: PortIndex,
    no: PortNo,
    next: Tick,
}

impl Devices {
    /// Whether the port has no device now.
    pub(super) fn is_absent(&self, no: PortNo) -> bool {
        self.absent.iter().any(|absent| absent.no == no)
    }

    /// The ports that have none.
    pub(super) fn absent(&self) -> impl Iterator<Item = PortNo> {
        self.absent.iter().map(|absent| absent.no)
    }

    /// How often the port has lost its device.
    pub(super) fn losses(&self, no: PortNo) -> u64 {
        let found = self.losses.iter().find(|(port, _)| *port == no);
        found.map_or(0, |(_, losses)| *losses)
    }

    /// The port is another one from now on.
    pub(super) fn forget(&mut self, no: PortNo) {
        self.absent.retain(|absent| absent.no != no);
        self.losses.retain(|(port, _)| *port != no);
    }

    fn lose(&mut self, index: PortIndex, no: PortNo, now: Tick) {
        let next = now + AGAIN;
        self.absent.push(Absent { index, no, next });
        match self.losses.iter_mut().find(|(port, _)| *port == no) {
            Some((_, losses)) => *losses += 1,
            None => self.losses.push((no, 1)),
        }
    }
}

impl<D: Datapath> Management<D> {
    /// Closes devices that are gone, and opens those that are back.
    pub(super) fn look_at_devices(&mut self, now: Tick) {
        for index in self.datapath.lost_devices() {
            let Some(port) = self.port_at(index) else {
                continue;
            };
            tracing::warn!("port {}: its device is gone", port.name);
            if self.datapath.remove_port(index).is_err() {
                tracing::error!("port {}: an lcore does not give it back", port.name);
            }
            self.devices.lose(index, port.id, now);
        }
        let due = |absent: &&Absent| now >= absent.next;
        let due: Vec<_> = self
            .devices
            .absent
            .iter()
            .filter(due)
            .map(|absent| absent.index)
            .collect();
        for index in due {
            match self.open_again(index) {
                true => self.devices.absent.retain(|absent| absent.index != index),
                false => {
                    let absent = self.devices.absent.iter_mut();
                    for absent in absent.filter(|absent| absent.index == index) {
                        absent.next = now + AGAIN;
                    }
                }
            }
        }
    }

    fn open_again(&mut self, index: PortIndex) -> bool {
        let port = self.port_at(index);
        let Some((port, device)) = port.and_then(|port| {
            let device = port.device_config()?;
            Some((port, device))
        }) else {
            return true;
        };
        if let Err(error) = self.datapath.start_port(index, &device) {
            tracing::debug!("{error}");
            return false;
        }
        if self.datapath.attach_port(index).is_err() {
            tracing::error!("port {}: an lcore does not take it", port.name);
            return false;
        }
        tracing::info!("port {}: its device is back", port.name);
        if self.port_flags(port.id).down {
            self.datapath.show_link(port.id, false);
        }
        true
    }

    /// What the configuration says of the port at `index`.
    fn port_at(&self, index: PortIndex) -> Option<Port> {
        let ports = &self.policy.ports;
        let mut known = self.config.ports.iter();
        let found = known.find(|port| ports.index_of(port.id) == Some(index));
        found.cloned()
    }
}
