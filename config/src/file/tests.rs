use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;
use weir_ct::{Settings, Timeouts, ZoneSettings};
use weir_packet::reassembly::Bounds;
use weir_tables::cache::{CacheSettings, MegaflowSettings, TrajectorySettings};
use weir_tables::packet_in::PacketInSettings;
use weir_tables::port::PortNo;
use weir_tables::tunnel::options::TlvMapping;
use weir_tables::tunnel::{Remote, TunnelKey, TunnelKind};

use super::{
    Bridge, Config, Control, Device, Eal, FailMode, FlowSource, Neighbour, Port, Tunnel, Vlans,
    timeouts,
};

/// What is wrong with `text`, as the user reads it.
fn complaint(text: &str) -> String {
    Config::parse("dir/switch.toml", text)
        .expect_err("it must be refused")
        .to_string()
}

/// A valid port, to be put before what is tested.
const PORT: &str = "[[port]]\nname = \"vm1\"\nid = 2\nvdev = \"net_tap0\"\n";

/// Cases `=== NAME`, a file, `---`, what is said of it.
#[test]
fn complaints_point_at_the_text() {
    let cases: Vec<_> = include_str!("tests/complaints.txt")
        .split("=== ")
        .skip(1)
        .map(|case| {
            let (name, rest) = case.split_once('\n').expect("a name");
            let (text, expected) = rest.split_once("\n---\n").expect("a separator");
            (name, format!("{text}\n"), expected.trim_end())
        })
        .collect();
    assert!(cases.len() > 40);
    for (name, text, expected) in cases {
        assert_eq!(complaint(&text), expected, "{name}");
    }
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let config = Config::parse("switch.toml", PORT).expect("it is valid");
    let expected = Config {
        eal: Eal {
            lcores: vec![1],
            shards: None,
            hugepages: false,
            memory_mb: 512,
            mbufs: 16_384,
            args: vec![],
            rss: true,
            idle_sleep: Duration::ZERO,
        },
        ports: vec![Port {
            name: "vm1".to_owned(),
            id: PortNo(2),
            device: Some(Device::Vdev("net_tap0".to_owned())),
            queues: None,
            affinity: Vec::new(),
            mtu: 1500,
            tunnel: None,
            vlans: Vlans::All,
        }],
        neighbours: vec![],
        options: vec![],
        bridge: Bridge {
            name: "br0".to_owned(),
            flows: vec![],
            groups: vec![],
            fail_mode: FailMode::Secure,
        },
        caches: CacheSettings {
            trajectories: Some(TrajectorySettings { entries: 262_144 }),
            megaflows: Some(MegaflowSettings {
                entries: 65_536,
                masks_per_port: 64,
            }),
        },
        conntrack: Settings {
            max_connections: 1_000_000,
            tcp_loose: true,
            tcp_liberal: false,
            zone_limit: None,
            accounting: false,
            zones: BTreeMap::new(),
            timeouts: Timeouts::default(),
        },
        controller: PacketInSettings {
            waiting: 256,
            rate: 1_000,
            burst: 250,
        },
        fragments: Bounds::default(),
        control: Control {
            socket: PathBuf::from("/run/weir/weir.sock"),
            mode: 0o660,
            owner: None,
            group: None,
        },
        metrics: None,
        without_device: vec![],
    };
    assert_eq!(config, expected);
}

#[test]
fn zero_entries_are_no_cache() {
    let caches = |cache: &str| {
        let text = format!("{PORT}[cache]\n{cache}\n");
        Config::parse("a.toml", &text).expect("valid").caches
    };
    let megaflows = |cache: &str| caches(cache).megaflows;
    let trajectories = |cache: &str| caches(cache).trajectories;
    assert_eq!(trajectories("trajectories = 0"), None);
    let two = TrajectorySettings { entries: 2 };
    assert_eq!(trajectories("trajectories = 2\nmegaflows = 0"), Some(two));
    assert_eq!(megaflows("megaflows = 0\nmasks_per_port = 7"), None);
    let least = MegaflowSettings {
        entries: 1,
        masks_per_port: 7,
    };
    assert_eq!(megaflows("megaflows = 1\nmasks_per_port = 7"), Some(least));
}

#[test]
fn complete_example_shows_every_key() {
    let text = include_str!("../../../examples/complete.toml");
    let config = Config::parse("../examples/complete.toml", text).expect("it is valid");
    assert_eq!(config.conntrack.timeouts, Timeouts::default());
    assert_eq!(
        config.bridge.flows,
        [FlowSource::File("../examples/complete.flows".into())]
    );
    assert_eq!(config.ports[1].vlans, Vlans::Trunk(vec![10, 20]));
    assert_eq!(
        config.metrics,
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9473)))
    );
    config.flow_texts().expect("the flow file lies beside it");
    config.group_texts().expect("the group file lies beside it");
    for line in config
        .to_string()
        .lines()
        .filter_map(|line| line.split_once(" = "))
    {
        assert!(
            text.contains(&format!("{} = ", line.0)),
            "{} is not in the example",
            line.0
        );
    }
}

#[test]
fn pieces_that_wait_are_at_most_half_of_the_buffers() {
    let waiting = |text: &str| {
        let config = Config::parse("a.toml", &format!("{PORT}{text}"));
        config.map(|config| config.fragments)
    };
    assert_eq!(waiting(""), Ok(Bounds::default()));
    let few = "[eal]\nmbufs = 600\n";
    assert_eq!(waiting(few), Ok(Bounds::of_pieces(150)));
    let most = waiting(&format!("{few}[fragments]\nwaiting = 300\n"));
    assert_eq!(most, Ok(Bounds::of_pieces(300)));
    for (number, hint) in [(301, "expected 128 to 300"), (127, "expected 128 to 300")] {
        let error = waiting(&format!("{few}[fragments]\nwaiting = {number}\n"));
        let error = error.expect_err("out of range").to_string();
        assert!(error.contains("waiting out of range"), "{error}");
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn queues_have_lcores_by_name() {
    let parse = |port: &str| {
        let port = port.trim_start();
        let text = format!("[eal]\nlcores = [1, 7, 3]\n{PORT}{port}\n");
        Config::parse("a.toml", &text)
    };
    let given = |port: &str| parse(port).map(|config| config.ports[0].affinity.clone());
    assert_eq!(given(""), Ok(vec![]));
    assert_eq!(given("rxq_affinity = {}"), Ok(vec![]));
    let two = given("rxq_affinity = { 2 = 3, 0 = 7 }");
    assert_eq!(two, Ok(vec![(0, 7), (2, 3)]));
    for (port, complaint) in [
        (
            "rxq_affinity = { 0 = 2 }",
            "there is no lcore 2\n  rxq_affinity = { 0 = 2 }\n                       ^ [eal] lcores \
             has 1, 7, 3",
        ),
        (
            "rxq_affinity = { 3 = 1 }",
            "there is no queue 3\n  rxq_affinity = { 3 = 1 }\n                   ^ expected 0 to 2, \
             for there is one for each shard",
        ),
        (
            "queues = 2\nrxq_affinity = { 1 = 1, 2 = 1 }",
            "there is no queue 2\n  rxq_affinity = { 1 = 1, 2 = 1 }\n                          ^ \
             expected 0 to 1, for so many has the port",
        ),
        (
            "queues = 1\nrxq_affinity = { 1 = 1 }",
            "there is no queue 1\n  rxq_affinity = { 1 = 1 }\n                   ^ there is queue 0 \
             only",
        ),
        (
            "rxq_affinity = { 0 = 1, 00 = 7 }",
            "queue used twice\n  rxq_affinity = { 0 = 1, 00 = 7 }\n                          ^^ first \
             in line",
        ),
        (
            "rxq_affinity = { 0 = 1, 0 = 7 }",
            "duplicate key\n  rxq_affinity = { 0 = 1, 0 = 7 }\n                          ^",
        ),
        (
            "rxq_affinity = { all = 1 }",
            "not a queue's number\n  rxq_affinity = { all = 1 }\n                   ^^^ expected \
             QUEUE = LCORE, such as 0 = 3",
        ),
        (
            "rxq_affinity = { 0 = 1024 }",
            "lcore out of range\n  rxq_affinity = { 0 = 1024 }\n                       ^^^^ expected \
             0 to 1023",
        ),
        (
            "rxq_affinity = \"0:1\"",
            "invalid type: string \"0:1\", expected a table",
        ),
    ] {
        let error = given(port).expect_err(port).to_string();
        assert!(error.contains(complaint), "{error}\nnot\n{complaint}");
        assert!(error.starts_with("a.toml:"), "{error}");
    }
}

#[test]
fn embedded_default_is_two_taps() {
    let config = Config::embedded();
    let ports: Vec<_> = config
        .ports
        .iter()
        .map(|port| (port.name.as_str(), port.id))
        .collect();
    assert_eq!(ports, [("weir0", PortNo(2)), ("weir1", PortNo(3))]);
    assert!(!config.eal.hugepages && !config.uses_pci());
    config.require_devices().expect("both have one");
    let texts = config.flow_texts().expect("it is embedded");
    assert_eq!(texts.len(), 1);
    assert!(
        texts[0]
            .text
            .contains("table=1,in_port=3,ct_state=+new,actions=drop")
    );
}

#[test]
fn a_port_without_device_is_enough_for_replay() {
    let text = "[[port]]\nname = \"a\"\nid = 1\n";
    let config = Config::parse("r.toml", text).expect("replay opens nothing");
    assert_eq!(
        config
            .require_devices()
            .expect_err("nothing to open")
            .to_string(),
        "r.toml:1:1: port a has no device\n  [[port]]\n  ^^^^^^^^ expected vdev = \"...\" or pci = \"...\""
    );
}

#[test]
fn a_file_that_is_not_text_points_at_the_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.flows");
    std::fs::write(&path, b"# a\ntable=\xff0\n").expect("written");
    let error = FlowSource::File(path).read().expect_err("not UTF-8");
    assert_eq!(
        (error.line, error.column, error.message.as_str()),
        (2, 7, "not UTF-8")
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load("/nonexistent/x.toml".as_ref()).expect_err("not there");
    assert!(
        error
            .to_string()
            .starts_with("/nonexistent/x.toml: cannot be read: ")
    );
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_][a-z0-9._-]{0,10}"
}

fn text() -> impl Strategy<Value = String> {
    "[ -~é\"\\\\]{1,12}"
}

fn vlans() -> impl Strategy<Value = Vlans> {
    prop_oneof![
        Just(Vlans::All),
        (0_u16..4096).prop_map(Vlans::Access),
        prop::collection::btree_set(0_u16..4096, 1..4)
            .prop_map(|vlans| Vlans::Trunk(vlans.into_iter().collect())),
    ]
}

prop_compose! {
    fn port(number: usize)(
        stem in "[a-z]{1,8}",
        is_pci in any::<bool>(),
        mtu in 68_u16..=9000,
        vlans in vlans(),
    ) -> Port {
        let device = if is_pci {
            Device::Pci(format!("0000:3b:{number:02x}.1"))
        } else {
            Device::Vdev(format!("net_ring{number},x=y"))
        };
        let id = PortNo(u32::try_from(number).expect("small") + 1);
        Port { name: format!("{stem}-{number}"), id, device: Some(device), queues: None, affinity: Vec::new(), mtu, tunnel: None, vlans }
    }
}

prop_compose! {
    fn eal()(
        lcores in prop::sample::subsequence((0_u16..1024).collect::<Vec<_>>(), 1..8),
        shards in prop::option::of(8_u16..=127),
        hugepages in any::<bool>(),
        rss in any::<bool>(),
        memory_mb in 64_u32..=1_048_576,
        mbufs in 512_u32..=16_777_216,
        args in prop::collection::vec(text(), 0..3),
        sleep in 0_u64..=1_000_000,
    ) -> Eal {
        Eal { lcores, shards, hugepages, memory_mb, mbufs, args, rss, idle_sleep: Duration::from_micros(sleep) }
    }
}

prop_compose! {
    fn all_timeouts()(
        seconds in prop::collection::vec(1..=u32::MAX, timeouts::NAMES.len()),
    ) -> Timeouts {
        let mut set = Timeouts::default();
        for (name, seconds) in timeouts::NAMES.iter().zip(seconds) {
            *timeouts::by_name(&mut set, name).expect("it is one") = Duration::from_secs(seconds.into());
        }
        set
    }
}

prop_compose! {
    fn zone()(
        tcp_loose: Option<bool>,
        tcp_liberal: Option<bool>,
        limit: Option<u32>,
        source_limit: Option<u32>,
        timeouts in prop::option::of(all_timeouts()),
    ) -> ZoneSettings {
        ZoneSettings { tcp_loose, tcp_liberal, limit, source_limit, timeouts }
    }
}

prop_compose! {
    fn conntrack()(
        max_connections in 1_u32..=100_000_000,
        tcp_loose in any::<bool>(),
        tcp_liberal in any::<bool>(),
        zone_limit: Option<u32>,
        accounting: bool,
        timeouts in all_timeouts(),
        zones in prop::collection::btree_map(any::<u16>(), zone(), 0..3),
    ) -> Settings {
        Settings { max_connections, tcp_loose, tcp_liberal, zone_limit, accounting, zones, timeouts }
    }
}

#[test]
fn zones_have_settings_of_their_own() {
    let text = format!(
        "{PORT}[conntrack]\nzone_limit = 9\n[conntrack.timeouts]\nudp_single = 5\n\
         [[zone]]\nid = 7\nlimit = 0\nsource_limit = 3\ntcp_liberal = true\n\
         timeouts = {{ udp_multiple = 180 }}\n[[zone]]\nid = 8\n"
    );
    let settings = Config::parse("a.toml", &text).expect("valid").conntrack;
    assert_eq!(settings.zone_limit, Some(9));
    let timeouts = Timeouts {
        udp_single: Duration::from_secs(5),
        udp_multiple: Duration::from_secs(180),
        ..Timeouts::default()
    };
    let seven = ZoneSettings {
        tcp_loose: None,
        tcp_liberal: Some(true),
        limit: Some(0),
        source_limit: Some(3),
        timeouts: Some(timeouts),
    };
    let zones = BTreeMap::from([(7, seven), (8, ZoneSettings::default())]);
    assert_eq!(settings.zones, zones);
}

/// A tunnel over a port of `ports`; number `at`, which makes it another than the others.
fn tunnel(at: u8) -> impl Strategy<Value = Tunnel> {
    (
        prop::sample::select(&TunnelKind::ALL[..]),
        any::<bool>(),
        any::<bool>(),
        prop::option::of(prop::option::of(0_u32..0xff_ffff)),
    )
        .prop_map(move |(kind, is_v6, is_flow, key)| {
            let [local, remote]: [IpAddr; 2] = match is_v6 {
                false => [[192, 0, 2, at].into(), [198, 51, 100, at].into()],
                true => [1, 2].map(|end| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, end, at.into()])),
            };
            Tunnel {
                kind,
                over: String::new(),
                local,
                remote: if is_flow {
                    Remote::Flow
                } else {
                    Remote::Address(remote)
                },
                key: match key {
                    None => TunnelKey::Absent,
                    Some(None) => TunnelKey::Flow,
                    Some(Some(key)) => TunnelKey::Number(key),
                },
                dst_port: kind.default_port().unwrap_or(0),
            }
        })
}

/// Devices, tunnels over the first of them, a host's port, and next hops.
fn ports() -> impl Strategy<Value = (Vec<Port>, Vec<Neighbour>)> {
    let devices = (1_usize..5).prop_flat_map(|n| (0..n).map(port).collect::<Vec<_>>());
    let tunnels = (0_u8..4).prop_flat_map(|n| (1..=n).map(tunnel).collect::<Vec<_>>());
    (devices, tunnels, any::<bool>(), any::<[u8; 5]>()).prop_map(
        |(mut ports, tunnels, has_local, [b, c, d, e, f])| {
            let below = ports[0].clone();
            let mut neighbours = vec![];
            for (id, mut tunnel) in (100..).zip(tunnels) {
                tunnel.over.clone_from(&below.name);
                neighbours.push(Neighbour {
                    port: below.name.clone(),
                    ip: tunnel.local,
                    mac: [2, b, c, d, e, f],
                });
                ports.push(Port {
                    name: format!("tun{id}"),
                    id: PortNo(id),
                    device: None,
                    queues: None,
                    affinity: Vec::new(),
                    mtu: below.mtu.saturating_sub(tunnel.overhead()),
                    tunnel: Some(tunnel),
                    vlans: Vlans::All,
                });
            }
            if has_local {
                ports.push(Port {
                    name: "host0".to_owned(),
                    id: PortNo::LOCAL,
                    device: Some(Device::Vdev("net_tap_local,iface=host0".to_owned())),
                    tunnel: None,
                    ..below
                });
            }
            (ports, neighbours)
        },
    )
}

/// Options by their type, which also numbers their field; all of them fit.
fn options() -> impl Strategy<Value = BTreeMap<u8, TlvMapping>> {
    prop::collection::btree_map(0..64_u8, (any::<u16>(), 1..8_u8), 0..8).prop_map(|all| {
        let mapping = |(index, (class, words))| TlvMapping {
            class,
            option_type: index,
            size: 4 * words,
            index,
        };
        all.into_iter().map(|one| (one.0, mapping(one))).collect()
    })
}

prop_compose! {
    fn config()(
        mut eal in eal(),
        (mut ports, neighbours) in ports(),
        options in options(),
        bridge in name(),
        flows in prop::collection::vec(text(), 0..3),
        groups in prop::collection::vec(text(), 0..3),
        fail_mode in prop_oneof![Just(FailMode::Secure), Just(FailMode::Standalone)],
        megaflows in prop::option::of((1_usize..=16_777_216, 1_usize..=4_096)),
        trajectories in prop::option::of(1_usize..=16_777_216),
        conntrack in conntrack(),
        waiting in 1_usize..=65_536,
        pieces in 128_u32..=256,
        (rate, burst) in (1_u32..=10_000_000, 1_u32..=10_000_000),
        socket in text(),
        mode in 0_u32..=0o777,
        owner in prop::option::of(text()),
        group in prop::option::of(text()),
        metrics in prop::option::of(any::<SocketAddr>()),
    ) -> Config {
        let source = |path: String| FlowSource::File(path.into());
        if ports.iter().any(|port| port.tunnel.is_some()) {
            eal.lcores.truncate(1);
            eal.shards = None;
        }
        for port in ports.iter_mut().filter(|port| port.tunnel.is_none()) {
            port.queues = (port.mtu % 2 == 0).then_some(eal.shard_count() as u16);
            let last = eal.shard_count() as u16 - 1;
            port.affinity = match port.mtu % 3 {
                0 => Vec::new(),
                1 => vec![(last, eal.lcores[0])],
                _ => (0..).zip(eal.lcores.iter().copied()).collect(),
            };
        }
        let flows = flows.into_iter().map(source).collect();
        let groups = groups.into_iter().map(source).collect();
        Config {
            eal,
            ports,
            neighbours,
            options: options.into_values().collect(),
            bridge: Bridge { name: bridge, flows, groups, fail_mode },
            caches: CacheSettings {
                trajectories: trajectories.map(|entries| TrajectorySettings { entries }),
                megaflows: megaflows
                    .map(|(entries, masks_per_port)| MegaflowSettings { entries, masks_per_port }),
            },
            conntrack,
            controller: PacketInSettings { waiting, rate, burst },
            fragments: Bounds::of_pieces(pieces),
            control: Control { socket: socket.into(), mode, owner, group },
            metrics: metrics.map(|listen| SocketAddr::new(listen.ip(), listen.port())),
            without_device: vec![],
        }
    }
}

proptest! {
    #[test]
    fn printed_configurations_parse_to_themselves(config in config()) {
        let text = config.to_string();
        prop_assert_eq!(Config::parse("switch.toml", &text), Ok(config), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        let _ = Config::parse("x", &text);
    }

    /// Damages a valid file, which gets further than random text.
    #[test]
    fn any_damage_is_read_or_refused(at in any::<prop::sample::Index>(), cut in 0_usize..9, put in "\\PC{0,4}|[\\[\\]=\"#\n.0-9]{0,4}") {
        let text = include_str!("../../../examples/complete.toml");
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, put.chars());
        let text: String = chars.into_iter().collect();
        if let Err(error) = Config::parse("x", &text) {
            prop_assert!(!error.message.is_empty());
        }
    }
}
