//! A frame in DPDK's memory.
//!
//! Invariants
//!   1. An `Mbuf` is the only owner of its segments; dropping it frees all of them, sending it
//!      gives them away.
//!   2. It is not empty, and its first segment holds [`Mbuf::HEAD_BYTES`] or the whole frame
//!      when it is handed out by a batch.
//!   3. Its pool outlives it: a pool with a frame outside is never freed (`mempool`).
//!
//! Threads: moves freely between threads (the pool's ring is multi-producer, multi-consumer;
//! the per-lcore caches go by the thread that frees).

use std::ptr::{self, NonNull};
use std::slice;

use weir_packet::{ChecksumStatus, Frame, NoHeadroom, hint};

use crate::dpdk_sys as ffi;
use crate::segment::Segment;

/// One frame that we own, a chain of segments if it is longer than one buffer. Not `Clone`: two
/// owners would free it twice; [`Frame::duplicate`] copies.
#[repr(transparent)]
pub struct Mbuf(Segment);

// SAFETY: the frame is ours alone, and returning buffers to their pool is safe on any thread.
unsafe impl Send for Mbuf {}
// SAFETY: `&Mbuf` only reads the frame; `duplicate` takes buffers from the pool, which is safe
// on any thread.
unsafe impl Sync for Mbuf {}

impl Mbuf {
    /// Bytes that the first segment is made to hold when a frame is received, or all of a
    /// shorter frame: more than any sequence of headers that weir parses.
    pub const HEAD_BYTES: u16 = 256;

    /// Moves the headers of a frame as it was received into the first segment, if they are not
    /// there. Returns false if the frame is of no use: it is empty, or its first buffer is too
    /// small for that.
    #[inline]
    pub(crate) fn make_usable(&mut self) -> bool {
        // SAFETY: the frame is live and ours.
        let (len, head) = unsafe { (self.0.pkt_len(), self.0.data_len()) };
        // Most are one segment, and whole.
        (len == u32::from(head) || self.gather_headers()) && len > 0
    }

    #[cold]
    fn gather_headers(&mut self) -> bool {
        self.gather_head(Self::HEAD_BYTES)
    }

    /// Takes over a frame that has its headers in the first segment.
    ///
    /// # Safety
    /// As for [`Mbuf::claim`]; the frame must not be empty when it gets out of this crate.
    pub(crate) const unsafe fn from_raw(frame: Segment) -> Self {
        Self(frame)
    }

    /// Gives the frame to DPDK.
    #[inline]
    pub(crate) fn into_raw(self) -> Segment {
        let frame = self.0;
        std::mem::forget(self);
        frame
    }

    /// Number of segments.
    pub fn segments(&self) -> usize {
        // SAFETY: the frame is live and ours.
        usize::from(unsafe { self.0.nb_segs() })
    }

    /// Makes headroom for `count` bytes: what drivers leave has room for the headers of a tunnel,
    /// but not for many of Geneve's options.
    #[cold]
    fn move_back(&mut self, count: u16) -> Result<(), NoHeadroom> {
        // SAFETY: the frame is live and ours, and `&mut` says that nobody reads it. Its pool is
        // live, because this frame is outside of it.
        match unsafe { ffi::weir_mbuf_move_back(self.0.as_ptr(), count) } {
            0 => Ok(()),
            _ => Err(NoHeadroom),
        }
    }

    /// Bytes that [`Frame::push_front`] can open without moving the others.
    pub fn headroom(&self) -> usize {
        // SAFETY: the frame is live and ours.
        usize::from(unsafe { self.0.data_off() })
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the frame is live, ours, and not used again.
        unsafe { ffi::weir_mbuf_free(self.0.as_ptr()) };
    }
}

impl Frame for Mbuf {
    #[inline]
    fn head(&self) -> &[u8] {
        // SAFETY: `data_len` bytes from `data` lie in the live buffer, which was written by the
        // driver or by us, and nobody writes while `&self` lives.
        unsafe { slice::from_raw_parts(self.0.data(), usize::from(self.0.data_len())) }
    }

    #[inline]
    fn head_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `head`, and `&mut self` is the only way to these bytes.
        unsafe { slice::from_raw_parts_mut(self.0.data(), usize::from(self.0.data_len())) }
    }

    #[inline]
    fn len(&self) -> usize {
        // SAFETY: the frame is live and ours. A frame is shorter than 4 GB, `usize` is 64 bits.
        unsafe { self.0.pkt_len() as usize }
    }

    /// Header, and what lies where drivers put the data: where that is is written in the header, which may
    /// be in no cache yet.
    #[inline]
    fn prefetch(&self) {
        let header = self.0.as_ptr().cast::<u8>().cast_const();
        let data = size_of::<ffi::rte_mbuf>() + ffi::WEIR_MBUF_HEADROOM as usize;
        for at in [0, 64, data] {
            hint::prefetch_address(header.wrapping_add(at));
        }
    }

    fn tail(&self) -> impl Iterator<Item = &[u8]> {
        Tail {
            frame: self,
            at: self.0,
            left: self.segments() - 1,
        }
    }

    #[inline]
    fn push_front(&mut self, count: usize) -> Result<(), NoHeadroom> {
        let count = u16::try_from(count).map_err(|_| NoHeadroom)?;
        if usize::from(count) > self.headroom() {
            self.move_back(count)?;
        }
        // SAFETY: the frame is live and ours. The data grows into the headroom by no more than
        // there is, so `data_off + data_len` stays the same, and so does its bound.
        unsafe {
            let offset = self.0.data_off();
            // The sum is bounded by `buf_len`, a u16.
            self.0.set_data_len(self.0.data_len() + count);
            self.0.set_data_off(offset - count);
            self.0.set_pkt_len(self.0.pkt_len() + u32::from(count));
        }
        Ok(())
    }

    #[inline]
    fn pull_front(&mut self, count: usize) {
        // SAFETY: the frame is live and ours. The data shrinks from the front by no more than
        // there is, so `data_off + data_len` stays the same.
        unsafe {
            let len = self.0.data_len();
            let count = u16::try_from(count).ok().filter(|&count| count <= len);
            let count = count.expect("the caller removes no more than the head holds");
            self.0.set_data_off(self.0.data_off() + count);
            self.0.set_data_len(len - count);
            self.0.set_pkt_len(self.0.pkt_len() - u32::from(count));
        }
    }

    fn truncate(&mut self, size: usize) {
        assert!(size > 0, "a part of the frame is kept");
        if size < self.len() {
            // SAFETY: the frame is live and ours, and has more than `size` bytes; `&mut` says that
            // nobody reads them.
            unsafe { ffi::weir_mbuf_truncate(self.0.as_ptr(), size as u32) };
        }
    }

    #[inline]
    fn gather_head(&mut self, bytes: u16) -> bool {
        // SAFETY: the frame is live and ours, and `&mut` says that nobody reads it. It does
        // unless the first buffer is smaller than that.
        unsafe {
            let head = self.0.data_len();
            head >= bytes
                || u32::from(head) == self.0.pkt_len()
                || ffi::weir_mbuf_gather(self.0.as_ptr(), bytes) == 0
        }
    }

    #[inline]
    fn forget_checksums(&mut self) {
        // SAFETY: the frame is live and ours.
        unsafe {
            let said = ffi::WEIR_IP_CKSUM_MASK | ffi::WEIR_L4_CKSUM_MASK;
            self.0.set_ol_flags(self.0.ol_flags() & !said);
        }
    }

    fn duplicate(&self) -> Option<Self> {
        // SAFETY: the frame is live; its pool is, because this frame is outside of it.
        let copy =
            unsafe { ffi::rte_pktmbuf_copy(self.0.as_ptr(), self.0.pool(), 0, self.0.pkt_len()) };
        NonNull::new(copy).map(|copy| Self(Segment(copy)))
    }

    fn append(&mut self, behind: Self) {
        let segments = self.segments() + behind.segments();
        let segments = u16::try_from(segments).expect("a frame has at most 65535 segments");
        // SAFETY: both frames are live and ours, and the chain takes over `behind`, whose owner
        // is forgotten. Of a frame with more than one segment `next` is initialized.
        unsafe {
            let mut last = self.0;
            for _ in 1..self.0.nb_segs() {
                last = last.next().expect("a chain is as long as it says");
            }
            let behind = behind.into_raw();
            last.set_next(behind);
            self.0.set_nb_segs(segments);
            self.0.set_pkt_len(self.0.pkt_len() + behind.pkt_len());
        }
    }

    fn copy_part(&self, from: usize, size: usize) -> Option<Self> {
        if size == 0 || from.checked_add(size)? > self.len() {
            return None;
        }
        // SAFETY: the frame is live and has these bytes, whose numbers hence fit; its pool is
        // live, because this frame is outside of it.
        let copy = unsafe {
            ffi::rte_pktmbuf_copy(self.0.as_ptr(), self.0.pool(), from as u32, size as u32)
        };
        NonNull::new(copy).map(|copy| Self(Segment(copy)))
    }

    #[inline]
    fn ip_checksum_status(&self) -> ChecksumStatus {
        // SAFETY: the frame is live and ours.
        let flags = unsafe { self.0.ol_flags() } & ffi::WEIR_IP_CKSUM_MASK;
        status(flags, ffi::WEIR_IP_CKSUM_GOOD, ffi::WEIR_IP_CKSUM_BAD)
    }

    #[inline]
    fn l4_checksum_status(&self) -> ChecksumStatus {
        // SAFETY: the frame is live and ours.
        let flags = unsafe { self.0.ol_flags() } & ffi::WEIR_L4_CKSUM_MASK;
        status(flags, ffi::WEIR_L4_CKSUM_GOOD, ffi::WEIR_L4_CKSUM_BAD)
    }

    #[inline]
    fn checksums_unknown(&self) -> bool {
        const BOTH: u64 = ffi::WEIR_IP_CKSUM_MASK | ffi::WEIR_L4_CKSUM_MASK;
        // SAFETY: the frame is live and ours.
        unsafe { self.0.ol_flags() & BOTH == 0 }
    }
}

impl std::fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mbuf")
            .field("len", &self.len())
            .field("segments", &self.segments())
            .finish_non_exhaustive()
    }
}

/// `NONE` (both bits: the device looked and cannot say whether the field is right, only that
/// the data is) is no more to us than not having looked.
#[inline]
fn status(flags: u64, good: u64, bad: u64) -> ChecksumStatus {
    if flags == good {
        ChecksumStatus::Good
    } else if flags == bad {
        ChecksumStatus::Bad
    } else {
        ChecksumStatus::Unknown
    }
}

/// The segments behind the first.
struct Tail<'a> {
    frame: &'a Mbuf,
    at: Segment,
    left: usize,
}

impl<'a> Iterator for Tail<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: the chain is live and unchanged while `self.frame` is borrowed, and has at
        // least one more segment, so that `next` is initialized.
        unsafe {
            self.at = self.at.next()?;
            let _: &'a Mbuf = self.frame;
            Some(slice::from_raw_parts(
                self.at.data(),
                usize::from(self.at.data_len()),
            ))
        }
    }
}

/// Appends `bytes` to the frame that ends in `last`; returns how many fitted.
///
/// # Safety
/// `last` is live, the caller's, and the last segment of its frame.
pub(crate) unsafe fn append(last: Segment, bytes: &[u8]) -> u16 {
    // SAFETY: the tailroom lies in the buffer, behind the data; `bytes` is elsewhere.
    unsafe {
        let room = last.tailroom();
        let count = u16::try_from(bytes.len()).map_or(room, |len| len.min(room));
        let len = last.data_len();
        ptr::copy_nonoverlapping(
            bytes.as_ptr(),
            last.data().add(usize::from(len)),
            usize::from(count),
        );
        last.set_data_len(len + count);
        count
    }
}
