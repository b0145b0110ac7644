//! Benches: forwarding rates of weir beside testpmd and Open vSwitch, and what each stage costs.
#![forbid(unsafe_code)]

pub mod captures;
