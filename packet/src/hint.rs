//! Hints to the processor; they change nothing but time.

/// Asks for the cache line of `place` before it is read.
#[inline]
pub fn prefetch_read<T: ?Sized>(place: &T) {
    let address = std::ptr::from_ref(place).cast::<i8>();
    prefetch(address);
}

/// Asks for the cache line at an address that may be no place at all.
#[inline]
pub fn prefetch_address(address: *const u8) {
    prefetch(address.cast());
}

/// Asks for the cache line of one element of a table; nothing if there is no such element.
#[inline]
pub fn prefetch_element<T>(table: &[T], index: usize) {
    if let Some(place) = table.get(index) {
        prefetch_read(place);
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn prefetch(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing and cannot fault, whatever the address (Intel SDM,
    // PREFETCHh); SSE, which it needs, is part of x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
}

/// Elsewhere there is no stable way to say it; the hint is lost, nothing else.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn prefetch(_address: *const i8) {}
