use super::*;

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
fn a_block_keeps_what_it_holds_as_it_grows_and_shrinks() {
    let mut size = 1 << 20;
    // SAFETY: each block is used with its own layout, and given back once.
    unsafe {
        let layout = |size| Layout::from_size_align(size, 64).expect("a layout");
        let mut block = HugePages.alloc(layout(size));
        block.write_bytes(0x5a, size);
        for new in [3 << 20, LARGE, 64 << 20, LARGE, 1 << 20] {
            block = HugePages.realloc(block, layout(size), new);
            let kept = std::slice::from_raw_parts(block, 1 << 20);
            assert!(kept.iter().all(|&byte| byte == 0x5a), "{size} to {new}");
            size = new;
        }
        HugePages.dealloc(block, layout(size));
    }
}
