//! A dump of connections in progress.

use weir_ct::{DumpStyle, Entry, Filter};
use weir_tables::datapath::Datapath;
use weir_tables::lcore::{LcoreAnswer, LcoreRequest};

use super::SLICE;
use crate::control::{Failure, Frame, Refused, ReplySender};
use crate::show::ConnectionRow;

/// Slices taken before others have their turn.
const SLICES_PER_TURN: usize = 16;

/// Where a dump stands.
#[derive(Debug)]
pub(super) struct ConnectionDump {
    reply: Option<ReplySender>,
    filter: Filter,
    style: DumpStyle,
    json: bool,
    /// The lcore being asked, and how many there are.
    lcore: usize,
    lcores: usize,
    cursor: u32,
    /// A frame that the client had no room for.
    waiting: Option<Frame>,
}

impl ConnectionDump {
    pub(super) const fn new(
        reply: ReplySender,
        filter: Filter,
        style: DumpStyle,
        json: bool,
        lcores: usize,
    ) -> Self {
        let reply = Some(reply);
        Self {
            reply,
            filter,
            style,
            json,
            lcore: 0,
            lcores,
            cursor: 0,
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
            if self.lcore == self.lcores {
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
            };
            match datapath.ask(self.lcore, request) {
                Ok(LcoreAnswer::Connections { entries, next }) => {
                    (self.lcore, self.cursor) = match next {
                        Some(next) => (self.lcore, next),
                        None => (self.lcore + 1, 0),
                    };
                    self.waiting = (!entries.is_empty()).then(|| self.frame(&entries));
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

    fn frame(&self, entries: &[Entry]) -> Frame {
        if self.json {
            Frame::Connections(entries.iter().map(ConnectionRow::from).collect())
        } else {
            let line = |entry: &Entry| entry.display(self.style).to_string();
            Frame::Lines(entries.iter().map(line).collect())
        }
    }
}
