//! What would become of a packet, told by the lcore that would take it.

use weir_ct::After;
use weir_packet::{Layout, Tick, VecFrame, parse};

use super::Lcore;
use super::hit::part;
use crate::cache::Key;
use crate::counters::LcoreCounters;
use crate::drops::DropReason;
use crate::pipeline::{Journey, Output};
use crate::port::PortIndex;
use crate::trace::{Arrival, CacheStory, Question, Story, Teller};
use crate::tunnel::{Meta, Reception, classify};

/// Frames that would leave.
#[derive(Default)]
struct Sent(Vec<(PortIndex, VecFrame)>);

impl Output<VecFrame> for Sent {
    fn send(&mut self, port: PortIndex, frame: VecFrame) {
        self.0.push((port, frame));
    }
}

/// Where a frame goes on that tables see.
struct Arrived<'a> {
    frame: VecFrame,
    layout: Layout,
    in_port: PortIndex,
    tunnel: Option<&'a Meta>,
}

impl Lcore {
    /// Tells what would become of a packet. Changes nothing.
    ///
    /// # Panics
    /// If there is no such port.
    pub fn trace(&mut self, question: Question, now: Tick) -> Story {
        let Question {
            in_port,
            frame,
            metadata,
            states,
        } = question;
        let snapshot = std::sync::Arc::clone(&self.snapshot);
        let in_port = snapshot.ports.index_of(in_port);
        let in_port = in_port.expect("whoever asks names a port that is there");
        let mut frame = VecFrame::new(&frame);
        let mut story = Story::default();
        let mut arrived = (in_port, None);
        if snapshot.ports.refuses(in_port) {
            return lost_at_once(DropReason::PortNoReceive);
        }
        if snapshot.ports.tunnels().ride_on(in_port) {
            match classify(
                &mut frame,
                in_port,
                snapshot.ports.tunnels(),
                &snapshot.options,
            ) {
                Reception::Ordinary => {}
                Reception::Inner(meta) if snapshot.ports.refuses(meta.port) => {
                    return lost_at_once(DropReason::PortNoReceive);
                }
                Reception::Inner(meta) => {
                    story.arrival = Some(Arrival::Decapsulated(snapshot.ports.port(meta.port).no));
                    arrived = (meta.port, Some(meta));
                }
                Reception::Dropped(reason) => return lost_at_once(reason),
                Reception::Ours(..) => {
                    story.arrival = Some(Arrival::Answered);
                    return story;
                }
            }
        }
        let (in_port, mut tunnel) = arrived;
        let Ok(layout) = parse(frame.bytes(), frame.bytes().len()) else {
            return lost_at_once(DropReason::Runt);
        };
        if let Some(meta) = &mut tunnel {
            let interest = snapshot.interest.of_tunnels();
            meta.number = self.ingress.known_number(meta, interest);
        }
        let arrived = Arrived {
            frame,
            layout,
            in_port,
            tunnel: tunnel.as_ref(),
        };
        let known = self.trajectory_of(&arrived, now);
        let arrival = story.arrival;

        let rules = snapshot.counters[self.index].waste();
        let counters = LcoreCounters::with_tunnels(snapshot.ports.len());
        let (mut macs, mut neighbours) = (self.macs.clone(), self.neighbours.clone());
        let mut sent = Sent::default();
        let mut teller = Teller::new(&snapshot.ports, states);
        self.tracker.begin_rehearsal();
        self.trace.ask(true);
        let Arrived { frame, layout, .. } = arrived;
        Journey::new(
            &snapshot,
            &rules,
            &counters,
            &mut self.tracker,
            &mut macs,
            &mut neighbours,
            None,
            Some(&mut self.trace),
            &mut self.records,
            &mut self.stack,
            &mut self.holding,
            None,
            &mut sent,
            in_port,
            arrived.tunnel,
            now,
        )
        .watched(&mut teller)
        .follow(frame, layout, &metadata);
        self.tracker.end_rehearsal();
        self.trace.ask(false);

        let mut story = teller.end();
        story.arrival = arrival;
        story.sent = sent
            .0
            .into_iter()
            .map(|(port, frame)| (snapshot.ports.port(port).no, frame.bytes().to_vec()))
            .collect();
        if let Some(megaflows) = &self.megaflows {
            let sections = story.sections.iter_mut();
            for told in sections.flat_map(|section| &mut section.megaflows) {
                told.cache = megaflows.explain(in_port, told, &snapshot);
            }
        }
        story.trajectory = match known {
            None => CacheStory::Absent,
            Some(Ok(())) => CacheStory::Hit,
            Some(Err(why)) => CacheStory::Miss(match self.trace.refusal() {
                Some(refusal) => format!("{why}; not remembered: {}", refusal.sentence()),
                None => why,
            }),
        };
        story
    }

    /// Whether the trajectory cache, if there is one, would answer for a frame, or else why not.
    fn trajectory_of(&self, arrived: &Arrived<'_>, now: Tick) -> Option<Result<(), String>> {
        let trajectories = self.trajectories.as_ref()?;
        let Arrived {
            frame,
            layout,
            in_port,
            tunnel,
        } = arrived;
        let snapshot = &*self.snapshot;
        if trajectories.is_wired(*in_port, snapshot.generation) {
            let admits = trajectories.wire_admits(*in_port, frame);
            let why = "no rule reads more than the port, but the frame is too long for an output";
            return Some(if admits { Ok(()) } else { Err(why.to_owned()) });
        }
        Some(self.entry_for(frame, layout, *in_port, *tunnel, now))
    }

    /// Whether there is an entry that would take a frame, or else why not.
    fn entry_for(
        &self,
        frame: &VecFrame,
        layout: &Layout,
        in_port: PortIndex,
        tunnel: Option<&Meta>,
        now: Tick,
    ) -> Result<(), String> {
        let snapshot = &*self.snapshot;
        let Some(trajectories) = &self.trajectories else {
            return Ok(());
        };
        let Some(mut key) = Key::of(frame.bytes(), layout, in_port, snapshot.interest) else {
            return Err(
                "class not recorded: only whole IPv4 and IPv6 packets with at most one tag, \
                        with TCP, UDP or an ICMP echo, have a key"
                    .to_owned(),
            );
        };
        if let Some(meta) = tunnel {
            if meta.number == 0 {
                return Err("nothing stands for its outer headers yet".to_owned());
            }
            key.set_tunnel(meta.number);
        }
        let id = trajectories.explain(&key, frame, layout, snapshot)?;
        let (program, connections) = trajectories.named(id);
        if !trajectories.next_hops_stand(program, &self.neighbours, now) {
            return Err("a tunnel's next hop has changed, or is to be asked".to_owned());
        }
        if connections > 0 {
            let Some(part) = part(frame, layout) else {
                return Err("ct() finds it invalid".to_owned());
            };
            for at in 0..connections {
                let recall = trajectories.recall(id, at);
                let mut after = After::NOTHING;
                if !self.tracker.allows(recall, &part, now, &mut after) {
                    return Err(format!(
                        "connection {} of {connections} that the entry names has changed, has \
                         ended, or would be changed by the packet",
                        at + 1
                    ));
                }
            }
        }
        let [source, destination] = trajectories.macs(id);
        let stands = source.is_none_or(|place| self.macs.stands(place))
            && destination.is_none_or(|place| self.macs.is_young(place, now));
        if !stands {
            return Err("a MAC address that the entry names has moved or aged".to_owned());
        }
        Ok(())
    }
}

/// A packet that no table sees.
fn lost_at_once(reason: DropReason) -> Story {
    Story {
        drops: vec![reason],
        arrival: Some(Arrival::Dropped(reason)),
        ..Story::default()
    }
}
