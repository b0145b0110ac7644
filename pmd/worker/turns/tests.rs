use super::*;

/// Queues whose bursts cost so many cycles; `None`: it has no frames.
struct Lcore {
    turns: Turns,
    taken: Vec<u64>,
    /// What is told of it.
    estimated: Vec<u64>,
    /// Of each queue's bursts of 32.
    walks: Vec<u64>,
}

impl Lcore {
    fn new(queues: usize) -> Self {
        Self {
            turns: Turns::new(queues),
            taken: vec![0; queues],
            estimated: vec![0; queues],
            walks: vec![0; queues],
        }
    }

    /// Passes with such bursts: cycles, and whether more waits.
    fn run(&mut self, passes: u32, bursts: &[Option<(u64, bool)>]) {
        for _ in 0..passes {
            let timed = self.turns.begin();
            for (queue, burst) in bursts.iter().enumerate() {
                if !self.turns.is_due(queue) {
                    continue;
                }
                match *burst {
                    Some((cycles, waits)) => {
                        self.taken[queue] += cycles;
                        if timed {
                            let cycles = Cycles(cycles);
                            self.estimated[queue] += estimate(cycles).0;
                            let weighed = weighed(cycles, 32, self.walks[queue]);
                            self.turns.took(queue, weighed, waits);
                        }
                    }
                    None if timed => self.turns.was_empty(queue),
                    None => {}
                }
            }
            if timed {
                self.turns.settle();
            }
        }
    }

    fn share(&self, queue: usize) -> f64 {
        self.taken[queue] as f64 / self.taken.iter().sum::<u64>() as f64
    }
}

#[test]
fn who_costs_more_takes_no_more() {
    let mut lcore = Lcore::new(3);
    lcore.run(
        100_000,
        &[
            Some((3_500, true)),
            Some((4_000, true)),
            Some((54_000, true)),
        ],
    );
    for queue in 0..3 {
        let share = lcore.share(queue);
        assert!((0.32..0.35).contains(&share), "{queue}: {share}");
    }
}

/// A port from which only first packets come, beside established traffic of one port, and of two.
#[test]
fn first_packets_take_what_established_traffic_leaves() {
    let flood = Some((54_000, true));
    for (others, most) in [(1, 0.205), (2, 0.115)] {
        let mut lcore = Lcore::new(others + 1);
        lcore.walks[others] = 32;
        let mut bursts = vec![Some((3_500, true)); others];
        bursts.push(flood);
        lcore.run(100_000, &bursts);
        let share = lcore.share(others);
        assert!(share < most, "{share} beside {others}");
        assert!(share > most - 0.02, "it gets its share: {share}");
    }
    // Nobody else waits: all is for who asks.
    let mut lcore = Lcore::new(2);
    lcore.walks[1] = 32;
    lcore.run(10_000, &[Some((200, false)), flood]);
    assert!(lcore.share(1) > 0.99);
}

#[test]
fn cycles_weigh_by_the_share_of_first_packets() {
    let weigh = |frames, walks| weighed(Cycles(1_000), frames, walks).0;
    assert_eq!(weigh(32, 0), 1_000);
    assert_eq!(weigh(32, 8), 1_750);
    // A packet may ask several times.
    assert_eq!((weigh(32, 32), weigh(32, 90)), (4_000, 4_000));
}

#[test]
fn who_is_alone_takes_all() {
    let mut lcore = Lcore::new(2);
    let expected = 10_000 * 54_000;
    lcore.run(10_000, &[None, Some((54_000, true))]);
    assert_eq!(lcore.taken, [0, expected]);
    // Nor does one that takes its few frames at once hold it back.
    lcore.run(10_000, &[Some((200, false)), Some((54_000, true))]);
    assert_eq!(lcore.taken[0], 10_000 * 200);
    assert!(lcore.share(1) > 0.99);
}

/// Frames that do not fill a burst, but cost more than a share, wait too.
#[test]
fn few_dear_frames_are_no_way_around() {
    let mut lcore = Lcore::new(2);
    lcore.run(100_000, &[Some((3_500, true)), Some((40_000, false))]);
    assert!((0.49..0.51).contains(&lcore.share(0)), "{}", lcore.share(0));
}

/// Who had nothing to send has saved nothing.
#[test]
fn nobody_saves() {
    let mut lcore = Lcore::new(2);
    lcore.run(100_000, &[None, Some((4_000, true))]);
    lcore.taken = vec![0; 2];
    lcore.run(1_000, &[Some((4_000, true)), Some((4_000, true))]);
    assert!((0.45..0.55).contains(&lcore.share(0)), "{}", lcore.share(0));
}

#[test]
fn queues_that_cost_nearly_the_same_take_turns() {
    let mut lcore = Lcore::new(2);
    lcore.run(10, &[Some((3_500, true)), Some((3_600, true))]);
    assert_eq!(lcore.taken, [35_000, 36_000]);
}

#[test]
fn what_is_told_is_what_was_taken() {
    let mut alone = Lcore::new(1);
    alone.run(8_000, &[Some((3_500, true))]);
    assert_eq!(alone.estimated, alone.taken);
    // Also of those that are passed over, which is decided in timed passes only.
    let mut lcore = Lcore::new(3);
    lcore.run(
        80_000,
        &[
            Some((3_500, true)),
            Some((54_000, true)),
            Some((900, false)),
        ],
    );
    for queue in 0..3 {
        let (told, taken) = (lcore.estimated[queue], lcore.taken[queue]);
        assert!(told.abs_diff(taken) * 1_000 < taken, "{queue}: {told}");
    }
}
