//! Ports: Ethernet devices, attached by name, configured and started in one step.
//!
//! Invariants
//!   1. A [`Port`] is started. If any step fails, everything before it is undone: the device is
//!      closed and detached again, and the error names the port, the device, the step and what
//!      the driver said.
//!   2. A device is stopped, closed and detached when its [`Port`] and all of its queues are gone.
//!   3. A pool outlives the devices that receive into it.
//!
//! Threads: starting and stopping is the management thread's; the queues are the workers'.

use std::sync::Arc;

use crate::dpdk_sys as ffi;
use crate::eal::Eal;
use crate::mempool::Mempools;
use crate::queue::{RxQueue, TxQueue};

mod device;
mod driver;
mod error;
mod redirection;
mod setup;
mod tap;

pub(crate) use device::Device;
pub use error::{PortError, PortErrorCause};
use tap::Tap;
use weir_tables::datapath::DeviceConfig;
pub use weir_tables::datapath::DeviceName;

/// What a port is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// The port's name in messages.
    pub name: String,
    /// Its device.
    pub device: DeviceName,
    /// Receive queues, each of which somebody has to poll.
    pub rx_queues: u16,
    /// Transmit queues: one for each lcore that sends here.
    pub tx_queues: u16,
    /// Longest L3 packet in bytes.
    pub mtu: u16,
    /// The 16 bits of which the key of its receive-side scaling consists, if it has that.
    pub rss_key: u16,
}

impl From<DeviceConfig> for PortConfig {
    /// With as many transmit queues as somebody says later, and receive queues if nothing else is
    /// wanted; so it is with the key.
    fn from(wanted: DeviceConfig) -> Self {
        Self {
            name: wanted.name,
            device: wanted.device,
            rx_queues: wanted.queues.unwrap_or(0),
            tx_queues: 0,
            mtu: wanted.mtu,
            rss_key: 0,
        }
    }
}

/// A port that runs, with all of its queues.
pub struct StartedPort {
    /// The port itself, for the management thread.
    pub port: Port,
    /// As many as asked for, or more if the driver pairs them with transmit queues. All are to be
    /// polled.
    pub rx: Vec<RxQueue>,
    /// As many as asked for, or more if the driver pairs them with receive queues.
    pub tx: Vec<TxQueue>,
}

/// A started port. Dropping it, and its queues, stops and detaches the device.
pub struct Port {
    device: Arc<Device>,
    facts: Facts,
    /// Where the driver does not know the state of its own link.
    tap: Option<Tap>,
}

/// What was found out, or decided, when a port was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    driver: String,
    mac: [u8; 6],
    node: Option<u32>,
    spread: Spread,
    /// Entries of the redirection table; 0: it has none that can be set.
    redirections: u16,
    verifies_checksums: bool,
}

/// How a device spreads frames over its receive queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// All on one queue.
    OneQueue,
    /// By a hash that is the same for both directions of a connection.
    SymmetricRss,
    /// In a way weir knows nothing about.
    Unknown,
}

/// State of a port's link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Whether frames can pass.
    pub up: bool,
    /// Speed in Mbit/s, if it is known and means anything.
    pub speed_mbps: Option<u32>,
}

/// What a device counted since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames received.
    pub rx_packets: u64,
    /// Bytes received, without FCS.
    pub rx_bytes: u64,
    /// Frames lost because nobody polled in time.
    pub rx_missed: u64,
    /// Frames received with an error.
    pub rx_errors: u64,
    /// Frames lost because the memory pool was empty.
    pub rx_no_mbuf: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes sent, without FCS.
    pub tx_bytes: u64,
    /// Frames that the device failed to send. Some drivers also count those that a full queue
    /// refused and the caller still has.
    pub tx_errors: u64,
}

impl Port {
    /// Attaches, configures and starts a device. `mempools` provides the pool of its NUMA node.
    ///
    /// # Errors
    /// [`PortError`]; nothing of the device is left then, and it may be tried again.
    pub fn start(
        eal: &Eal,
        mempools: &mut Mempools,
        config: &PortConfig,
    ) -> Result<StartedPort, PortError> {
        setup::start(eal, mempools, config).map_err(|cause| PortError {
            port: config.name.clone(),
            device: config.device.clone(),
            cause: Box::new(cause),
        })
    }

    /// The name it was configured with.
    pub fn name(&self) -> &str {
        self.device.name()
    }

    /// The driver's name, such as `net_tap`.
    pub fn driver(&self) -> &str {
        &self.facts.driver
    }

    /// The MAC address.
    pub const fn mac(&self) -> [u8; 6] {
        self.facts.mac
    }

    /// Whether somebody on this host is at the other end.
    pub const fn is_tap(&self) -> bool {
        self.tap.is_some()
    }

    /// Longest L3 packet in bytes.
    pub fn mtu(&self) -> u16 {
        self.device.mtu()
    }

    /// The NUMA node that the device is on, if it is on one.
    pub const fn node(&self) -> Option<u32> {
        self.facts.node
    }

    /// How it spreads frames over its receive queues.
    pub const fn spread(&self) -> Spread {
        self.facts.spread
    }

    /// How many entries its redirection table has, if it spreads frames by a hash that is the same for
    /// both directions.
    pub fn redirections(&self) -> Option<u16> {
        let can = self.facts.spread == Spread::SymmetricRss && self.facts.redirections > 0;
        can.then_some(self.facts.redirections)
    }

    /// Sets the queue of each entry of the redirection table. What the device has received stays in the queue
    /// where it is.
    ///
    /// # Errors
    /// What the driver said, or that the device tells of another table afterwards.
    pub fn redirect(&self, queues: &[u16]) -> Result<(), PortErrorCause> {
        let id = self.device.id();
        redirection::set(id, queues)?;
        match self.redirection() {
            Ok(now) if now != queues => Err(PortErrorCause::Redirection),
            // Some drivers take a table and tell of none.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The queue of each entry of the redirection table.
    ///
    /// # Errors
    /// What the driver said.
    pub fn redirection(&self) -> Result<Vec<u16>, PortErrorCause> {
        redirection::get(self.device.id(), self.facts.redirections)
    }

    /// Whether the device verifies checksums of received frames.
    pub const fn verifies_checksums(&self) -> bool {
        self.facts.verifies_checksums
    }

    /// The link's state, without waiting for it. May take a system call.
    pub fn link(&self) -> Link {
        let mut speed = 0;
        // SAFETY: the device is open; `speed` is written to during the call.
        let up = unsafe { ffi::weir_link(self.device.id(), &raw mut speed) };
        let up = match self.tap {
            // SAFETY: the device is open: `self` holds it.
            Some(tap) => unsafe { tap.is_up() },
            None => up == 1,
        };
        Link {
            up,
            speed_mbps: (speed != 0 && speed != u32::MAX).then_some(speed),
        }
    }

    /// Whether its device has disappeared: it does not come back to this port, which is to be dropped.
    /// May take a system call.
    pub fn is_lost(&self) -> bool {
        match self.tap {
            // SAFETY: the device is open: `self` holds it.
            Some(tap) => unsafe { tap.is_deleted() },
            None => self.device.is_removed(),
        }
    }

    /// Lets the other end see a link or none, where the driver or the kernel can do that;
    /// returns whether they did. Frames are still taken and handed over.
    pub fn show_link(&self, up: bool) -> bool {
        let id = self.device.id();
        match self.tap {
            // SAFETY: the device is open: `self` holds it.
            Some(tap) => unsafe { tap.set_carrier(up) },
            // SAFETY: the device is open.
            None if up => unsafe { ffi::rte_eth_dev_set_link_up(id) == 0 },
            // SAFETY: the device is open.
            None => unsafe { ffi::rte_eth_dev_set_link_down(id) == 0 },
        }
    }

    /// What the device counted.
    pub fn stats(&self) -> PortStats {
        let mut stats = ffi::rte_eth_stats::default();
        // SAFETY: the device is open; `stats` is written to during the call. Of a device without
        // statistics it stays zero.
        unsafe { ffi::rte_eth_stats_get(self.device.id(), &raw mut stats) };
        PortStats {
            rx_packets: stats.ipackets,
            rx_bytes: stats.ibytes,
            rx_missed: stats.imissed,
            rx_errors: stats.ierrors,
            rx_no_mbuf: stats.rx_nombuf,
            tx_packets: stats.opackets,
            tx_bytes: stats.obytes,
            tx_errors: stats.oerrors,
        }
    }
}

/// The bus, the device's name on it, and the arguments for its driver.
fn parts(device: &DeviceName) -> (&'static str, String, &str) {
    match device {
        DeviceName::Pci(address) => {
            let domain = if address.matches(':').count() == 1 {
                "0000:"
            } else {
                ""
            };
            (
                "pci",
                format!("{domain}{}", address.to_ascii_lowercase()),
                "",
            )
        }
        DeviceName::Vdev(devargs) => {
            let (name, arguments) = devargs.split_once(',').unwrap_or((devargs, ""));
            ("vdev", name.to_owned(), arguments)
        }
    }
}

#[cfg(test)]
mod tests;
