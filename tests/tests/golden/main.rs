//! Whole-switch tests: flows as text, packets as text, and at the end all counters.

mod fields;
mod tables;
