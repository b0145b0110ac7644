//! A host whose end of tunnels is Open vSwitch's userspace datapath: what OVS-DPDK runs, without
//! DPDK's ports.
//!
//! Bridge `br-below` is at the underlay; bridge `br-above` has a port `tun` and the host's own
//! interface, and sends everything from one to the other.

use std::path::Path;

use tempfile::TempDir;

use super::{Lab, ip};
use crate::differential::OvsError;
use crate::differential::ovs::{Daemon, SCHEMA, checked, command, find};

/// The daemons in the namespace of a host. They end with this value.
pub struct OvsHost {
    dir: TempDir,
    // Fields are dropped in order of declaration: the switch before its database.
    _switch: Daemon,
    _database: Daemon,
}

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
        for program in ["ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl"] {
            if find(program).is_none() {
                let why = OvsError::Absent(program.to_owned());
                eprintln!("SKIPPED: {why}");
                let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
                assert!(!is_ci, "{why}");
                return None;
            }
        }
        let started = Self::daemons(&lab.name(host));
        let ovs = started.unwrap_or_else(|error| panic!("{error}"));
        ovs.connect(lab, host, end);
        Some(ovs)
    }

    fn daemons(namespace: &str) -> Result<Self, OvsError> {
        let dir = tempfile::Builder::new().prefix("weir-ovs-").tempdir()?;
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (database, socket) = (at("conf.db"), at("db.sock"));
        checked(
            command(dir.path(), "ovsdb-tool").args(["create", &database, SCHEMA]),
            "",
        )?;
        let database = Daemon::start(
            command(dir.path(), "setpriv")
                .args(["--pdeathsig", "KILL", "ovsdb-server", "--no-chdir"])
                .arg(format!("--unixctl={}", at("ovsdb.ctl")))
                .arg(format!("--remote=punix:{socket}"))
                .arg(&database),
            dir.path().join("ovsdb.log"),
        )?;
        database.wait_for(Path::new(&socket))?;
        checked(
            command(dir.path(), "ovs-vsctl")
                .arg(format!("--db=unix:{socket}"))
                .args(["--no-wait", "init"]),
            "",
        )?;
        let control = at("vswitchd.ctl");
        let switch = Daemon::start(
            command(dir.path(), "ip")
                .args(["netns", "exec", namespace])
                .args(["setpriv", "--pdeathsig", "KILL"])
                .args(["ovs-vswitchd", "--no-chdir", "--disable-system"])
                .arg(format!("--unixctl={control}"))
                .arg(format!("unix:{socket}")),
            dir.path().join("vswitchd.log"),
        )?;
        switch.wait_for(Path::new(&control))?;
        Ok(Self {
            dir,
            _switch: switch,
            _database: database,
        })
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
        let database = format!("--db=unix:{}", self.dir.path().join("db.sock").display());
        let done = checked(
            command(self.dir.path(), "ovs-vsctl")
                .arg(database)
                .args(arguments),
            "",
        );
        done.unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", self.log()));
    }

    /// Changes the flows of the bridge that has the tunnel, `tun`, and the host itself, LOCAL.
    ///
    /// # Panics
    /// If they are refused.
    pub fn ofctl(&self, arguments: &[&str]) -> String {
        let (verb, rest) = arguments.split_first().expect("a verb");
        let socket = self.dir.path().join(format!("{INSIDE}.mgmt"));
        let done = checked(
            command(self.dir.path(), "ovs-ofctl")
                .args(["-O", "OpenFlow13", verb])
                .arg(format!("unix:{}", socket.display()))
                .args(rest),
            "",
        );
        done.unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    /// What `ovs-appctl` answers.
    ///
    /// # Panics
    /// If it fails.
    pub fn appctl(&self, arguments: &[&str]) -> String {
        let control = self.dir.path().join("vswitchd.ctl");
        let answer = checked(
            command(self.dir.path(), "ovs-appctl")
                .arg("-t")
                .arg(control)
                .args(arguments),
            "",
        );
        answer.unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", self.log()))
    }

    /// What the switch said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("vswitchd.log")).unwrap_or_default()
    }

    /// The host's interface inside of the tunnel.
    pub const fn inside() -> &'static str {
        INSIDE
    }
}
