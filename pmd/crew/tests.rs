use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;

/// How many shards each CPU has.
fn counts(dealt: &[u16], cpus: &[u16]) -> Vec<usize> {
    let count = |cpu: &u16| dealt.iter().filter(|other| *other == cpu).count();
    cpus.iter().map(count).collect()
}

#[test]
fn shards_are_dealt_out_evenly_and_stay_where_they_can() {
    assert_eq!(deal_out(&[1, 1, 1, 1], &[1]), [1, 1, 1, 1]);
    assert_eq!(deal_out(&[1, 1, 1, 1], &[1, 2]), [1, 1, 2, 2]);
    assert_eq!(deal_out(&[1, 1, 2, 2], &[1, 2, 3, 4]), [1, 3, 2, 4]);
    assert_eq!(deal_out(&[1, 3, 2, 4], &[2, 3, 4]), [2, 3, 2, 4]);
    assert_eq!(deal_out(&[2, 3, 2, 4], &[7]), [7; 4]);
    // A shard fewer than lcores: one has none.
    assert_eq!(deal_out(&[1], &[2, 3]), [2]);
}

proptest! {
    /// No lcore has two more than another; those that move are as few as that allows.
    #[test]
    fn no_more_move_than_must(
        before in prop::collection::vec(0..6_u16, 1..12),
        cpus in prop::collection::btree_set(0..6_u16, 1..6),
    ) {
        let cpus: Vec<_> = cpus.into_iter().collect();
        let dealt = deal_out(&before, &cpus);
        let there = counts(&dealt, &cpus);
        prop_assert_eq!(there.iter().sum::<usize>(), before.len());
        let (least, most) = (there.iter().min().unwrap(), there.iter().max().unwrap());
        prop_assert!(most - least <= 1, "{:?}", dealt);
        let stayed = before.iter().zip(&dealt).filter(|(a, b)| a == b).count();
        let (each, over) = (before.len() / cpus.len(), before.len() % cpus.len());
        let full: usize = counts(&before, &cpus).iter().map(|n| (*n).min(each)).sum();
        let beyond = counts(&before, &cpus).iter().filter(|n| **n > each).count();
        prop_assert_eq!(stayed, full + beyond.min(over));
    }
}

/// A member that sees whether anybody else runs it.
struct Watched {
    running: Arc<AtomicBool>,
    passes: Arc<AtomicU64>,
}

impl Member for Watched {
    fn pass_over(&mut self, _start: &mut Cycles, _idle: &mut Idle) {
        assert!(
            !self.running.swap(true, Ordering::SeqCst),
            "it has one thread"
        );
        self.passes.fetch_add(1, Ordering::SeqCst);
        self.running.store(false, Ordering::SeqCst);
    }
}

/// Stops the threads, also of a test that fails.
struct Ends<'a>(&'a StopFlag);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.set();
    }
}

fn stood_still(end: &mut CrewEnd) -> Cycles {
    loop {
        let answer = end.order(CrewOrder::Tell, PATIENCE).expect("it answers");
        if let CrewAnswer::StoodStill(Some(cycles)) = answer {
            return cycles;
        }
    }
}

/// Members that go from thread to thread are run by one at a time, go on wherever they come, and none is
/// lost; who is not there is not given.
#[test]
fn members_move_between_threads_that_run() {
    let (clock, stop) = (
        Clock::with_frequency(Cycles(0), 1_000_000_000),
        StopFlag::new(),
    );
    let passes: [Arc<AtomicU64>; 3] = Default::default();
    let members = passes.iter().enumerate().map(|(number, passes)| {
        let member: Box<dyn Member> = Box::new(Watched {
            running: Arc::default(),
            passes: Arc::clone(passes),
        });
        (number, member)
    });
    let (one, mut here) = Crew::new(members.collect(), clock);
    let (two, mut there) = Crew::new(Vec::new(), clock);
    thread::scope(|scope| {
        let (ends, stop) = (Ends(&stop), &stop);
        let threads = [one, two].map(|crew| scope.spawn(move || crew.run(stop)));
        for round in 0..60 {
            for (number, passed) in passes.iter().enumerate().take(round % 3 + 1) {
                let before = passed.load(Ordering::SeqCst);
                let door = there.door.clone();
                let expects = there.order(CrewOrder::Expect, PATIENCE);
                assert!(matches!(expects, Ok(CrewAnswer::Done)));
                let given = here.order(CrewOrder::Give(number, door), PATIENCE);
                assert!(matches!(given, Ok(CrewAnswer::Done)), "{given:?}");
                assert!(stood_still(&mut there) > Cycles(0));
                while passed.load(Ordering::SeqCst) == before {
                    thread::yield_now();
                }
                let again = here.order(CrewOrder::Give(number, there.door.clone()), PATIENCE);
                assert!(matches!(again, Ok(CrewAnswer::Nobody)), "{again:?}");
            }
            std::mem::swap(&mut here, &mut there);
            // Those that stayed behind come after.
            for number in round % 3 + 1..passes.len() {
                let door = here.door.clone();
                let expects = here.order(CrewOrder::Expect, PATIENCE);
                assert!(matches!(expects, Ok(CrewAnswer::Done)));
                let given = there.order(CrewOrder::Give(number, door), PATIENCE);
                assert!(matches!(given, Ok(CrewAnswer::Done)), "{given:?}");
                stood_still(&mut here);
            }
        }
        drop(ends);
        for thread in threads {
            thread.join().expect("it ends");
        }
    });
}

const PATIENCE: Duration = Duration::from_secs(5);
