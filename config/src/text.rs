//! Flow text: what `ovs-ofctl` reads and prints, to and from [`FlowMod`]s.
//!
//! [`parse_flow`] and its kin read; [`flow_text`] and its kin print the canonical form, which is
//! that of `ovs-ofctl -O OpenFlow13 dump-flows --no-stats`. Errors are [`Diagnostic`]s: they
//! point at the text.
//!
//! Invariants
//!   1. Whatever was read, printed and read again is the same.
//!   2. No input panics, and none takes more than quadratic time in the length of a line.
//!   3. What is read is complete: short-hands are written out, each field of a match has its
//!      prerequisite, each action is possible on a packet that the match lets through.
//!
//! Threads: pure functions; only the management thread and the command line call them.
//! Cost: not for the packet path; allocates.
//!
//! [`FlowMod`]: weir_tables::flow_mod::FlowMod
//! [`Diagnostic`]: crate::diagnostic::Diagnostic

mod action;
mod address;
mod context;
mod error;
mod flags;
mod flow;
mod group;
mod matches;
mod names;
mod number;
mod option;
mod packet_out;
mod port;
mod print;
mod scan;
#[cfg(test)]
pub(crate) mod tests;
mod tlv;
mod value;

pub use flow::{
    Options, Spanned, Strictness, parse_actions, parse_filter, parse_flow, parse_flow_file,
    parse_match, parse_one_flow,
};
pub use group::{
    GroupCommand, GroupOptions, parse_bundle_file, parse_group, parse_group_file, parse_group_id,
};
pub use packet_out::{PacketOutText, parse_packet_out};
pub use port::{PortLabels, PortNames};
pub(crate) use print::flag_names;
pub use print::{
    flow_text, group_mod_text, group_text, instructions_text, instructions_text_with, match_text,
    match_text_with,
};
pub use tlv::parse_tlv_map;
