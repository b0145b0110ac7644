//! Benches: forwarding rates of weir beside testpmd and Open vSwitch, and what each stage costs.
#![forbid(unsafe_code)]

pub mod base;
mod beside;
pub mod captures;
pub mod chart;
pub mod compare;
pub mod contender;
pub mod daemon;
pub mod failure;
pub mod flood;
pub mod flow_mods;
pub mod generator;
pub mod instructions;
pub mod kept;
pub mod machine;
pub mod memory;
pub mod micro;
pub mod observation;
pub mod processor;
pub mod rate;
pub mod report;
pub mod scaling;
pub mod scenario;
mod site;
pub mod targets;
pub mod telemetry;
pub mod updates;
