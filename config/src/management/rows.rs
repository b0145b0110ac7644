//! What the datapath counted, as rows.

use std::collections::HashMap;
use std::sync::Arc;

use weir_packet::Malformed;
use weir_tables::action::PacketInReason;
use weir_tables::cache::{CacheStats, MaskStats};
use weir_tables::counters::LcoreCounters;
use weir_tables::datapath::{Datapath, PollStats, Pool, PortStats, PortStatus};
use weir_tables::drops::DropReason;
use weir_tables::mac_table::MacEntry;
use weir_tables::port::{PortFlags, PortNo, PortTable};
use weir_tables::tunnel::{NeighbourEntry, Remote, TunnelKey};

use super::devices::Devices;
use crate::file::{Config, Device};
use crate::metrics::{CounterRow, PoolRow};
use crate::show::{
    CacheRow, DropRow, FdbRow, FragmentsRow, LcoreRow, LinkState, MasksRow, MemoryRow,
    NeighbourRow, PortRow,
};

/// Each pool.
pub(crate) fn pools(pools: &[Pool]) -> Vec<PoolRow> {
    let row = |pool: &Pool| PoolRow {
        node: pool.node,
        buffers: pool.buffers,
        in_use: pool.in_use,
    };
    pools.iter().map(row).collect()
}

/// Each reason with the sum over all lcores.
pub(crate) fn drops(lcores: &[Arc<LcoreCounters>]) -> Vec<DropRow> {
    let sum = |reason: DropReason| {
        lcores
            .iter()
            .map(|one| one.drops[reason as usize].read())
            .sum()
    };
    let row = |reason: &DropReason| DropRow {
        reason: reason.name().to_owned(),
        packets: sum(*reason),
        sentence: reason.sentence().to_owned(),
    };
    DropReason::ALL.iter().map(row).collect()
}

/// Packets handed over for a controller, by reason, with the sum over all lcores.
pub(super) fn packet_ins(lcores: &[Arc<LcoreCounters>]) -> Vec<CounterRow> {
    let row = |reason: &PacketInReason| CounterRow {
        name: reason.name().to_owned(),
        value: lcores
            .iter()
            .map(|lcore| lcore.packet_ins[*reason as usize].read())
            .sum(),
        sentence: String::new(),
    };
    PacketInReason::ALL.iter().map(row).collect()
}

/// Packets that a controller was to get and did not: those over the rate of their port, and
/// those for which no slot was free.
pub(super) fn packet_ins_refused(lcores: &[Arc<LcoreCounters>]) -> [u64; 2] {
    [DropReason::PacketInLimited, DropReason::PacketInFull].map(|reason| {
        let of = |lcore: &Arc<LcoreCounters>| lcore.drops[reason as usize].read();
        lcores.iter().map(of).sum()
    })
}

/// Each kind of malformed packet with the sum over all lcores.
pub(super) fn malformed(lcores: &[Arc<LcoreCounters>]) -> Vec<CounterRow> {
    const KINDS: [(Malformed, &str); Malformed::COUNT] = [
        (Malformed::Runt, "runt"),
        (Malformed::Vlan, "vlan"),
        (Malformed::Arp, "arp"),
        (Malformed::Ipv4, "ipv4"),
        (Malformed::Ipv6, "ipv6"),
        (Malformed::Ipv6Extension, "ipv6_extension"),
        (Malformed::L4, "l4"),
    ];
    let row = |(kind, name): (Malformed, &str)| CounterRow {
        name: name.to_owned(),
        value: lcores
            .iter()
            .map(|lcore| lcore.malformed[kind as usize].read())
            .sum(),
        sentence: String::new(),
    };
    KINDS.into_iter().map(row).collect()
}

/// Each counter of the connection tracker with the sum over all lcores; of several also what passed
/// between them.
pub(super) fn conntrack(lcores: &[Arc<LcoreCounters>]) -> Vec<CounterRow> {
    let row = |name: &str, sentence: &str, value: &dyn Fn(&LcoreCounters) -> u64| CounterRow {
        name: name.to_owned(),
        value: lcores.iter().map(|lcore| value(lcore)).sum(),
        sentence: sentence.to_owned(),
    };
    let mut rows = Vec::new();
    for (at, (name, _, sentence)) in weir_ct::Counters::default().iter().enumerate() {
        rows.push(row(name, sentence, &|lcore| lcore.conntrack[at].read()));
    }
    if lcores.len() > 1 {
        for (at, (name, _, sentence)) in weir_ct::ShardCounters::default().iter().enumerate() {
            let name = format!("between_lcores_{name}");
            rows.push(row(&name, sentence, &|lcore| lcore.hand_offs[at].read()));
        }
    }
    rows
}

pub(super) fn lcore(counters: &LcoreCounters, polls: PollStats) -> LcoreRow {
    LcoreRow {
        lcore: polls.lcore,
        packets: counters.packets.read(),
        bytes: counters.bytes.read(),
        busy_polls: polls.busy_polls,
        idle_polls: polls.idle_polls,
        passes: counters.passes.read(),
        lookups: counters.lookups.read(),
        trajectories: cache(counters.trajectories.read()),
        megaflows: cache(counters.megaflows.read()),
        masks: masks(counters.masks.read()),
        memory: MemoryRow::read(&counters.memory),
        fragments: FragmentsRow::read(&counters.fragments),
        busy_cycles: polls.busy_cycles,
        idle_cycles: polls.idle_cycles,
        answer_cycles: counters.answer_cycles.read(),
    }
}

const fn cache(stats: CacheStats) -> CacheRow {
    CacheRow {
        hits: stats.hits,
        misses: stats.misses,
        stale: stats.stale,
        refused: stats.refused,
    }
}

const fn masks(stats: MaskStats) -> MasksRow {
    MasksRow {
        masks: stats.masks,
        visited: stats.visited,
        refused: stats.refused,
        replaced: stats.replaced,
    }
}

pub(super) fn ports(
    config: &Config,
    datapath: &impl Datapath,
    flags: &dyn Fn(PortNo) -> PortFlags,
    devices: &Devices,
) -> Vec<PortRow> {
    let status: HashMap<_, _> = datapath
        .ports()
        .into_iter()
        .map(|status| (status.no, status))
        .collect();
    let duration_ms = datapath.now().as_millis();
    let row = |port: &crate::file::Port| {
        let absent = PortStatus {
            no: port.id,
            mac: [0; 6],
            link_up: false,
            speed_mbps: 0,
            driver: "gone".to_owned(),
            stats: PortStats::default(),
        };
        let status = match devices.is_absent(port.id) {
            true => &absent,
            false => status.get(&port.id)?,
        };
        let flags = flags(port.id);
        Some(PortRow {
            id: port.id.0,
            name: port.name.clone(),
            mac: mac_text(&status.mac),
            link: if status.link_up && !flags.down {
                LinkState::Up
            } else {
                LinkState::Down
            },
            config: flag_names(flags).map(str::to_owned).collect(),
            speed_mbps: status.speed_mbps,
            mtu: port.mtu,
            device: match &port.device {
                _ if port.tunnel.is_some() => tunnel_text(port),
                Some(Device::Pci(address)) => address.clone(),
                Some(Device::Vdev(arguments)) => arguments.clone(),
                None => String::new(),
            },
            driver: status.driver.clone(),
            present: !devices.is_absent(port.id),
            device_losses: devices.losses(port.id),
            duration_ms,
            rx_packets: status.stats.rx_packets,
            rx_bytes: status.stats.rx_bytes,
            rx_dropped: status.stats.rx_dropped,
            rx_errors: status.stats.rx_errors,
            tx_packets: status.stats.tx_packets,
            tx_bytes: status.stats.tx_bytes,
            tx_dropped: status.stats.tx_dropped,
            tx_errors: status.stats.tx_errors,
            polls_put_off: status.stats.polls_put_off,
            walks: status.stats.walks,
        })
    };
    config.ports.iter().filter_map(row).collect()
}

/// OpenFlow's names of what is switched off, in its order.
fn flag_names(flags: PortFlags) -> impl Iterator<Item = &'static str> {
    let PortFlags {
        down,
        no_receive,
        no_flood,
        no_forward,
    } = flags;
    [
        (down, "PORT_DOWN"),
        (no_receive, "NO_RECV"),
        (no_flood, "NO_FLOOD"),
        (no_forward, "NO_FWD"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
}

pub(super) fn macs(entries: &[MacEntry], ports: &PortTable) -> Vec<FdbRow> {
    let mut rows: Vec<_> = entries
        .iter()
        .map(|entry| FdbRow {
            port: ports.port(entry.port).name.clone(),
            vlan: entry.vlan,
            mac: mac_text(&entry.mac),
            age_s: entry.age.as_secs(),
        })
        .collect();
    // Of what several lcores know the youngest counts.
    rows.sort_by(|left, right| {
        (left.vlan, &left.mac, left.age_s).cmp(&(right.vlan, &right.mac, right.age_s))
    });
    rows.dedup_by(|next, row| (next.vlan, &next.mac) == (row.vlan, &row.mac));
    rows
}

/// A tunnel port as its device: `vxlan over uplink, 192.0.2.1 > flow, key flow`.
fn tunnel_text(port: &crate::file::Port) -> String {
    let Some(tunnel) = &port.tunnel else {
        return String::new();
    };
    let remote = match tunnel.remote {
        Remote::Address(address) => address.to_string(),
        Remote::Flow => "flow".to_owned(),
    };
    let key = match tunnel.key {
        TunnelKey::Absent => "none".to_owned(),
        TunnelKey::Number(key) => key.to_string(),
        TunnelKey::Flow => "flow".to_owned(),
    };
    let (over, local) = (&tunnel.over, tunnel.local);
    format!("over {over}, {local} > {remote}, key {key}")
}

/// Next hops that were learned by some lcore, or are configured.
pub(super) fn neighbours(learned: &[NeighbourEntry], ports: &PortTable) -> Vec<NeighbourRow> {
    let configured = ports.tunnels().neighbours().map(|known| NeighbourEntry {
        over: known.over,
        ip: known.ip,
        mac: Some(known.mac),
        age: None,
    });
    let entries = configured.chain(learned.iter().copied());
    let mut rows: Vec<_> = entries
        .map(|entry| NeighbourRow {
            port: ports.port(entry.over).name.clone(),
            ip: entry.ip,
            mac: entry.mac.as_ref().map(mac_text),
            age_s: entry.age.map(|age| age.as_secs()),
        })
        .collect();
    // Of what several lcores know the youngest counts.
    rows.sort_by_key(|row| (row.port.clone(), row.ip, row.mac.is_none(), row.age_s));
    rows.dedup_by(|next, row| (&next.port, next.ip) == (&row.port, row.ip));
    rows
}

fn mac_text(mac: &[u8; 6]) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}
