//! The file as its author typed it: names and shapes, nothing checked, places kept.
//!
//! Integers are read as `i64` and addresses as text, so that [`super::validate`] can say what
//! is wrong with them in the reader's words rather than in those of a Rust type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

/// A value that may be absent, with its place.
pub(super) type Typed<T> = Option<Spanned<T>>;

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) eal: Option<Eal>,
    #[serde(default)]
    pub(super) port: Vec<Spanned<Port>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) neighbour: Vec<Spanned<Neighbour>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) geneve_option: Vec<Spanned<GeneveOption>>,
    pub(super) bridge: Option<Bridge>,
    pub(super) cache: Option<Cache>,
    pub(super) conntrack: Option<Conntrack>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) zone: Vec<Spanned<Zone>>,
    pub(super) controller: Option<Controller>,
    pub(super) fragments: Option<Fragments>,
    pub(super) control: Option<Control>,
    pub(super) metrics: Option<Metrics>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Eal {
    pub(super) lcores: Typed<Vec<Spanned<i64>>>,
    pub(super) shards: Typed<i64>,
    pub(super) hugepages: Option<bool>,
    pub(super) memory_mb: Typed<i64>,
    pub(super) mbufs: Typed<i64>,
    pub(super) args: Option<Vec<String>>,
    pub(super) rss: Option<bool>,
    pub(super) idle_sleep_us: Typed<i64>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Port {
    pub(super) name: Typed<String>,
    pub(super) id: Typed<i64>,
    pub(super) local: Typed<bool>,
    pub(super) vdev: Typed<String>,
    pub(super) pci: Typed<String>,
    pub(super) queues: Typed<i64>,
    pub(super) mtu: Typed<i64>,
    pub(super) tag: Typed<i64>,
    pub(super) trunks: Typed<Vec<Spanned<i64>>>,
    pub(super) kind: Typed<String>,
    pub(super) over: Typed<String>,
    pub(super) local_ip: Typed<String>,
    pub(super) remote_ip: Typed<String>,
    pub(super) key: Typed<toml::Value>,
    pub(super) dst_port: Typed<i64>,
    pub(super) rxq_affinity: Typed<Affinity>,
}

/// Lcores by queue.
pub(super) type Affinity = BTreeMap<Spanned<String>, Spanned<i64>>;

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Neighbour {
    pub(super) port: Typed<String>,
    pub(super) ip: Typed<String>,
    pub(super) mac: Typed<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GeneveOption {
    pub(super) class: Typed<i64>,
    pub(super) r#type: Typed<i64>,
    pub(super) len: Typed<i64>,
    pub(super) field: Typed<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bridge {
    pub(super) name: Typed<String>,
    pub(super) flows: Option<Vec<Spanned<String>>>,
    pub(super) groups: Option<Vec<Spanned<String>>>,
    pub(super) fail_mode: Typed<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cache {
    pub(super) trajectories: Typed<i64>,
    pub(super) megaflows: Typed<i64>,
    pub(super) masks_per_port: Typed<i64>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Conntrack {
    pub(super) max_connections: Typed<i64>,
    pub(super) tcp_loose: Option<bool>,
    pub(super) tcp_liberal: Option<bool>,
    pub(super) zone_limit: Typed<i64>,
    pub(super) accounting: Option<bool>,
    pub(super) timeouts: Option<Seconds>,
}

/// Timeouts by name.
pub(super) type Seconds = BTreeMap<Spanned<String>, Spanned<i64>>;

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Zone {
    pub(super) id: Typed<i64>,
    pub(super) tcp_loose: Option<bool>,
    pub(super) tcp_liberal: Option<bool>,
    pub(super) limit: Typed<i64>,
    pub(super) source_limit: Typed<i64>,
    pub(super) timeouts: Option<Seconds>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Controller {
    pub(super) slots: Typed<i64>,
    pub(super) rate: Typed<i64>,
    pub(super) burst: Typed<i64>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fragments {
    pub(super) waiting: Typed<i64>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Control {
    pub(super) socket: Typed<String>,
    pub(super) mode: Typed<String>,
    pub(super) owner: Typed<String>,
    pub(super) group: Typed<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metrics {
    pub(super) listen: Typed<String>,
}
