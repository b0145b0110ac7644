//! Fields, flow key, rules, classifier, actions, pipeline and snapshots: everything of the
//! switch but devices, text and connections.
//!
//! ```text
//! flow-mods -> FlowTables -> Snapshot -> Lcore: parse, classify, act -> Output
//!   (management thread)      (shared)     (one per core)
//! ```
#![forbid(unsafe_code)]

pub mod action;
pub mod action_set;
pub mod cache;
pub mod changes;
pub mod classifier;
pub mod counters;
pub mod datapath;
pub mod drops;
mod extract;
pub mod field;
pub mod flow_mod;
pub mod flow_tables;
pub mod fragments;
pub mod group;
pub mod group_mod;
pub mod key;
pub mod lcore;
pub mod mac_table;
pub mod matching;
mod neighbour;
pub mod option_use;
pub mod packet_in;
pub mod packet_out;
pub mod pipeline;
pub mod port;
pub mod program;
pub mod publication;
pub mod rule;
pub mod slot_table;
pub mod snapshot;
pub mod trace;
pub mod tunnel;
pub mod wide;
