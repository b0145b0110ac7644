//! From a sample to Prometheus' text.

use std::collections::{BTreeMap, HashMap};

use prometheus::core::Collector;
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

use super::{CounterRow, PoolRow, Sample};
use crate::show::{
    BucketStatsRow, CacheRow, FragmentsRow, GroupStatsRow, LcoreRow, LinkState, MasksRow, PortRow,
    ZoneRow,
};

mod nat;
mod publications;
mod rx_queues;

/// Makes text of samples; remembers the last one for what is a rate.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    /// Busy and idle cycles of each lcore at the last scrape.
    last: HashMap<u32, (u64, u64)>,
}

impl Encoder {
    pub(super) fn encode(&mut self, sample: &Sample) -> String {
        let mut series = Series(Registry::new());
        series.gauge("weir_build_info", "weir's version.", &["version"], |put| {
            put(&[env!("CARGO_PKG_VERSION")], 1);
        });
        ports(&mut series, &sample.ports);
        let (name, help) = ("weir_dropped_packets_total", "Packets dropped, by reason.");
        series.counter(name, help, &["reason"], |put| {
            sample
                .drops
                .iter()
                .for_each(|row| put(&[&row.reason], row.packets));
        });
        let (name, help) = (
            "weir_malformed_packets_total",
            "Malformed packets, by kind.",
        );
        series.counter(name, help, &["kind"], |put| {
            sample
                .malformed
                .iter()
                .for_each(|row| put(&[&row.name], row.value));
        });
        series.gauge(
            "weir_flow_table_flows",
            "Flows in a table.",
            &["table"],
            |put| {
                sample
                    .tables
                    .iter()
                    .for_each(|row| put(&[&row.table.to_string()], row.flows));
            },
        );
        series.gauge(
            "weir_flow_table_masks",
            "Different masks in a table.",
            &["table"],
            |put| {
                sample
                    .tables
                    .iter()
                    .for_each(|row| put(&[&row.table.to_string()], row.masks));
            },
        );
        series.gauge(
            "weir_conntrack_connections",
            "Connections tracked now.",
            &[],
            |put| {
                put(&[], sample.connections);
            },
        );
        let (name, help) = (
            "weir_conntrack_max_connections",
            "The most that can be tracked.",
        );
        series.gauge(name, help, &[], |put| put(&[], sample.max_connections));
        conntrack(&mut series, &sample.conntrack);
        zones(&mut series, &sample.zones);
        nat::ranges(&mut series, &sample.nat);
        packet_ins(&mut series, sample);
        groups(&mut series, &sample.groups);
        publications::publications(&mut series, &sample.publications);
        pools(&mut series, &sample.pools);
        self.lcores(&mut series, &sample.lcores);
        rx_queues::rx_queues(&mut series, &sample.rx_queues);
        let families = series.0.gather();
        TextEncoder::new()
            .encode_to_string(&families)
            .expect("our own names are valid")
    }

    fn lcores(&mut self, series: &mut Series, rows: &[LcoreRow]) {
        let columns: [Column<LcoreRow>; 9] = [
            (
                "weir_lcore_packets_total",
                "Packets an lcore received.",
                |row| row.packets,
            ),
            (
                "weir_lcore_bytes_total",
                "Bytes an lcore received.",
                |row| row.bytes,
            ),
            (
                "weir_lcore_passes_total",
                "Passes through the tables.",
                |row| row.passes,
            ),
            ("weir_lcore_lookups_total", "Table look-ups.", |row| {
                row.lookups
            }),
            (
                "weir_lcore_busy_polls_total",
                "Polls that brought packets.",
                |row| row.busy_polls,
            ),
            (
                "weir_lcore_idle_polls_total",
                "Polls that brought none.",
                |row| row.idle_polls,
            ),
            (
                "weir_lcore_busy_cycles_total",
                "TSC cycles in busy polls.",
                |row| row.busy_cycles,
            ),
            (
                "weir_lcore_idle_cycles_total",
                "TSC cycles in idle polls.",
                |row| row.idle_cycles,
            ),
            (
                "weir_lcore_answering_cycles_total",
                "TSC cycles spent on questions of the management thread.",
                |row| row.answer_cycles,
            ),
        ];
        for (name, help, value) in columns {
            series.counter(name, help, &["lcore"], |put| {
                rows.iter()
                    .for_each(|row| put(&[&row.lcore.to_string()], value(row)));
            });
        }
        caches(series, rows);
        masks(series, rows);
        fragments(series, rows);
        let (name, help) = (
            "weir_lcore_busy_ratio",
            "Share of cycles in busy polls since the last scrape.",
        );
        let ratios = GaugeVec::new(Opts::new(name, help), &["lcore"]).expect("a valid name");
        for row in rows {
            let now = (row.busy_cycles, row.idle_cycles);
            let (busy, idle) = self.last.insert(row.lcore, now).unwrap_or_default();
            let (busy, idle) = (now.0.saturating_sub(busy), now.1.saturating_sub(idle));
            let whole = busy.saturating_add(idle);
            let ratio = if whole == 0 {
                0.0
            } else {
                busy as f64 / whole as f64
            };
            ratios
                .with_label_values(&[&row.lcore.to_string()])
                .set(ratio);
        }
        series.register(ratios);
    }
}

fn ports(series: &mut Series, rows: &[PortRow]) {
    let columns: [Column<PortRow>; 11] = [
        (
            "device_losses",
            "How often the device has disappeared.",
            |row| row.device_losses,
        ),
        ("receive_packets", "Frames received.", |row| row.rx_packets),
        ("receive_bytes", "Bytes received.", |row| row.rx_bytes),
        (
            "receive_drops",
            "Frames the device had no room for.",
            |row| row.rx_dropped,
        ),
        ("receive_errors", "Frames that arrived damaged.", |row| {
            row.rx_errors
        }),
        ("transmit_packets", "Frames sent.", |row| row.tx_packets),
        ("transmit_bytes", "Bytes sent.", |row| row.tx_bytes),
        (
            "transmit_drops",
            "Frames the queue had no room for.",
            |row| row.tx_dropped,
        ),
        (
            "transmit_errors",
            "Frames the device failed to send.",
            |row| row.tx_errors,
        ),
        (
            "polls_put_off",
            "Polls put off because the port had more than its share of an lcore.",
            |row| row.polls_put_off,
        ),
        (
            "walks",
            "Passes of its packets for which no cache had an answer.",
            |row| row.walks,
        ),
    ];
    for (name, help, value) in columns {
        series.counter(
            &format!("weir_port_{name}_total"),
            help,
            &["port", "id"],
            |put| {
                rows.iter()
                    .for_each(|row| put(&[&row.name, &row.id.to_string()], value(row)));
            },
        );
    }
    series.gauge(
        "weir_port_up",
        "Whether the link is up.",
        &["port", "id"],
        |put| {
            for row in rows {
                put(
                    &[&row.name, &row.id.to_string()],
                    u64::from(row.link == LinkState::Up),
                );
            }
        },
    );
    let help = "Whether the device is there.";
    series.gauge("weir_port_device_present", help, &["port", "id"], |put| {
        for row in rows {
            put(&[&row.name, &row.id.to_string()], u64::from(row.present));
        }
    });
}

fn pools(series: &mut Series, rows: &[PoolRow]) {
    let columns: [Column<PoolRow>; 2] = [
        ("weir_mbufs", "Buffers in a pool.", |row| row.buffers),
        (
            "weir_mbufs_in_use",
            "Buffers of a pool that are in frames or with a device.",
            |row| row.in_use,
        ),
    ];
    for (name, help, value) in columns {
        series.gauge(name, help, &["node"], |put| {
            for row in rows {
                let node = row
                    .node
                    .map_or_else(|| "any".to_owned(), |node| node.to_string());
                put(&[&node], value(row));
            }
        });
    }
}

fn caches(series: &mut Series, rows: &[LcoreRow]) {
    let columns: [Column<CacheRow>; 4] = [
        (
            "weir_cache_hits_total",
            "Journeys or passes that a cache answered.",
            |row| row.hits,
        ),
        (
            "weir_cache_misses_total",
            "Journeys or passes that a cache was asked and did not answer.",
            |row| row.misses,
        ),
        (
            "weir_cache_stale_total",
            "Entries given up because a change of policy may concern them.",
            |row| row.stale,
        ),
        (
            "weir_cache_refused_total",
            "Journeys or passes that a cache had no place for.",
            |row| row.refused,
        ),
    ];
    let help = "Memory that a part of an lcore was given at start.";
    series.gauge("weir_memory_bytes", help, &["lcore", "part"], |put| {
        for row in rows {
            for (part, bytes) in row.memory.parts() {
                put(&[&row.lcore.to_string(), part], bytes);
            }
        }
    });
    for (name, help, value) in columns {
        series.counter(name, help, &["lcore", "cache"], |put| {
            for row in rows {
                let lcore = row.lcore.to_string();
                put(&[&lcore, "trajectory"], value(&row.trajectories));
                put(&[&lcore, "megaflow"], value(&row.megaflows));
            }
        });
    }
}

fn masks(series: &mut Series, rows: &[LcoreRow]) {
    let help = "Masks that the entries of the megaflow cache have.";
    series.gauge("weir_megaflow_masks", help, &["lcore"], |put| {
        for row in rows {
            put(&[&row.lcore.to_string()], row.masks.masks);
        }
    });
    let since: [Column<MasksRow>; 3] = [
        (
            "weir_megaflow_masks_visited_total",
            "Masks that passes looked through in the megaflow cache.",
            |row| row.visited,
        ),
        (
            "weir_megaflow_masks_refused_total",
            "Passes not remembered because their port had as many masks as it may.",
            |row| row.refused,
        ),
        (
            "weir_megaflow_masks_replaced_total",
            "Masks that made room for another one of their port.",
            |row| row.replaced,
        ),
    ];
    for (name, help, value) in since {
        series.counter(name, help, &["lcore"], |put| {
            for row in rows {
                put(&[&row.lcore.to_string()], value(&row.masks));
            }
        });
    }
}

fn fragments(series: &mut Series, rows: &[LcoreRow]) {
    let now: [Column<FragmentsRow>; 2] = [
        (
            "weir_fragments_waiting",
            "Pieces of datagrams that wait for others.",
            |row| row.waiting,
        ),
        (
            "weir_fragments_waiting_bytes",
            "Bytes of the frames of pieces that wait.",
            |row| row.waiting_bytes,
        ),
    ];
    let since: [Column<FragmentsRow>; 4] = [
        (
            "weir_fragments_joined_total",
            "Pieces that became part of a datagram.",
            |row| row.joined,
        ),
        (
            "weir_fragments_datagrams_total",
            "Datagrams that became whole.",
            |row| row.datagrams,
        ),
        (
            "weir_fragments_cuts_total",
            "Outputs for which a datagram was cut.",
            |row| row.cuts,
        ),
        (
            "weir_fragments_made_total",
            "Pieces made by cutting datagrams.",
            |row| row.pieces,
        ),
    ];
    for (name, help, value) in now {
        series.gauge(name, help, &["lcore"], |put| {
            rows.iter()
                .for_each(|row| put(&[&row.lcore.to_string()], value(&row.fragments)));
        });
    }
    for (name, help, value) in since {
        series.counter(name, help, &["lcore"], |put| {
            rows.iter()
                .for_each(|row| put(&[&row.lcore.to_string()], value(&row.fragments)));
        });
    }
}

fn conntrack(series: &mut Series, rows: &[CounterRow]) {
    let by_reason = [
        (
            "invalid_",
            "weir_conntrack_invalid_packets_total",
            "Packets that are +inv, by reason.",
        ),
        (
            "refused_",
            "weir_conntrack_refused_commits_total",
            "Commits that dropped, by reason.",
        ),
    ];
    let mut reasons: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    for row in rows {
        let group = by_reason
            .iter()
            .find_map(|(prefix, name, _)| Some((*name, row.name.strip_prefix(prefix)?)));
        match group {
            Some((name, reason)) => reasons.entry(name).or_default().push((reason, row.value)),
            None => {
                let name = format!("weir_conntrack_{}_total", row.name);
                series.counter(&name, &row.sentence, &[], |put| put(&[], row.value));
            }
        }
    }
    for (_, name, help) in by_reason {
        series.counter(name, help, &["reason"], |put| {
            for (reason, value) in reasons.get(name).into_iter().flatten() {
                put(&[reason], *value);
            }
        });
    }
}

/// The label of a zone; those without counts of their own share one.
fn zone_label(row: &ZoneRow) -> String {
    row.zone.map_or("other".to_owned(), |zone| zone.to_string())
}

fn zones(series: &mut Series, rows: &[ZoneRow]) {
    let (name, help) = (
        "weir_conntrack_zone_connections",
        "Connections of a zone tracked now.",
    );
    series.gauge(name, help, &["zone"], |put| {
        let own = rows.iter().filter(|row| row.zone.is_some());
        own.for_each(|row| put(&[&zone_label(row)], row.connections));
    });
    let plain = [
        ("created", "Connections created in a zone."),
        (
            "expired",
            "Connections of a zone forgotten because their time was over.",
        ),
        (
            "evicted",
            "Unreplied connections of a zone given up for a new one at a limit.",
        ),
        ("flushed", "Connections of a zone removed by flush."),
        (
            "forced",
            "Connections of a zone ended by a forced commit in the reply direction.",
        ),
        (
            "reopened",
            "Closed TCP connections of a zone ended by a SYN of a new one.",
        ),
    ];
    for (count, help) in plain {
        let name = format!("weir_conntrack_zone_{count}_total");
        series.counter(&name, help, &["zone"], |put| {
            for row in rows {
                if let Some(value) = row.counts.get(count) {
                    put(&[&zone_label(row)], *value);
                }
            }
        });
    }
    let by_reason = [
        (
            "invalid_",
            "weir_conntrack_zone_invalid_packets_total",
            "Packets that are +inv in a zone, by reason.",
        ),
        (
            "refused_",
            "weir_conntrack_zone_refused_commits_total",
            "Commits in a zone that dropped, by reason.",
        ),
    ];
    for (prefix, name, help) in by_reason {
        series.counter(name, help, &["zone", "reason"], |put| {
            for row in rows {
                let reasons = row.counts.iter();
                let reasons = reasons.filter_map(|(name, n)| Some((name.strip_prefix(prefix)?, n)));
                reasons.for_each(|(reason, count)| put(&[&zone_label(row), reason], *count));
            }
        });
    }
}

fn packet_ins(series: &mut Series, sample: &Sample) {
    let columns = [
        (
            "weir_packet_ins_total",
            "Packets handed over for a controller, by reason.",
            &sample.packet_ins,
        ),
        (
            "weir_packet_ins_refused_total",
            "Packets that a controller was to get and did not: over the rate of their port, or \
             while no slot was free.",
            &sample.packet_ins_refused,
        ),
    ];
    for (name, help, rows) in columns {
        series.counter(name, help, &["reason"], |put| {
            rows.iter().for_each(|row| put(&[&row.name], row.value));
        });
    }
}

fn groups(series: &mut Series, rows: &[GroupStatsRow]) {
    let of_group: [Column<GroupStatsRow>; 2] = [
        (
            "weir_group_packets_total",
            "Packets sent to a group.",
            |row| row.packet_count,
        ),
        ("weir_group_bytes_total", "Their bytes.", |row| {
            row.byte_count
        }),
    ];
    for (name, help, value) in of_group {
        series.counter(name, help, &["group"], |put| {
            rows.iter()
                .for_each(|row| put(&[&row.group_id.to_string()], value(row)));
        });
    }
    let of_bucket: [Column<BucketStatsRow>; 2] = [
        (
            "weir_bucket_packets_total",
            "Packets that ran a bucket of a group.",
            |row| row.packet_count,
        ),
        ("weir_bucket_bytes_total", "Their bytes.", |row| {
            row.byte_count
        }),
    ];
    for (name, help, value) in of_bucket {
        series.counter(name, help, &["group", "bucket"], |put| {
            for row in rows {
                let group = row.group_id.to_string();
                for bucket in &row.buckets {
                    put(&[&group, &bucket.bucket_id.to_string()], value(bucket));
                }
            }
        });
    }
}

/// A series made of one number of each row: name, help, number.
type Column<Row> = (&'static str, &'static str, fn(&Row) -> u64);

/// Series under construction. Names and label names are ours and valid, so nothing can fail but
/// a name used twice, which a test would show.
struct Series(Registry);

impl Series {
    fn counter(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        fill: impl FnOnce(&mut dyn FnMut(&[&str], u64)),
    ) {
        let vector = IntCounterVec::new(Opts::new(name, help), labels).expect("a valid name");
        fill(&mut |values, value| vector.with_label_values(values).inc_by(value));
        self.register(vector);
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        fill: impl FnOnce(&mut dyn FnMut(&[&str], u64)),
    ) {
        let vector = IntGaugeVec::new(Opts::new(name, help), labels).expect("a valid name");
        fill(&mut |values, value| {
            vector
                .with_label_values(values)
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        });
        self.register(vector);
    }

    fn register(&mut self, collector: impl Collector + 'static) {
        self.0
            .register(Box::new(collector))
            .expect("registered once");
    }
}
