//! Fields, flow key, rules, classifier, actions, pipeline and snapshots.
#![forbid(unsafe_code)]

pub mod action;
pub mod field;
pub mod flow_mod;
pub mod key;
pub mod matching;
pub mod port;
