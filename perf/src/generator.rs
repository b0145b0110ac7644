//! A generator: a process that sends packets made from templates to a switch, and counts what
//! comes back.
//!
//! It speaks to the switch through any DPDK devices, as a rule `net_memif` (shared memory), on a
//! CPU of its own. The switch is the server:
//!
//! ```text
//! [[port]]                   # in weir's configuration
//! vdev = "net_memif0,role=server,id=0,socket=/tmp/memif.sock,socket-abstract=no"
//!
//! weir-perf generate FILE --port net_memif0,role=client,id=0,socket=/tmp/memif.sock,socket-abstract=no
//! ```
//!
//! Threads: one lcore sends and receives; the caller waits. Cost per packet: one buffer, one copy,
//! the fields that change and what they change of checksums.

mod counter;
mod pace;
mod run;
mod template;

pub use run::{Limits, Outcome, PortOutcome, run};
pub use template::{Template, read};
