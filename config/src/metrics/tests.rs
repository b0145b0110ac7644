use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::series::Encoder;
use super::{CounterRow, Exporter, PATIENCE, PoolRow, Sample, TableRow};
use crate::control::{Frame, Limits, Server, Verb};
use crate::file::Control;
use crate::show::{
    BucketStatsRow, CacheRow, DropRow, FragmentsRow, GroupStatsRow, LcoreRow, LinkState, MasksRow,
    NatRow, NatZoneRow, PortRow, PublicationsRow, RxQueueRow, ZoneRow,
};

fn counter(name: &str, value: u64) -> CounterRow {
    CounterRow {
        name: name.to_owned(),
        value,
        sentence: format!("Counts {name}."),
    }
}

fn sample() -> Sample {
    Sample {
        at_ms: 1_000,
        ports: vec![PortRow {
            config: Vec::new(),
            id: 2,
            name: "weir0".to_owned(),
            mac: String::new(),
            link: LinkState::Up,
            speed_mbps: 0,
            mtu: 1500,
            device: String::new(),
            driver: String::new(),
            present: true,
            device_losses: 0,
            duration_ms: 0,
            rx_packets: 1,
            rx_bytes: 2,
            rx_dropped: 3,
            rx_errors: 4,
            tx_packets: 5,
            tx_bytes: 6,
            tx_dropped: 7,
            tx_errors: u64::MAX,
            polls_put_off: 9,
            walks: 10,
        }],
        drops: vec![DropRow {
            reason: "table_miss".to_owned(),
            packets: 8,
            sentence: String::new(),
        }],
        malformed: vec![counter("truncated", 9)],
        tables: vec![TableRow {
            table: 1,
            flows: 10,
            masks: 3,
        }],
        connections: 11,
        max_connections: 1000,
        conntrack: vec![
            counter("created", 12),
            counter("invalid_tcp_window", 13),
            counter("refused_table_full", 14),
        ],
        zones: vec![
            ZoneRow {
                zone: Some(5),
                connections: 30,
                counts: [
                    ("created", 31),
                    ("expired", 32),
                    ("invalid_tcp_window", 33),
                    ("refused_zone_full", 34),
                ]
                .map(|(name, count)| (name.to_owned(), count))
                .into(),
            },
            ZoneRow {
                zone: None,
                connections: 0,
                counts: [("created".to_owned(), 35)].into(),
            },
        ],
        nat: vec![
            NatRow {
                nat: Some("nat(src=192.0.2.1-192.0.2.4)".to_owned()),
                addresses: Some(4),
                ports: None,
                connections: 36,
                zones: vec![NatZoneRow {
                    zone: Some(5),
                    searched: 37,
                    longest_probe: 38,
                    exhausted: 39,
                    other_version: 40,
                }],
            },
            NatRow {
                nat: None,
                addresses: None,
                ports: None,
                connections: 41,
                zones: vec![NatZoneRow {
                    zone: None,
                    searched: 42,
                    longest_probe: 43,
                    exhausted: 44,
                    other_version: 45,
                }],
            },
        ],
        packet_ins: vec![counter("action", 24)],
        packet_ins_refused: vec![counter("rate", 25)],
        groups: vec![GroupStatsRow {
            group_id: 7,
            duration_ms: 0,
            ref_count: 0,
            packet_count: 26,
            byte_count: 27,
            buckets: vec![BucketStatsRow {
                bucket_id: 3,
                packet_count: 28,
                byte_count: 29,
            }],
        }],
        publications: PublicationsRow {
            published: 50,
            waiting: 1,
            grace: vec![(1_000, 2), (5_000, 47)],
            grace_count: 49,
            grace_sum_ns: 98_000,
            grace_longest_ns: 7_000,
        },
        pools: vec![PoolRow {
            node: None,
            buffers: 51,
            in_use: 52,
        }],
        lcores: vec![LcoreRow {
            lcore: 1,
            packets: 15,
            busy_cycles: 100,
            idle_cycles: 300,
            trajectories: CacheRow {
                hits: 16,
                misses: 17,
                stale: 18,
                refused: 19,
            },
            megaflows: CacheRow {
                hits: 20,
                misses: 21,
                stale: 22,
                refused: 23,
            },
            masks: MasksRow {
                masks: 24,
                visited: 25,
                refused: 26,
                replaced: 27,
            },
            fragments: FragmentsRow {
                waiting: 30,
                waiting_bytes: 31,
                joined: 32,
                datagrams: 33,
                cuts: 34,
                pieces: 35,
            },
            ..LcoreRow::default()
        }],
        rx_queues: vec![RxQueueRow {
            port: "weir0".to_owned(),
            id: 2,
            queue: 1,
            lcore: 3,
            busy_cycles: 40,
            recent_cycles: None,
            usage_percent: None,
        }],
    }
}

#[test]
fn every_value_is_a_series() {
    let text = Encoder::default().encode(&sample());
    for line in [
        "# HELP weir_port_receive_packets_total Frames received.",
        "# TYPE weir_port_receive_packets_total counter",
        "weir_port_receive_packets_total{id=\"2\",port=\"weir0\"} 1",
        "weir_port_receive_bytes_total{id=\"2\",port=\"weir0\"} 2",
        "weir_fragments_waiting{lcore=\"1\"} 30",
        "weir_fragments_waiting_bytes{lcore=\"1\"} 31",
        "weir_fragments_joined_total{lcore=\"1\"} 32",
        "weir_fragments_datagrams_total{lcore=\"1\"} 33",
        "weir_fragments_cuts_total{lcore=\"1\"} 34",
        "weir_fragments_made_total{lcore=\"1\"} 35",
        "weir_port_receive_drops_total{id=\"2\",port=\"weir0\"} 3",
        "weir_port_receive_errors_total{id=\"2\",port=\"weir0\"} 4",
        "weir_port_transmit_packets_total{id=\"2\",port=\"weir0\"} 5",
        "weir_port_transmit_bytes_total{id=\"2\",port=\"weir0\"} 6",
        "weir_port_transmit_drops_total{id=\"2\",port=\"weir0\"} 7",
        "weir_port_device_losses_total{id=\"2\",port=\"weir0\"} 0",
        "weir_port_device_present{id=\"2\",port=\"weir0\"} 1",
        "weir_port_up{id=\"2\",port=\"weir0\"} 1",
        "weir_rx_queue_busy_cycles_total{id=\"2\",port=\"weir0\",queue=\"1\"} 40",
        "weir_rx_queue_lcore{id=\"2\",port=\"weir0\",queue=\"1\"} 3",
        "weir_dropped_packets_total{reason=\"table_miss\"} 8",
        "weir_malformed_packets_total{kind=\"truncated\"} 9",
        "weir_flow_table_flows{table=\"1\"} 10",
        "weir_packet_ins_total{reason=\"action\"} 24",
        "weir_packet_ins_refused_total{reason=\"rate\"} 25",
        "weir_group_packets_total{group=\"7\"} 26",
        "weir_group_bytes_total{group=\"7\"} 27",
        "weir_bucket_packets_total{bucket=\"3\",group=\"7\"} 28",
        "weir_bucket_bytes_total{bucket=\"3\",group=\"7\"} 29",
        "weir_flow_table_masks{table=\"1\"} 3",
        "weir_conntrack_connections 11",
        "weir_conntrack_max_connections 1000",
        "# HELP weir_conntrack_created_total Counts created.",
        "weir_conntrack_created_total 12",
        "weir_conntrack_invalid_packets_total{reason=\"tcp_window\"} 13",
        "weir_conntrack_refused_commits_total{reason=\"table_full\"} 14",
        "weir_conntrack_zone_connections{zone=\"5\"} 30",
        "weir_conntrack_zone_created_total{zone=\"5\"} 31",
        "weir_conntrack_zone_created_total{zone=\"other\"} 35",
        "weir_conntrack_zone_expired_total{zone=\"5\"} 32",
        "weir_conntrack_zone_invalid_packets_total{reason=\"tcp_window\",zone=\"5\"} 33",
        "weir_conntrack_zone_refused_commits_total{reason=\"zone_full\",zone=\"5\"} 34",
        "weir_nat_range_addresses{range=\"nat(src=192.0.2.1-192.0.2.4)\"} 4",
        "weir_nat_range_ports_in_use{range=\"nat(src=192.0.2.1-192.0.2.4)\"} 36",
        "weir_nat_range_ports_in_use{range=\"other\"} 41",
        "weir_nat_range_searched_total{range=\"nat(src=192.0.2.1-192.0.2.4)\",zone=\"5\"} 37",
        "weir_nat_range_longest_probe{range=\"nat(src=192.0.2.1-192.0.2.4)\",zone=\"5\"} 38",
        "weir_nat_range_longest_probe{range=\"other\",zone=\"other\"} 43",
        "weir_nat_range_failures_total{range=\"nat(src=192.0.2.1-192.0.2.4)\",\
         reason=\"exhausted\",zone=\"5\"} 39",
        "weir_nat_range_failures_total{range=\"nat(src=192.0.2.1-192.0.2.4)\",\
         reason=\"other_version\",zone=\"5\"} 40",
        "weir_nat_range_failures_total{range=\"other\",reason=\"exhausted\",zone=\"other\"} 44",
        "weir_publications_total 50",
        "weir_publications_waiting 1",
        "# TYPE weir_publication_grace_seconds histogram",
        "weir_publication_grace_seconds_bucket{le=\"0.000001\"} 2",
        "weir_publication_grace_seconds_bucket{le=\"0.000005\"} 47",
        "weir_publication_grace_seconds_bucket{le=\"+Inf\"} 49",
        "weir_publication_grace_seconds_sum 0.000098",
        "weir_publication_grace_seconds_count 49",
        "weir_mbufs{node=\"any\"} 51",
        "weir_mbufs_in_use{node=\"any\"} 52",
        "weir_lcore_packets_total{lcore=\"1\"} 15",
        "weir_cache_hits_total{cache=\"trajectory\",lcore=\"1\"} 16",
        "weir_cache_misses_total{cache=\"trajectory\",lcore=\"1\"} 17",
        "weir_cache_stale_total{cache=\"trajectory\",lcore=\"1\"} 18",
        "weir_cache_refused_total{cache=\"trajectory\",lcore=\"1\"} 19",
        "weir_cache_hits_total{cache=\"megaflow\",lcore=\"1\"} 20",
        "weir_cache_misses_total{cache=\"megaflow\",lcore=\"1\"} 21",
        "weir_cache_stale_total{cache=\"megaflow\",lcore=\"1\"} 22",
        "weir_cache_refused_total{cache=\"megaflow\",lcore=\"1\"} 23",
        "weir_megaflow_masks{lcore=\"1\"} 24",
        "weir_megaflow_masks_visited_total{lcore=\"1\"} 25",
        "weir_megaflow_masks_refused_total{lcore=\"1\"} 26",
        "weir_megaflow_masks_replaced_total{lcore=\"1\"} 27",
        "weir_lcore_busy_ratio{lcore=\"1\"} 0.25",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn the_busy_ratio_is_that_since_the_last_scrape() {
    let mut encoder = Encoder::default();
    let mut sample = sample();
    encoder.encode(&sample);
    sample.lcores[0].busy_cycles += 90;
    sample.lcores[0].idle_cycles += 10;
    let text = encoder.encode(&sample);
    assert!(
        text.contains("weir_lcore_busy_ratio{lcore=\"1\"} 0.9\n"),
        "{text}"
    );
    let text = encoder.encode(&sample);
    assert!(
        text.contains("weir_lcore_busy_ratio{lcore=\"1\"} 0\n"),
        "{text}"
    );
}

/// An exporter on a port of the system's choice, behind a management thread that answers as
/// `knows` says.
struct Bench {
    exporter: Exporter,
    _server: Server,
    _directory: tempfile::TempDir,
}

fn bench(knows: bool) -> Bench {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("s");
    let control = Control {
        socket,
        mode: 0o600,
        owner: None,
        group: None,
    };
    let server = Server::start(&control, Limits::default()).expect("it starts");
    let requests = server.requests();
    thread::spawn(move || {
        for (request, reply) in requests {
            assert_eq!(request.verb, Verb::Metrics);
            if knows {
                reply.one(Frame::Sample(Box::new(sample())));
            }
        }
    });
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let exporter = Exporter::start(listen, server.asker()).expect("it listens");
    Bench {
        exporter,
        _server: server,
        _directory: directory,
    }
}

fn get(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let _ = stream.write_all(request);
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

#[test]
fn a_scrape_is_answered() {
    let bench = bench(true);
    let address = bench.exporter.address();
    let text = get(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}"
    );
    assert!(body.contains("\nweir_conntrack_connections 11\n"), "{body}");
    let head = get(address, b"HEAD /metrics?x=y HTTP/1.0\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

#[test]
fn what_is_not_a_scrape_is_refused() {
    let bench = bench(true);
    let address = bench.exporter.address();
    let cases: [(&[u8], &str); 6] = [
        (b"GET / HTTP/1.1\r\n\r\n", "404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
        (b"\xff\xff\r\n\r\n", "400"),
        (b"\r\n\r\n", "400"),
        (b"GET /metrics SMTP\r\n\r\n", "400"),
        (&[b'x'; 9000], "431"),
    ];
    for (request, status) in cases {
        let text = get(address, request);
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status} ")),
            "{text} is not {status}"
        );
    }
    assert!(get(address, b"GET /metrics HTTP/1.1\r\n\r\n").contains("200 OK"));
}

#[test]
fn a_silent_client_is_cut_off() {
    let bench = bench(true);
    let mut silent = TcpStream::connect(bench.exporter.address()).expect("it listens");
    let start = Instant::now();
    assert!(get(bench.exporter.address(), b"GET /metrics HTTP/1.1\r\n\r\n").contains("200 OK"));
    assert!(start.elapsed() < PATIENCE + Duration::from_secs(1));
    assert_eq!(silent.read(&mut [0]).expect("an end"), 0);
}

#[test]
fn a_switch_that_does_not_answer_is_unavailable() {
    let bench = bench(false);
    let text = get(bench.exporter.address(), b"GET /metrics HTTP/1.1\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
}

#[test]
fn an_address_in_use_is_an_error() {
    let bench = bench(true);
    Exporter::start(bench.exporter.address(), bench._server.asker()).expect_err("in use");
}
