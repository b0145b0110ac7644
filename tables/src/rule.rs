//! A rule of a flow table.

use std::sync::Arc;

use weir_packet::Tick;

use crate::action::{Instructions, TableId};
use crate::classifier::MaskShape;
use crate::flow_mod::{Command, FlowFlags, FlowMod};
use crate::matching::Match;
use crate::program::Program;

/// Where the counters of a rule lie. A slot is used again only when no lcore can still
/// count into it for the old rule; `generation` tells its users apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleId {
    /// Index of the counters.
    pub slot: u32,
    /// How often the slot was used before.
    pub generation: u32,
}

/// One rule, immutable; a flow-mod replaces it.
#[derive(Debug)]
pub struct Rule {
    /// Its counters.
    pub id: RuleId,
    /// Its table.
    pub table: TableId,
    /// Among the rules that match, the highest priority wins.
    pub priority: u16,
    /// The author's mark.
    pub cookie: u64,
    /// The shape of the match; shared by all rules of a subtable.
    pub shape: Arc<MaskShape>,
    /// The values required, one for each word of `shape`.
    pub values: Box<[u64]>,
    /// What it does, as text shows it.
    pub instructions: Arc<Instructions>,
    /// What it does, as lcores run it.
    pub program: Arc<Program>,
    /// Seconds without a packet until the rule goes; 0: never.
    pub idle_timeout: u16,
    /// Seconds until the rule goes; 0: never.
    pub hard_timeout: u16,
    /// Eviction rank; kept for dumps.
    pub importance: u16,
    /// Flags.
    pub flags: FlowFlags,
    /// When it was added.
    pub created: Tick,
    /// When it was added or last modified.
    pub modified: Tick,
    /// Order of insertion, for a stable dump.
    pub sequence: u64,
}

impl Rule {
    /// The flow-mod that adds this rule.
    pub fn flow_mod(&self) -> FlowMod {
        FlowMod {
            command: Command::Add,
            table: Some(self.table),
            priority: self.priority,
            matches: self.matches(),
            new_cookie: Some(self.cookie),
            cookie_filter: None,
            idle_timeout: self.idle_timeout,
            hard_timeout: self.hard_timeout,
            importance: self.importance,
            flags: self.flags,
            out_port: None,
            out_group: None,
            instructions: (*self.instructions).clone(),
        }
    }

    /// Whether it is a clause of a conjunction, which no packet ever hits by itself.
    #[inline]
    pub fn is_clause(&self) -> bool {
        !self.program.clauses.is_empty()
    }

    /// The match, as text shows it.
    pub fn matches(&self) -> Match {
        Match::from_words(
            self.shape
                .pairs()
                .zip(self.values.iter())
                .map(|((at, mask), value)| (at, mask, *value)),
        )
    }
}
