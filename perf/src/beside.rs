//! Work on another core than the worker's while something is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::failure::Failure;

/// A thread that works until this is dropped; then its result is where it was asked for.
pub(crate) struct Beside<'a, T> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<T, Failure>>>,
    result: &'a mut Result<T, Failure>,
}

impl<'a, T: Send + 'static> Beside<'a, T> {
    /// Starts `work` on `cpu`; it is to end soon after its argument says so.
    pub(crate) fn start(
        cpu: u16,
        result: &'a mut Result<T, Failure>,
        work: impl FnOnce(&AtomicBool) -> Result<T, Failure> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            stay_on(cpu);
            work(&stopped)
        });
        Self {
            stop,
            thread: Some(thread),
            result,
        }
    }
}

impl<T> Drop for Beside<'_, T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let lost = || Failure::Program("the thread beside the worker panicked".to_owned());
            *self.result = thread.join().unwrap_or_else(|_| Err(lost()));
        }
    }
}

/// Keeps the calling thread, and programs that it starts, on one CPU until this is dropped. A program
/// that asks a switch something is else put on the worker's, which then stands still for some
/// milliseconds.
pub(crate) struct Aside(Option<CpuSet>);

impl Aside {
    /// The CPU is `cpu`.
    pub(crate) fn on(cpu: u16) -> Self {
        let before = sched_getaffinity(Pid::from_raw(0)).ok();
        stay_on(cpu);
        Self(before)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = sched_setaffinity(Pid::from_raw(0), before);
        }
    }
}

/// It is only a courtesy that the worker is left alone.
fn stay_on(cpu: u16) {
    let mut set = CpuSet::new();
    let _ = set.set(cpu.into());
    let _ = sched_setaffinity(Pid::from_raw(0), &set);
}
