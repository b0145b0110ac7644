//! Packets by way of an entry of the trajectory cache: alone, or in runs of plain ones.
//!
//! A hit has two halves: first all checks, which write nothing; only if all pass, the effects.
//! What is refused takes the long way, as if it had not been found.

use weir_ct::{After, Part, Recall, Tracker};
use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok, plain_checksums_ok};
use weir_packet::{ChecksumStatus, Frame, L3, L4, Layout, Tick, protocol};

use super::Lcore;
use super::stage::Stage;
use crate::cache::{Admitted, EntryId, Key};
use crate::pipeline::Output;

impl Lcore {
    /// Runs of plain packets that were found, from the first on; returns how many they are. What
    /// cannot be done this way is left as it is. `recheck`: whether another may have been put in
    /// an entry's place. By itself, so that its loop has all registers; and made twice, so that
    /// nobody pays for counts of connections (`COUNTS`) who does not want them.
    #[inline(never)]
    pub(super) fn runs<F, O, const COUNTS: bool>(
        &mut self,
        burst: &mut [Option<F>],
        stages: &[Stage],
        recheck: bool,
        now: Tick,
        out: &mut O,
    ) -> usize
    where
        F: Frame,
        O: Output<F>,
    {
        let Some(trajectories) = &mut self.trajectories else {
            return 0;
        };
        let tracker = &mut self.tracker;
        let mut done = 0;
        while let Some(first) = stages.get(done)
            && let Some(run) = trajectories.run_of(first.entry, &self.snapshot)
        {
            if run.is_late() && !recheck {
                let behind = stages[done..].iter();
                let entries = behind.map(|stage| (stage.entry, &stage.key));
                trajectories.catch_up_all(&run, entries, &self.snapshot);
            }
            let (mut packets, mut bytes) = (0, 0);
            for (frame, stage) in burst[done..].iter_mut().zip(&stages[done..]) {
                let Some(frame) = frame else { break };
                let (id, end, protocol) = (stage.entry, stage.plain_end, stage.key.protocol());
                let len = frame.len();
                let Some(ttl) = plain_ttl(frame.head()).filter(|_| end > 0) else {
                    break;
                };
                let Some(member) = trajectories.member(&run, id, len, ttl) else {
                    break;
                };
                if recheck && !trajectories.is_of(id, &stage.key) {
                    break;
                }
                if let Some(connection) = member.connection
                    && !passes::<F, COUNTS>(tracker, connection, frame, (protocol, end), now)
                {
                    break;
                }
                trajectories.change(&run, id, member, frame, (protocol, end));
                packets += 1;
                bytes += len;
            }
            if packets == 0 {
                break;
            }
            trajectories.end_run(&run, packets, bytes);
            let frames = &mut burst[done..done + packets];
            out.send_all(run.port(), frames, run.longest());
            done += packets;
        }
        done
    }

    /// Whether an entry is that of `key` after others were installed.
    pub(super) fn is_still(&self, id: EntryId, key: &Key) -> bool {
        let trajectories = self.trajectories.as_ref();
        trajectories.is_some_and(|trajectories| trajectories.is_of(id, key))
    }

    /// One packet by way of an entry: first all checks, which write nothing, then all effects.
    #[inline]
    pub(super) fn hit<F, O>(
        &mut self,
        id: EntryId,
        key: &Key,
        frame: F,
        layout: &Layout,
        now: Tick,
        out: &mut O,
    ) -> Result<(), Refused<F>>
    where
        F: Frame,
        O: Output<F>,
    {
        let Some(trajectories) = &mut self.trajectories else {
            return Err(Refused(frame));
        };
        let Some(admitted) = trajectories.admit(id, key, &frame, layout, &self.snapshot) else {
            return Err(Refused(frame));
        };
        let Admitted {
            program,
            connections,
            first,
            meets_macs,
            is_wrapped,
        } = admitted;
        if is_wrapped && !trajectories.next_hops_stand(program, &self.neighbours, now) {
            return Err(Refused(frame));
        }
        let mut source = None;
        if meets_macs {
            let destination;
            [source, destination] = trajectories.macs(id);
            let known = source.is_none_or(|place| self.macs.stands(place))
                && destination.is_none_or(|place| self.macs.is_young(place, now));
            if !known {
                return Err(Refused(frame));
            }
        }
        if connections > 0 {
            let Some(part) = part(&frame, layout) else {
                return Err(Refused(frame));
            };
            let size = layout.l3_end.saturating_sub(layout.l3_offset.into());
            // Most packets meet one connection.
            let met = match connections {
                1 => self.tracker.pass::<true>(first, &part, size, now),
                _ => {
                    let meets = (0..connections).map(|at| trajectories.recall(id, at));
                    meet_all(&mut self.tracker, &mut self.after, meets, &part, size, now)
                }
            };
            if !met {
                return Err(Refused(frame));
            }
        }

        if let Some(source) = source {
            self.macs.refresh(source, now);
        }
        trajectories.run(id, program, frame, layout, out, &self.counters);
        Ok(())
    }
}

/// Whether a packet is allowed by all connections that it meets, in which case each tracks it.
#[inline(never)]
fn meet_all(
    tracker: &mut Tracker,
    after: &mut [After],
    meets: impl Iterator<Item = Recall> + Clone,
    part: &Part,
    size: u32,
    now: Tick,
) -> bool {
    let mut all = meets.clone().zip(after.iter_mut());
    let met = all.all(|(recall, after)| tracker.allows(recall, part, now, after));
    if met {
        for (recall, after) in meets.zip(after) {
            tracker.apply(recall, after, size, now);
        }
    }
    met
}

/// A packet that an entry is not for, to go the long way.
pub(super) struct Refused<F>(pub(super) F);

/// The TTL of a plain packet.
#[inline(always)]
fn plain_ttl(head: &[u8]) -> Option<u8> {
    let headers: &[u8; 42] = head.first_chunk()?;
    Some(headers[22])
}

/// Whether `ct()` would say of a plain packet what it said before, in which case it is tracked.
/// False also if that takes a closer look.
#[inline(always)]
fn passes<F: Frame, const COUNTS: bool>(
    tracker: &mut Tracker,
    connection: Recall,
    frame: &F,
    (protocol, end): (u8, u32),
    now: Tick,
) -> bool {
    let head = frame.head();
    let right = match frame.checksums_unknown() {
        true => plain_checksums_ok(head, end as usize, protocol),
        false => checksums_ok(frame, &Layout::plain(protocol, end)),
    };
    right
        && match protocol {
            protocol::TCP => segment_passes::<COUNTS>(tracker, connection, head, end, now),
            _ => tracker.pass::<COUNTS>(connection, &Part::UDP, plain_size(end), now),
        }
}

/// The same for a plain TCP segment whose checksums are right.
#[inline(never)]
fn segment_passes<const COUNTS: bool>(
    tracker: &mut Tracker,
    connection: Recall,
    head: &[u8],
    end: u32,
    now: Tick,
) -> bool {
    let part = Part::tcp(head, &Layout::plain(protocol::TCP, end));
    part.is_some_and(|part| tracker.pass::<COUNTS>(connection, &part, plain_size(end), now))
}

/// Bytes of a plain packet, which ends at `end`, from its IP header on.
#[inline(always)]
const fn plain_size(end: u32) -> u32 {
    const ETHERNET_SIZE: u32 = 14;
    end.saturating_sub(ETHERNET_SIZE)
}

/// Whether both checksums of a packet are right.
fn checksums_ok<F: Frame>(frame: &F, layout: &Layout) -> bool {
    let header = match frame.ip_checksum_status() {
        ChecksumStatus::Good => true,
        ChecksumStatus::Bad => layout.l3 != L3::Ipv4,
        ChecksumStatus::Unknown => ipv4_header_checksum_ok(frame.head(), layout),
    };
    header
        && match frame.l4_checksum_status() {
            ChecksumStatus::Good => true,
            ChecksumStatus::Bad => false,
            ChecksumStatus::Unknown => l4_checksum_ok(frame, layout),
        }
}

/// What a packet that has a key is to connections; `None` if `ct()` would find it invalid.
pub(super) fn part<F: Frame>(frame: &F, layout: &Layout) -> Option<Part> {
    if !checksums_ok(frame, layout) {
        return None;
    }
    match layout.l4 {
        L4::Tcp => Part::tcp(frame.head(), layout),
        L4::Udp => Some(Part::UDP),
        L4::Icmp | L4::Icmpv6 => Some(Part::QUERY),
        L4::None | L4::Sctp => None,
    }
}
