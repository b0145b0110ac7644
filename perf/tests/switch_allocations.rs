//! The running switch, DPDK ports and poll loop included, allocates nothing for packets.
//!
//! A program of its own: the counter counts for the whole process, all threads, so nothing else
//! may run; the test itself sleeps meanwhile. What DPDK's drivers do in C is not seen.

use std::alloc::System;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::sched_getaffinity;
use nix::unistd::Pid;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use weir_config::policy::{apply, read_flow_text};
use weir_ct::Settings;
use weir_packet::Tick;
use weir_packet::reassembly::Bounds;
use weir_perf::captures::Direction;
use weir_perf::scenario::Scenario;
use weir_pmd::eal::EalArgs;
use weir_pmd::port::DeviceName;
use weir_pmd::switch::{Switch, SwitchArgs};
use weir_pmd::worker::WorkerSettings;
use weir_tables::cache::CacheSettings;
use weir_tables::classifier::HashSecret;
use weir_tables::datapath::{Datapath, DeviceConfig};
use weir_tables::flow_tables::FlowTables;
use weir_tables::packet_in::PacketInSettings;
use weir_tables::port::{self, PortIndex, PortNo, PortTable, VlanMode};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Long enough for every connection to be met in both directions, also where tests share CPUs.
const WARM_PACKETS: u64 = 200_000;
const MEASURED_PACKETS: u64 = 1_000_000;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let scenario = Scenario::named("firewall-1k").expect("a scenario");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let switch = start(&scenario, dir.path());
    let counters = switch.counters();
    let packets = || {
        counters
            .iter()
            .map(|lcore| lcore.packets.read())
            .sum::<u64>()
    };
    let wait_until = |count: u64| {
        let begun = Instant::now();
        while packets() < count {
            assert!(
                begun.elapsed() < PATIENCE,
                "{} packets of {count}",
                packets()
            );
            thread::sleep(Duration::from_millis(10));
        }
    };

    wait_until(WARM_PACKETS);
    let first = packets();
    let region = Region::new(ALLOCATOR);
    wait_until(first + MEASURED_PACKETS);
    let change = region.change();

    assert_eq!(
        (change.allocations, change.reallocations),
        (0, 0),
        "{change:?}"
    );
    let sent: u64 = switch
        .ports()
        .iter()
        .map(|port| port.stats.tx_packets)
        .sum();
    assert!(sent > MEASURED_PACKETS, "{sent} sent");
}

/// Two ports that play the captures of `scenario`, and its policy.
fn start(scenario: &Scenario, dir: &Path) -> Switch {
    let cpus = sched_getaffinity(Pid::from_raw(0)).expect("the process has an affinity");
    let cpu = (0..1024_u16)
        .rev()
        .find(|&cpu| cpus.is_set(usize::from(cpu)) == Ok(true));
    let cpu = cpu.expect("the process has a CPU");

    let mut tables = FlowTables::new(1, HashSecret(1));
    let text = scenario.policy.flows(scenario.traffic.family);
    let flows = read_flow_text("flows", &text, &|_: &str| None::<PortNo>).expect("flows");
    apply(&mut tables, &flows, Tick::ZERO).expect("it can be executed");
    let mut ports = Vec::new();
    let mut table = Vec::new();
    for (number, direction) in [(1, Direction::Forward), (2, Direction::Reply)] {
        let name = format!("p{number}");
        let capture = dir.join(format!("{name}.pcap"));
        scenario
            .traffic
            .write(direction, &capture)
            .expect("the capture is written");
        let vdev = format!(
            "net_pcap{number},rx_pcap={},infinite_rx=1",
            capture.display()
        );
        let device = DeviceName::Vdev(vdev);
        let config = DeviceConfig {
            name: name.clone(),
            device,
            queues: Some(1),
            mtu: 1500,
            affinity: Vec::new(),
        };
        ports.push((PortIndex(table.len() as u16), config));
        let vlan = VlanMode::TrunkAll;
        table.push(port::PortConfig {
            no: PortNo(number),
            name,
            mtu: 1500,
            vlan,
        });
    }
    let snapshot = tables.snapshot(&Arc::new(PortTable::new(table)));
    let eal = EalArgs {
        worker_cpus: vec![cpu],
        memory_mb: 256,
        ..EalArgs::default()
    };
    let args = SwitchArgs {
        rss: true,
        eal,
        cpus: vec![cpu],
        mbufs_per_node: 16_384,
        ports,
        worker: WorkerSettings::default(),
        caches: CacheSettings::default(),
        conntrack: Settings {
            max_connections: 10_000,
            ..Settings::default()
        },
        fragments: Bounds::default(),
        packet_ins: PacketInSettings::default(),
        secret: 1,
    };
    Switch::start(args, &Arc::new(snapshot)).expect("the switch starts")
}
