//! DPDK's environment abstraction layer: started once per process from typed arguments.
//!
//! EAL gets a single lcore of its own, the management thread, which may run on every CPU that is
//! not a worker's. Workers are ordinary threads that register with EAL (`lcore` says why).
//!
//! Invariants
//!   1. EAL is initialized at most once per process, and cleaned up when the last [`Eal`] is
//!      gone. Pools and devices hold one, so it outlives them.
//!   2. Neither the management thread nor a thread that EAL makes for itself runs on a
//!      worker's CPU, unless the workers have all there are.
//!
//! Threads: [`Eal::start`] binds the calling thread, which becomes the management thread;
//! threads that it spawns later inherit that.

use std::ffi::{CStr, CString, c_char};
use std::fs;
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::{dpdk_sys as ffi, log};

/// What EAL is started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EalArgs {
    /// CPUs for workers, which the management thread stays away from. By the operating system's
    /// numbers.
    pub worker_cpus: Vec<u16>,
    /// Whether memory comes from hugetlbfs. If not (`--no-huge`), there is no DMA: only virtual
    /// devices work.
    pub hugepages: bool,
    /// Memory for mempools and devices, in MB; 0 leaves it to EAL, which then takes 64 MB
    /// without huge pages and what it needs with them.
    pub memory_mb: u32,
    /// Whether PCI devices can be used. None is touched before a port names it.
    pub pci: bool,
    /// Further EAL arguments, passed on as they are behind weir's own.
    pub extra: Vec<String>,
}

/// Why EAL did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EalError {
    /// It was started in this process before; DPDK cannot be started a second time.
    #[error("DPDK was already started in this process")]
    Again,
    /// An argument contains a NUL.
    #[error("EAL argument {0:?} contains a NUL byte")]
    Argument(String),
    /// A worker's CPU does not exist or is not allowed to this process.
    #[error("CPU {cpu} is not available to this process (available: {available})")]
    Cpu {
        /// The CPU asked for.
        cpu: u16,
        /// The CPUs that are, as a list of ranges.
        available: String,
    },
    /// A CPU is named for two workers.
    #[error("CPU {0} is named twice: a worker needs a CPU of its own")]
    CpuTwice(u16),
    /// The operating system refused to tell or to set CPU affinity.
    #[error("CPU affinity: {0}")]
    Affinity(nix::Error),
    /// `rte_eal_init` failed.
    #[error("DPDK does not start: {}", with_log(.reason, .log))]
    Init {
        /// Text of `rte_errno`.
        reason: String,
        /// What EAL logged, if anything.
        log: String,
    },
}

/// DPDK, running. Clones are handles to the same; the last one to go shuts it down.
#[derive(Clone)]
pub struct Eal(Arc<Running>);

struct Running {
    /// CPUs that this process may use.
    available: Vec<usize>,
    management: Vec<usize>,
    workers: Vec<u16>,
    hugepages: bool,
}

impl Eal {
    /// Starts EAL and binds the calling thread to the CPUs that are not the workers'.
    ///
    /// # Errors
    /// [`EalError`]; after a wrong argument it can be started again with a better one, if DPDK
    /// allows.
    pub fn start(args: &EalArgs) -> Result<Self, EalError> {
        static STARTED: AtomicBool = AtomicBool::new(false);
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(EalError::Again);
        }
        let running = start(args).inspect_err(|_| STARTED.store(false, Ordering::SeqCst))?;
        Ok(Self(Arc::new(running)))
    }

    /// CPUs on which the management thread may run.
    pub fn management_cpus(&self) -> &[usize] {
        &self.0.management
    }

    /// Whether the management thread has to share a CPU with a worker, because there is no
    /// other.
    pub fn management_shares_cpu(&self) -> bool {
        self.0
            .workers
            .iter()
            .any(|&cpu| self.0.management.contains(&usize::from(cpu)))
    }

    /// Whether there are these CPUs for workers, each once.
    ///
    /// # Errors
    /// [`EalError::Cpu`] and [`EalError::CpuTwice`].
    pub(crate) fn check_workers(&self, workers: &[u16]) -> Result<(), EalError> {
        management_cpus(&self.0.available, workers).map(drop)
    }

    /// Binds the calling thread, which is the management thread, to the CPUs that are not those of
    /// `workers`, as far as there are others.
    ///
    /// # Errors
    /// As [`Eal::check_workers`], and [`EalError::Affinity`].
    pub(crate) fn stay_away_from(&self, workers: &[u16]) -> Result<(), EalError> {
        let cpus = management_cpus(&self.0.available, workers)?;
        let set = cpu_set(&cpus).map_err(EalError::Affinity)?;
        sched_setaffinity(Pid::from_raw(0), &set).map_err(EalError::Affinity)
    }

    /// Whether memory comes from huge pages.
    pub fn hugepages(&self) -> bool {
        self.0.hugepages
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: started, and nothing that uses DPDK is left: pools and devices hold an `Eal`.
        let result = unsafe { ffi::rte_eal_cleanup() };
        if result != 0 {
            tracing::warn!("DPDK clean-up: {}", errno_text(result));
        }
    }
}

fn start(args: &EalArgs) -> Result<Running, EalError> {
    let this_thread = Pid::from_raw(0);
    let before = sched_getaffinity(this_thread).map_err(EalError::Affinity)?;
    let available = cpus_in(&before);
    let management = management_cpus(&available, &args.worker_cpus)?;

    let arguments = c_arguments(&eal_arguments(args, &management))?;
    // EAL keeps pointers into its arguments and may swap them: they stay for good.
    let arguments: &'static mut [*mut c_char] =
        Vec::leak(arguments.into_iter().map(CString::into_raw).collect());
    let count = i32::try_from(arguments.len()).unwrap_or(i32::MAX);

    // EAL's own threads get the CPUs that the calling thread has now.
    let set = cpu_set(&management).map_err(EalError::Affinity)?;
    sched_setaffinity(this_thread, &set).map_err(EalError::Affinity)?;
    log::install();
    log::forget();
    // SAFETY: `count` C strings, which live and may be written to for good; the flag in
    // `Eal::start` makes this the only call.
    let parsed = unsafe { ffi::rte_eal_init(count, arguments.as_mut_ptr()) };
    if parsed < 0 {
        let reason = errno_text(last_errno());
        let _ = sched_setaffinity(this_thread, &before);
        return Err(EalError::Init {
            reason,
            log: log::recent(),
        });
    }
    // `extra` may have asked for another placement of EAL's lcore.
    sched_setaffinity(this_thread, &set).map_err(EalError::Affinity)?;

    remove_runtime_dir();
    Ok(Running {
        available,
        management,
        workers: args.worker_cpus.clone(),
        hugepages: args.hugepages,
    })
}

/// Removes the directory that EAL makes for files shared between processes: weir has none, and
/// EAL would leave it behind.
fn remove_runtime_dir() {
    // SAFETY: EAL runs; it returns a C string of its own or NULL.
    let directory = unsafe { ffi::rte_eal_get_runtime_dir() };
    if !directory.is_null() {
        // SAFETY: as above.
        let directory = unsafe { CStr::from_ptr(directory) };
        // If `extra` made EAL put something there, it is not empty and stays.
        let _ = fs::remove_dir(directory.to_string_lossy().as_ref());
    }
}

/// The CPUs that are left to the management thread; all of them if the workers take all.
fn management_cpus(available: &[usize], workers: &[u16]) -> Result<Vec<usize>, EalError> {
    for (index, &cpu) in workers.iter().enumerate() {
        if !available.contains(&usize::from(cpu)) {
            return Err(EalError::Cpu {
                cpu,
                available: ranges(available),
            });
        }
        if workers[..index].contains(&cpu) {
            return Err(EalError::CpuTwice(cpu));
        }
    }
    let rest: Vec<usize> = available
        .iter()
        .copied()
        .filter(|cpu| !workers.iter().any(|&worker| usize::from(worker) == *cpu))
        .collect();
    Ok(if rest.is_empty() {
        available.to_vec()
    } else {
        rest
    })
}

/// The command line for EAL.
fn eal_arguments(args: &EalArgs, management: &[usize]) -> Vec<String> {
    let mut line = vec!["weir".to_owned()];
    // One lcore, number 0, on all of the management CPUs.
    line.extend(["--lcores".to_owned(), format!("0@({})", ranges(management))]);
    if args.hugepages {
        // Nothing in hugetlbfs or /run survives the process.
        line.push("--in-memory".to_owned());
    } else {
        // `--in-memory` excludes `--no-huge`; what it does besides is `--no-shconf`.
        line.extend(["--no-huge".to_owned(), "--no-shconf".to_owned()]);
    }
    if args.memory_mb > 0 {
        line.extend(["-m".to_owned(), args.memory_mb.to_string()]);
    }
    if args.pci {
        // An allow list with nothing in it: ports are probed one by one when they are named.
        line.extend(["-a".to_owned(), NO_DEVICE.to_owned()]);
    } else {
        line.push("--no-pci".to_owned());
    }
    line.push("--no-telemetry".to_owned());
    line.extend(["--log-level".to_owned(), "notice".to_owned()]);
    line.extend([
        "--file-prefix".to_owned(),
        format!("weir-{}", process::id()),
    ]);
    line.extend(args.extra.iter().cloned());
    line
}

/// A PCI address that is no device's: a host bridge.
const NO_DEVICE: &str = "0000:00:00.0";

fn c_arguments(arguments: &[String]) -> Result<Vec<CString>, EalError> {
    arguments
        .iter()
        .map(|text| CString::new(text.as_str()).map_err(|_| EalError::Argument(text.clone())))
        .collect()
}

pub(crate) fn cpu_set(cpus: &[usize]) -> nix::Result<CpuSet> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)?;
    }
    Ok(set)
}

fn cpus_in(set: &CpuSet) -> Vec<usize> {
    (0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu) == Ok(true))
        .collect()
}

/// The NUMA node of a CPU; 0 where the kernel does not tell, as EAL has it.
pub(crate) fn node_of_cpu(cpu: u16) -> u32 {
    node_in(Path::new("/sys/devices/system/cpu"), cpu).unwrap_or(0)
}

/// The kernel has a link `nodeN` in the directory of each CPU.
fn node_in(cpus: &Path, cpu: u16) -> Option<u32> {
    let entries = fs::read_dir(cpus.join(format!("cpu{cpu}"))).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut nodes = names.filter_map(|name| name.strip_prefix("node")?.parse().ok());
    nodes.next()
}

/// `0,2-5,7`. `cpus` ascend.
fn ranges(cpus: &[usize]) -> String {
    let runs = cpus.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        [one] => one.to_string(),
        [] => String::new(),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// `rte_errno` of this thread.
pub(crate) fn last_errno() -> i32 {
    // SAFETY: reads a thread-local.
    unsafe { ffi::weir_errno() }
}

/// The text of an error number as DPDK's functions return it, positive or negative.
pub(crate) fn errno_text(code: i32) -> String {
    // SAFETY: returns a C string that is valid until this thread's next call.
    let text = unsafe { CStr::from_ptr(ffi::rte_strerror(code.abs())) };
    text.to_string_lossy().into_owned()
}

/// `reason`, and what DPDK logged about it.
pub(crate) fn with_log(reason: &str, log: &str) -> String {
    if log.is_empty() {
        reason.to_owned()
    } else {
        format!("{reason} ({log})")
    }
}

#[cfg(test)]
mod tests;
