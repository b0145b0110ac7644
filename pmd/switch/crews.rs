//! The threads of a running switch, one for each lcore, and the shards that each runs.
//!
//! The switch is made of shards ([`crate::crew`]), as many as it was started with. Lcores that come
//! or go share them out anew: a shard goes to another thread as it is, so connections stay with their
//! ports, timers and whatever else belongs to them, and no tuple gets another owner.
//!
//! Invariants
//!   1. Each shard is run by the thread of the CPU that is noted for it.
//!   2. No lcore has two shards more than another.
//!
//! Threads: the management thread's.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use weir_tables::counters::LcoreCounters;

use super::PATIENCE;
use crate::clock::{Clock, Cycles};
use crate::crew::{Crew, CrewAnswer, CrewEnd, CrewOrder, Member, deal_out};
use crate::eal::{Eal, EalError};
use crate::lcore::{Lcore, LcoreError, StopFlag, spawn};
use crate::worker::{PortOrders, WorkerCounters};

/// What the management thread gets of a shard that was made.
pub(super) struct Made {
    pub(super) counters: Arc<LcoreCounters>,
    pub(super) polls: Arc<WorkerCounters>,
    pub(super) orders: PortOrders,
}

/// Makes a shard, on the thread that runs it first: so its memory is of that one's NUMA node, and of an
/// arena that no other lcore writes to.
pub(super) type Make = Box<dyn FnOnce() -> (Box<dyn Member>, Made) + Send>;

/// All threads.
pub(super) struct Crews {
    eal: Eal,
    clock: Clock,
    threads: Vec<Thread>,
}

struct Thread {
    cpu: u16,
    end: CrewEnd,
    stop: StopFlag,
    running: Lcore<()>,
}

impl Crews {
    pub(super) const fn new(eal: Eal, clock: Clock) -> Self {
        Self {
            eal,
            clock,
            threads: Vec::new(),
        }
    }

    /// Starts a thread on each of `cpus`, which has the CPU of each shard, and makes these there.
    pub(super) fn begin(
        &mut self,
        cpus: &[u16],
        makes: Vec<Make>,
    ) -> Result<Vec<Made>, LcoreError> {
        let mut made: Vec<Option<Made>> = makes.iter().map(|_| None).collect();
        let mut all: Vec<_> = cpus.iter().zip(makes).enumerate().collect();
        while let Some(cpu) = all.first().map(|(_, (cpu, _))| **cpu) {
            let here = all.extract_if(.., |(_, (other, _))| **other == cpu);
            let here = here.map(|(number, (_, make))| (number, make)).collect();
            for (number, ends) in self.start(cpu, here)? {
                made[number] = Some(ends);
            }
        }
        let made = made.into_iter().map(|made| made.expect("each has a CPU"));
        Ok(made.collect())
    }

    /// Starts a thread, and makes shards there.
    fn start(
        &mut self,
        cpu: u16,
        makes: Vec<(usize, Make)>,
    ) -> Result<Vec<(usize, Made)>, LcoreError> {
        let (report, started) = mpsc::sync_channel(1);
        let (stop, clock) = (StopFlag::new(), self.clock);
        let flag = stop.clone();
        let running = spawn(&self.eal, cpu, move || {
            let (mut members, mut all) = (Vec::new(), Vec::new());
            for (number, make) in makes {
                let (member, made) = make();
                members.push((number, member));
                all.push((number, made));
            }
            let (crew, end) = Crew::new(members, clock);
            let _ = report.send((end, all));
            crew.run(&flag);
        })?;
        let (end, made) = started
            .recv()
            .expect("the thread reports before it polls, and a panic would end the process");
        self.threads.push(Thread {
            cpu,
            end,
            stop,
            running,
        });
        Ok(made)
    }

    /// Whether there are such CPUs.
    pub(super) fn check(&self, cpus: &[u16]) -> Result<(), EalError> {
        self.eal.check_workers(cpus)
    }

    /// Shares shards out among `cpus` instead; `shards` has the CPU of each, and gets the new one. Returns
    /// the longest that one of them stood still.
    ///
    /// If that fails, all are where they were, unless an lcore does not answer.
    pub(super) fn move_to(
        &mut self,
        cpus: &[u16],
        shards: &mut [&mut u16],
    ) -> Result<Duration, String> {
        self.check(cpus).map_err(|error| error.to_string())?;
        let before: Vec<u16> = shards.iter().map(|cpu| **cpu).collect();
        let dealt = deal_out(&before, cpus);
        let there: Vec<u16> = self.threads.iter().map(|thread| thread.cpu).collect();
        for &cpu in cpus.iter().filter(|cpu| !there.contains(cpu)) {
            if let Err(error) = self.start(cpu, Vec::new()) {
                self.end_all_but(&there);
                return Err(error.to_string());
            }
        }
        for (number, (cpu, to)) in shards.iter_mut().zip(dealt).enumerate() {
            let from = **cpu;
            if from == to {
                continue;
            }
            let door = self.thread(to)?.end.door.clone();
            self.order(to, CrewOrder::Expect)?;
            match self.order(from, CrewOrder::Give(number, door))? {
                CrewAnswer::Done => **cpu = to,
                CrewAnswer::Nobody | CrewAnswer::StoodStill(_) => return Err(gone(from)),
            }
        }
        let longest = self.wait_for_all(cpus)?;
        self.end_all_but(cpus);
        if let Err(error) = self.eal.stay_away_from(cpus) {
            tracing::warn!("the management thread shares a CPU with an lcore: {error}");
        }
        Ok(longest)
    }

    /// Waits until all shards are where they belong; returns the longest that one of them stood still.
    fn wait_for_all(&mut self, cpus: &[u16]) -> Result<Duration, String> {
        let begin = Instant::now();
        let mut longest = Cycles(0);
        for &cpu in cpus {
            loop {
                match self.order(cpu, CrewOrder::Tell)? {
                    CrewAnswer::StoodStill(Some(stood_still)) => {
                        longest = longest.max(stood_still);
                        break;
                    }
                    _ if begin.elapsed() > PATIENCE => return Err(gone(cpu)),
                    _ => {}
                }
            }
        }
        Ok(self.clock.duration(longest))
    }

    fn thread(&mut self, cpu: u16) -> Result<&mut Thread, String> {
        let mut threads = self.threads.iter_mut();
        let thread = threads.find(|thread| thread.cpu == cpu);
        thread.ok_or_else(|| gone(cpu))
    }

    fn order(&mut self, cpu: u16, order: CrewOrder) -> Result<CrewAnswer, String> {
        let answer = self.thread(cpu)?.end.order(order, PATIENCE);
        answer.map_err(|_| gone(cpu))
    }

    /// Ends the threads of other CPUs, which have no shards.
    fn end_all_but(&mut self, cpus: &[u16]) {
        let ended = self
            .threads
            .extract_if(.., |thread| !cpus.contains(&thread.cpu));
        ended.for_each(Thread::end);
    }

    /// Ends all threads, and the shards with them.
    pub(super) fn end(&mut self) {
        // All at once: one that goes on has nobody to hand frames to.
        self.threads.iter().for_each(|thread| thread.stop.set());
        self.threads.drain(..).for_each(Thread::end);
    }
}

impl Thread {
    fn end(self) {
        self.stop.set();
        self.running.join();
    }
}

fn gone(cpu: u16) -> String {
    format!("the lcore on CPU {cpu} does not answer")
}
