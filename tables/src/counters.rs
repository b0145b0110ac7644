//! Counters that one lcore writes and the management thread reads at any time.
//!
//! Each cell has one writer, which loads and stores without read-modify-write; readers see a
//! value at most one packet old.
//!
//! Threads: an lcore writes its own cells; the management thread reads all, and resets a
//! rule's cells only when no lcore can still count for the rule.

use std::ops::{Index, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_packet::{Malformed, Tick};

use crate::action::PacketInReason;
use crate::cache::{CacheStats, MaskStats};
use crate::drops::{DROP_REASONS, DropReason};
use crate::port::PortIndex;

#[cfg(test)]
mod tests;

/// A number that one thread increases.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `amount`; only the owner may.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// Sets the value; only the owner may.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Reads the value.
    #[inline]
    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Bytes that belong to one lcore, if anything of them does: two cache lines, since a processor that
/// fetches one may fetch the one beside it.
pub const LINE: usize = 128;

/// Counters of which the number is known at start, on cache lines of their own.
#[derive(Debug)]
pub struct Cells {
    lines: Box<[CellLine]>,
    len: usize,
}

/// As many counters as lie in [`LINE`].
#[derive(Debug, Default)]
#[repr(align(128))]
struct CellLine([Counter; LINE / size_of::<Counter>()]);

const _: () = assert!(align_of::<CellLine>() == LINE && size_of::<CellLine>() == LINE);

impl Cells {
    /// So many zeros.
    pub fn new(len: usize) -> Self {
        let lines = len.div_ceil(LINE / size_of::<Counter>());
        Self {
            lines: (0..lines).map(|_| CellLine::default()).collect(),
            len,
        }
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Counter> {
        self.lines.iter().flat_map(|line| &line.0).take(self.len)
    }
}

impl Index<usize> for Cells {
    type Output = Counter;

    fn index(&self, at: usize) -> &Counter {
        let each = LINE / size_of::<Counter>();
        &self.lines[at / each].0[at % each]
    }
}

/// What a rule counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCount {
    /// Packets.
    pub packets: u64,
    /// Bytes of the frames, without FCS.
    pub bytes: u64,
    /// When the last packet came; `None`: none did.
    pub last_used: Option<Tick>,
    /// Whether `fin_timeout` saw a connection end.
    pub ended: bool,
}

/// The cells of one rule on one lcore.
#[derive(Debug, Default)]
pub struct RuleCells {
    packets: Counter,
    bytes: Counter,
    last_used: Counter,
    /// Not 0: a connection ended of which `fin_timeout` wants to know.
    ended: Counter,
}

impl RuleCells {
    #[inline]
    fn count(&self, packets: u64, bytes: u64, now: Tick) {
        self.packets.add(packets);
        self.bytes.add(bytes);
        self.last_used.set(now.as_millis());
    }
}

/// Rules whose cells lie in one block.
const BLOCK: usize = 1024;
/// Blocks that are added at once for one rule, at most: they are new memory, some ten microseconds each.
const SPARE_BLOCKS: usize = 8;

/// The cells of some rules on one lcore: on cache lines that no other lcore writes to.
#[derive(Debug)]
#[repr(align(128))]
struct Block([RuleCells; BLOCK]);

impl Block {
    fn new() -> Arc<Self> {
        Arc::new(Self(std::array::from_fn(|_| RuleCells::default())))
    }
}

const _: () = assert!(align_of::<Block>() >= LINE && align_of::<LcoreCounters>() >= LINE);
const _: () = assert!(align_of::<TunnelCounters>() >= LINE);

/// The cells of all rules on one lcore, by slot; grows by blocks, which never move.
#[derive(Clone, Debug, Default)]
pub struct RuleCounters {
    blocks: Arc<[Arc<Block>]>,
}

impl RuleCounters {
    /// The same cells, and room for slots below `slots`; with some to spare, so that adding one rule after the
    /// other seldom copies the list of blocks, but not so many that one rule waits long for them.
    pub fn grown_to(&self, slots: usize) -> Self {
        if slots <= self.blocks.len() * BLOCK {
            return self.clone();
        }
        let more = slots.div_ceil(BLOCK) - self.blocks.len();
        let more = more.max(SPARE_BLOCKS.min(self.blocks.len() / 8));
        let new = (0..more).map(|_| Block::new());
        Self {
            blocks: self.blocks.iter().cloned().chain(new).collect(),
        }
    }

    /// As many cells, for somebody who counts what is not to be counted: all blocks are one.
    pub(crate) fn waste(&self) -> Self {
        let block = Block::new();
        Self {
            blocks: self.blocks.iter().map(|_| Arc::clone(&block)).collect(),
        }
    }

    /// Where the cells lie in memory, block by block: what the lcore writes.
    pub fn places(&self) -> impl Iterator<Item = Range<usize>> {
        self.blocks.iter().map(|block| {
            let start = Arc::as_ptr(block).addr();
            start..start + size_of::<Block>()
        })
    }

    /// Counts one packet for the rule at `slot`.
    ///
    /// # Panics
    /// If the snapshot that names the slot came without room for it.
    #[inline]
    pub fn count(&self, slot: u32, bytes: usize, now: Tick) {
        self.count_many(slot, 1, bytes as u64, now);
    }

    /// Counts several packets, `bytes` in all, for the rule at `slot`.
    ///
    /// # Panics
    /// As [`RuleCounters::count`].
    #[inline]
    pub fn count_many(&self, slot: u32, packets: u64, bytes: u64, now: Tick) {
        self.cells(slot).count(packets, bytes, now);
    }

    /// Notes that a connection of the rule at `slot` ended.
    ///
    /// # Panics
    /// As [`RuleCounters::count`].
    #[inline]
    pub fn end(&self, slot: u32) {
        self.cells(slot).ended.set(1);
    }

    /// What the rule at `slot` counted.
    pub fn read(&self, slot: u32) -> RuleCount {
        let cells = self.cells(slot);
        let packets = cells.packets.read();
        RuleCount {
            packets,
            bytes: cells.bytes.read(),
            last_used: (packets > 0).then(|| Tick::from_millis(cells.last_used.read())),
            ended: cells.ended.read() != 0,
        }
    }

    /// As [`RuleCounters::read`]; `None` if there is no such slot yet.
    pub fn try_read(&self, slot: u32) -> Option<RuleCount> {
        ((slot as usize) < self.blocks.len() * BLOCK).then(|| self.read(slot))
    }

    /// Sets the cells at `slot` to zero, for the next rule there.
    pub fn reset(&self, slot: u32) {
        let cells = self.cells(slot);
        cells.packets.set(0);
        cells.bytes.set(0);
        cells.last_used.set(0);
        cells.ended.set(0);
    }

    fn cells(&self, slot: u32) -> &RuleCells {
        &self.blocks[slot as usize / BLOCK].0[slot as usize % BLOCK]
    }
}

/// What a cache counted.
#[derive(Debug, Default)]
pub struct CacheCounters {
    hits: Counter,
    misses: Counter,
    stale: Counter,
    refused: Counter,
}

impl CacheCounters {
    /// Publishes `stats`; only the owner may.
    #[inline]
    pub fn set(&self, stats: CacheStats) {
        self.hits.set(stats.hits);
        self.misses.set(stats.misses);
        self.stale.set(stats.stale);
        self.refused.set(stats.refused);
    }

    /// What was published last.
    pub fn read(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.read(),
            misses: self.misses.read(),
            stale: self.stale.read(),
            refused: self.refused.read(),
        }
    }
}

/// What the masks of a megaflow cache counted.
#[derive(Debug, Default)]
pub struct MaskCounters {
    masks: Counter,
    visited: Counter,
    refused: Counter,
    replaced: Counter,
}

impl MaskCounters {
    /// Publishes `stats`; only the owner may.
    #[inline]
    pub fn set(&self, stats: MaskStats) {
        self.masks.set(stats.masks);
        self.visited.set(stats.visited);
        self.refused.set(stats.refused);
        self.replaced.set(stats.replaced);
    }

    /// What was published last.
    pub fn read(&self) -> MaskStats {
        MaskStats {
            masks: self.masks.read(),
            visited: self.visited.read(),
            refused: self.refused.read(),
            replaced: self.replaced.read(),
        }
    }
}

/// What of an lcore has much memory, in the order of [`LcoreCounters::memory`].
pub const MEMORY_PARTS: [&str; 6] = [
    "connections",
    "index",
    "leases",
    "timers",
    "trajectories",
    "megaflows",
];

/// What a tunnel port carried: frames without the headers around them. On a cache line of its own, as
/// [`LcoreCounters`].
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct TunnelCounters {
    /// Frames received.
    pub rx_packets: Counter,
    /// Their bytes.
    pub rx_bytes: Counter,
    /// Frames handed to the port below.
    pub tx_packets: Counter,
    /// Their bytes.
    pub tx_bytes: Counter,
}

impl TunnelCounters {
    /// Counts a frame of `bytes` bytes that came in.
    #[inline]
    pub(crate) fn received(&self, bytes: usize) {
        self.rx_packets.add(1);
        self.rx_bytes.add(bytes as u64);
    }

    /// Counts a frame of `bytes` bytes that went out.
    #[inline]
    pub(crate) fn sent(&self, bytes: usize) {
        self.tx_packets.add(1);
        self.tx_bytes.add(bytes as u64);
    }
}

/// Pieces of datagrams that ct() puts together, and what outputs cut again. Pieces that came to
/// ct() = those held + those joined + those dropped (`fragment_*`).
#[derive(Debug, Default)]
pub struct FragmentCounters {
    /// Pieces that wait now.
    pub held: Counter,
    /// Bytes of their frames.
    pub held_bytes: Counter,
    /// Pieces that became part of a datagram.
    pub joined: Counter,
    /// Datagrams that became whole.
    pub datagrams: Counter,
    /// Outputs for which a datagram was cut.
    pub cuts: Counter,
    /// Pieces made by that.
    pub pieces: Counter,
}

/// Everything else that one lcore counts. On cache lines of its own: no other lcore writes to one,
/// nor does a prefetch of the line beside one disturb it.
#[derive(Debug)]
#[repr(align(128))]
pub struct LcoreCounters {
    /// Packets received.
    pub packets: Counter,
    /// Bytes of the frames received.
    pub bytes: Counter,
    /// Bursts that were not empty.
    pub bursts: Counter,
    /// Look-ups in all tables, done or remembered.
    pub lookups: Counter,
    /// Passes through the tables: one for each packet, for each recirculation, and for each
    /// bucket that resubmits.
    pub passes: Counter,
    /// Those of them for which the tables were asked, since no cache had an answer.
    pub walks: Counter,
    /// Packets handed to the management thread for a controller, by reason.
    pub packet_ins: [Counter; PacketInReason::ALL.len()],
    /// Dropped packets and copies, by reason.
    pub drops: [Counter; DROP_REASONS],
    /// Malformed packets, by kind.
    pub malformed: [Counter; Malformed::COUNT],
    /// The trajectory cache; zeros without one.
    pub trajectories: CacheCounters,
    /// The megaflow cache; zeros without one.
    pub megaflows: CacheCounters,
    /// Its masks; zeros without one.
    pub masks: MaskCounters,
    /// Pieces of datagrams.
    pub fragments: FragmentCounters,
    /// What tunnel ports carried, by port; empty where there are none.
    pub tunnels: Box<[TunnelCounters]>,
    /// Connections now.
    pub connections: Counter,
    /// With other lcores: how often there was something to say of credits, for whoever lends them.
    pub credit_words: Counter,
    /// TSC cycles spent on questions of the management thread.
    pub answer_cycles: Counter,
    /// Bytes that each of [`MEMORY_PARTS`] was given at start.
    pub memory: [Counter; MEMORY_PARTS.len()],
    /// The tracker's counters, in the order of [`weir_ct::Counters::iter`].
    pub conntrack: Cells,
    /// What passed between lcores, in the order of [`weir_ct::ShardCounters::iter`]; zeros where
    /// there is one.
    pub hand_offs: Cells,
}

impl Default for LcoreCounters {
    fn default() -> Self {
        Self {
            packets: Counter::default(),
            bytes: Counter::default(),
            bursts: Counter::default(),
            lookups: Counter::default(),
            passes: Counter::default(),
            walks: Counter::default(),
            packet_ins: std::array::from_fn(|_| Counter::default()),
            drops: std::array::from_fn(|_| Counter::default()),
            malformed: std::array::from_fn(|_| Counter::default()),
            trajectories: CacheCounters::default(),
            megaflows: CacheCounters::default(),
            masks: MaskCounters::default(),
            fragments: FragmentCounters::default(),
            tunnels: Box::default(),
            connections: Counter::default(),
            credit_words: Counter::default(),
            answer_cycles: Counter::default(),
            memory: std::array::from_fn(|_| Counter::default()),
            conntrack: Cells::new(weir_ct::Counters::default().iter().count()),
            hand_offs: Cells::new(weir_ct::ShardCounters::default().iter().count()),
        }
    }
}

impl LcoreCounters {
    /// Zeros, for so many ports of which some are tunnels.
    pub fn with_tunnels(ports: usize) -> Self {
        Self {
            tunnels: (0..ports).map(|_| TunnelCounters::default()).collect(),
            ..Self::default()
        }
    }

    /// Packets handed to the management thread for a controller, for whatever reason.
    pub fn all_packet_ins(&self) -> u64 {
        self.packet_ins.iter().map(Counter::read).sum()
    }

    /// What a tunnel port counts.
    ///
    /// # Panics
    /// If the snapshot with this tunnel came after the lcore was made.
    #[inline]
    pub(crate) fn tunnel(&self, port: PortIndex) -> &TunnelCounters {
        &self.tunnels[usize::from(port.0)]
    }

    /// Counts one drop.
    #[inline]
    pub fn drop(&self, reason: DropReason) {
        self.drop_many(reason, 1);
    }

    /// Counts several drops.
    #[inline]
    pub fn drop_many(&self, reason: DropReason, packets: usize) {
        self.drops[reason as usize].add(packets as u64);
    }
}
