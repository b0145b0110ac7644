//! Worker threads: one per CPU, pinned, known to EAL.
//!
//! They are ordinary threads that register with EAL (`rte_thread_register`), not lcores that EAL
//! starts. An EAL lcore is a C loop that waits on a pipe for a function pointer: it cannot be
//! joined, has a fixed stack, cannot be started or stopped after `rte_eal_init`, and a panic
//! would have to cross it. A registered thread gets what matters, an lcore number and with it a
//! cache in every mempool, and is started, named, joined and replaced as any Rust thread. Open
//! vSwitch does the same.
//!
//! Invariants
//!   1. A panic on a worker ends the process: its tables may be half-changed, and a switch that
//!      is missing a worker forwards some connections and not others.
//!
//! Threads: [`spawn`] is called by the management thread.

use std::any::Any;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use nix::sched::sched_setaffinity;
use nix::unistd::Pid;

use crate::dpdk_sys as ffi;
use crate::eal::{Eal, cpu_set, errno_text, last_errno};

/// Why a worker thread did not start.
#[derive(Debug, thiserror::Error)]
pub enum LcoreError {
    /// The operating system made no thread.
    #[error("no thread for CPU {cpu}: {error}")]
    Thread {
        /// The CPU.
        cpu: u16,
        /// What it said.
        error: io::Error,
    },
    /// The thread could not be bound to its CPU.
    #[error("CPU {cpu}: {error}")]
    Pin {
        /// The CPU.
        cpu: u16,
        /// What the operating system said.
        error: nix::Error,
    },
    /// EAL took no more threads.
    #[error("CPU {cpu}: DPDK does not register the thread: {reason}")]
    Register {
        /// The CPU.
        cpu: u16,
        /// Text of `rte_errno`.
        reason: String,
    },
}

/// Tells workers to stop; clones are the same flag.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells whoever looks at it to stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A running worker thread.
pub struct Lcore<T> {
    cpu: u16,
    /// Returns `None` only if it could not start, which [`spawn`] has reported.
    thread: JoinHandle<Option<T>>,
}

impl<T> Lcore<T> {
    /// The CPU that it runs on.
    pub const fn cpu(&self) -> u16 {
        self.cpu
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end and returns what it returned. Telling it to end is the caller's.
    pub fn join(self) -> T {
        let result = self.thread.join().ok().flatten();
        result.expect("it started, and a panic would have ended the process")
    }
}

/// Runs `body` on a thread of its own, bound to `cpu` and registered with EAL.
///
/// If `body` panics, the panic's message is printed as usual and the process aborts.
///
/// # Errors
/// [`LcoreError`]; `body` has not run then.
pub fn spawn<T: Send + 'static>(
    eal: &Eal,
    cpu: u16,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<Lcore<T>, LcoreError> {
    let eal = eal.clone();
    let (report, outcome) = mpsc::sync_channel(1);
    let thread = Builder::new()
        .name(format!("weir-cpu{cpu}"))
        .spawn(move || {
            let entered = Registration::enter(eal, cpu);
            let (registration, outcome) = match entered {
                Ok(registration) => (Some(registration), Ok(())),
                Err(error) => (None, Err(error)),
            };
            let _ = report.send(outcome);
            let registration = registration?;
            let result = run(cpu, body);
            drop(registration);
            Some(result)
        });
    let thread = thread.map_err(|error| LcoreError::Thread { cpu, error })?;
    outcome
        .recv()
        .expect("the thread reports before it runs anything that could end it")?;
    Ok(Lcore { cpu, thread })
}

/// A thread's registration with EAL. Not `Send`: it is the thread's own.
struct Registration {
    _eal: Eal,
    _not_send: PhantomData<*const ()>,
}

impl Registration {
    fn enter(eal: Eal, cpu: u16) -> Result<Self, LcoreError> {
        // Before registering: EAL takes the thread's affinity for the lcore's.
        cpu_set(&[usize::from(cpu)])
            .and_then(|set| sched_setaffinity(Pid::from_raw(0), &set))
            .map_err(|error| LcoreError::Pin { cpu, error })?;
        // SAFETY: EAL runs, and this new thread is not registered.
        if unsafe { ffi::rte_thread_register() } < 0 {
            return Err(LcoreError::Register {
                cpu,
                reason: errno_text(last_errno()),
            });
        }
        Ok(Self {
            _eal: eal,
            _not_send: PhantomData,
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: this thread was registered by `enter`.
        unsafe { ffi::rte_thread_unregister() };
    }
}

/// Runs `body`; a panic ends the process.
fn run<T>(cpu: u16, body: impl FnOnce() -> T) -> T {
    // Nothing is looked at after a panic, so nothing broken can be seen.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| abort(cpu, panic.as_ref()))
}

fn abort(cpu: u16, panic: &(dyn Any + Send)) -> ! {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    eprintln!("weir: the worker on CPU {cpu} panicked, the switch stops: {message}");
    process::abort();
}
