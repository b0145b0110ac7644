//! Receive queues that go from one lcore to another while frames come in: none is lost, none comes twice, and
//! those of one connection stay in order.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sched::sched_getaffinity;
use nix::unistd::Pid;
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};
use weir_config::policy::{apply, read_flow_text};
use weir_ct::Settings;
use weir_packet::reassembly::Bounds;
use weir_packet::{Frame, Tick, VecFrame, text};
use weir_pmd::eal::EalArgs;
use weir_pmd::switch::{Switch, SwitchArgs};
use weir_pmd::worker::WorkerSettings;
use weir_tables::cache::CacheSettings;
use weir_tables::classifier::HashSecret;
use weir_tables::datapath::{Datapath, DeviceConfig, DeviceName};
use weir_tables::drops::DropReason;
use weir_tables::flow_tables::FlowTables;
use weir_tables::packet_in::PacketInSettings;
use weir_tables::port::{PortConfig, PortIndex, PortNo, PortTable, VlanMode};

/// Connections of which all frames come in by one queue, as a device has it.
const CONNECTIONS: u16 = 16;
/// Frames of each.
const FRAMES: u32 = 20_000;
/// How often the queues are dealt out at least; the thread that does it has a share of a CPU only.
const DEALS: u32 = 8;
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_queue_that_moves_loses_nothing_and_keeps_the_order() {
    let cpus = sched_getaffinity(Pid::from_raw(0)).expect("the process has an affinity");
    let mut cpus = (0..1024_u16).filter(|&cpu| cpus.is_set(usize::from(cpu)) == Ok(true));
    let (Some(one), Some(other)) = (cpus.next(), cpus.next()) else {
        eprintln!("SKIPPED: needs two CPUs");
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name);
    for queue in [0, 1] {
        write(queue, &path(&format!("in{queue}.pcap")));
    }
    let vdev = |queues: [&str; 2], key: &str| {
        let queues = queues.map(|name| format!("{key}={}", path(name).display()));
        queues.join(",")
    };
    let (received, sent) = (
        vdev(["in0.pcap", "in1.pcap"], "rx_pcap"),
        vdev(["out0.pcap", "out1.pcap"], "tx_pcap"),
    );
    let mut switch = start(
        [one, other],
        [format!("net_pcap1,{received}"), format!("net_pcap2,{sent}")],
    );
    let all = u64::from(FRAMES) * u64::from(CONNECTIONS) * 2;
    let counters = switch.counters();
    let through = || {
        let packets = counters.iter().map(|lcore| lcore.packets.read());
        packets.sum::<u64>()
    };
    let maps = [
        [(0, one), (1, other)],
        [(0, other), (1, other)],
        [(0, other), (1, one)],
        [(0, one), (1, one)],
    ];
    let begun = Instant::now();
    let mut deals = 0;
    for map in maps.iter().cycle() {
        let before = through();
        if before >= all {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{before} of {all} came in");
        let given = [(PortIndex(0), map.to_vec()), (PortIndex(1), Vec::new())];
        switch.deal_queues(&given).expect("the lcores answer");
        for (queue, cpu) in map {
            let queues = switch.rx_queues();
            let mut queues = queues.iter().filter(|row| row.port == PortNo(1));
            let row = queues
                .find(|row| row.queue == *queue)
                .expect("it is polled");
            assert_eq!([one, other][row.lcore], *cpu);
        }
        deals += 1;
    }
    assert!(deals >= DEALS, "{deals}");
    let drops = |reason: DropReason| {
        let drops = counters
            .iter()
            .map(|lcore| lcore.drops[reason as usize].read());
        drops.sum::<u64>()
    };
    // What an lcore has no room for that is behind is dropped by name, whoever polls.
    let dropped = drops(DropReason::HandOffFull);
    let others: u64 = DropReason::ALL.iter().map(|reason| drops(*reason)).sum();
    assert_eq!(others, dropped, "for no other reason");
    let busy: Vec<_> = switch
        .poll_stats()
        .iter()
        .map(|polls| polls.busy_polls)
        .collect();
    assert!(busy.iter().all(|polls| *polls > 0), "{busy:?}");
    a_queue_that_is_not_there_has_no_lcore(&mut switch, one);
    // Frames between lcores arrive.
    sleep(Duration::from_millis(100));
    drop(switch);

    let mut seen = vec![0_u32; usize::from(CONNECTIONS) * 2];
    let mut arrived = 0;
    for name in ["out0.pcap", "out1.pcap"] {
        let file = File::open(path(name)).expect("it was written");
        let mut reader = PcapReader::new(file).expect("a capture");
        while let Some(packet) = reader.next_packet() {
            let packet = packet.expect("whole");
            let (connection, number) = told(&packet.data);
            let last = &mut seen[usize::from(connection)];
            assert!(number > *last, "{connection}: {number} behind {last}");
            *last = number;
            arrived += 1;
        }
    }
    assert_eq!(arrived + dropped, all, "{dropped} dropped");
    assert!(dropped < all / 2, "{dropped} dropped");
}

/// Only who opens a device knows how many queues it has. Nothing is left of it: it opens again.
fn a_queue_that_is_not_there_has_no_lcore(switch: &mut Switch, cpu: u16) {
    let mut wanted = DeviceConfig {
        name: "p3".to_owned(),
        device: DeviceName::Vdev("net_null3".to_owned()),
        queues: Some(1),
        mtu: 1_500,
        affinity: vec![(1, cpu)],
    };
    let refused = switch.start_port(PortIndex(2), &wanted);
    let expected = format!(
        "port \"p3\" (net_null3) does not start: rxq_affinity gives queue 1 to lcore {cpu}; the device \
         has 1 receive queues"
    );
    assert_eq!(refused, Err(expected));
    wanted.affinity = vec![(0, cpu)];
    assert_eq!(switch.start_port(PortIndex(2), &wanted), Ok(()));
    assert_eq!(switch.remove_port(PortIndex(2)), Ok(()));
}

/// Frames of all connections of a queue, in turn, each with its number.
fn write(queue: u16, path: &Path) {
    let file = File::create(path).expect("a file");
    let mut writer = PcapWriter::new(std::io::BufWriter::new(file)).expect("written");
    let mut frames: Vec<Vec<u8>> = (0..CONNECTIONS)
        .map(|at| {
            let connection = queue * CONNECTIONS + at;
            let line = format!(
                "udp 10.0.0.1:{} > 10.0.0.2:53 data=00000000",
                1_000 + connection
            );
            let frame: VecFrame = text::frame(&line);
            frame.head().to_vec()
        })
        .collect();
    for number in 1..=FRAMES {
        for frame in &mut frames {
            frame[PAYLOAD..PAYLOAD + 4].copy_from_slice(&number.to_be_bytes());
            // No checksum, as UDP may.
            frame[PAYLOAD - 2..PAYLOAD].fill(0);
            let length = frame.len() as u32;
            let packet = PcapPacket::new(Duration::ZERO, length, frame);
            writer.write_packet(&packet).expect("written");
        }
    }
}

/// Connection and number of a frame.
fn told(frame: &[u8]) -> (u16, u32) {
    let port = u16::from_be_bytes([frame[SOURCE_PORT], frame[SOURCE_PORT + 1]]);
    let number = frame[PAYLOAD..].first_chunk().expect("four bytes");
    (port - 1_000, u32::from_be_bytes(*number))
}

/// Behind Ethernet and IPv4.
const SOURCE_PORT: usize = 14 + 20;
const PAYLOAD: usize = SOURCE_PORT + 8;

fn start(cpus: [u16; 2], vdevs: [String; 2]) -> Switch {
    let mut tables = FlowTables::new(2, HashSecret(1));
    let flows = read_flow_text("flows", "in_port=1 actions=output:2", &|_: &str| {
        None::<PortNo>
    });
    apply(&mut tables, &flows.expect("flows"), Tick::ZERO).expect("it can be executed");
    let (mut ports, mut table) = (Vec::new(), Vec::new());
    for (no, vdev) in (1..).zip(vdevs) {
        let name = format!("p{no}");
        let config = DeviceConfig {
            name: name.clone(),
            device: DeviceName::Vdev(vdev),
            queues: None,
            mtu: 1_500,
            affinity: Vec::new(),
        };
        ports.push((PortIndex(table.len() as u16), config));
        table.push(PortConfig {
            no: PortNo(no),
            name,
            mtu: 1_500,
            vlan: VlanMode::TrunkAll,
        });
    }
    let snapshot = tables.snapshot(&Arc::new(PortTable::new(table)));
    let args = SwitchArgs {
        rss: true,
        eal: EalArgs {
            worker_cpus: cpus.to_vec(),
            memory_mb: 256,
            ..EalArgs::default()
        },
        cpus: cpus.to_vec(),
        mbufs_per_node: 16_384,
        ports,
        worker: WorkerSettings::default(),
        // So that frames come for a while.
        caches: CacheSettings::NONE,
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
