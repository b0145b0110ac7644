use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;

const PAGE: usize = 4096;

/// How many pages of a block have memory.
fn resident(block: *mut u8, size: usize) -> usize {
    let map = File::open("/proc/self/pagemap").expect("there is /proc");
    let mut words = vec![0; size / PAGE * 8];
    let at = block.addr() / PAGE * 8;
    map.read_exact_at(&mut words, at as u64)
        .expect("the block is mapped");
    // The highest bit of each word: the page is present.
    let highest = words.iter().skip(7).step_by(8);
    highest.filter(|byte| **byte & 0x80 != 0).count()
}

#[test]
fn memory_is_there_at_once_for_whom_it_is_to_be() {
    let size = AT_ONCE_UP_TO + HUGE_PAGE;
    let layout = Layout::from_size_align(size, 64).expect("a layout");
    // SAFETY: given back once, and not used.
    unsafe {
        let block = HugePages.alloc_zeroed(layout);
        assert_eq!(resident(block, size), 0);
        HugePages.dealloc(block, layout);
        let block = at_once(|| HugePages.alloc_zeroed(layout));
        assert_eq!(resident(block, size), size / PAGE);
        HugePages.dealloc(block, layout);
        let block = HugePages.alloc_zeroed(layout);
        assert_eq!(resident(block, size), 0);
        HugePages.dealloc(block, layout);
    }
}

#[test]
fn a_table_of_a_page_or_two_is_there_at_once() {
    for size in [LARGE, HUGE_PAGE + PAGE, AT_ONCE_UP_TO] {
        let layout = Layout::from_size_align(size, 64).expect("a layout");
        // SAFETY: given back once, and not used.
        unsafe {
            let block = HugePages.alloc(layout);
            assert_eq!(resident(block, size), size / PAGE);
            HugePages.dealloc(block, layout);
        }
    }
}

#[test]
fn what_is_large_is_aligned_zero_and_given_back() {
    for size in [LARGE - 1, LARGE, LARGE + 1, 5 * HUGE_PAGE + 4096] {
        let layout = Layout::from_size_align(size, 128).expect("a layout");
        // SAFETY: of this layout, whole, and given back once.
        unsafe {
            let block = HugePages.alloc_zeroed(layout);
            assert!(!block.is_null());
            if is_large(layout) {
                assert!(block.addr().is_multiple_of(HUGE_PAGE));
            }
            let bytes = std::slice::from_raw_parts_mut(block, size);
            assert!(bytes.iter().all(|&byte| byte == 0));
            bytes.fill(0xff);
            HugePages.dealloc(block, layout);
        }
    }
}

#[test]
fn what_is_wide_has_its_lines_for_itself() {
    let blocks: Vec<_> = [WIDE, WIDE + 1, 5_000, WIDE - 1, WIDE]
        .into_iter()
        .map(|size| {
            let layout = Layout::from_size_align(size, 8).expect("a layout");
            // SAFETY: of this layout, and given back once.
            (unsafe { HugePages.alloc(layout) }, layout)
        })
        .collect();
    let lines = |&(block, layout): &(*mut u8, Layout)| {
        let last = block.addr() + layout.size() - 1;
        (block.addr() / LINE, last / LINE)
    };
    for (at, one) in blocks.iter().enumerate() {
        for other in blocks[..at].iter().filter(|other| other.1.size() >= WIDE) {
            let ((first, last), (other_first, other_last)) = (lines(one), lines(other));
            assert!(
                last < other_first || other_last < first,
                "{one:?} {other:?}"
            );
        }
    }
    for (block, layout) in blocks {
        // SAFETY: as it was asked for.
        unsafe { HugePages.dealloc(block, layout) };
    }
}

#[test]
fn a_block_keeps_what_it_holds_as_it_grows_and_shrinks() {
    let least = LARGE / 2;
    let mut size = least;
    // SAFETY: each block is used with its own layout, and given back once.
    unsafe {
        let layout = |size| Layout::from_size_align(size, 64).expect("a layout");
        let mut block = HugePages.alloc(layout(size));
        block.write_bytes(0x5a, size);
        for new in [3 << 20, LARGE, 64 << 20, LARGE, least] {
            block = HugePages.realloc(block, layout(size), new);
            let kept = std::slice::from_raw_parts(block, least);
            assert!(kept.iter().all(|&byte| byte == 0x5a), "{size} to {new}");
            size = new;
        }
        HugePages.dealloc(block, layout(size));
    }
}

#[test]
fn a_block_that_becomes_wide_keeps_what_it_holds() {
    let layout = |size| Layout::from_size_align(size, 8).expect("a layout");
    let mut size = 64;
    // SAFETY: each block is used with its own layout, and given back once.
    unsafe {
        let mut block = HugePages.alloc(layout(size));
        block.write_bytes(0x5a, size);
        for new in [WIDE - 1, WIDE, 10_000, WIDE, 64] {
            block = HugePages.realloc(block, layout(size), new);
            let kept = std::slice::from_raw_parts(block, 64);
            assert!(kept.iter().all(|&byte| byte == 0x5a), "{size} to {new}");
            size = new;
        }
        HugePages.dealloc(block, layout(size));
    }
}
