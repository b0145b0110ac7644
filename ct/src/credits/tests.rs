use proptest::prelude::*;

use super::*;
use crate::settings::Settings;

/// Lcores and who lends to them. What they do in between, a test says; a question and its answer
/// are one step.
struct World {
    lender: Lender,
    settings: Settings,
    purses: Vec<Purse>,
    live: Vec<u32>,
    words: Vec<u64>,
    /// Questions asked.
    asked: usize,
    /// The connections of each lcore when limits changed last.
    frozen: Option<Vec<u32>>,
}

const SCOPE: Scope = Scope::Zone(7);

fn settings(limit: Option<u32>) -> Settings {
    Settings {
        zone_limit: limit,
        ..Settings::default()
    }
}

impl World {
    fn new(limit: u32, lcores: u16) -> Self {
        let settings = settings(Some(limit));
        Self {
            lender: Lender::new(&settings, lcores),
            settings,
            purses: (0..lcores)
                .map(|me| Purse::new(limit, lcores, me))
                .collect(),
            live: vec![0; lcores.into()],
            words: vec![0; lcores.into()],
            asked: 0,
            frozen: None,
        }
    }

    /// Lcores with connections that there were before there was a limit.
    fn with_live(limit: u32, live: &[u32]) -> Self {
        let mut world = Self::new(0, live.len() as u16);
        world.settings = settings(None);
        world.lender = Lender::new(&world.settings, live.len() as u16);
        world.live = live.to_vec();
        world.set_limit(Some(limit));
        world
    }

    fn lcores(&self) -> u16 {
        self.live.len() as u16
    }

    fn all(&self) -> u32 {
        self.live.iter().sum()
    }

    /// A packet that opens a connection; whether it may.
    fn open(&mut self, lcore: usize) -> bool {
        let (purse, live) = (&mut self.purses[lcore], &mut self.live[lcore]);
        let may = *live < purse.allowance();
        let news = if may {
            *live += 1;
            purse.becomes_low(*live)
        } else {
            purse.refuse()
        };
        if news {
            purse.tell();
            self.words[lcore] += 1;
        }
        may
    }

    fn close(&mut self, lcore: usize) {
        self.live[lcore] = self.live[lcore].saturating_sub(1);
    }

    /// One look of the management thread; after each question `between` happens.
    fn look_with(&mut self, mut between: impl FnMut(&mut [Purse], &mut [u32])) {
        let Self {
            lender,
            purses,
            live,
            words,
            asked,
            ..
        } = self;
        let words = &*words;
        lender.look(
            |lcore| words[lcore],
            |lcore, orders| {
                *asked += 1;
                for (scope, order) in orders {
                    assert_eq!(scope, SCOPE);
                    purses[lcore].obey(order, live[lcore]);
                }
                let report = purses[lcore].report(live[lcore], u32::MAX);
                let said = Said {
                    reports: vec![(SCOPE, report)],
                    words: words[lcore],
                };
                between(purses, live);
                Some(said)
            },
        );
    }

    fn look(&mut self) {
        self.look_with(|_, _| {});
    }

    /// Until nobody is asked any more, or only because all are stopped.
    fn settle(&mut self) {
        for _ in 0..100 {
            let before = self.asked;
            self.look();
            if self.asked == before {
                return;
            }
        }
    }

    /// All lcores hear of another limit; it does not hold yet.
    fn freeze(&mut self, limit: Option<u32>) {
        let old = self.settings.zone_limit;
        for (purse, live) in self.purses.iter_mut().zip(&self.live) {
            let raised = old.is_some() && old <= limit && !purse.stopped;
            *purse = Purse::holding(if raised { purse.credits() } else { *live });
        }
        self.settings = settings(limit);
        let held = self.purses.iter().map(Purse::credits);
        self.frozen = Some(held.collect());
    }

    /// It begins to hold.
    fn begin(&mut self) {
        let Some(held) = self.frozen.take() else {
            return;
        };
        let held = held.iter().map(|held| match held {
            0 => Vec::new(),
            held => vec![(SCOPE, *held)],
        });
        let held: Vec<_> = held.collect();
        let kept = self.lender.begin(&self.settings, &held);
        let lcores = self.lcores();
        if let (false, Some(limit)) = (kept.contains(&SCOPE), self.settings.zone_limit) {
            for (me, purse) in (0..).zip(&mut self.purses) {
                *purse = Purse::new(limit, lcores, me);
            }
        }
    }

    fn set_limit(&mut self, limit: Option<u32>) {
        if self.settings.zone_limit != limit {
            self.freeze(limit);
            self.begin();
        }
    }

    /// Opens at one lcore until there is no more to be had; returns how often it was refused before.
    fn fill(&mut self, lcore: usize) -> usize {
        let (mut refused, mut in_vain) = (0, 0);
        while in_vain < 150 {
            if self.open(lcore) {
                refused += in_vain;
                in_vain = 0;
            } else {
                in_vain += 1;
            }
            self.look();
        }
        refused
    }

    /// The ledger counts what lcores have, at least.
    fn check(&self, limit: u32) {
        let credits: u32 = self.purses.iter().map(Purse::credits).sum();
        let lent = self.lender.lent(SCOPE).unwrap_or(limit);
        assert!(credits <= lent, "{credits} of {lent}");
        for (purse, live) in self.purses.iter().zip(&self.live) {
            assert!(*live <= purse.credits());
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
    world.look();
    assert_eq!(world.asked, 0);
}

#[test]
fn any_one_lcore_reaches_all_but_one_of_each_other_at_once_and_all_of_it_in_the_end() {
    for lcores in 2..=8_u16 {
        for limit in [0, 1, 2, 7, 8, 9, 100, 10_007] {
            for one in [0, usize::from(lcores) - 1] {
                let mut world = World::new(limit, lcores);
                while world.open(one) {
                    // An lcore that burns faster than it is looked at is refused earlier.
                    world.look();
                }
                let others = u32::from(lcores) - 1;
                let at_once = world.live[one];
                assert!(at_once >= limit.saturating_sub(others), "{at_once}");
                let refused = 1 + world.fill(one);
                assert_eq!(world.live[one], limit, "{lcores} lcores");
                assert!(refused <= usize::from(lcores), "{refused}");
            }
        }
    }
}

#[test]
fn lcores_that_refuse_in_turn_do_not_take_the_last_from_each_other_for_ever() {
    for lcores in 2..=8_u16 {
        let mut world = World::new(3, lcores);
        // What is refused comes again, when all others have tried.
        for _ in 0..4 {
            for lcore in 0..usize::from(lcores) {
                world.open(lcore);
                world.look();
            }
        }
        assert_eq!(world.all(), 3, "{lcores} lcores");
    }
}

#[test]
fn an_idle_lcore_keeps_one_for_its_first_connection() {
    for lcores in 2..=8_u16 {
        let mut world = World::new(100, lcores);
        while world.open(0) {
            world.look();
        }
        for other in 1..usize::from(lcores) {
            assert!(world.open(other), "{lcores} lcores");
        }
        assert_eq!(world.all(), 100);
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
    for n in 0..700_000 {
        assert!(world.open(n % 8));
        if n % 32 == 0 {
            world.look();
        }
    }
    // Each lcore has all of its share.
    assert_eq!(world.asked, 0);
    let mut refused = 0;
    for n in 0..300_000 {
        refused += u32::from(!world.open(n % 8));
        if n % 32 == 0 {
            world.look();
        }
    }
    // Each look may find somebody low now: there were 9,375.
    assert!(world.asked < 5_000, "{}", world.asked);
    // While others still had some.
    assert!(refused < 300, "{refused}");
}

#[test]
fn one_that_is_alone_is_heard_in_time() {
    // A thousandth of the limit between two looks.
    let mut world = World::new(1_000_000, 4);
    let mut refused = 0;
    while world.live[2] < 970_000 {
        for _ in 0..1_000 {
            refused += u32::from(!world.open(2));
        }
        world.look();
    }
    assert_eq!(refused, 0, "at {}", world.live[2]);
    assert!(world.asked < 200, "{}", world.asked);
}

#[test]
fn a_lowered_limit_ends_nothing_and_lets_nothing_begin_until_it_holds() {
    for lcores in 2..=8_u16 {
        let mut world = World::new(800, lcores);
        for n in 0..800 {
            let lcore = n % usize::from(lcores);
            while !world.open(lcore) {
                world.settle();
            }
        }
        world.set_limit(Some(300));
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
            world.look();
        }
        assert!(world.lender.lent(SCOPE) <= Some(300));
        world.close(0);
        world.fill(usize::from(lcores) - 1);
        assert_eq!(world.all(), 300);
    }
}

#[test]
fn connections_from_before_the_limit_count() {
    let mut world = World::with_live(100, &[90, 5, 40]);
    world.settle();
    for lcore in 0..3 {
        assert!(!world.open(lcore), "135 of 100");
    }
    world.live = vec![20, 5, 40];
    world.fill(1);
    assert_eq!(world.live, [20, 40, 40]);
}

#[test]
fn a_limit_above_what_there_is_lets_all_go_on_at_once() {
    let mut world = World::with_live(100, &[60, 5, 0]);
    world.look();
    for lcore in 0..3 {
        assert!(world.open(lcore), "65 of 100");
    }
}

#[test]
fn a_raised_limit_is_there_at_once() {
    for lcores in 2..=8 {
        let mut world = World::new(10, lcores);
        world.fill(0);
        world.set_limit(Some(1_000));
        world.look();
        assert!(world.open(0));
        world.fill(0);
        assert_eq!(world.live[0], 1_000);
    }
}

#[test]
fn a_limit_that_goes_and_comes_again_counts_what_there_is() {
    let mut world = World::new(10, 2);
    world.fill(0);
    world.set_limit(None);
    // Nobody counts now.
    world.live = vec![50, 3];
    world.set_limit(Some(60));
    world.fill(1);
    assert_eq!(world.live, [50, 10]);
}

#[test]
fn an_lcore_that_does_not_answer_holds_up_nobody() {
    let mut world = World::new(30, 3);
    while world.live[0] < 10 {
        world.open(0);
    }
    // Number 1 never answers; number 2 does.
    for _ in 0..200 {
        world.open(0);
        let World {
            lender,
            purses,
            live,
            words,
            ..
        } = &mut world;
        lender.look(
            |lcore| words[lcore],
            |lcore, orders| {
                if lcore == 1 {
                    return None;
                }
                for (_, order) in orders {
                    purses[lcore].obey(order, live[lcore]);
                }
                let report = purses[lcore].report(live[lcore], u32::MAX);
                Some(Said {
                    reports: vec![(SCOPE, report)],
                    words: words[lcore],
                })
            },
        );
    }
    assert_eq!(world.live[0], 20);
    // What it has is still counted.
    world.fill(2);
    assert!(world.all() <= 30);
    world.fill(0);
    assert_eq!(world.all(), 30);
}

#[derive(Clone, Debug)]
enum Step {
    Open(usize, u32),
    Close(usize, u32),
    /// A look, while which lcores do something after each question.
    Look(Vec<(usize, bool)>),
    Freeze(Option<u32>),
    Begin,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lcore = 0..8_usize;
    let between = prop::collection::vec((lcore.clone(), any::<bool>()), 0..20);
    let step = prop_oneof![
        4 => (lcore.clone(), 1..40_u32).prop_map(|(lcore, n)| Step::Open(lcore, n)),
        2 => (lcore, 1..40_u32).prop_map(|(lcore, n)| Step::Close(lcore, n)),
        6 => between.prop_map(Step::Look),
        1 => prop::option::weighted(0.9, 0..400_u32).prop_map(Step::Freeze),
        1 => Just(Step::Begin),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    /// Whatever happens in between: no more connections than the limit, or than there were when it
    /// was set; and in the end every lcore can reach it.
    #[test]
    fn all_together_are_never_more_than_the_limit(
        limit in 0..400_u32,
        lcores in 1..=8_u16,
        steps in steps(),
        last in 0..8_usize,
    ) {
        let mut world = World::new(limit, lcores);
        let lcores = usize::from(lcores);
        // What there may be: the limit, or what there was when it was set.
        let mut most = limit;
        for step in steps {
            match step {
                Step::Open(lcore, n) if world.settings.zone_limit.is_some() => {
                    for _ in 0..n {
                        world.open(lcore % lcores);
                    }
                }
                // No limit, and nobody asks for it.
                Step::Open(lcore, n) => {
                    world.live[lcore % lcores] += n;
                    most = world.all();
                }
                Step::Close(lcore, n) => {
                    for _ in 0..n {
                        world.close(lcore % lcores);
                    }
                }
                // The thread that looks is the one that changes limits.
                Step::Look(_) if world.frozen.is_some() => {}
                Step::Look(between) => {
                    let mut between = between.into_iter();
                    let limited = world.settings.zone_limit.is_some();
                    world.look_with(|purses, live| {
                        let Some((lcore, opens)) = between.next() else {
                            return;
                        };
                        let lcore = lcore % lcores;
                        if !opens {
                            live[lcore] = live[lcore].saturating_sub(1);
                        } else if limited && live[lcore] < purses[lcore].allowance() {
                            live[lcore] += 1;
                        }
                    });
                    // Whoever had to stop has heard of it.
                    if let Some(limit) = world.settings.zone_limit {
                        most = most.min(world.all().max(limit));
                    }
                }
                // One after the other; on one lcore there is no need.
                Step::Freeze(limit) if world.frozen.is_none() && lcores > 1 => {
                    if world.settings.zone_limit != limit {
                        let raised = world.settings.zone_limit <= limit;
                        most = if raised { most.max(world.all()) } else { world.all() };
                        world.freeze(limit);
                    }
                }
                Step::Freeze(_) | Step::Begin => {
                    if world.frozen.is_some() {
                        world.begin();
                        most = most.max(world.settings.zone_limit.unwrap_or(0));
                    }
                }
            }
            if let Some(limit) = world.settings.zone_limit {
                let all = world.all();
                if world.frozen.is_none() {
                    world.check(limit);
                    prop_assert!(all <= most, "{} of {}", all, most);
                }
            }
        }
        world.begin();
        world.set_limit(Some(limit));
        world.settle();
        let before = world.all();
        let last = last % lcores;
        world.fill(last);
        prop_assert_eq!(world.all(), limit.max(before));
    }
}
