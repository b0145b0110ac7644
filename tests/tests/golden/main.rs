//! Whole-switch tests: flows as text, packets as text, and at the end all counters.

mod accounting;
mod action_set;
mod alg;
mod cache;
mod changes;
mod conjunction;
mod copies;
mod ct;
mod ct_protocols;
mod drops;
mod fields;
mod floods;
mod groups;
mod nat;
mod normal;
mod order;
mod output;
mod packet_in;
mod ports;
mod random;
mod refused;
mod tables;
mod timeouts;
mod trajectory;
mod tunnel;
mod vlan;
