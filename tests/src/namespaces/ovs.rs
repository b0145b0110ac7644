//! A host whose end of tunnels is Open vSwitch's userspace datapath: what OVS-DPDK runs, without
//! DPDK's ports.
//!
//! Bridge `br-below` is at the underlay; bridge `br-above` has a port `tun` and the host's own
//! interface, and sends everything from one to the other.

use super::{Lab, ip};
use crate::differential::OvsError;
use crate::differential::ovs::{Daemons, checked, command};

/// The daemons in the namespace of a host. They end with this value.
pub struct OvsHost(Daemons);

/// What the host at the other end of a tunnel is.
#[derive(Clone, Copy, Debug)]
pub struct FarEnd<'a> {
    /// `vxlan`, `geneve` or `gre`.
    pub kind: &'a str,
    /// The device at which the underlay is.
    pub uplink: &'a str,
    /// Its own address there, with the length of the prefix.
    pub local: &'a str,
    /// The switch's.
    pub remote: &'a str,
    /// What the tunnel carries in both directions.
    pub key: u32,
    /// MAC and IP address inside of the tunnel, with the length of the prefix.
    pub inside: (&'a str, &'a str),
    /// Of its interface inside of the tunnel.
    pub mtu: u32,
}

/// The host's own interface inside of the tunnel.
const INSIDE: &str = "br-above";
const BELOW: &str = "br-below";

impl OvsHost {
    /// Starts Open vSwitch at a host. `None`, having said so, where it is not installed.
    ///
    /// # Panics
    /// If it does not start, with its log; with `CI=true`, instead of `None`.
    pub fn start(lab: &Lab, host: &str, end: &FarEnd<'_>) -> Option<Self> {
        let namespace = lab.name(host);
        let elsewhere = ["ip", "netns", "exec", &namespace];
        let daemons = match Daemons::start(&elsewhere, &[], &[]) {
            Ok(daemons) => daemons,
            Err(why @ OvsError::Absent(_)) => {
                eprintln!("SKIPPED: {why}");
                let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
                assert!(!is_ci, "{why}");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let ovs = Self(daemons);
        ovs.connect(lab, host, end);
        Some(ovs)
    }

    fn connect(&self, lab: &Lab, host: &str, end: &FarEnd<'_>) {
        let name = lab.name(host);
        ip(&["-n", &name, "link", "set", end.uplink, "up"]);
        let userspace = "datapath_type=netdev";
        let (kind, remote) = (
            format!("type={}", end.kind),
            format!("options:remote_ip={}", end.remote),
        );
        let key = format!("options:key={}", end.key);
        let mac = format!("other-config:hwaddr=\"{}\"", end.inside.0);
        for words in [
            &["add-br", BELOW, "--", "set", "bridge", BELOW, userspace][..],
            &["add-port", BELOW, end.uplink],
            &[
                "add-br", INSIDE, "--", "set", "bridge", INSIDE, userspace, &mac,
            ],
            &[
                "add-port",
                INSIDE,
                "tun",
                "--",
                "set",
                "interface",
                "tun",
                &kind,
                &remote,
                &key,
            ],
        ] {
            self.vsctl(words);
        }
        let mtu = end.mtu.to_string();
        ip(&["-n", &name, "link", "set", BELOW, "up"]);
        ip(&["-n", &name, "link", "set", INSIDE, "mtu", &mtu, "up"]);
        lab.address(host, BELOW, end.local);
        lab.address(host, INSIDE, end.inside.1);
    }

    fn vsctl(&self, arguments: &[&str]) {
        let done = self.0.vsctl(arguments);
        done.unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", self.log()));
    }

    /// Changes the flows of the bridge that has the tunnel, `tun`, and the host itself, LOCAL.
    ///
    /// # Panics
    /// If they are refused.
    pub fn ofctl(&self, arguments: &[&str]) -> String {
        let (verb, rest) = arguments.split_first().expect("a verb");
        let done = self.0.ofctl(INSIDE, "OpenFlow13", &[verb], rest, "");
        done.unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    /// What `ovs-appctl` answers.
    ///
    /// # Panics
    /// If it fails.
    pub fn appctl(&self, arguments: &[&str]) -> String {
        let answer = checked(
            command(self.0.dir(), "ovs-appctl")
                .arg("-t")
                .arg(self.0.control())
                .args(arguments),
            "",
        );
        answer.unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", self.log()))
    }

    /// What the switch said.
    pub fn log(&self) -> String {
        self.0.log()
    }

    /// The host's interface inside of the tunnel.
    pub const fn inside() -> &'static str {
        INSIDE
    }
}
