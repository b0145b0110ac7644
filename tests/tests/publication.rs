//! Policies changed as fast as it goes while packets flow, on threads as a switch has them: each packet
//! obeys one version of the policy as a whole, the newest one in the end, and nothing of the others is
//! left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;

use weir_config::text::{Options, parse_flow_file};
use weir_ct::Settings;
use weir_packet::{Tick, VecFrame, text};
use weir_tables::cache::CacheSettings;
use weir_tables::classifier::HashSecret;
use weir_tables::flow_mod::FlowMod;
use weir_tables::flow_tables::FlowTables;
use weir_tables::lcore::Lcore;
use weir_tables::pipeline::Output;
use weir_tables::port::{PortConfig, PortIndex, PortNo, PortTable, VlanMode};
use weir_tables::publication::{self, Reader};
use weir_tables::snapshot::Snapshot;

/// Versions of the policy.
const VERSIONS: u64 = 3_000;
/// Bursts between two looks for a newer version.
const BURST: usize = 32;

struct Sent(Vec<PortIndex>);

impl Output<VecFrame> for Sent {
    fn send(&mut self, port: PortIndex, _frame: VecFrame) {
        self.0.push(port);
    }
}

/// What the policy of a generation sends packets to. Ports are numbered from 1, the first is theirs.
const fn port_of(generation: u64) -> u64 {
    2 + generation % 3
}

/// Two tables that only together send anything: a mixture of two versions drops.
fn policy(generation: u64) -> Vec<FlowMod> {
    let port = port_of(generation);
    let text = format!(
        "delete
         add table=0,ip actions=set_field:{generation}->reg0,ct(table=1,zone=1)
         add table=1,ip,ct_state=+new,reg0={generation} actions=ct(commit,zone=1),output:{port}
         add table=1,ip,ct_state=+est,reg0={generation} actions=output:{port}"
    );
    let options = Options::default();
    let flows = parse_flow_file(&text, &options).expect("right flows");
    flows.into_iter().map(|flow| flow.value).collect()
}

/// Forwards until it obeys the last version, and a burst more. Returns how many packets it took.
fn forward(mut lcore: Lcore, mut reader: Reader<Snapshot>, last: u64, stop: &AtomicBool) -> u64 {
    let packets = [
        "udp 10.0.0.1:5 > 10.0.0.2:6",
        "udp 10.0.0.1:7 > 10.0.0.2:8",
        "tcp 10.0.0.1:9 > 10.0.0.3:80 S seq=1",
    ];
    let frames: Vec<_> = packets.into_iter().map(text::frame).collect();
    let mut sent = Sent(Vec::with_capacity(BURST));
    let mut taken = 0;
    while !stop.load(Ordering::Relaxed) {
        if let Some((generation, snapshot)) = reader.newer() {
            let before = lcore.refresh(snapshot);
            reader.retire(before, generation, generation);
        }
        let generation = lcore.snapshot().generation;
        let burst = frames.iter().cycle().take(BURST).cloned();
        lcore.process(PortIndex(0), burst, Tick::from_millis(1), &mut sent);
        taken += BURST as u64;
        let port = PortIndex(port_of(generation) as u16 - 1);
        let as_one = sent.0.len() == BURST && sent.0.iter().all(|sent| *sent == port);
        assert!(
            as_one,
            "generation {generation}: {:?}, not {port:?}",
            sent.0
        );
        sent.0.clear();
        if generation == last {
            break;
        }
    }
    taken
}

#[test]
fn packets_obey_whole_versions_at_full_speed() {
    let port = |no| PortConfig {
        no: PortNo(no),
        name: format!("p{no}"),
        mtu: 1500,
        vlan: VlanMode::TrunkAll,
    };
    let ports = Arc::new(PortTable::new((1..=4).map(port).collect()));
    let mut tables = FlowTables::new(2, HashSecret(7));
    let next = |tables: &mut FlowTables, generation| {
        let applied = tables.apply(&policy(generation), Tick::ZERO);
        applied.expect("it can be executed");
        let snapshot = Arc::new(tables.snapshot(&ports));
        assert_eq!(snapshot.generation, generation);
        snapshot
    };
    let first = next(&mut tables, 1);
    let (last, stop) = (1 + VERSIONS, Arc::new(AtomicBool::new(false)));
    let mut publishers = Vec::new();
    let mut lcores = Vec::new();
    for index in 0..2 {
        let settings = Settings {
            max_connections: 64,
            ..Settings::default()
        };
        let lcore = Lcore::new(index, Arc::clone(&first), &settings, 7);
        let lcore = lcore.with_caches(CacheSettings::default());
        let (publisher, reader) = publication::pair(&first, 1, 0);
        publishers.push(publisher);
        let stop = Arc::clone(&stop);
        lcores.push(thread::spawn(move || forward(lcore, reader, last, &stop)));
    }
    drop(first);

    let mut versions: Vec<Weak<Snapshot>> = Vec::new();
    for generation in 2..=last {
        let snapshot = next(&mut tables, generation);
        versions.push(Arc::downgrade(&snapshot));
        for publisher in &mut publishers {
            publisher.publish(Arc::clone(&snapshot), generation);
            assert!(publisher.waiting() <= 2);
        }
        let obeyed = publishers.iter_mut().map(|one| one.retire().generation);
        let oldest = obeyed.min().expect("two");
        tables.removed(oldest);
        tables.reclaim(oldest);
        // Those that both let go of are gone.
        let alive = |version: &&Weak<Snapshot>| version.strong_count() > 0;
        let old = versions.iter().filter(alive).count();
        assert!(old <= 5, "the newest, and two of each lcore");
        if lcores.iter().any(thread::JoinHandle::is_finished) && generation < last {
            break;
        }
    }
    let taken: Vec<_> = lcores
        .into_iter()
        .map(|lcore| lcore.join().expect("each packet obeyed one version"))
        .collect();
    for publisher in &mut publishers {
        assert_eq!(publisher.retire().generation, last);
        assert_eq!(publisher.waiting(), 0);
    }
    // What the lcores obeyed at last is held by the publishers alone; nothing else is.
    let alive = versions.iter().filter(|version| version.strong_count() > 0);
    assert_eq!(alive.count(), 1);
    assert!(taken.iter().all(|packets| *packets >= BURST as u64));
}
