//! How versions of the policy reach the lcores.

use serde::{Deserialize, Serialize};
use weir_tables::publication::{GRACE_BOUNDS, Publications};

/// Publications and their grace periods, since start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationsRow {
    /// Versions published.
    pub published: u64,
    /// Versions but the newest that an lcore may still look at.
    pub waiting: u64,
    /// Grace periods, from the publication until the last lcore obeys, that were at most so long: upper
    /// bound in nanoseconds, and how many, those of lower bounds included.
    pub grace: Vec<(u64, u64)>,
    /// Grace periods measured.
    pub grace_count: u64,
    /// Their sum in nanoseconds.
    pub grace_sum_ns: u64,
    /// The longest in nanoseconds.
    pub grace_longest_ns: u64,
}

impl From<&Publications> for PublicationsRow {
    fn from(all: &Publications) -> Self {
        let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut so_far = 0;
        let classes = GRACE_BOUNDS.iter().zip(all.grace.counts);
        let cumulative = classes.map(|(bound, count)| {
            so_far += count;
            (nanos(*bound), so_far)
        });
        Self {
            published: all.published,
            waiting: all.waiting,
            grace: cumulative.collect(),
            grace_count: all.grace.count(),
            grace_sum_ns: nanos(all.grace.sum),
            grace_longest_ns: nanos(all.grace.longest),
        }
    }
}

impl std::fmt::Display for PublicationsRow {
    /// `policy: 3 versions published, obeyed after 4.2 us (at most 7.0 us), 0 waiting to be freed`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            published, waiting, ..
        } = self;
        let micros = |nanos: u64| nanos as f64 / 1_000.0;
        write!(f, "policy: {published} versions published, ")?;
        if let Some(average) = self.grace_sum_ns.checked_div(self.grace_count) {
            let (average, longest) = (micros(average), micros(self.grace_longest_ns));
            write!(
                f,
                "obeyed after {average:.1} us (at most {longest:.1} us), "
            )?;
        }
        write!(f, "{waiting} waiting to be freed")
    }
}
