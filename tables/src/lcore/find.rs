//! The stages of a burst that find and prefetch.

use weir_ct::PairId;
use weir_packet::{Frame, Layout};

use super::Lcore;
use super::stage::Stage;
use crate::cache::{EntryId, Hashed, Key};
use crate::port::PortIndex;

/// What was found of a burst.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// Whether there is a packet without an entry.
    pub(super) misses: bool,
    /// Packets; they are not counted yet.
    pub(super) packets: u64,
    /// Bytes of their frames.
    pub(super) bytes: u64,
}

impl Lcore {
    /// The stages that find and prefetch. By itself, so that its loops have all registers; and made twice, so that what came out of no
    /// tunnel (`TUNNELLED` is false) does not pay for what did.
    #[inline(never)]
    pub(super) fn find<F: Frame, const TUNNELLED: bool>(
        &self,
        in_port: PortIndex,
        burst: &[Option<F>],
        stages: &mut [Stage],
    ) -> Found {
        let Some(trajectories) = &self.trajectories else {
            return Found::default();
        };
        let interest = self.snapshot.interest;
        let (mut packets, mut bytes) = (0, 0);
        for (at, (frame, stage)) in burst.iter().zip(stages.iter_mut()).enumerate() {
            let Some(frame) = frame else {
                stage.leave_empty();
                continue;
            };
            let (head, len) = (frame.head(), frame.len());
            packets += 1;
            bytes += len;
            let mut layout = Layout::default();
            if Key::read_plain(head, len, in_port, interest, &mut layout, &mut stage.key) {
                stage.plain_end = layout.l3_end;
                stage.hashed = if !TUNNELLED || stage.come_through(self.ingress.of(at)) {
                    trajectories.hash_plain(&stage.key)
                } else {
                    Hashed::NONE
                };
            } else if stage.look_closer(head, len, in_port, interest)
                && (!TUNNELLED || stage.come_through(self.ingress.of(at)))
            {
                stage.hashed = trajectories.hash(&stage.key);
            }
        }
        let stages = &mut stages[..burst.len()];
        for stage in stages.iter_mut() {
            stage.entry = match stage.hashed.is_none() {
                true => EntryId::NONE,
                false => trajectories.likely(stage.hashed).unwrap_or(EntryId::NONE),
            };
        }
        let mut misses = false;
        for stage in stages {
            let Stage { key, hashed, .. } = stage;
            if stage.entry != EntryId::NONE && stage.plain_end > 0 {
                stage.entry = trajectories.find_plain(stage.entry, *hashed, key, &self.tracker);
            } else if stage.entry != EntryId::NONE {
                let found = trajectories.find(stage.entry, *hashed, key);
                stage.entry = found.unwrap_or(EntryId::NONE);
                if let Some(id) = found {
                    trajectories.prefetch_behind(id, &self.tracker);
                }
            }
            misses |= stage.entry == EntryId::NONE;
        }
        Found {
            misses,
            packets,
            bytes: bytes as u64,
        }
    }

    /// Asks for what the connections count in that were found.
    pub(super) fn prefetch_accounts(&self, stages: &[Stage]) {
        let Some(trajectories) = &self.trajectories else {
            return;
        };
        for stage in stages.iter().filter(|stage| stage.entry != EntryId::NONE) {
            trajectories.prefetch_account(stage.entry, &self.tracker);
        }
    }

    /// Reads what goes the long way as far as that can be done for all of the burst at once. `pair`: what
    /// the tuple of a frame belongs to, if that is known. By itself, for the same reason as [`Self::find`].
    #[inline(never)]
    pub(super) fn look_ahead<F: Frame>(
        &mut self,
        in_port: PortIndex,
        burst: &[Option<F>],
        stages: &[Stage],
        pair: impl Fn(usize) -> Option<PairId>,
    ) {
        self.scratch.begin(self.snapshot.ports.port(in_port).no);
        let all = burst.iter().zip(stages).zip(&mut self.aheads);
        for (at, ((frame, stage), ahead)) in all.enumerate() {
            if let (Some(frame), EntryId::NONE, Ok(layout)) = (frame, stage.entry, stage.layout()) {
                let (tracker, megaflows) = (&self.tracker, self.megaflows.as_ref());
                let scratch = &mut self.scratch;
                ahead.read_words(
                    frame,
                    &layout,
                    in_port,
                    self.ingress.of(at),
                    scratch,
                    megaflows,
                );
                ahead.read(frame, &layout, tracker, || pair(at));
            }
        }
        let is_sought = |frame: &Option<F>, stage: &Stage| {
            frame.is_some() && stage.entry == EntryId::NONE && stage.layout().is_ok()
        };
        for ((frame, stage), ahead) in burst.iter().zip(stages).zip(&self.aheads) {
            if is_sought(frame, stage) {
                ahead.ask(&self.tracker);
            }
        }
        let mut new = 0;
        for ((frame, stage), ahead) in burst.iter().zip(stages).zip(&mut self.aheads) {
            if is_sought(frame, stage) {
                ahead.look_closer(&self.tracker, &mut new);
            }
        }
    }
}
