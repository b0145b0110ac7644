//! Ranges of translations.

use super::Series;
use crate::show::{NatRow, NatZoneRow};

/// The label of ranges, and of zones, that have no series of their own.
const OTHER: &str = "other";

pub(super) fn ranges(series: &mut Series, rows: &[NatRow]) {
    let name = |row: &NatRow| row.nat.clone().unwrap_or_else(|| OTHER.to_owned());
    let (metric, help) = (
        "weir_nat_range_addresses",
        "Addresses of a range of translations.",
    );
    series.gauge(metric, help, &["range"], |put| {
        for row in rows {
            if let Some(addresses) = row.addresses {
                put(&[&name(row)], addresses);
            }
        }
    });
    let (metric, help) = (
        "weir_nat_range_ports_in_use",
        "Connections that have an address and port of a range; a port serves one for each \
         destination.",
    );
    series.gauge(metric, help, &["range"], |put| {
        rows.iter()
            .for_each(|row| put(&[&name(row)], row.connections));
    });
    let each_zone = |put: &mut dyn FnMut(&str, &str, &NatZoneRow)| {
        for row in rows {
            for zone in &row.zones {
                let number = zone.zone.map_or(OTHER.to_owned(), |zone| zone.to_string());
                put(&name(row), &number, zone);
            }
        }
    };
    let (metric, help) = (
        "weir_nat_range_longest_probe",
        "The most addresses and ports that were looked at for one connection.",
    );
    series.gauge(metric, help, &["range", "zone"], |put| {
        each_zone(&mut |range, zone, row| put(&[range, zone], row.longest_probe.into()));
    });
    let (metric, help) = (
        "weir_nat_range_searched_total",
        "Connections that did not get the first choice.",
    );
    series.counter(metric, help, &["range", "zone"], |put| {
        each_zone(&mut |range, zone, row| put(&[range, zone], row.searched));
    });
    let (metric, help) = (
        "weir_nat_range_failures_total",
        "Commits that dropped their packet because a range had nothing for it, by reason.",
    );
    series.counter(metric, help, &["range", "zone", "reason"], |put| {
        each_zone(&mut |range, zone, row| {
            put(&[range, zone, "exhausted"], row.exhausted);
            put(&[range, zone, "other_version"], row.other_version);
        });
    });
}
