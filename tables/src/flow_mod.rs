//! Changes to the flow tables, as text or a controller asks for them.

use crate::action::{Instructions, TableId};
use crate::matching::Match;
use crate::port::PortNo;

/// What a flow-mod does (OpenFlow 1.3.5, A.3.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Adds a rule; replaces one of the same table, priority and match, with its counters.
    Add,
    /// Changes the instructions of all rules that the match covers; adds one if there is none
    /// and no cookie mask was given.
    Modify,
    /// The same for exactly one rule.
    ModifyStrict,
    /// Deletes all rules that the match covers.
    Delete,
    /// Deletes exactly one rule.
    DeleteStrict,
}

/// Flow flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are OpenFlow's flags")]
pub struct FlowFlags {
    /// Tell when the rule goes.
    pub send_flow_rem: bool,
    /// Refuse the rule if another of the same priority overlaps.
    pub check_overlap: bool,
    /// Set the counters to zero on modify.
    pub reset_counts: bool,
    /// The author does not need packet counts. Kept for dumps; packets are counted all the same.
    pub no_packet_counts: bool,
    /// The author does not need byte counts. Kept for dumps; bytes are counted all the same.
    pub no_byte_counts: bool,
}

/// One change to the flow tables; also the query of `dump-flows`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowMod {
    /// What to do.
    pub command: Command,
    /// `None`: all tables (delete, dump), table 0 (add).
    pub table: Option<TableId>,
    /// 0 to 65535.
    pub priority: u16,
    /// Which packets, or which rules.
    pub matches: Match,
    /// `cookie=VALUE`: the cookie to set; `None` leaves that of a modified rule as it is.
    pub new_cookie: Option<u64>,
    /// `cookie=VALUE/MASK`: only rules whose cookie agrees.
    pub cookie_filter: Option<(u64, u64)>,
    /// Seconds without a packet until the rule goes; 0: never.
    pub idle_timeout: u16,
    /// Seconds until the rule goes; 0: never.
    pub hard_timeout: u16,
    /// Eviction rank; kept for dumps.
    pub importance: u16,
    /// Flags.
    pub flags: FlowFlags,
    /// Only rules that output to this port (delete, dump).
    pub out_port: Option<PortNo>,
    /// Only rules that send to this group (delete, dump).
    pub out_group: Option<u32>,
    /// What to do with packets (add, modify).
    pub instructions: Instructions,
}

impl FlowMod {
    /// The priority of a rule that names none.
    pub const DEFAULT_PRIORITY: u16 = 32_768;
}

impl Default for FlowMod {
    fn default() -> Self {
        Self {
            command: Command::Add,
            table: None,
            priority: Self::DEFAULT_PRIORITY,
            matches: Match::ANY,
            new_cookie: None,
            cookie_filter: None,
            idle_timeout: 0,
            hard_timeout: 0,
            importance: 0,
            flags: FlowFlags::default(),
            out_port: None,
            out_group: None,
            instructions: Instructions::default(),
        }
    }
}
