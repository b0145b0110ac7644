//! Whole-switch tests: flows as text, packets as text, and at the end all counters.

mod cache;
mod changes;
mod conjunction;
mod ct;
mod drops;
mod fields;
mod groups;
mod nat;
mod normal;
mod order;
mod random;
mod refused;
mod tables;
mod trajectory;
mod tunnel;
mod vlan;
