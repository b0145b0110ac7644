//! DPDK for tests: once per process, one test at a time.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use weir_packet::Frame;
use weir_pmd::eal::{Eal, EalArgs};
use weir_pmd::mempool::{Mempool, Mempools, PoolArgs};
use weir_pmd::port::{DeviceName, Port, PortConfig, PortError, StartedPort};
use weir_pmd::{Mbuf, MbufBatch, RxQueue, TxQueue};

/// Buffers in the pool of a test: few, so that a leak runs it dry.
pub(crate) const MBUFS: u32 = 2_047;

/// DPDK, held by one test at a time.
pub(crate) struct Dpdk {
    pub(crate) eal: Eal,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for its turn and starts DPDK if no test of this process has.
pub(crate) fn dpdk() -> Dpdk {
    static TURN: Mutex<()> = Mutex::new(());
    static EAL: OnceLock<Eal> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let eal = EAL.get_or_init(|| {
        let args = EalArgs {
            memory_mb: 128,
            ..EalArgs::default()
        };
        Eal::start(&args).expect("DPDK starts without huge pages, PCI or root")
    });
    Dpdk {
        eal: eal.clone(),
        _turn: turn,
    }
}

/// Runs `test` with a pool, and says so if it left a frame outside.
pub(crate) fn with_pool<T>(dpdk: &Dpdk, test: impl FnOnce(&Mempool) -> T) -> T {
    let args = PoolArgs {
        mbufs: MBUFS,
        node: None,
    };
    let pool = Mempool::new(&dpdk.eal, args).expect("memory for a small pool");
    let result = test(&pool);
    assert_eq!(pool.in_use(), 0, "mbufs that the test did not give back");
    result
}

/// Runs `test` with the pools that ports take theirs from, and says so if it left a frame
/// outside.
pub(crate) fn with_pools<T>(dpdk: &Dpdk, test: impl FnOnce(&mut Mempools) -> T) -> T {
    let mut pools = Mempools::new(dpdk.eal.clone(), MBUFS);
    let result = test(&mut pools);
    for (node, pool) in pools.iter() {
        assert_eq!(
            pool.in_use(),
            0,
            "mbufs that the test did not give back ({node:?})"
        );
    }
    result
}

/// Starts a port with one queue pair.
pub(crate) fn start(
    dpdk: &Dpdk,
    pools: &mut Mempools,
    vdev: &str,
    mtu: u16,
) -> Result<StartedPort, PortError> {
    let device = DeviceName::Vdev(vdev.to_owned());
    let name = format!("test-{}", vdev.split(',').next().unwrap_or_default());
    let config = PortConfig {
        name,
        device,
        rx_queues: 1,
        tx_queues: 1,
        mtu,
        rss_key: 0x6d5a,
    };
    Port::start(&dpdk.eal, pools, &config)
}

/// Sends `frames` in order, all of which must be taken.
pub(crate) fn send(queue: &mut TxQueue, frames: impl IntoIterator<Item = Mbuf>) {
    let mut batch: MbufBatch = MbufBatch::new();
    for frame in frames {
        batch.push(frame).expect("no more than a burst");
    }
    let count = batch.len();
    assert_eq!(queue.send(&mut batch), count);
    assert!(batch.is_empty());
}

/// What is waiting at `queue`, at most a burst of it, as bytes.
pub(crate) fn receive(queue: &mut RxQueue) -> Vec<Vec<u8>> {
    let mut batch: MbufBatch = MbufBatch::new();
    queue.receive(&mut batch);
    batch.drain().map(|frame| bytes(&frame)).collect()
}

/// All bytes of a frame.
pub(crate) fn bytes(frame: &impl Frame) -> Vec<u8> {
    let mut bytes = frame.head().to_vec();
    frame
        .tail()
        .for_each(|segment| bytes.extend_from_slice(segment));
    assert_eq!(bytes.len(), frame.len());
    bytes
}

/// A frame of `len` bytes that differs from others of another `seed` or length.
pub(crate) fn pattern(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len)
        .map(|at| {
            (at as u8)
                .wrapping_mul(31)
                .wrapping_add((at >> 8) as u8 ^ seed)
        })
        .collect();
    // An Ethernet type that nothing looks into, and a unicast destination.
    bytes[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, seed, 0x88, 0xb5]);
    bytes
}

/// Whether the kernel has an interface of this name.
pub(crate) fn interface_exists(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).exists()
}

/// Whether the test may make TAP devices; if not, says loudly that it does not run.
pub(crate) fn can_make_taps(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root || !Path::new("/dev/net/tun").exists() {
        eprintln!("SKIPPED {test}: needs root and /dev/net/tun");
        return false;
    }
    true
}
