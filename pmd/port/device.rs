//! One attached Ethernet device, from probe to detach.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::PortErrorCause;
use super::{DeviceName, driver, parts};
use crate::dpdk_sys as ffi;
use crate::eal::{Eal, errno_text};
use crate::mempool::Mempool;

/// An attached device. Dropping it stops it if it was started, closes and detaches it.
pub(crate) struct Device {
    id: u16,
    name: String,
    bus: &'static CStr,
    bus_name: CString,
    mtu: u16,
    /// Whether it sends frames of several segments.
    sends_chains: bool,
    started: AtomicBool,
    /// Whether EAL notes when it disappears.
    watched: bool,
    /// Where it receives to: it holds buffers until it is closed.
    pool: Option<Mempool>,
    _eal: Eal,
}

impl Device {
    /// Makes DPDK attach a device that nobody has.
    pub(super) fn attach(
        eal: &Eal,
        name: &str,
        device: &DeviceName,
        mtu: u16,
    ) -> Result<Self, PortErrorCause> {
        let (bus, bus_name, arguments) = parts(device);
        if matches!(device, DeviceName::Vdev(_)) {
            check_arguments(&bus_name, arguments)?;
        }
        let bus = if bus == "pci" { c"pci" } else { c"vdev" };
        let bus_name = c_string(&bus_name)?;
        let arguments = c_string(arguments)?;
        if !ports_of(&bus_name).is_empty() {
            return Err(PortErrorCause::InUse);
        }
        // SAFETY: EAL runs; three C strings, which are copied.
        let result = unsafe {
            ffi::rte_eal_hotplug_add(bus.as_ptr(), bus_name.as_ptr(), arguments.as_ptr())
        };
        PortErrorCause::check("attaching the device", result)?;

        let ids = ports_of(&bus_name);
        let [id] = ids[..] else {
            for &id in &ids {
                close(name, id);
            }
            detach(name, bus, &bus_name);
            return Err(match ids.len() {
                0 => PortErrorCause::NoPort,
                count => PortErrorCause::SeveralPorts(count),
            });
        };
        Ok(Self {
            id,
            name: name.to_owned(),
            bus,
            bus_name,
            mtu,
            sends_chains: false,
            started: AtomicBool::new(false),
            watched: false,
            pool: None,
            _eal: eal.clone(),
        })
    }

    pub(super) fn receive_into(&mut self, pool: &Mempool) {
        self.pool = Some(pool.clone());
    }

    pub(super) fn set_sends_chains(&mut self, whether: bool) {
        self.sends_chains = whether;
    }

    /// From now on it is noted when the device disappears.
    pub(super) fn watch_removal(&mut self) -> Result<(), PortErrorCause> {
        // SAFETY: the port is open.
        let result = unsafe { ffi::weir_watch_removal(self.id) };
        PortErrorCause::check("watching for the device's removal", result)?;
        self.watched = true;
        Ok(())
    }

    /// Whether the device has disappeared, as far as its driver knows.
    pub(super) fn is_removed(&self) -> bool {
        // SAFETY: the port is open.
        self.watched && unsafe { ffi::weir_is_removed(self.id) } != 0
    }

    pub(super) fn mark_started(&self) {
        self.started.store(true, Ordering::Relaxed);
    }

    /// DPDK's number of the port.
    pub(crate) const fn id(&self) -> u16 {
        self.id
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn mtu(&self) -> u16 {
        self.mtu
    }

    pub(crate) const fn sends_chains(&self) -> bool {
        self.sends_chains
    }

    /// The longest frame to be sent, without FCS: as many VLAN tags as weir handles do not count.
    pub(crate) const fn max_frame_bytes(&self) -> usize {
        self.mtu as usize + ETHERNET_BYTES + VLAN_TAGS_BYTES
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.started.load(Ordering::Relaxed) {
            // SAFETY: the port is open, and no queue of it is left.
            let result = unsafe { ffi::rte_eth_dev_stop(self.id) };
            warn("stopping", &self.name, result);
        }
        if self.watched {
            // SAFETY: the port is open.
            unsafe { ffi::weir_unwatch_removal(self.id) };
        }
        close(&self.name, self.id);
        detach(&self.name, self.bus, &self.bus_name);
    }
}

const ETHERNET_BYTES: usize = 14;
const VLAN_TAGS_BYTES: usize = 2 * 4;

fn close(name: &str, id: u16) {
    // SAFETY: the port is open and stopped; it is not used again.
    let result = unsafe { ffi::rte_eth_dev_close(id) };
    warn("closing", name, result);
}

fn detach(name: &str, bus: &CStr, bus_name: &CStr) {
    // SAFETY: two C strings; the device has no open port.
    let result = unsafe { ffi::rte_eal_hotplug_remove(bus.as_ptr(), bus_name.as_ptr()) };
    warn("detaching", name, result);
}

/// Closing goes on whatever a driver says: there is nobody to hand the rest to.
fn warn(step: &str, name: &str, result: i32) {
    if result < 0 {
        tracing::warn!("port \"{name}\": {step} the device: {}", errno_text(result));
    }
}

/// The Ethernet ports of the device of this name.
fn ports_of(bus_name: &CStr) -> Vec<u16> {
    let mut found = Vec::new();
    let mut next = 0;
    loop {
        // SAFETY: EAL runs; any number will do.
        let id = unsafe { ffi::rte_eth_find_next(next) };
        if u32::from(id) >= ffi::WEIR_MAX_PORTS {
            return found;
        }
        let mut info = ffi::rte_eth_dev_info::default();
        // SAFETY: the port exists; `info` is written to during the call.
        let result = unsafe { ffi::rte_eth_dev_info_get(id, &raw mut info) };
        if result == 0 && !info.device.is_null() {
            // SAFETY: a device has a name, which lives as long as its port.
            let name = unsafe { CStr::from_ptr(ffi::rte_dev_name(info.device)) };
            if name == bus_name {
                found.push(id);
            }
        }
        next = id + 1;
    }
}

fn check_arguments(vdev: &str, arguments: &str) -> Result<(), PortErrorCause> {
    let Some((driver, known)) = driver::known_arguments(vdev) else {
        return Ok(());
    };
    for argument in arguments.split(',').filter(|argument| !argument.is_empty()) {
        let key = argument.split_once('=').map_or(argument, |(key, _)| key);
        if !known.contains(&key) {
            let argument = key.to_owned();
            return Err(PortErrorCause::UnknownArgument {
                driver,
                argument,
                known: known.join(", "),
            });
        }
    }
    Ok(())
}

fn c_string(text: &str) -> Result<CString, PortErrorCause> {
    CString::new(text).map_err(|_| PortErrorCause::Step {
        step: "attaching the device",
        reason: "its name or arguments contain a NUL byte".to_owned(),
        log: String::new(),
    })
}
