//! One datagram cut into pieces again (RFC 791 3.2, RFC 8200 4.5).

use super::data_start;
use crate::checksum::write_ipv4_header_checksum;
use crate::{Frame, L3, Layout};

/// IPv4 options: the end of the list, a filler, and the bit of those that every piece carries.
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const COPIED: u8 = 0x80;

/// The pieces of a datagram, in order. Each is a frame with memory of its own; `None` stands for
/// one for which there was none.
#[derive(Debug)]
pub struct Pieces<'a, F> {
    frame: &'a F,
    layout: &'a Layout,
    /// Where the data that is cut begins.
    start: usize,
    /// Bytes of data in each piece but the last.
    step: usize,
    /// Bytes of data cut off.
    done: usize,
}

/// Cuts `frame` into pieces whose IP packets have at most `size` bytes. `layout` is that of the
/// frame. A datagram that fits becomes one piece, which says that it is whole.
///
/// Flags other than "more fragments", and what an IPv4 datagram says of DF, are those of the
/// frame. An IPv6 datagram must bring the fragment header that its pieces are to have.
///
/// `None`: it cannot be cut. It is not IP, is a piece itself, has no fragment header where it
/// needs one, or not even 8 bytes of data fit behind the headers.
pub fn cut<'a, F: Frame>(frame: &'a F, layout: &'a Layout, size: usize) -> Option<Pieces<'a, F>> {
    if layout.fragment != crate::Fragment::No {
        return None;
    }
    let start = data_start(layout)?;
    let step = size.checked_sub(start - usize::from(layout.l3_offset))? & !7;
    (step > 0).then_some(Pieces {
        frame,
        layout,
        start,
        step,
        done: 0,
    })
}

/// Whether the sender of a datagram wants no smaller pieces of it than it made itself: IPv4, with
/// DF.
pub fn forbids_cutting<F: Frame>(frame: &F, layout: &Layout) -> bool {
    let flags = frame.head().get(usize::from(layout.l3_offset) + 6);
    layout.l3 == L3::Ipv4 && flags.is_some_and(|flags| flags & 0x40 != 0)
}

impl<F: Frame> Iterator for Pieces<'_, F> {
    type Item = Option<F>;

    fn next(&mut self) -> Option<Option<F>> {
        let end = self.layout.l3_end as usize;
        let left = end.checked_sub(self.start + self.done)?;
        if left == 0 && self.done > 0 {
            return None;
        }
        let size = left.min(self.step);
        let offset = self.done;
        self.done += size.max(1);
        Some(self.piece(offset, size, size < left))
    }
}

impl<F: Frame> Pieces<'_, F> {
    /// The piece with the `size` bytes of data at `offset`.
    fn piece(&self, offset: usize, size: usize, more: bool) -> Option<F> {
        // What lies in front of the data makes room for the headers.
        let mut piece = self.frame.copy_part(offset, self.start + size)?;
        if !piece.gather_head(u16::try_from(self.start).ok()?) {
            return None;
        }
        let headers = self.frame.head().get(..self.start)?;
        piece
            .head_mut()
            .get_mut(..self.start)?
            .copy_from_slice(headers);
        let ip = usize::from(self.layout.l3_offset);
        let offset_in_packet = offset as u16;
        match self.layout.l3 {
            L3::Ipv4 => {
                let header = piece.head_mut().get_mut(ip..self.start)?;
                let total = header.len() + size;
                header[2..4].copy_from_slice(&(total as u16).to_be_bytes());
                let flags = u16::from_be_bytes([header[6], header[7]]) & 0xc000;
                let field = flags | u16::from(more) << 13 | offset_in_packet >> 3;
                header[6..8].copy_from_slice(&field.to_be_bytes());
                if offset > 0 {
                    blank_options(&mut header[20..]);
                }
                write_ipv4_header_checksum(piece.head_mut(), self.layout);
            }
            _ => {
                let payload = self.start - ip - 40 + size;
                let head = piece.head_mut();
                head.get_mut(ip + 4..ip + 6)?
                    .copy_from_slice(&(payload as u16).to_be_bytes());
                let field = offset_in_packet | u16::from(more);
                let at = usize::from(self.layout.fragment_header_offset);
                head.get_mut(at + 2..at + 4)?
                    .copy_from_slice(&field.to_be_bytes());
            }
        }
        piece.forget_checksums();
        Some(piece)
    }
}

/// Takes out the options that only the first piece carries; the others keep their places.
pub(super) fn blank_options(mut options: &mut [u8]) {
    while let [kind, rest @ ..] = options {
        let size = match (*kind, rest.first()) {
            (END_OF_OPTIONS, _) => return,
            (NO_OPERATION, _) => 1,
            (_, Some(&size)) if size >= 2 => usize::from(size),
            (_, _) => return,
        };
        if size > options.len() {
            return;
        }
        let (option, behind) = options.split_at_mut(size);
        if option[0] & COPIED == 0 {
            option.fill(NO_OPERATION);
        }
        options = behind;
    }
}
