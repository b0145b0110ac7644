//! A segment of a control connection gets the payload and the numbers that its receiver is to see.

use weir_packet::checksum::{write_ipv4_header_checksum, write_l4_checksum};
use weir_packet::{Frame, L3, L4, Layout};

use super::Tracker;
use crate::alg::{Numbers, is_at_or_after};
use crate::request::CtDrop;

/// The place of TCP's numbers in its header.
const SEQUENCE: usize = 4;
const ACKNOWLEDGMENT: usize = 8;

impl Tracker {
    /// Changes the packet of which the last outcome said so ([`Outcome::mends`]), after its headers
    /// were translated. All lengths and checksums are right afterwards, and `layout` is that of
    /// the new packet.
    ///
    /// Cost: reads the packet as often as pieces of it are replaced, and once more.
    ///
    /// # Errors
    /// If the packet cannot grow; it is then to be dropped.
    ///
    /// [`Outcome::mends`]: crate::Outcome::mends
    pub fn mend<F: Frame>(&mut self, frame: &mut F, layout: &mut Layout) -> Result<(), CtDrop> {
        let mended = self.try_mend(frame, layout);
        if mended.is_none() {
            self.counters.count_refused(CtDrop::NoRoom);
        }
        mended.ok_or(CtDrop::NoRoom)
    }

    fn try_mend<F: Frame>(&self, frame: &mut F, layout: &mut Layout) -> Option<()> {
        let alg = self.table.alg.as_deref()?;
        let mend = &alg.mend;
        if mend.is_idle {
            return Some(());
        }
        let control = alg.control(mend.slot)?;
        let numbers = control.numbers(mend.direction);
        let others = control.numbers(mend.direction.opposite());

        let tcp = usize::from(layout.l4_offset);
        let header = usize::from(*frame.head().get(tcp + 12)? >> 4) * 4;
        let start = tcp + header;
        let size = (layout.l3_end as usize).checked_sub(start)?;
        let end = mend
            .start
            .wrapping_add((size + mend.prefix().len()) as u32)
            .wrapping_sub(mend.cut);
        if size > 0 {
            let kept = layout.l3_end.checked_sub(mend.cut)?;
            let whole = u16::try_from(layout.l3_end).ok()?;
            if !frame.gather_head(whole) || frame.head().len() < whole.into() {
                return None;
            }
            if mend.cut > 0 {
                frame.truncate(kept as usize);
                layout.l3_end = kept;
            }
            replace(frame, layout, start, 0, mend.prefix())?;
            for edit in numbers.within(mend.start, end) {
                let offset = edit.start.wrapping_sub(mend.start).cast_signed().max(0) as u32;
                let from = mend.start.wrapping_add(offset);
                let last = edit.end();
                let there = last.wrapping_sub(from).min(end.wrapping_sub(from));
                let at = start + offset as usize;
                replace(frame, layout, at, there as usize, edit.text.bytes())?;
            }
        }
        write_lengths(frame.head_mut(), layout)?;
        let head = frame.head_mut();
        let sequence = numbers.sent(mend.start);
        put(head, tcp + SEQUENCE, sequence)?;
        let acknowledges = *head.get(tcp + 13)? & 0x10 != 0;
        if acknowledges {
            let acknowledged = others.own(get(head, tcp + ACKNOWLEDGMENT)?);
            put(head, tcp + ACKNOWLEDGMENT, acknowledged)?;
        }
        mend_blocks(head.get_mut(tcp + 20..start)?, others);
        write_ipv4_header_checksum(frame.head_mut(), layout);
        write_l4_checksum(frame, layout);
        Some(())
    }
}

/// Puts `text` in the place of `size` bytes of the packet.
fn replace<F: Frame>(
    frame: &mut F,
    layout: &mut Layout,
    at: usize,
    size: usize,
    text: &[u8],
) -> Option<()> {
    frame.replace(at, size, text).ok()?;
    layout.l3_end = layout.l3_end + text.len() as u32 - size as u32;
    Some(())
}

/// Lets the IP header say how long the packet is.
fn write_lengths(head: &mut [u8], layout: &Layout) -> Option<()> {
    let start = usize::from(layout.l3_offset);
    let size = layout.l3_end - u32::from(layout.l3_offset);
    let (at, size) = match layout.l3 {
        L3::Ipv4 => (start + 2, size),
        L3::Ipv6 => (start + 4, size.checked_sub(40)?),
        L3::Other | L3::Arp => return None,
    };
    debug_assert!(layout.l4 == L4::Tcp);
    let size = u16::try_from(size).ok()?;
    head.get_mut(at..at + 2)?
        .copy_from_slice(&size.to_be_bytes());
    Some(())
}

/// Selective acknowledgments (RFC 2018) in the numbers of the end that they go to. A block of which
/// nothing is left is empty, which receivers take no notice of.
fn mend_blocks(mut options: &mut [u8], numbers: &Numbers) {
    loop {
        let size = match options {
            [] | [0, ..] | [_] => return,
            [1, ..] => 1,
            [5, size, rest @ ..] => {
                let end = usize::from(*size).saturating_sub(2).min(rest.len());
                for block in rest[..end].as_chunks_mut::<8>().0 {
                    let (left, right) = (get(block, 0), get(block, 4));
                    if let (Some(left), Some(right)) = (left, right) {
                        let (left, right) = (numbers.own_from(left), numbers.own(right));
                        let right = if !is_at_or_after(right, left) {
                            left
                        } else {
                            right
                        };
                        let _there = put(block, 0, left);
                        let _there = put(block, 4, right);
                    }
                }
                usize::from(*size).max(2)
            }
            // A size below 2 would never end.
            [_, size, ..] => usize::from(*size).max(2),
        };
        options = match options.get_mut(size..) {
            Some(rest) => rest,
            None => return,
        };
    }
}

fn get(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes))
}

fn put(bytes: &mut [u8], at: usize, number: u32) -> Option<()> {
    let there = bytes.get_mut(at..)?.first_chunk_mut::<4>()?;
    *there = number.to_be_bytes();
    Some(())
}
