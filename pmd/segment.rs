//! One `rte_mbuf`: a buffer and its header, as raw fields.
//!
//! The fields are read at offsets that the shim's header states, since the path to them (not
//! their place) differs between LTS releases.

use std::ptr::NonNull;

use crate::dpdk_sys as ffi;

/// A pointer to an mbuf header. Says nothing about who owns it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Segment(pub(crate) NonNull<ffi::rte_mbuf>);

/// Each accessor requires that the segment is live (allocated and not yet freed) and that no
/// other thread touches it; writers also that no `&` to the bytes they move is in use.
impl Segment {
    pub(crate) const fn as_ptr(self) -> *mut ffi::rte_mbuf {
        self.0.as_ptr()
    }

    /// First byte of the data.
    ///
    /// # Safety
    /// As said at the `impl`.
    #[inline(always)]
    pub(crate) unsafe fn data(self) -> *mut u8 {
        // SAFETY: the mbuf is live, so `buf_addr` points to a buffer of `buf_len` bytes, and
        // `data_off` is at most `buf_len`.
        unsafe {
            let buffer: *mut u8 = *self.field(ffi::WEIR_MBUF_BUF_ADDR);
            buffer.add(usize::from(self.data_off()))
        }
    }

    /// Bytes of data in this segment.
    ///
    /// # Safety
    /// As said at the `impl`.
    #[inline(always)]
    pub(crate) unsafe fn data_len(self) -> u16 {
        // SAFETY: the caller's.
        unsafe { *self.field(ffi::WEIR_MBUF_DATA_LEN) }
    }

    /// # Safety
    /// As said at the `impl`; `data_off + len` must not exceed `buf_len`.
    #[inline(always)]
    pub(crate) unsafe fn set_data_len(self, len: u16) {
        // SAFETY: the caller's.
        unsafe { *self.field(ffi::WEIR_MBUF_DATA_LEN) = len };
    }

    /// Bytes between the start of the buffer and the data: the headroom.
    ///
    /// # Safety
    /// As said at the `impl`.
    #[inline(always)]
    pub(crate) unsafe fn data_off(self) -> u16 {
        // SAFETY: the caller's.
        unsafe { *self.field(ffi::WEIR_MBUF_DATA_OFF) }
    }

    /// # Safety
    /// As said at the `impl`; `offset + data_len` must not exceed `buf_len`.
    #[inline(always)]
    pub(crate) unsafe fn set_data_off(self, offset: u16) {
        // SAFETY: the caller's.
        unsafe { *self.field(ffi::WEIR_MBUF_DATA_OFF) = offset };
    }

    /// Bytes behind the data.
    ///
    /// # Safety
    /// As said at the `impl`.
    #[inline(always)]
    pub(crate) unsafe fn tailroom(self) -> u16 {
        // SAFETY: the caller's; the sum of the two never exceeds `buf_len`.
        unsafe {
            let buf_len: u16 = *self.field(ffi::WEIR_MBUF_BUF_LEN);
            buf_len - self.data_off() - self.data_len()
        }
    }

    /// Bytes in the whole frame; valid in its first segment.
    ///
    /// # Safety
    /// As said at the `impl`.
    #[inline(always)]
    pub(crate) unsafe fn pkt_len(self) -> u32 {
        // SAFETY: the caller's.
        unsafe { *self.field(ffi::WEIR_MBUF_PKT_LEN) }
    }

    /// # Safety
    /// As said at the `impl`; must be the sum over all segments.
    #[inline(always)]
    pub(crate) unsafe fn set_pkt_len(self, len: u32) {
        // SAFETY: the caller's.
        unsafe { *self.field(ffi::WEIR_MBUF_PKT_LEN) = len };
    }

    /// Segments of the frame; valid in its first.
    ///
    /// # Safety
    /// As said at the `impl`.
    #[inline(always)]
    pub(crate) unsafe fn nb_segs(self) -> u16 {
        // SAFETY: the caller's.
        unsafe { *self.field(ffi::WEIR_MBUF_NB_SEGS) }
    }

    /// # Safety
    /// As said at the `impl`; must be the length of the chain.
    pub(crate) unsafe fn set_nb_segs(self, count: u16) {
        // SAFETY: the caller's.
        unsafe { *self.field(ffi::WEIR_MBUF_NB_SEGS) = count };
    }

    /// The next segment of the frame.
    ///
    /// # Safety
    /// As said at the `impl`, and the frame must have more than one segment: of a single one
    /// the field is not always initialized.
    #[inline(always)]
    pub(crate) unsafe fn next(self) -> Option<Self> {
        // SAFETY: the caller's.
        let next: *mut ffi::rte_mbuf = unsafe { *self.field(ffi::WEIR_MBUF_NEXT) };
        NonNull::new(next).map(Self)
    }

    /// # Safety
    /// As said at the `impl`; the chain takes over `next`.
    pub(crate) unsafe fn set_next(self, next: Self) {
        // SAFETY: the caller's.
        unsafe { *self.field(ffi::WEIR_MBUF_NEXT) = next.as_ptr() };
    }

    /// Flags that the receiving driver set.
    ///
    /// # Safety
    /// As said at the `impl`.
    #[inline(always)]
    pub(crate) unsafe fn ol_flags(self) -> u64 {
        // SAFETY: the caller's.
        unsafe { *self.field(ffi::WEIR_MBUF_OL_FLAGS) }
    }

    /// # Safety
    /// As said at the `impl`; nothing is promised to the device that was not before.
    #[inline(always)]
    pub(crate) unsafe fn set_ol_flags(self, flags: u64) {
        // SAFETY: the caller's.
        unsafe { *self.field(ffi::WEIR_MBUF_OL_FLAGS) = flags };
    }

    /// The pool that the buffer goes back to.
    ///
    /// # Safety
    /// As said at the `impl`.
    pub(crate) unsafe fn pool(self) -> *mut ffi::rte_mempool {
        // SAFETY: the caller's.
        unsafe { *self.field(ffi::WEIR_MBUF_POOL) }
    }

    /// # Safety
    /// `offset` is that of a field of type `T` (asserted in `dpdk_sys` and the shim).
    #[inline(always)]
    unsafe fn field<T>(self, offset: ffi::weir_mbuf_offset) -> *mut T {
        // SAFETY: the offset lies within the 128 bytes of the header.
        unsafe { self.as_ptr().byte_add(offset as usize).cast() }
    }
}
