//! End to end: a fast failover group whose ports are DPDK's TAP devices, one of which lies in
//! another network namespace, follows their links and `mod-port`.
//!
//! Needs root, `ip`, `ping`, `/dev/net/tun` and the binary (`WEIR_BIN`, or `weir` beside the
//! tests). Without them it says so and passes; with `CI=true` that is a failure.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_tests::namespaces::{Lab, ip, text, weir_binary};

/// How long the group may take to choose another bucket: links are looked at ten times a second.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_group_follows_links_and_ports_that_are_switched_off() {
    let Some(binary) = weir_binary() else {
        return;
    };
    let lab = Failover::start(binary);
    lab.goes_through(0);
    lab.link("far", "far0", "down");
    lab.goes_through(1);
    // Nobody is left.
    lab.link("switch", "near0", "down");
    lab.goes_nowhere();
    lab.link("far", "far0", "up");
    lab.goes_through(0);
    lab.link("switch", "near0", "up");

    lab.0.weir(&["mod-port", "br0", "far0", "down"]);
    lab.goes_through(1);
    let shown = lab.0.weir(&["show"]);
    assert!(
        shown.contains("config:     PORT_DOWN\n     state:      LINK_DOWN"),
        "{shown}"
    );
    assert!(!lab.has_carrier(), "the far end sees no link");
    lab.0.weir(&["mod-port", "far0", "up"]);
    lab.goes_through(0);
    assert!(lab.has_carrier(), "the far end sees a link");
}

/// A switch with `in0`, from which pings come, `far0` in another namespace, and `near0`.
struct Failover(Lab);

impl Failover {
    fn start(binary: PathBuf) -> Self {
        let port = |at: u32, name: &str| {
            let id = at + 1;
            format!("[[port]]\nname = \"{name}\"\nid = {id}\nvdev = \"net_tap{at},iface={name}\"\n")
        };
        let config = format!(
            "[eal]\nidle_sleep_us = 50\n{}{}{}\
             [bridge]\nflows = [\"policy.flows\"]\ngroups = [\"policy.groups\"]\n",
            port(0, "in0"),
            port(1, "far0"),
            port(2, "near0")
        );
        let groups = "group_id=1,type=ff,bucket=watch_port=2,actions=output:2,\
                      bucket=watch_port=3,actions=output:3\n";
        let files = [
            ("switch.toml", &*config),
            ("policy.flows", "in_port=1,icmp actions=group:1\n"),
            ("policy.groups", groups),
        ];
        let lab = Self(Lab::start(binary, "ff", &files, &["far"]));
        let (switch, far) = (lab.0.name("switch"), lab.0.name("far"));
        ip(&["-n", &switch, "link", "set", "far0", "netns", &far]);
        lab.link("far", "far0", "up");
        lab.link("switch", "near0", "up");
        lab.link("switch", "in0", "up");
        ip(&["-n", &switch, "addr", "add", "192.0.2.1/24", "dev", "in0"]);
        let peer = ["192.0.2.2", "lladdr", "02:00:00:00:00:02"];
        let known = [&["-n", &switch, "neigh", "add"], &peer[..], &["dev", "in0"]].concat();
        ip(&known);
        lab
    }

    fn link(&self, namespace: &str, device: &str, state: &str) {
        let namespace = self.0.name(namespace);
        ip(&["-n", &namespace, "link", "set", device, state]);
    }

    fn has_carrier(&self) -> bool {
        let shown = self.0.at("far", &["ip", "link", "show", "far0"]);
        !text(&shown).contains("NO-CARRIER")
    }

    /// Sends one packet that nobody answers.
    fn ping(&self) {
        let ping = ["ping", "-c", "1", "-W", "0.2", "-I", "in0", "192.0.2.2"];
        self.0.at("switch", &ping);
    }

    /// What each bucket counted, and the packets for which there was none.
    fn counts(&self) -> [u64; 3] {
        let json = |arguments: &[&str]| -> Value {
            let printed = self.0.weir(&[arguments, &["--json"]].concat());
            serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
        };
        let groups = json(&["dump-group-stats"]);
        let bucket = |at: usize| groups[0]["buckets"][at]["packet_count"].as_u64();
        let drops = json(&["dump-drops"]);
        let mut drops = drops.as_array().expect("rows").iter();
        let nowhere = drops.find(|row| row["reason"] == "no_bucket");
        let nowhere = nowhere.and_then(|row| row["packets"].as_u64());
        [bucket(0), bucket(1), nowhere].map(|count| count.expect("a number"))
    }

    /// Pings go through bucket `bucket`, all of them after at most [`PATIENCE`].
    fn goes_through(&self, bucket: usize) {
        let until = Instant::now() + PATIENCE;
        let mut in_turn = 0;
        while in_turn < 3 {
            let before = self.counts();
            self.ping();
            let after = self.counts();
            let mut expected = before;
            expected[bucket] += 1;
            in_turn = if after == expected { in_turn + 1 } else { 0 };
            assert!(
                Instant::now() < until || in_turn > 0,
                "bucket {bucket}: from {before:?} to {after:?}\n{}",
                self.0.log()
            );
        }
    }

    fn goes_nowhere(&self) {
        self.goes_through(2);
    }
}
