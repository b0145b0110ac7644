//! The bindings that `build.rs` makes: an explicit list of functions, their types, and all of
//! `shim.h`.
//!
//! The layout that the safe wrappers stand on is asserted below, against the headers of the
//! DPDK that is linked.

#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unnecessary_transmutes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unused_qualifications
)]

include!(concat!(env!("OUT_DIR"), "/dpdk_sys.rs"));

// Two cache lines, the first of which holds everything that receiving touches.
const _: () = assert!(size_of::<rte_mbuf>() == 128 && align_of::<rte_mbuf>() == 64);
const _: () = assert!(WEIR_MBUF_BUF_ADDR == 0 && WEIR_MBUF_OL_FLAGS < 64);
const _: () = assert!(WEIR_MBUF_PKT_LEN < 64 && WEIR_MBUF_DATA_LEN < 64);
// Each field at its natural alignment, so that it may be read as a Rust integer.
const _: () = assert!(WEIR_MBUF_PKT_LEN % 4 == 0 && WEIR_MBUF_DATA_LEN % 2 == 0);
const _: () = assert!(WEIR_MBUF_DATA_OFF % 2 == 0 && WEIR_MBUF_NB_SEGS % 2 == 0);
const _: () = assert!(WEIR_MBUF_POOL % 8 == 0 && WEIR_MBUF_NEXT % 8 == 0);
