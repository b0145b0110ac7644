//! Arguments of `weir top`.

use std::time::Duration;

use clap::Args;

use super::{Output, Switch};

/// `weir top`
#[derive(Debug, Args)]
pub struct Top {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Seconds from one look to the next.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    pub(crate) interval: Duration,
    /// End after so many looks.
    #[arg(long, value_name = "N", conflicts_with = "once",
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// The same as --count 1.
    #[arg(long)]
    pub(crate) once: bool,
    /// The bridge.
    pub(crate) bridge: Option<String>,
}

impl Top {
    /// How many looks; `None`: until somebody ends it.
    pub(crate) const fn looks(&self) -> Option<u64> {
        match self.once {
            true => Some(1),
            false => self.count,
        }
    }
}

/// A hundredth of a second to a day.
fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let allowed = seconds.filter(|seconds| (0.01..=86_400.0).contains(seconds));
    allowed
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected 0.01 to 86400 seconds".to_owned())
}
