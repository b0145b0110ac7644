//! Tunnels: ports whose frames travel inside of IP packets of another port, the underlay.
//!
//! ```text
//! underlay frame -> reception: ARP, ND, echo for our addresses? -> answered
//!                            | VXLAN, Geneve, GRE for a port of ours? -> decap -> its in_port
//!                            | anything else -> the tables, as it is
//! output to a tunnel port -> next hop -> encap -> the underlay's queue
//! ```
//!
//! * `config`: which tunnel ports there are, and which takes a packet.
//! * `reception`: what becomes of a frame of an underlay port before the tables.
//! * `decap` and `ecn`: how outer headers are checked and taken off.
//! * `ingress`: what they said, and a short number for it, for caches.
//! * `encap`: the outer headers of what is sent.
//! * `neighbours` and `solicit`: which MAC address the next hop has, and how it is asked for.
//! * `options`: Geneve's options.
//!
//! A tunnel rides on untagged packets of its underlay.
//!
//! Threads: configuration is part of a snapshot; the rest belongs to an lcore.

mod config;
mod decap;
mod ecn;
mod encap;
mod ingress;
mod neighbours;
pub mod options;
mod reception;
mod solicit;

pub use config::{Remote, StaticNeighbour, TunnelConfig, TunnelKey, TunnelKind, Tunnels};
pub(crate) use encap::{Destination, Outer};
pub use ingress::Meta;
pub(crate) use ingress::{Ingress, MAX_NUMBER, VARYING};
pub use neighbours::NeighbourEntry;
pub(crate) use neighbours::{NeighbourNews, NeighbourPlace, Neighbours, NextHop};
pub(crate) use reception::{Reception, answer, carried, classify};
pub(crate) use solicit::solicit;
