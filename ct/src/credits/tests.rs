use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// Lcores, the ledger, and mailboxes in which messages stay as long as a test likes.
struct World {
    ledger: Ledger,
    purses: Vec<Purse>,
    live: Vec<u32>,
    words: Vec<VecDeque<Word>>,
    orders: Vec<VecDeque<Order>>,
}

impl World {
    fn new(limit: u32, lcores: u16) -> Self {
        Self::with_live(limit, vec![0; lcores.into()])
    }

    fn with_live(limit: u32, live: Vec<u32>) -> Self {
        let lcores = u16::try_from(live.len()).expect("few lcores");
        Self {
            ledger: Ledger::new(limit, lcores),
            purses: live
                .iter()
                .map(|&live| Purse::new(limit, lcores, live))
                .collect(),
            words: vec![VecDeque::new(); live.len()],
            orders: vec![VecDeque::new(); live.len()],
            live,
        }
    }

    fn all(&self) -> u32 {
        self.live.iter().sum()
    }

    /// A packet that opens a connection; whether it may.
    fn open(&mut self, lcore: usize) -> bool {
        let may = self.live[lcore] < self.purses[lcore].allowance();
        if may {
            self.live[lcore] += 1;
        } else {
            self.purses[lcore].refused();
        }
        may
    }

    fn close(&mut self, lcore: usize) {
        self.live[lcore] = self.live[lcore].saturating_sub(1);
    }

    /// What an lcore does between two bursts, with one order at most.
    fn poll(&mut self, lcore: usize) {
        if let Some(order) = self.orders[lcore].pop_front() {
            let answer = self.purses[lcore].obey(order, self.live[lcore]);
            self.words[lcore].extend(answer);
        }
        while let Some(word) = self.purses[lcore].word(self.live[lcore]) {
            self.words[lcore].push_back(word);
        }
    }

    /// The ledger hears one word of an lcore.
    fn hear(&mut self, lcore: usize) {
        if let Some(word) = self.words[lcore].pop_front() {
            self.ledger.hear(lcore, word);
        }
        self.send();
    }

    fn send(&mut self) {
        for (lcore, order) in self.ledger.orders() {
            self.orders[lcore].push_back(order);
        }
    }

    /// Delivers everything until nobody says more; returns how many messages that took.
    fn settle(&mut self) -> usize {
        let mut said = 0;
        loop {
            for lcore in 0..self.live.len() {
                self.poll(lcore);
            }
            let orders: usize = self.orders.iter().map(VecDeque::len).sum();
            let words: usize = self.words.iter().map(VecDeque::len).sum();
            if orders + words == 0 {
                return said;
            }
            said += words;
            assert!(said < 100_000, "they come to an end");
            for lcore in 0..self.live.len() {
                while !self.words[lcore].is_empty() {
                    self.hear(lcore);
                }
            }
        }
    }

    /// Opens at one lcore until it is told that there is no more to be had.
    fn fill(&mut self, lcore: usize) {
        loop {
            if !self.open(lcore) {
                self.settle();
                if !self.open(lcore) {
                    return;
                }
            }
        }
    }

    /// The books of both sides agree, messages under way included.
    fn check(&self) {
        for (lcore, purse) in self.purses.iter().enumerate() {
            let granted: u32 = self.orders[lcore]
                .iter()
                .map(|order| match order {
                    Order::Grant(credits) => *credits,
                    Order::Recall | Order::Stop | Order::Go => 0,
                })
                .sum();
            let (mut returned, mut held) = (0, purse.untold);
            for word in &self.words[lcore] {
                match word {
                    Word::Return(credits) | Word::Recalled(credits) => returned += credits,
                    Word::Holds(credits) => held += credits,
                    Word::Want => {}
                }
            }
            let account = &self.ledger.lcores[lcore];
            assert_eq!(account.lent + held, purse.credits + granted + returned);
            assert!(self.live[lcore] <= purse.credits);
        }
    }
}

#[test]
fn on_one_lcore_a_limit_is_exact_and_nothing_is_said_of_it() {
    let mut world = World::new(1_000, 1);
    for _ in 0..1_000 {
        assert!(world.open(0));
    }
    assert!(!world.open(0));
    world.close(0);
    assert!(world.open(0));
    assert!(!world.open(0));
}

#[test]
fn any_one_lcore_reaches_the_limit_alone() {
    for lcores in 1..=8 {
        for limit in [0, 1, 2, 7, 8, 9, 100, 10_007] {
            for one in [0, usize::from(lcores) - 1] {
                let mut world = World::new(limit, lcores);
                world.fill(one);
                assert_eq!(world.live[one], limit, "{lcores} lcores");
            }
        }
    }
}

#[test]
fn what_one_does_not_use_any_more_another_gets() {
    for lcores in 2..=8 {
        let mut world = World::new(1_000, lcores);
        world.fill(0);
        // All but a few end there.
        world.live[0] = 10;
        world.fill(1);
        assert_eq!(world.live[1], 990, "{lcores} lcores");
        assert_eq!(world.all(), 1_000);
    }
}

#[test]
fn a_limit_is_spoken_of_seldom_until_it_is_near() {
    let mut world = World::new(1_000_000, 8);
    let mut said = 0;
    for n in 0..500_000 {
        assert!(world.open(n % 8));
        if n % 32 == 0 {
            said += world.settle();
        }
    }
    // The first block was half of the limit.
    assert!(said <= 16, "{said}");
    let mut refused = 0;
    for n in 0..500_000 {
        refused += u32::from(!world.open(n % 8));
        if n % 32 == 0 {
            said += world.settle();
        }
    }
    assert!(said < 2_000, "{said}");
    // While others still had some.
    assert!(refused < 100, "{refused}");
}

#[test]
fn a_lowered_limit_ends_nothing_and_lets_nothing_begin_until_it_holds() {
    for lcores in 1..=8_u16 {
        let mut world = World::new(800, lcores);
        for n in 0..800 {
            let lcore = n % usize::from(lcores);
            while !world.open(lcore) {
                world.settle();
            }
        }
        world.ledger.set_limit(300);
        world.send();
        world.settle();
        assert_eq!(world.all(), 800);
        let mut lcore = 0;
        while world.all() > 300 {
            world.close(lcore);
            lcore = (lcore + 1) % usize::from(lcores);
            let before = world.all();
            for other in 0..usize::from(lcores) {
                if before >= 300 {
                    assert!(!world.open(other), "{before} of 300");
                }
            }
            world.settle();
        }
        assert!(world.ledger.lent() <= 300);
        world.close(0);
        world.fill(usize::from(lcores) - 1);
        assert_eq!(world.all(), 300);
    }
}

#[test]
fn connections_from_before_the_limit_count() {
    let mut world = World::with_live(100, vec![90, 5, 40]);
    world.check();
    world.settle();
    for lcore in 0..3 {
        assert!(!world.open(lcore), "135 of 100");
    }
    world.live = vec![20, 5, 40];
    world.fill(1);
    assert_eq!(world.live, [20, 40, 40]);
}

#[test]
fn a_raised_limit_is_there_at_once() {
    for lcores in 1..=8 {
        let mut world = World::new(10, lcores);
        world.fill(0);
        world.ledger.set_limit(1_000);
        world.send();
        world.fill(0);
        assert_eq!(world.live[0], 1_000);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Open(usize, u32),
    Close(usize, u32),
    Poll(usize),
    Hear(usize),
    Limit(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lcore = 0..8_usize;
    let step = prop_oneof![
        4 => (lcore.clone(), 1..40_u32).prop_map(|(lcore, n)| Step::Open(lcore, n)),
        2 => (lcore.clone(), 1..40_u32).prop_map(|(lcore, n)| Step::Close(lcore, n)),
        4 => lcore.clone().prop_map(Step::Poll),
        4 => lcore.prop_map(Step::Hear),
        1 => (0..400_u32).prop_map(Step::Limit),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    /// Whatever order messages come in: no more connections than the limit, or than there were
    /// when it was lowered; and in the end every lcore can reach it.
    #[test]
    fn all_together_are_never_more_than_the_limit(
        limit in 0..400_u32,
        lcores in 1..=8_u16,
        steps in steps(),
        last in 0..8_usize,
    ) {
        let mut world = World::new(limit, lcores);
        let lcores = usize::from(lcores);
        let mut lent = world.ledger.lent();
        prop_assert!(lent <= limit);
        for step in steps {
            match step {
                Step::Open(lcore, n) => {
                    for _ in 0..n {
                        world.open(lcore % lcores);
                    }
                }
                Step::Close(lcore, n) => {
                    for _ in 0..n {
                        world.close(lcore % lcores);
                    }
                }
                Step::Poll(lcore) => world.poll(lcore % lcores),
                Step::Hear(lcore) => world.hear(lcore % lcores),
                Step::Limit(limit) => {
                    world.ledger.set_limit(limit);
                    world.send();
                }
            }
            world.check();
            prop_assert!(world.all() <= world.ledger.lent());
            // It grows within the limit only.
            let now = world.ledger.lent();
            prop_assert!(now <= lent.max(world.ledger.limit()), "{now} of {lent}");
            lent = now;
        }
        world.settle();
        world.check();
        let (limit, last) = (world.ledger.limit(), last % lcores);
        let before = world.all();
        world.fill(last);
        prop_assert_eq!(world.all(), limit.max(before));
    }
}
