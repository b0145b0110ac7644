//! Mempools: where the buffers of frames come from, one per NUMA node.
//!
//! A buffer holds 2 KB; a longer frame is a chain of them.
//!
//! Invariants
//!   1. A pool is freed only when every buffer is back. If one is outside when the last handle
//!      goes, the pool stays (and with it EAL), and an error is logged: a leak rather than
//!      frames in freed memory.
//!
//! Threads: handles and buffers may be used on any thread; registered lcores have a cache each.

use std::ffi::CString;
use std::mem;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::eal::{Eal, errno_text, last_errno, with_log};
use crate::mbuf::{self, Mbuf};
use crate::segment::Segment;
use crate::{dpdk_sys as ffi, log};

/// Room for data in one buffer, behind the headroom; what most drivers ask for at least.
pub const BUFFER_BYTES: u16 = 2_048;

/// Buffers in each lcore's cache.
pub const CACHE_LEN: u32 = 256;

/// How a pool is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolArgs {
    /// Buffers in the pool. One less than a power of two uses memory best.
    pub mbufs: u32,
    /// NUMA node on which they lie; `None`: wherever there is memory.
    pub node: Option<u32>,
}

/// A pool could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no memory pool of {} mbufs on {}: {}",
    .args.mbufs,
    node_name(.args.node),
    with_log(.reason, .log)
)]
pub struct PoolError {
    /// What was asked for.
    pub args: PoolArgs,
    /// Text of `rte_errno`.
    pub reason: String,
    /// What DPDK logged, if anything.
    pub log: String,
}

/// Why no frame could be made from bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakeFrameError {
    /// There are none.
    #[error("a frame has at least one byte")]
    Empty,
    /// The pool has too few buffers left.
    #[error("the memory pool is empty")]
    Exhausted,
    /// It would take more segments than a frame can have.
    #[error("the frame is too long")]
    TooLong,
}

/// A handle to a pool; clones are handles to the same.
#[derive(Clone)]
pub struct Mempool(Arc<Pool>);

struct Pool {
    raw: NonNull<ffi::rte_mempool>,
    mbufs: u32,
    eal: Eal,
}

// SAFETY: DPDK's pool operations are safe on any thread.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Mempool {
    /// Makes a pool.
    ///
    /// # Errors
    /// [`PoolError`]: mostly too little memory (`memory_mb` of [`crate::eal::EalArgs`]), a buffer
    /// taking about 2.4 KB.
    pub fn new(eal: &Eal, args: PoolArgs) -> Result<Self, PoolError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("weir{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let name = CString::new(name).expect("a number has no NUL");
        // DPDK refuses a cache that could hold most of a small pool.
        let cache = CACHE_LEN
            .min(ffi::WEIR_MEMPOOL_CACHE_MAX)
            .min(args.mbufs / 8);
        let room = BUFFER_BYTES + ffi::WEIR_MBUF_HEADROOM as u16;
        let node = args
            .node
            .map_or(ANY_NODE, |node| i32::try_from(node).unwrap_or(ANY_NODE));
        log::forget();
        // SAFETY: EAL runs, and the name is a C string, which is copied.
        let raw = unsafe {
            ffi::rte_pktmbuf_pool_create(name.as_ptr(), args.mbufs, cache, 0, room, node)
        };
        let raw = NonNull::new(raw).ok_or_else(|| PoolError {
            args,
            reason: errno_text(last_errno()),
            log: log::recent(),
        })?;
        Ok(Self(Arc::new(Pool {
            raw,
            mbufs: args.mbufs,
            eal: eal.clone(),
        })))
    }

    /// A frame with these bytes, a chain if they do not fit one buffer.
    ///
    /// # Errors
    /// [`MakeFrameError`].
    pub fn frame(&self, bytes: &[u8]) -> Result<Mbuf, MakeFrameError> {
        if bytes.is_empty() {
            return Err(MakeFrameError::Empty);
        }
        let segments = bytes.len().div_ceil(usize::from(BUFFER_BYTES));
        if segments > ffi::WEIR_MBUF_MAX_SEGS as usize {
            return Err(MakeFrameError::TooLong);
        }
        let head = self.buffer()?;
        // SAFETY: just taken from the pool, so live and nobody else's; not empty by the time it
        // is used. Dropped on failure, it frees what the chain has got so far.
        let frame = unsafe { Mbuf::from_raw(head) };
        let mut last = head;
        let mut rest = bytes;
        loop {
            // SAFETY: `last` is the last segment of our frame. The lengths are those of the
            // chain as it is; the number of bytes fits, being at most 65,535 buffers'.
            unsafe {
                let count = mbuf::append(last, rest);
                rest = &rest[usize::from(count)..];
                head.set_pkt_len(head.pkt_len() + u32::from(count));
            }
            if rest.is_empty() {
                return Ok(frame);
            }
            let next = self.buffer()?;
            // SAFETY: both are live and ours; `next` is a single empty segment. Headroom is of no
            // use inside of a chain.
            unsafe {
                next.set_data_off(0);
                last.set_next(next);
                head.set_nb_segs(head.nb_segs() + 1);
            }
            last = next;
        }
    }

    /// Buffers in the pool, in use or not.
    pub fn capacity(&self) -> usize {
        self.0.mbufs as usize
    }

    /// Buffers that nobody has. Cost: looks into the cache of each possible lcore.
    pub fn available(&self) -> usize {
        self.0.available()
    }

    /// Buffers that are in frames or with a device.
    pub fn in_use(&self) -> usize {
        self.capacity() - self.available().min(self.capacity())
    }

    pub(crate) fn as_ptr(&self) -> *mut ffi::rte_mempool {
        self.0.raw.as_ptr()
    }

    fn buffer(&self) -> Result<Segment, MakeFrameError> {
        // SAFETY: the pool is live.
        let buffer = unsafe { ffi::weir_mbuf_alloc(self.0.raw.as_ptr()) };
        NonNull::new(buffer)
            .map(Segment)
            .ok_or(MakeFrameError::Exhausted)
    }
}

impl Pool {
    fn available(&self) -> usize {
        // SAFETY: the pool is live; the count is a snapshot if others use it.
        unsafe { ffi::rte_mempool_avail_count(self.raw.as_ptr()) as usize }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let outside = (self.mbufs as usize).saturating_sub(self.available());
        if outside == 0 {
            // SAFETY: every buffer is back, nobody can take one without a handle or a frame of
            // this pool, and this was the last handle.
            unsafe { ffi::rte_mempool_free(self.raw.as_ptr()) };
        } else {
            tracing::error!("{outside} mbufs are still in use: their memory pool is not freed");
            mem::forget(self.eal.clone());
        }
    }
}

/// The pools of all NUMA nodes, made as ports need them.
pub struct Mempools {
    eal: Eal,
    mbufs_per_node: u32,
    pools: Vec<(Option<u32>, Mempool)>,
}

impl Mempools {
    /// No pool yet; each will have `mbufs_per_node` buffers.
    pub const fn new(eal: Eal, mbufs_per_node: u32) -> Self {
        Self {
            eal,
            mbufs_per_node,
            pools: Vec::new(),
        }
    }

    /// The pool of a node; `None` for devices that belong to no node. Without huge pages memory
    /// has no node, and one pool serves all.
    ///
    /// # Errors
    /// [`PoolError`] if it had to be made and could not be.
    pub fn for_node(&mut self, node: Option<u32>) -> Result<&Mempool, PoolError> {
        let node = node.filter(|_| self.eal.hugepages());
        let index = match self.pools.iter().position(|(of, _)| *of == node) {
            Some(index) => index,
            None => {
                let args = PoolArgs {
                    mbufs: self.mbufs_per_node,
                    node,
                };
                self.pools.push((node, Mempool::new(&self.eal, args)?));
                self.pools.len() - 1
            }
        };
        Ok(&self.pools[index].1)
    }

    /// Each pool with its node.
    pub fn iter(&self) -> impl Iterator<Item = (Option<u32>, &Mempool)> {
        self.pools.iter().map(|(node, pool)| (*node, pool))
    }
}

/// `SOCKET_ID_ANY`.
const ANY_NODE: i32 = -1;

fn node_name(node: Option<u32>) -> String {
    node.map_or_else(
        || "any NUMA node".to_owned(),
        |node| format!("NUMA node {node}"),
    )
}
