//! The allocator of the program: large tables lie in huge pages.
//!
//! A table of a megabyte or more that is read at random misses the TLB with every look-up if it lies
//! in pages of 4 kB. So whatever is large is mapped by itself, aligned to huge pages, and the
//! kernel is asked for them (`madvise(2)`, `MADV_HUGEPAGE`) before the first touch; where it has
//! none, ordinary pages serve.
//!
//! What is no smaller than [`WIDE`] begins and ends with a cache line, and the one beside it: so two blocks
//! never have bytes in one line, and what one lcore writes is not in the way of another, whoever
//! asked for the memory. What is smaller is the system allocator's as it is, from the arena of the
//! thread that asked.
//!
//! The kernel gives memory when it is first touched, and clears it then: a huge page takes it as long as
//! some hundred packets take an lcore. Who cannot wait asks [at once](at_once) for all of it. A table of a page or
//! two is had at once in any case: any traffic soon touches all of it, and what a program takes that is left alone
//! does not grow in steps of a page.
//!
//! Threads: as the system allocator's.
//! Cost: for what is large, two or three system calls; nothing for the rest.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::ptr::{NonNull, null_mut};

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};
use weir_tables::counters::LINE;

/// The size of a huge page, in bytes.
const HUGE_PAGE: usize = 2 << 20;
/// What is at least as large is mapped by itself. Less than a huge page: a table of a quarter of one would take 128
/// entries of the TLB otherwise. The rest of its page is wasted, of a few tables for each lcore.
const LARGE: usize = HUGE_PAGE / 4;

/// What is larger is had when it is touched.
const AT_ONCE_UP_TO: usize = 2 * HUGE_PAGE;

/// What is as large has cache lines of its own, in bytes.
pub const WIDE: usize = 1_024;

thread_local! {
    /// Whether this thread gets what is large at once.
    static AT_ONCE: Cell<bool> = const { Cell::new(false) };
}

/// The allocator.
#[derive(Clone, Copy, Debug)]
pub struct HugePages;

/// Calls `make`. What is large of that which it asks for, on this thread, is there when it returns, from
/// the NUMA node of the thread's CPU (`madvise(2)`, `MADV_POPULATE_WRITE`); a kernel before 5.14, or one
/// without so much memory, gives it at the first touch.
pub fn at_once<T>(make: impl FnOnce() -> T) -> T {
    let before = AT_ONCE.replace(true);
    let made = make();
    AT_ONCE.set(before);
    made
}

// SAFETY: what is large by its layout is mapped and unmapped here, what is not is the system
// allocator's; a block's layout, and so its side, is the same in every call about it.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            map(layout.size())
        } else {
            // SAFETY: the caller's promise; the size is still not zero.
            unsafe { System.alloc(in_lines(layout)) }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            // Fresh mappings are zero.
            map(layout.size())
        } else {
            // SAFETY: the caller's promise; the size is still not zero.
            unsafe { System.alloc_zeroed(in_lines(layout)) }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_large(layout) {
            if let Some(start) = NonNull::new(block) {
                // SAFETY: map() mapped this many bytes here, and nobody uses them any more.
                let _ = unsafe { munmap(start.cast(), mapped_size(layout.size())) };
            }
        } else {
            // SAFETY: the caller's promise; it was asked for with this layout.
            unsafe { System.dealloc(block, in_lines(layout)) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size, rounded up, is no overflow.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        let (old_lines, new_lines) = (in_lines(layout), in_lines(new));
        if !is_large(layout) && !is_large(new) && old_lines.align() == new_lines.align() {
            // SAFETY: the caller's promise; it was asked for with this layout, and the alignment stays.
            return unsafe { System.realloc(block, old_lines, new_lines.size()) };
        }
        // SAFETY: `new` is a layout of the caller's; the blocks are different ones, each at
        // least as long as what is copied; the old one is not used again.
        unsafe {
            let copy = self.alloc(new);
            if !copy.is_null() {
                std::ptr::copy_nonoverlapping(block, copy, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            copy
        }
    }
}

/// The layout that the system allocator is asked for: in whole lines for what is wide.
const fn in_lines(layout: Layout) -> Layout {
    if layout.size() < WIDE {
        return layout;
    }
    let align = if layout.align() < LINE {
        LINE
    } else {
        layout.align()
    };
    let size = layout.size().next_multiple_of(LINE);
    // SAFETY: the alignment is a power of two. A size that overflowed when rounded up to it
    // could not be had anyway: what is large is not asked for here.
    unsafe { Layout::from_size_align_unchecked(size, align) }
}

const fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= HUGE_PAGE
}

/// In whole huge pages; the largest `Layout` leaves room for it.
const fn mapped_size(size: usize) -> usize {
    size.next_multiple_of(HUGE_PAGE)
}

/// Maps at least `size` bytes of zeros, aligned to a huge page; null if there is no memory.
fn map(size: usize) -> *mut u8 {
    let wanted = mapped_size(size);
    // More than is wanted, so that an aligned part of it is as much.
    let Some(length) = NonZeroUsize::new(wanted + HUGE_PAGE) else {
        return null_mut();
    };
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
    // SAFETY: a new mapping overlaps nothing.
    let Ok(start) = (unsafe { mmap_anonymous(None, length, protection, flags) }) else {
        return null_mut();
    };
    let before = start.addr().get().next_multiple_of(HUGE_PAGE) - start.addr().get();
    let behind = HUGE_PAGE - before;
    // SAFETY: all three parts lie within the mapping; the first and the last are given back and
    // not used. Neither that nor the advice can fail in a way that matters.
    unsafe {
        let aligned = start.byte_add(before);
        if before > 0 {
            let _ = munmap(start, before);
        }
        if behind > 0 {
            let _ = munmap(aligned.byte_add(wanted), behind);
        }
        let _ = madvise(aligned, wanted, MmapAdvise::MADV_HUGEPAGE);
        if size <= AT_ONCE_UP_TO || AT_ONCE.get() {
            let _ = madvise(aligned, size, MmapAdvise::MADV_POPULATE_WRITE);
        }
        aligned.cast().as_ptr()
    }
}

#[cfg(test)]
mod tests;
