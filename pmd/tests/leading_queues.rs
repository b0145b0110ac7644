//! A switch of several lcores lets devices with receive-side scaling bring packets to their owners, those that
//! come later, too.

use std::sync::Arc;

use nix::sched::sched_getaffinity;
use nix::unistd::Pid;
use weir_ct::Settings;
use weir_packet::reassembly::Bounds;
use weir_pmd::eal::EalArgs;
use weir_pmd::switch::{Switch, SwitchArgs};
use weir_pmd::worker::WorkerSettings;
use weir_tables::cache::CacheSettings;
use weir_tables::classifier::HashSecret;
use weir_tables::datapath::{Datapath, DeviceConfig, DeviceName};
use weir_tables::flow_tables::FlowTables;
use weir_tables::packet_in::PacketInSettings;
use weir_tables::port::{PortConfig, PortIndex, PortNo, PortTable, VlanMode};

/// net_null takes a configuration as network cards do, and makes frames without addresses, which are
/// anybody's.
#[test]
fn devices_bring_packets_to_their_owners() {
    let cpus = sched_getaffinity(Pid::from_raw(0)).expect("the process has an affinity");
    let mut cpus = (0..1024_u16).filter(|&cpu| cpus.is_set(usize::from(cpu)) == Ok(true));
    let cpu = cpus.next().expect("there is a CPU");
    let ports = ["net_null1", "net_ring1", "net_null2"];
    let mut table = ports_of(&ports[..2]);
    let mut tables = FlowTables::new(2, HashSecret(1));
    let args = SwitchArgs {
        eal: EalArgs {
            worker_cpus: vec![cpu],
            memory_mb: 128,
            ..EalArgs::default()
        },
        // Two shards on one lcore.
        cpus: vec![cpu; 2],
        mbufs_per_node: 8_192,
        ports: (0..)
            .map(PortIndex)
            .zip(ports[..2].iter().map(|vdev| device(vdev)))
            .collect(),
        rss: true,
        worker: WorkerSettings::default(),
        caches: CacheSettings::NONE,
        conntrack: Settings {
            max_connections: 1_000,
            ..Settings::default()
        },
        fragments: Bounds::default(),
        packet_ins: PacketInSettings::default(),
        secret: 1,
    };
    let first = tables.snapshot(&Arc::new(table));
    let generation = first.generation;
    let mut switch = Switch::start(args, &Arc::new(first)).expect("the switch starts");
    let drivers = |switch: &Switch| {
        let ports = switch.ports();
        let drivers: Vec<_> = ports.into_iter().map(|port| port.driver).collect();
        drivers
    };
    const LED: &str = "net_null, symmetric RSS, which brings packets to their owner";
    const NOT_LED: &str = "net_ring, queues as it likes, owner by hash in software";
    assert_eq!(drivers(&switch), [LED, NOT_LED]);

    switch
        .start_port(PortIndex(2), &device(ports[2]))
        .expect("it starts");
    table = ports_of(&ports);
    let mut later = tables.snapshot(&Arc::new(table));
    later.generation = generation + 1;
    switch.publish(Arc::new(later));
    switch.attach_port(PortIndex(2)).expect("the lcores answer");
    assert_eq!(drivers(&switch), [LED, NOT_LED, LED]);

    // Both queues of a port go to one of the shards; its device goes on to spread as it did.
    let all: Vec<_> = switch.rx_queues();
    let lcores = |no| {
        let queues = all.iter().filter(move |row| row.port == PortNo(no));
        let mut lcores: Vec<_> = queues.map(|row| row.lcore).collect();
        lcores.sort_unstable();
        lcores
    };
    assert_eq!([lcores(1), lcores(3)], [[0, 1], [0, 1]]);
    let both = vec![(0, cpu), (1, cpu)];
    let given = [
        (PortIndex(0), both),
        (PortIndex(1), Vec::new()),
        (PortIndex(2), Vec::new()),
    ];
    switch.deal_queues(&given).expect("the lcores answer");
    const LED_NO_MORE: &str = "net_null, symmetric RSS, owner by hash in software";
    assert_eq!(drivers(&switch)[0], LED_NO_MORE);
}

fn device(vdev: &str) -> DeviceConfig {
    DeviceConfig {
        name: vdev.to_owned(),
        device: DeviceName::Vdev(vdev.to_owned()),
        queues: None,
        mtu: 1_500,
        affinity: Vec::new(),
    }
}

fn ports_of(vdevs: &[&str]) -> PortTable {
    let port = |(no, vdev): (u32, &&str)| PortConfig {
        no: PortNo(no),
        name: (*vdev).to_owned(),
        mtu: 1_500,
        vlan: VlanMode::TrunkAll,
    };
    PortTable::new((1..).zip(vdevs).map(port).collect())
}
