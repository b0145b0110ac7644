//! VLAN tags in a frame: pushed, popped and written.

use weir_packet::{Frame, NoHeadroom};

use crate::drops::DropReason;
use crate::extract::VLAN_PRESENT;

/// Bytes of a tag: TPID and TCI.
pub(crate) const BYTES: usize = 4;
/// Where the first tag begins: behind both addresses.
const OFFSET: usize = 12;

/// Puts a tag in front of all others.
///
/// # Errors
/// If there is no room; the frame is then unchanged.
pub(crate) fn push<F: Frame>(frame: &mut F, tpid: u16, tci: u16) -> Result<(), DropReason> {
    frame
        .push_front(BYTES)
        .map_err(|NoHeadroom| DropReason::NoHeadroom)?;
    let head = frame.head_mut();
    head.copy_within(BYTES..BYTES + OFFSET, 0);
    let tag = &mut head[OFFSET..][..BYTES];
    tag[..2].copy_from_slice(&tpid.to_be_bytes());
    tag[2..].copy_from_slice(&(tci & !VLAN_PRESENT).to_be_bytes());
    Ok(())
}

/// Removes the outer tag, which must be there.
pub(crate) fn pop<F: Frame>(frame: &mut F) {
    frame.head_mut().copy_within(..OFFSET, BYTES);
    frame.pull_front(BYTES);
}

/// Writes the TCI of the outer tag, which must be there.
pub(crate) fn write_tci<F: Frame>(frame: &mut F, tci: u16) {
    let tci = (tci & !VLAN_PRESENT).to_be_bytes();
    frame.head_mut()[OFFSET + 2..][..2].copy_from_slice(&tci);
}
