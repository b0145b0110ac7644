//! TOML, OpenFlow text, control socket, command line and metrics: all that a user types and
//! reads. Nothing here knows DPDK, and nothing here runs on an lcore.
#![forbid(unsafe_code)]

pub mod cli;
pub mod control;
pub mod diagnostic;
pub mod file;
pub mod management;
pub mod metrics;
pub mod policy;
pub mod replay;
pub mod show;
pub mod text;
pub mod trace;
pub mod verbs;
