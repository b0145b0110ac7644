//! How versions of the policy reach the lcores.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily, MetricType};

use super::Series;
use crate::show::PublicationsRow;

const NAME: &str = "weir_publication_grace_seconds";
const HELP: &str =
    "Time from the publication of a version of the policy until the last lcore obeys it.";

pub(super) fn publications(series: &mut Series, row: &PublicationsRow) {
    let (name, help) = (
        "weir_publications_total",
        "Versions of the policy that were published.",
    );
    series.counter(name, help, &[], |put| put(&[], row.published));
    let (name, help) = (
        "weir_publications_waiting",
        "Versions of the policy but the newest that an lcore may still look at.",
    );
    series.gauge(name, help, &[], |put| put(&[], row.waiting));
    series.register(Grace(
        Desc::new(NAME.into(), HELP.into(), Vec::new(), [].into()).expect("a valid name"),
        row.clone(),
    ));
}

/// A histogram that somebody else counted.
struct Grace(Desc, PublicationsRow);

impl Collector for Grace {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let bucket = |&(bound, count): &(u64, u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(seconds(bound));
            bucket.set_cumulative_count(count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(self.1.grace.iter().map(bucket).collect());
        histogram.set_sample_count(self.1.grace_count);
        histogram.set_sample_sum(seconds(self.1.grace_sum_ns));
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        let mut family = MetricFamily::default();
        family.set_name(NAME.to_owned());
        family.set_help(HELP.to_owned());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(vec![metric]);
        vec![family]
    }
}
