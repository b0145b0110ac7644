use super::*;
use crate::metrics::CounterRow;

fn sample(at_ms: u64, count: u64) -> Sample {
    Sample {
        at_ms,
        connections: count,
        max_connections: 1_000,
        conntrack: vec![CounterRow {
            name: "created".to_owned(),
            value: count,
            sentence: String::new(),
        }],
        ports: vec![PortRow {
            id: 2,
            name: "weir0".to_owned(),
            mac: String::new(),
            link: LinkState::Up,
            config: Vec::new(),
            speed_mbps: 0,
            mtu: 1500,
            device: String::new(),
            driver: String::new(),
            present: true,
            device_losses: 0,
            duration_ms: at_ms,
            rx_packets: 10 * count,
            rx_bytes: 1_000 * count,
            rx_dropped: count,
            rx_errors: 0,
            tx_packets: 20 * count,
            tx_bytes: 2_000 * count,
            tx_dropped: count,
            tx_errors: 0,
            polls_put_off: 0,
            walks: 0,
        }],
        drops: [("table_miss", 3 * count), ("runt", 0), ("no_bucket", 7)]
            .map(|(reason, packets)| DropRow {
                reason: reason.to_owned(),
                packets,
                sentence: String::new(),
            })
            .into(),
        lcores: vec![LcoreRow {
            lcore: 1,
            packets: 10 * count,
            passes: 15 * count,
            busy_cycles: 2_500 * count,
            idle_cycles: 7_500 * count,
            trajectories: CacheRow {
                hits: 9 * count,
                misses: count,
                ..CacheRow::default()
            },
            ..LcoreRow::default()
        }],
        ..Sample::default()
    }
}

fn shown(row: &TopRow) -> String {
    let mut out = Vec::new();
    write_top(&mut out, row).expect("written");
    String::from_utf8(out).expect("text")
}

#[test]
fn rates_are_what_came_between_two_looks() {
    let row = TopRow::between(&sample(10_000, 100), &sample(12_000, 300));
    assert_eq!(
        shown(&row),
        "\
up 12 s, over 2.0 s; connections 300 of 1000, 100 new/s

port            link rx packets/s     rx Mb/s tx packets/s     tx Mb/s  dropped/s
weir0           up           1000       0.800         2000       1.600        200

lcore    packets/s cycles/packet    busy passes/packet trajectory hits megaflow hits
1             1000           250   25.0%          1.50           90.0%             -

dropped                 packets/s          in all
table_miss                    300             900
no_bucket                       0               7
"
    );
}

#[test]
fn nothing_happened_between_two_looks_at_one_time() {
    let row = TopRow::between(&sample(10_000, 100), &sample(10_000, 100));
    assert_eq!(row.lcores[0].cycles_per_packet, None);
    assert!(shown(&row).contains("weir0           up              0 "));
    // A switch that started anew counts from zero.
    let row = TopRow::between(&sample(10_000, 100), &sample(1_000, 1));
    assert_eq!((row.interval_ms, row.ports[0].rx_packets_per_s), (0, 0));
}
