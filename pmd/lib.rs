//! weir's only contact with DPDK, threads and clocks: the environment, mempools, ports, frames
//! in mbufs, receive and transmit queues, pinned worker threads and the poll loop they run.
//!
//! Everything `unsafe` of weir is in this crate. The bindings are private; what is public is
//! safe to use.

mod batch;
pub mod clock;
mod crew;
mod dpdk_sys;
pub mod eal;
pub mod huge_pages;
pub mod lcore;
mod log;
mod mailbox;
mod mbuf;
pub mod mempool;
pub mod port;
mod queue;
mod segment;
pub mod switch;
pub mod worker;

// As the program has it, and it notes who asked.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: switch::lines::Recording = switch::lines::Recording;

pub use batch::{BURST, Drain, MbufBatch};
pub use mbuf::Mbuf;
pub use queue::{RxQueue, TxQueue};
