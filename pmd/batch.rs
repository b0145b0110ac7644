//! A burst of frames in an array, without an allocation per burst.
//!
//! Invariants: the first `len` slots hold live frames that the batch owns; the others hold
//! nothing.
//! Threads: a batch moves with its frames, as [`Mbuf`] does.
//! Cost: none beyond the array; freeing is one call per batch.

use std::iter::FusedIterator;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use weir_packet::Frame;
use weir_packet::hint::prefetch_read;

use crate::dpdk_sys as ffi;
use crate::mbuf::Mbuf;
use crate::segment::Segment;

/// Frames asked for in one poll of a receive queue.
pub const BURST: usize = 32;

/// Up to `N` frames in order.
pub struct MbufBatch<const N: usize = BURST> {
    frames: [MaybeUninit<Segment>; N],
    len: u16,
}

// SAFETY: the batch owns its frames, and each may move between threads (`Mbuf`).
unsafe impl<const N: usize> Send for MbufBatch<N> {}

impl<const N: usize> MbufBatch<N> {
    const CAPACITY: u16 = {
        assert!(N > 0 && N <= u16::MAX as usize);
        N as u16
    };

    /// An empty batch.
    pub const fn new() -> Self {
        Self {
            frames: [MaybeUninit::uninit(); N],
            len: 0,
        }
    }

    /// Number of frames.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether another one would find no room.
    #[inline]
    pub const fn is_full(&self) -> bool {
        self.len == Self::CAPACITY
    }

    /// Adds a frame at the end.
    ///
    /// # Errors
    /// The frame comes back if the batch is full.
    #[inline]
    pub fn push(&mut self, frame: Mbuf) -> Result<(), Mbuf> {
        let Some(slot) = self.frames.get_mut(usize::from(self.len)) else {
            return Err(frame);
        };
        slot.write(frame.into_raw());
        self.len += 1;
        Ok(())
    }

    /// Takes all frames out, first to last. Those not taken when the [`Drain`] is dropped are
    /// freed.
    #[inline]
    pub fn drain(&mut self) -> Drain<'_> {
        let frames = &raw mut self.frames[..usize::from(self.len)];
        // From here on the frames are the drain's; a leaked drain leaks them.
        self.len = 0;
        // SAFETY: the first `len` slots hold live frames that nobody else owns any more. `Segment`
        // and `Mbuf` are pointers that are never null, so an `Option` of them is the same pointer.
        let frames = unsafe { &mut *(frames as *mut [Option<Mbuf>]) };
        Drain { frames, refused: 0 }
    }

    /// Adds the frames of `slots` at the end, as many as there is room for, and leaves their
    /// slots empty; returns how many slots it looked at.
    #[inline]
    pub fn append(&mut self, slots: &mut [Option<Mbuf>]) -> usize {
        let len = usize::from(self.len);
        let count = slots.len().min(N - len);
        let slots = &mut slots[..count];
        if slots.iter().fold(true, |all, slot| all & slot.is_some()) {
            let first = slots.as_ptr().cast::<MaybeUninit<Segment>>();
            // SAFETY: `Option<Mbuf>` and `MaybeUninit<Segment>` are both the size of a pointer,
            // and each slot holds one that is not null. There is room for `count` more. They are
            // the batch's from here on, since the slots forget them below.
            unsafe {
                let behind = self.frames.as_mut_ptr().add(len);
                first.copy_to_nonoverlapping(behind, count);
                slots.as_mut_ptr().write_bytes(0, count);
            }
            self.len += count as u16;
        } else {
            for frame in slots.iter_mut().filter_map(Option::take) {
                let pushed = self.push(frame);
                debug_assert!(pushed.is_ok(), "there is room for all slots");
            }
        }
        count
    }

    /// Frees all frames, in one call; returns how many there were.
    pub fn free(&mut self) -> usize {
        let count = self.len();
        free_bulk(&self.frames[..count]);
        self.len = 0;
        count
    }

    /// Fetches the first cache line of each frame into the cache.
    #[inline]
    pub fn prefetch(&self) {
        // SAFETY: the first `len` slots are live frames. `*const Segment` and
        // `*const *mut rte_mbuf` are the same by `repr(transparent)`.
        unsafe { ffi::weir_prefetch(self.frames.as_ptr().cast(), self.len) };
    }

    /// The pointers of the frames, and how many there are, for a driver to take from the front.
    pub(crate) fn filled(&mut self) -> (*mut *mut ffi::rte_mbuf, u16) {
        (self.frames.as_mut_ptr().cast(), self.len)
    }

    /// The slots behind the frames, for a driver to write to.
    pub(crate) fn spare(&mut self) -> (*mut *mut ffi::rte_mbuf, u16) {
        let spare = &mut self.frames[usize::from(self.len)..];
        (spare.as_mut_ptr().cast(), Self::CAPACITY - self.len)
    }

    /// Takes over frames that a driver wrote to the first `count` spare slots.
    ///
    /// # Safety
    /// It did, each is live, and nobody else owns them.
    pub(crate) unsafe fn claim(&mut self, count: u16) {
        debug_assert!(count <= Self::CAPACITY - self.len);
        self.len += count;
    }

    /// Forgets the first `count` frames; the others move to the front.
    ///
    /// # Safety
    /// They belong to somebody else now.
    pub(crate) unsafe fn release_front(&mut self, count: u16) {
        debug_assert!(count <= self.len);
        self.frames
            .copy_within(usize::from(count)..usize::from(self.len), 0);
        self.len -= count;
    }
}

impl<const N: usize> Default for MbufBatch<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Drop for MbufBatch<N> {
    fn drop(&mut self) {
        self.free();
    }
}

/// The frames of a batch on their way out.
pub struct Drain<'a> {
    /// Live frames that the drain owns.
    frames: &'a mut [Option<Mbuf>],
    refused: usize,
}

impl Drain<'_> {
    /// Frames that were freed instead of handed out, because they were empty or their headers
    /// did not fit the first buffer.
    #[inline]
    pub const fn refused(&self) -> usize {
        self.refused
    }

    /// The frames where they lie, to be taken out; a frame that is refused leaves its slot empty.
    /// Fetches the first line of each frame's data into the cache.
    #[inline]
    pub fn slots(&mut self) -> &mut [Option<Mbuf>] {
        for slot in self.frames.iter_mut() {
            let Some(frame) = slot else { continue };
            if frame.make_usable() {
                prefetch_read(frame.head());
            } else {
                *slot = None;
                self.refused += 1;
            }
        }
        self.frames
    }
}

impl Iterator for Drain<'_> {
    type Item = Mbuf;

    #[inline]
    fn next(&mut self) -> Option<Mbuf> {
        loop {
            let (first, rest) = std::mem::take(&mut self.frames).split_first_mut()?;
            self.frames = rest;
            if let Some(mut frame) = first.take() {
                if frame.make_usable() {
                    return Some(frame);
                }
                self.refused += 1;
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.frames.len()))
    }
}

impl FusedIterator for Drain<'_> {}

impl Drop for Drain<'_> {
    #[inline]
    fn drop(&mut self) {
        // Each slot, since this is fewer steps than to stop at the first.
        if self
            .frames
            .iter()
            .fold(false, |any, frame| any | frame.is_some())
        {
            self.frames.iter_mut().for_each(|frame| *frame = None);
        }
    }
}

/// Frees the frames in `frames`, all of which must be live and the caller's.
fn free_bulk(frames: &[MaybeUninit<Segment>]) {
    if !frames.is_empty() {
        let first: *const *mut ffi::rte_mbuf = frames.as_ptr().cast();
        // The slice is part of a batch, whose length is a u16.
        let count = frames.len() as u32;
        // SAFETY: private to this module, whose callers own these frames and forget them with
        // this call. DPDK only reads the array.
        unsafe { ffi::rte_pktmbuf_free_bulk(first.cast_mut(), count) };
    }
}

// The arrays are handed to DPDK as arrays of pointers.
const _: () = assert!(size_of::<MaybeUninit<Segment>>() == size_of::<NonNull<ffi::rte_mbuf>>());
const _: () = assert!(size_of::<Option<Mbuf>>() == size_of::<NonNull<ffi::rte_mbuf>>());
