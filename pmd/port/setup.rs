//! The steps from a device's name to a running port.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::sync::Arc;

use super::device::Device;
use super::driver::Driver;
use super::error::PortErrorCause;
use super::tap::Tap;
use super::{Facts, Port, PortConfig, Spread, StartedPort};
use crate::eal::Eal;
use crate::mempool::{BUFFER_BYTES, Mempools};
use crate::queue::{RxQueue, TxQueue};
use crate::{dpdk_sys as ffi, log};

/// Descriptors in each queue of a device that has a say in it. Room for the bursts that
/// arrive while a worker is busy; more would only be more memory to walk through.
const DESCRIPTORS: u16 = 1_024;

/// The longest key that a device has.
const MOST_KEY_BYTES: usize = 64;

/// The size of a key where a device does not tell.
const USUAL_KEY_BYTES: u8 = 40;

pub(super) fn start(
    eal: &Eal,
    mempools: &mut Mempools,
    config: &PortConfig,
) -> Result<StartedPort, PortErrorCause> {
    log::forget();
    // From here on, dropping `device` on the way out undoes what was done.
    let mut device = Device::attach(eal, &config.name, &config.device, config.mtu)?;
    let id = device.id();
    let info = info(id)?;
    let plan = Plan::new(config, &info)?;

    plan.configure(id)?;
    // SAFETY: the port exists.
    let node = u32::try_from(unsafe { ffi::rte_eth_dev_socket_id(id) }).ok();
    let pool = mempools.for_node(node)?;
    device.receive_into(pool);
    plan.set_up_queues(id, &info, node, pool.as_ptr())?;
    device.set_sends_chains(plan.sends_chains);
    // Drivers that size nothing by the MTU do not know it; those that have a kernel's interface
    // behind them set it there.
    // SAFETY: the port is configured and not started.
    let result = unsafe { ffi::rte_eth_dev_set_mtu(id, config.mtu) };
    PortErrorCause::check_optional("setting the MTU", result)?;
    device.watch_removal()?;
    // SAFETY: the port and all of its queues are configured.
    let result = unsafe { ffi::rte_eth_dev_start(id) };
    PortErrorCause::check("starting the device", result)?;
    device.mark_started();
    // SAFETY: the port is started.
    let result = unsafe { ffi::rte_eth_promiscuous_enable(id) };
    PortErrorCause::check_optional("enabling promiscuous mode", result)?;

    let facts = Facts {
        driver: driver_name(&info),
        mac: mac(id)?,
        node,
        spread: plan.spread,
        redirections: info.reta_size,
        verifies_checksums: plan.rx_offloads & ffi::WEIR_RX_CHECKSUM != 0,
    };
    let tap = plan.is_tap.then(|| Tap::find(info.if_index)).flatten();
    let device = Arc::new(device);
    let queues = |count| (0..count).map(|queue| (Arc::clone(&device), queue));
    Ok(StartedPort {
        // SAFETY: the port is started, has these queues, and this is the only place that makes
        // them.
        rx: queues(plan.rx_queues)
            .map(|(d, q)| unsafe { RxQueue::new(d, q) })
            .collect(),
        // SAFETY: as above.
        tx: queues(plan.tx_queues)
            .map(|(d, q)| unsafe { TxQueue::new(d, q) })
            .collect(),
        port: Port { device, facts, tap },
    })
}

/// What will be configured, decided from what was asked for and what the device can do.
struct Plan {
    mtu: u16,
    rx_queues: u16,
    tx_queues: u16,
    rx_descriptors: u16,
    tx_descriptors: u16,
    rx_offloads: u64,
    tx_offloads: u64,
    sends_chains: bool,
    is_tap: bool,
    spread: Spread,
    rss_fields: u64,
    rss_key: u16,
    rss_key_bytes: u8,
    tells_removal: bool,
}

impl Plan {
    fn new(config: &PortConfig, info: &ffi::rte_eth_dev_info) -> Result<Self, PortErrorCause> {
        let name = driver_name(info);
        let driver = Driver::named(&name);
        let (mut rx_queues, mut tx_queues) = (config.rx_queues, config.tx_queues);
        if driver.pairs_queues {
            rx_queues = rx_queues.max(tx_queues);
            tx_queues = rx_queues;
        }
        check_queues("receive", rx_queues, info.max_rx_queues)?;
        check_queues("transmit", tx_queues, info.max_tx_queues)?;

        let mtu = config.mtu;
        check_mtu(mtu, info, &name)?;
        let frame_bytes = u32::from(mtu) + ffi::WEIR_PORT_OVERHEAD;
        let chained = frame_bytes > u32::from(BUFFER_BYTES);
        let scatters = info.rx_offload_capa & ffi::WEIR_RX_SCATTER != 0;
        let gathers = info.tx_offload_capa & ffi::WEIR_TX_MULTI_SEGS != 0;
        for (can, verb) in [(scatters, "receive"), (gathers, "send")] {
            if chained && !can && !driver.carries_chains {
                let (buffer, driver) = (BUFFER_BYTES, name);
                return Err(PortErrorCause::Chains {
                    mtu,
                    buffer,
                    driver,
                    verb,
                });
            }
        }

        let mut rx_offloads = 0;
        if chained && scatters {
            rx_offloads |= ffi::WEIR_RX_SCATTER;
        }
        if !driver.checksums_in_software {
            rx_offloads |= info.rx_offload_capa & ffi::WEIR_RX_CHECKSUM;
        }
        // Wherever the device can: a long frame may come from any port.
        let tx_offloads = info.tx_offload_capa & ffi::WEIR_TX_MULTI_SEGS;

        let rss_fields = info.flow_type_rss_offloads & ffi::WEIR_RSS_FIELDS;
        let spread = match rx_queues {
            1 => Spread::OneQueue,
            _ if driver.rss && rss_fields != 0 => Spread::SymmetricRss,
            _ => Spread::Unknown,
        };
        let rss_key_bytes = match info.hash_key_size {
            0 => USUAL_KEY_BYTES,
            size => size.min(MOST_KEY_BYTES as u8),
        };
        let rx_descriptors = if driver.one_frame_ring {
            // The number of segments of the longest frame, with a VLAN tag more than the MTU
            // has; far below u16::MAX.
            (frame_bytes + 4).div_ceil(u32::from(BUFFER_BYTES)) as u16
        } else {
            DESCRIPTORS
        };
        Ok(Self {
            mtu,
            rx_queues,
            tx_queues,
            rx_descriptors,
            tx_descriptors: DESCRIPTORS,
            rx_offloads,
            tx_offloads,
            sends_chains: gathers || driver.carries_chains,
            is_tap: driver.is_tap,
            spread,
            rss_fields,
            rss_key: config.rss_key,
            rss_key_bytes,
            // SAFETY: what the driver said of itself, which it never takes back.
            tells_removal: unsafe { ffi::weir_tells_removal(info) } != 0,
        })
    }

    fn configure(&self, id: u16) -> Result<(), PortErrorCause> {
        let mut conf = ffi::rte_eth_conf::default();
        conf.rxmode.mtu = u32::from(self.mtu);
        conf.rxmode.offloads = self.rx_offloads;
        conf.txmode.offloads = self.tx_offloads;
        conf.intr_conf.set_rmv(self.tells_removal.into());
        // The key is only read, during the call; DPDK's type is not const.
        let mut key = [self.rss_key.to_be_bytes(); MOST_KEY_BYTES / 2];
        if self.spread == Spread::SymmetricRss {
            conf.rxmode.mq_mode = ffi::WEIR_MQ_RSS;
            conf.rx_adv_conf.rss_conf.rss_key = key.as_flattened_mut().as_mut_ptr();
            conf.rx_adv_conf.rss_conf.rss_key_len = self.rss_key_bytes;
            conf.rx_adv_conf.rss_conf.rss_hf = self.rss_fields;
        } else {
            conf.rxmode.mq_mode = ffi::WEIR_MQ_NONE;
        }
        // SAFETY: the port is attached and not configured; `conf` and `key` live through the
        // call, which copies them.
        let result = unsafe {
            ffi::rte_eth_dev_configure(id, self.rx_queues, self.tx_queues, &raw const conf)
        };
        PortErrorCause::check("configuring the device", result)
    }

    fn set_up_queues(
        &self,
        id: u16,
        info: &ffi::rte_eth_dev_info,
        node: Option<u32>,
        pool: *mut ffi::rte_mempool,
    ) -> Result<(), PortErrorCause> {
        let (mut rx_len, mut tx_len) = (self.rx_descriptors, self.tx_descriptors);
        // SAFETY: the port is configured; both numbers are written to during the call.
        let result =
            unsafe { ffi::rte_eth_dev_adjust_nb_rx_tx_desc(id, &raw mut rx_len, &raw mut tx_len) };
        PortErrorCause::check("sizing the queues", result)?;
        // SOCKET_ID_ANY where the device is on no node.
        let node = node.unwrap_or(u32::MAX);
        let mut rx_conf = info.default_rxconf;
        rx_conf.offloads = self.rx_offloads;
        for queue in 0..self.rx_queues {
            // SAFETY: the port is configured with this many queues; `rx_conf` lives through the
            // call, and the pool as long as the device, which has a handle to it.
            let result = unsafe {
                ffi::rte_eth_rx_queue_setup(id, queue, rx_len, node, &raw const rx_conf, pool)
            };
            PortErrorCause::check("setting up a receive queue", result)?;
        }
        let mut tx_conf = info.default_txconf;
        tx_conf.offloads = self.tx_offloads;
        for queue in 0..self.tx_queues {
            // SAFETY: as above.
            let result =
                unsafe { ffi::rte_eth_tx_queue_setup(id, queue, tx_len, node, &raw const tx_conf) };
            PortErrorCause::check("setting up a transmit queue", result)?;
        }
        Ok(())
    }
}

fn info(id: u16) -> Result<ffi::rte_eth_dev_info, PortErrorCause> {
    let mut info = ffi::rte_eth_dev_info::default();
    // SAFETY: the port is attached; `info` is written to during the call.
    let result = unsafe { ffi::rte_eth_dev_info_get(id, &raw mut info) };
    PortErrorCause::check("asking the device what it can do", result)?;
    Ok(info)
}

fn mac(id: u16) -> Result<[u8; 6], PortErrorCause> {
    let mut address = MaybeUninit::<ffi::rte_ether_addr>::zeroed();
    // SAFETY: the port exists; the address is written to during the call.
    let result = unsafe { ffi::rte_eth_macaddr_get(id, address.as_mut_ptr()) };
    PortErrorCause::check("asking the device for its MAC address", result)?;
    // SAFETY: six bytes, initialized above.
    Ok(unsafe { address.assume_init() }.addr_bytes)
}

fn driver_name(info: &ffi::rte_eth_dev_info) -> String {
    if info.driver_name.is_null() {
        return "unknown driver".to_owned();
    }
    // SAFETY: a C string of the driver, which is never unloaded.
    unsafe { CStr::from_ptr(info.driver_name) }
        .to_string_lossy()
        .into_owned()
}

fn check_queues(kind: &'static str, asked: u16, max: u16) -> Result<(), PortErrorCause> {
    if (1..=max).contains(&asked) {
        return Ok(());
    }
    Err(PortErrorCause::Queues { kind, asked, max })
}

/// The limits as DPDK applies them: its own says little of what the driver's frame size allows.
fn check_mtu(asked: u16, info: &ffi::rte_eth_dev_info, driver: &str) -> Result<(), PortErrorCause> {
    let overhead = if info.max_mtu != u16::MAX && info.max_rx_pktlen > u32::from(info.max_mtu) {
        info.max_rx_pktlen - u32::from(info.max_mtu)
    } else {
        ffi::WEIR_PORT_OVERHEAD
    };
    let by_frame = info.max_rx_pktlen.saturating_sub(overhead);
    let max = u16::try_from(by_frame)
        .unwrap_or(u16::MAX)
        .min(info.max_mtu);
    if (info.min_mtu..=max).contains(&asked) {
        return Ok(());
    }
    Err(PortErrorCause::Mtu {
        asked,
        min: info.min_mtu,
        max,
        driver: driver.to_owned(),
    })
}
