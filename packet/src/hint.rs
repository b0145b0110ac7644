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

/// Reads the cache line of `place` for certain, and looks at nothing of it. Processors drop prefetches when too
/// many lines are on their way (Zen 4 drops a fifth of 64 in a row); a read they do not. It pays in a loop that
/// does little else: so many of its rounds are under way together as fit between a read and its line.
#[inline]
pub fn touch<T>(place: &T) {
    const { assert!(size_of::<T>() > 0, "there is something to read") };
    read(std::ptr::from_ref(place).cast());
}

/// [Touches](touch) the cache line of one element of a table; nothing if there is no such element.
#[inline]
pub fn touch_element<T>(table: &[T], index: usize) {
    if let Some(place) = table.get(index) {
        touch(place);
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn read(address: *const u8) {
    // SAFETY: the address is that of a reference, whose first byte can be read; by the machine, to which it
    // does not matter whether a value lies there. Nothing but a register is written.
    unsafe {
        std::arch::asm!(
            "movzx {byte:e}, byte ptr [{address}]",
            byte = out(reg) _,
            address = in(reg) address,
            options(readonly, nostack, preserves_flags),
        );
    }
}

/// Elsewhere it is a hint, which is lost.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn read(_address: *const u8) {}

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
