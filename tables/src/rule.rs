//! A rule of a flow table.

use std::sync::Arc;

use weir_packet::Tick;

use crate::action::{Instructions, TableId};
use crate::classifier::MaskShape;
use crate::counters::RuleCount;
use crate::flow_mod::{Command, FlowFlags, FlowMod};
use crate::matching::{Match, OptionTerm};
use crate::program::{FinTimeout, Program};

/// Where the counters of a rule lie. A slot is used again only when no lcore can still
/// count into it for the old rule; `generation` tells its users apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleId {
    /// Index of the counters.
    pub slot: u32,
    /// How often the slot was used before.
    pub generation: u32,
}

impl RuleId {
    /// Of a rule that is in no table, and counts nothing.
    pub const NONE: Self = Self {
        slot: u32::MAX,
        generation: 0,
    };

    /// Whether it names counters.
    pub(crate) const fn is_counted(self) -> bool {
        self.slot != Self::NONE.slot
    }
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
    /// What those of `tun_metadata` fields mean.
    pub options: Box<[OptionTerm]>,
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
    /// Since when its counters count.
    pub fresh: Tick,
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

    /// Its `idle_timeout` and `hard_timeout`, in seconds, now that `count` was counted:
    /// `fin_timeout` may have made them shorter.
    pub fn timeouts(&self, count: &RuleCount) -> (u16, u16) {
        let shorter = |timeout: u16, most: u16| match (timeout, most) {
            (timeout, 0) => timeout,
            (0, most) => most,
            (timeout, most) => timeout.min(most),
        };
        let fin = self.program.fin_timeout.filter(|_| count.ended);
        let FinTimeout { idle, hard } = fin.unwrap_or_default();
        (
            shorter(self.idle_timeout, idle),
            shorter(self.hard_timeout, hard),
        )
    }

    /// The match, as text shows it.
    pub fn matches(&self) -> Match {
        Match::from_words(
            self.shape
                .pairs()
                .zip(self.values.iter())
                .map(|((at, mask), value)| (at, mask, *value)),
            &self.options,
        )
    }
}
