//! A dump of connections in progress; how many there are; and what becomes of them.

use std::time::SystemTime;

use weir_ct::{Cursor, DumpStyle, Entry, Event, Filter, Tally};
use weir_packet::Tick;
use weir_tables::datapath::{Datapath, LcoreGone};
use weir_tables::lcore::{LcoreAnswer, LcoreRequest};

use super::monitors::Monitor;
use super::{Management, SLICE, gone, parse_connections};
use crate::control::{Failure, Frame, Refused, ReplySender};
use crate::show::{ConnectionRow, CtStatsRow, ct_stats_lines};

/// Slices taken before others have their turn: so few that an lcore spends little of its time on them.
/// With four it was 2.5 % on a million connections (`weir-perf observe`).
const SLICES_PER_TURN: usize = 1;

/// Where a dump stands.
#[derive(Debug)]
pub(super) struct ConnectionDump {
    reply: Option<ReplySender>,
    filter: Filter,
    style: DumpStyle,
    json: bool,
    /// The lcore being asked, and the numbers of all.
    lcore: usize,
    lcores: Vec<u32>,
    cursor: Cursor,
    /// For the next slice.
    room: Vec<Entry>,
    /// A frame that the client had no room for.
    waiting: Option<Frame>,
}

impl ConnectionDump {
    pub(super) fn new(
        reply: ReplySender,
        filter: Filter,
        style: DumpStyle,
        json: bool,
        lcores: Vec<u32>,
    ) -> Self {
        let reply = Some(reply);
        Self {
            reply,
            filter,
            style,
            json,
            lcore: 0,
            lcores,
            cursor: Cursor::default(),
            room: Vec::with_capacity(SLICE),
            waiting: None,
        }
    }

    /// Goes on for a turn; false when it is over.
    pub(super) fn go_on(&mut self, datapath: &mut impl Datapath) -> bool {
        for _ in 0..SLICES_PER_TURN {
            let Some(reply) = &self.reply else {
                return false;
            };
            if let Some(frame) = self.waiting.take() {
                match reply.offer(frame) {
                    Ok(()) => {}
                    Err(Refused::Full(frame)) => {
                        self.waiting = Some(frame);
                        return true;
                    }
                    Err(Refused::Abandoned) => return false,
                }
            }
            if self.lcore == self.lcores.len() {
                if let Some(reply) = self.reply.take() {
                    reply.done();
                }
                return false;
            }
            let (cursor, budget, filter) = (self.cursor, SLICE, self.filter);
            let request = LcoreRequest::DumpConnections {
                cursor,
                budget,
                filter,
                room: std::mem::take(&mut self.room),
            };
            match datapath.ask(self.lcore, request) {
                Ok(LcoreAnswer::Connections { mut entries, next }) => {
                    self.style.lcore = self.lcores.get(self.lcore).copied();
                    (self.lcore, self.cursor) = match next {
                        Some(next) => (self.lcore, next),
                        None => (self.lcore + 1, Cursor::default()),
                    };
                    self.waiting = (!entries.is_empty()).then(|| self.frame(&entries));
                    entries.clear();
                    self.room = entries;
                }
                Ok(other) => unreachable!("an lcore answers what it was asked, not {other:?}"),
                Err(gone) => {
                    if let Some(reply) = self.reply.take() {
                        reply.fail(Failure::unreachable(gone));
                    }
                    return false;
                }
            }
        }
        true
    }

    /// A plain dump is Open vSwitch's.
    fn line_style(&self) -> DumpStyle {
        let lcore = self.style.lcore.filter(|_| self.style.more);
        DumpStyle {
            lcore,
            ..self.style
        }
    }

    fn frame(&self, entries: &[Entry]) -> Frame {
        if self.json {
            let row = |entry: &Entry| ConnectionRow::new(entry, &self.style);
            Frame::Connections(entries.iter().map(row).collect())
        } else {
            let style = self.line_style();
            let line = |entry: &Entry| entry.display(style).to_string();
            Frame::Lines(entries.iter().map(line).collect())
        }
    }
}

impl<D: Datapath> Management<D> {
    /// Hears what happened to connections, while somebody wants to.
    pub(super) fn hear_of_connections(&mut self) {
        if !self.monitors.iter().any(Monitor::wants_connections) {
            for lcore in 0..std::mem::take(&mut self.event_rooms).len() {
                // One that does not answer does not count events either.
                let _ = self.datapath.ask(lcore, LcoreRequest::StopEvents);
            }
            return;
        }
        let numbers = self.lcore_numbers();
        self.event_rooms.resize_with(numbers.len(), Vec::new);
        for (lcore, number) in numbers.into_iter().enumerate() {
            let mut room = std::mem::take(&mut self.event_rooms[lcore]);
            if room.capacity() < EVENTS {
                room = Event::room(EVENTS);
            }
            match self.datapath.ask(lcore, LcoreRequest::TakeEvents(room)) {
                Ok(LcoreAnswer::Events { mut events, lost }) => {
                    for monitor in &mut self.monitors {
                        let heard = events.iter();
                        heard.for_each(|event| monitor.connection(event, number));
                        monitor.connections_lost(lost);
                    }
                    events.clear();
                    self.event_rooms[lcore] = events;
                }
                Ok(other) => unreachable!("an lcore answers what it was asked, not {other:?}"),
                // It is asked again.
                Err(LcoreGone) => {}
            }
        }
    }

    /// The numbers of the lcores, as DPDK has them.
    pub(super) fn lcore_numbers(&self) -> Vec<u32> {
        let lcores = self.datapath.poll_stats();
        lcores.iter().map(|stats| stats.lcore).collect()
    }

    /// How many connections there are of each kind.
    pub(super) fn ct_stats(
        &mut self,
        more: bool,
        json: bool,
        words: &[String],
    ) -> Result<Frame, Failure> {
        let filter = parse_connections(words)?;
        let mut all = Tally::default();
        for lcore in 0..self.datapath.counters().len() {
            let mut cursor = Some(Cursor::default());
            while let Some(at) = cursor {
                let request = LcoreRequest::TallyConnections {
                    cursor: at,
                    budget: COUNTED,
                    filter,
                };
                cursor = match self.datapath.ask(lcore, request).map_err(gone)? {
                    LcoreAnswer::Tallied { tally, next } => {
                        all.add(&tally);
                        next
                    }
                    other => unreachable!("an lcore answers what it was asked, not {other:?}"),
                };
            }
        }
        let mut zones = Vec::new();
        if more || json {
            zones = self.zone_counts()?;
            zones.retain(|row| filter.zone.is_none() || row.zone == filter.zone);
        }
        Ok(if json {
            Frame::CtStats(Box::new(CtStatsRow::new(&all, zones)))
        } else {
            Frame::Lines(ct_stats_lines(&all, &zones, more))
        })
    }
}

/// The Unix time, in milliseconds, at which a clock began that says `now`.
pub(super) fn epoch_ms(now: Tick) -> u64 {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let unix = unix.map_or(0, |unix| unix.as_millis() as u64);
    unix.saturating_sub(now.as_millis())
}

/// Events that an lcore has room for until it is asked again.
const EVENTS: usize = 8_192;
/// Slots that an lcore looks at between two bursts if it only counts.
const COUNTED: usize = 1_024;
