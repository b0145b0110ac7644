//! What receive queues take of their lcore.

use super::*;
use crate::show::{PolledRow, write_polled};

impl Management<OneLcore> {
    /// A second in which the lcore took so many cycles for each queue, for other work, and for nothing.
    fn second(&mut self, queues: [u64; 2], other: u64, idle: u64) {
        for (queue, cycles) in self.datapath.rx_queues.iter_mut().zip(queues) {
            queue.busy_cycles += cycles;
        }
        let polls = &mut self.datapath.polls;
        polls.busy_cycles += queues[0] + queues[1] + other;
        polls.idle_cycles += idle;
        self.datapath.now = self.datapath.now + Duration::from_secs(1);
        self.look_after();
    }

    fn polled_rows(&mut self, lcore: Option<u32>, seconds: u32) -> Result<Vec<PolledRow>, Failure> {
        match &self.ask(Verb::PmdRxqShow { lcore, seconds })?[..] {
            [Frame::Polled(rows)] => Ok(rows.clone()),
            other => panic!("not rows: {other:?}"),
        }
    }

    fn polled_text(&mut self, seconds: u32) -> String {
        let rows = self.polled_rows(None, seconds).expect("rows");
        let mut text = Vec::new();
        write_polled(&mut text, &rows).expect("memory");
        String::from_utf8(text).expect("text")
    }
}

/// Port weir1 has queue 0, port weir0 queue 1.
fn with_queues() -> Management<OneLcore> {
    let mut management = management("udp actions=drop");
    let queue = |port, queue| RxQueueStats {
        port: PortNo(port),
        queue,
        lcore: 0,
        busy_cycles: 0,
    };
    management.datapath.rx_queues = vec![queue(3, 0), queue(2, 1)];
    management.look_after();
    management
}

#[test]
fn shares_are_those_of_the_time_that_is_asked_for() {
    let mut management = with_queues();
    assert_eq!(
        management.polled_text(60),
        "Displaying last 60 seconds pmd usage %\n\
         pmd thread numa_id 0 core_id 1:\n  isolated : false\n  \
         port: weir0             queue-id:  1 (enabled)   pmd usage: NOT AVAIL\n  \
         port: weir1             queue-id:  0 (enabled)   pmd usage: NOT AVAIL\n  \
         overhead: NOT AVAIL\n  busy: NOT AVAIL\n"
    );
    for _ in 0..200 {
        management.second([100, 0], 0, 900);
    }
    for _ in 0..10 {
        management.second([300, 200], 100, 400);
    }
    // Sixty seconds: ten of these and fifty of those.
    assert_eq!(
        management.polled_text(60),
        "Displaying last 60 seconds pmd usage %\n\
         pmd thread numa_id 0 core_id 1:\n  isolated : false\n  \
         port: weir0             queue-id:  1 (enabled)   pmd usage:  3 %\n  \
         port: weir1             queue-id:  0 (enabled)   pmd usage: 13 %\n  \
         overhead:  2 %\n  busy: 18 %\n"
    );
    let rows = management.polled_rows(Some(1), 10).expect("it is there");
    let [row] = &rows[..] else { panic!("{rows:?}") };
    let shares = row.queues.iter().map(|queue| queue.usage_percent);
    assert_eq!(shares.collect::<Vec<_>>(), [Some(20), Some(30)]);
    assert_eq!(
        (row.busy_percent, row.overhead_percent),
        (Some(60), Some(10))
    );
    assert_eq!(row.recent_cycles, Some(10_000));
    assert_eq!(row.queues[0].busy_cycles, 2_000);
    let refused = management.polled_rows(Some(2), 60).unwrap_err();
    assert_eq!(refused.message, "there is no lcore 2");
}

/// What another lcore spent on it, or on a port that had its number, is not this one's.
#[test]
fn a_queue_that_came_lately_counts_from_then_on() {
    let mut management = with_queues();
    for _ in 0..60 {
        management.second([500, 0], 0, 500);
    }
    let moved = &mut management.datapath.rx_queues[0];
    (moved.lcore, moved.busy_cycles) = (1, 1_000_000);
    for _ in 0..6 {
        management.second([0, 0], 0, 1_000);
    }
    management.datapath.rx_queues[0].lcore = 0;
    for _ in 0..6 {
        management.second([100, 0], 0, 900);
    }
    let rows = management.polled_rows(None, 60).expect("rows");
    let before = &rows[0].queues[1];
    assert_eq!(
        (before.port.as_str(), before.usage_percent),
        ("weir1", Some(10))
    );
    // Its port is opened anew.
    management.datapath.rx_queues[0].busy_cycles = 0;
    for _ in 0..6 {
        management.second([200, 0], 0, 800);
    }
    let rows = management.polled_rows(None, 60).expect("rows");
    assert_eq!(rows[0].queues[1].usage_percent, Some(20));
}
