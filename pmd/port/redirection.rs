//! The redirection table of a device with receive-side scaling: which queue a frame comes to whose hash
//! has the number of an entry in its lowest bits.

use super::error::PortErrorCause;
use crate::dpdk_sys as ffi;

/// Entries that are told together.
const GROUP: usize = ffi::WEIR_RETA_GROUP as usize;

/// Sets the queue of each entry. The device may be running: frames that are in its queues stay there.
pub(super) fn set(id: u16, queues: &[u16]) -> Result<(), PortErrorCause> {
    let mut groups: Vec<_> = queues.chunks(GROUP).map(group).collect();
    // SAFETY: the port exists; there is a group for each 64 entries.
    let result =
        unsafe { ffi::rte_eth_dev_rss_reta_update(id, groups.as_mut_ptr(), queues.len() as u16) };
    PortErrorCause::check("setting the redirection table", result)
}

/// The queue of each of so many entries, as the device has them.
pub(super) fn get(id: u16, entries: u16) -> Result<Vec<u16>, PortErrorCause> {
    let wanted = vec![0; entries.into()];
    let mut groups: Vec<_> = wanted.chunks(GROUP).map(group).collect();
    // SAFETY: the port exists; there is a group for each 64 entries, all written to during the call.
    let result = unsafe { ffi::rte_eth_dev_rss_reta_query(id, groups.as_mut_ptr(), entries) };
    PortErrorCause::check("asking for the redirection table", result)?;
    let queues = groups.iter().flat_map(|group| group.reta);
    Ok(queues.take(entries.into()).collect())
}

/// At most [`GROUP`] entries, all of which are meant.
fn group(queues: &[u16]) -> ffi::rte_eth_rss_reta_entry64 {
    let mut reta = [0; GROUP];
    reta[..queues.len()].copy_from_slice(queues);
    ffi::rte_eth_rss_reta_entry64 {
        mask: u64::MAX >> (GROUP - queues.len()),
        reta,
    }
}
