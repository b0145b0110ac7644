//! Who polls which receive queue, and what it takes.

use super::Series;
use crate::show::RxQueueRow;

const LABELS: [&str; 3] = ["port", "id", "queue"];

pub(super) fn rx_queues(series: &mut Series, rows: &[RxQueueRow]) {
    let labels = |row: &RxQueueRow| [row.port.clone(), row.id.to_string(), row.queue.to_string()];
    let (name, help) = (
        "weir_rx_queue_busy_cycles_total",
        "TSC cycles spent on the frames of a receive queue, estimated.",
    );
    series.counter(name, help, &LABELS, |put| {
        for row in rows {
            let labels = labels(row);
            put(&labels.each_ref().map(String::as_str), row.busy_cycles);
        }
    });
    let (name, help) = (
        "weir_rx_queue_lcore",
        "The lcore that polls a receive queue.",
    );
    series.gauge(name, help, &LABELS, |put| {
        for row in rows {
            let labels = labels(row);
            put(&labels.each_ref().map(String::as_str), row.lcore.into());
        }
    });
}
