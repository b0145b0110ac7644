//! Differential test against Open vSwitch: the same flows and packets through real
//! `ovs-vswitchd` (its userspace datapath, dummy ports) and through weir.
//!
//! A case is one text file ([`Case`], `tests/differential/cases/NAME.case`). It records what
//! Open vSwitch answers, so weir is held against it even where Open vSwitch is not installed;
//! where it is, the record itself is checked against the living switch.
//!
//! Invariants
//!   1. Both switches see the same frames at the same times, one at a time.
//!   2. Wherever the two answer differently the case says why (`differs:`) and what each does.
//!
//! Threads: none of its own; the Open vSwitch processes end with the [`Ovs`] that started them.
//! Cost: some 50 ms per case.

mod case;
mod commands;
mod expectation;
mod outcome;
pub(crate) mod ovs;
mod rows;
mod unixctl;
mod weir;

pub use case::{Case, CaseError, Packet, PortSpec, Question, port_name};
pub use commands::{CommandCase, CommandStep};
pub use expectation::{Expected, Side};
pub use outcome::{Outcome, SentFrame};
pub use ovs::{Ovs, OvsError, TunnelCase, TunnelOutcome};
pub use rows::{Row, Rows};
pub use weir::run_weir;
