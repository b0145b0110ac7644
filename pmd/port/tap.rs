//! Whether the kernel's side of a TAP is up, also when it was moved to another network namespace.
//!
//! The driver asks by the interface's name, in the namespace that the switch started in; for an
//! interface that left it, the answer is always "down". The TAP's own file descriptor is not
//! tied to a namespace: it is writable while the interface is up (Linux 5.1, `tun_chr_poll`).

use std::fs;
use std::os::fd::{BorrowedFd, RawFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A queue of a TAP that the driver has open. Valid while the device is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap(RawFd);

impl Tap {
    /// Finds the driver's descriptor of the TAP with this interface index, which is still in
    /// this namespace.
    pub(super) fn find(if_index: u32) -> Option<Self> {
        let name = interface_name(if_index)?;
        let descriptors = fs::read_dir("/proc/self/fdinfo").ok()?;
        descriptors.flatten().find_map(|entry| {
            let info = fs::read_to_string(entry.path()).ok()?;
            let attached = info.lines().filter_map(|line| line.strip_prefix("iff:"));
            let is_ours = attached.map(str::trim).any(|interface| interface == name);
            let number = entry.file_name().to_str()?.parse().ok()?;
            is_ours.then_some(Self(number))
        })
    }

    /// Lets the interface have a carrier, or none (Linux 5.0, `tun(4)`). Returns whether the
    /// kernel did.
    ///
    /// # Safety
    /// The device that it was found for is still open.
    pub(super) unsafe fn set_carrier(self, carrier: bool) -> bool {
        /// `TUNSETCARRIER`: `_IOW('T', 226, int)`.
        const SET_CARRIER: nix::libc::c_ulong = 0x4004_54e2;
        let carrier = nix::libc::c_int::from(carrier);
        // SAFETY: the descriptor is open: the caller's; the kernel reads an `int` during the call.
        unsafe { nix::libc::ioctl(self.0, SET_CARRIER as _, &raw const carrier) == 0 }
    }

    /// Whether the interface is up.
    ///
    /// # Safety
    /// The device that it was found for is still open.
    pub(super) unsafe fn is_up(self) -> bool {
        // SAFETY: the caller's.
        unsafe { self.events() }.contains(PollFlags::POLLOUT)
    }

    /// Whether the interface was deleted: then its descriptor is good for nothing.
    ///
    /// # Safety
    /// The device that it was found for is still open.
    pub(super) unsafe fn is_deleted(self) -> bool {
        // SAFETY: the caller's.
        unsafe { self.events() }.contains(PollFlags::POLLERR)
    }

    /// # Safety
    /// The device that it was found for is still open.
    unsafe fn events(self) -> PollFlags {
        // SAFETY: the caller's; the driver closes its queues with the device.
        let queue = unsafe { BorrowedFd::borrow_raw(self.0) };
        let mut waiting = [PollFd::new(queue, PollFlags::POLLOUT)];
        match poll(&mut waiting, PollTimeout::ZERO) {
            Ok(_) => waiting[0].revents().unwrap_or(PollFlags::empty()),
            Err(_) => PollFlags::empty(),
        }
    }
}

fn interface_name(if_index: u32) -> Option<String> {
    let wanted = if_index.to_string();
    fs::read_dir("/sys/class/net")
        .ok()?
        .flatten()
        .find_map(|entry| {
            let index = fs::read_to_string(entry.path().join("ifindex")).ok()?;
            (index.trim() == wanted).then(|| entry.file_name().to_str().map(str::to_owned))?
        })
}
