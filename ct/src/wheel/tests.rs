use std::collections::HashMap;

use proptest::prelude::*;
use weir_packet::Tick;

use super::{BUCKETS, TURN_MILLIS, Wheel};

#[derive(Clone, Debug)]
enum Operation {
    /// Lets a slot wait so many milliseconds, or takes it out if it waits.
    Toggle(u32, u64),
    /// Passes time and takes out, up to a number, what is due.
    Pass(u64, usize),
}

const SLOTS: u32 = 8;
const HORIZON: u64 = TURN_MILLIS * BUCKETS;

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let span = prop_oneof![0..200u64, 0..HORIZON, 0..HORIZON * 4];
    prop::collection::vec(
        prop_oneof![
            (0..SLOTS, span.clone()).prop_map(|(slot, wait)| Operation::Toggle(slot, wait)),
            (span, 0..6usize).prop_map(|(time, limit)| Operation::Pass(time, limit)),
        ],
        0..60,
    )
}

proptest! {
    /// A slot comes out once, never earlier than a turn before its deadline unless that lies
    /// beyond the horizon, and never later than the turn its deadline lies in.
    #[test]
    fn comes_out_when_it_is_due(operations in operations()) {
        let mut wheel = Wheel::new(SLOTS);
        let mut model: HashMap<u32, u64> = HashMap::new();
        let mut now = 0;
        for operation in operations {
            match operation {
                Operation::Toggle(slot, wait) => {
                    if model.remove(&slot).is_some() {
                        wheel.remove(slot);
                    } else {
                        wheel.insert(slot, Tick::from_millis(now + wait), Tick::from_millis(now));
                        model.insert(slot, now + wait);
                    }
                }
                Operation::Pass(time, limit) => {
                    now += time;
                    let mut done = false;
                    for _ in 0..limit {
                        let Some(slot) = wheel.pop(Tick::from_millis(now)) else {
                            done = true;
                            break;
                        };
                        let deadline = model.remove(&slot);
                        prop_assert!(deadline.is_some(), "slot {} did not wait", slot);
                        if let Some(deadline) = deadline && deadline > now {
                            // Beyond the horizon when it was put there: it goes back.
                            wheel.insert(slot, Tick::from_millis(deadline), Tick::from_millis(now));
                            model.insert(slot, deadline);
                        }
                    }
                    if done {
                        let late = model.values().find(|&&deadline| deadline + TURN_MILLIS <= now);
                        prop_assert_eq!(late, None);
                    }
                }
            }
            let mut waiting = wheel.waiting();
            waiting.sort_unstable();
            let mut wanted: Vec<_> = model.keys().copied().collect();
            wanted.sort_unstable();
            prop_assert_eq!(waiting, wanted);
        }
    }

    #[test]
    fn what_is_overdue_is_almost_due(now in 0..HORIZON, early in 0..TURN_MILLIS) {
        let mut wheel = Wheel::new(1);
        let deadline = now.saturating_sub(early);
        wheel.insert(0, Tick::from_millis(deadline), Tick::from_millis(deadline));
        let now = Tick::from_millis(now);
        let almost = wheel.almost_due(now, 1).next();
        prop_assert_eq!(wheel.pop(now).or(almost), Some(0));
    }
}
