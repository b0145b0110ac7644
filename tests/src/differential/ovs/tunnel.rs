//! Tunnels of the userspace datapath: a bridge with a tunnel port and a bridge below it, through
//! which wrapped frames travel.
//!
//! `p2` is port 2 of the upper bridge, `t9` its tunnel, port 9; `p1` is the only port of the
//! lower one.

use std::fmt::Write;

use super::{BRIDGE, Capture, Ovs, OvsError};

/// The bridge below.
const BELOW: &str = "br-phy";

/// What Open vSwitch is told, and what it gets.
#[derive(Clone, Debug)]
pub struct TunnelCase {
    /// Settings of the tunnel's interface: `type=geneve`, `options:key=5` and so on.
    pub settings: Vec<String>,
    /// Which options are which fields there, as `add-tlv-map` has it; empty: none.
    pub options: String,
    /// The flows of the upper bridge.
    pub flows: String,
    /// Our MAC address below.
    pub own_mac: String,
    /// The other end, as its MAC address and its addresses.
    pub peer_mac: String,
    /// The other end's addresses.
    pub peers: Vec<String>,
    /// Our addresses with the lengths of their prefixes.
    pub locals: Vec<String>,
    /// Frames that come in at port 2.
    pub inward: Vec<Vec<u8>>,
    /// Frames that come in below.
    pub outer: Vec<Vec<u8>>,
}

/// What Open vSwitch sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelOutcome {
    /// Below, for each frame that came in at port 2.
    pub below: Vec<Vec<Vec<u8>>>,
    /// At port 2, for each frame that came in below.
    pub above: Vec<Vec<Vec<u8>>>,
}

impl Ovs {
    /// Runs one case on fresh bridges.
    ///
    /// # Errors
    /// If Open vSwitch refuses something or gives no answer.
    pub fn run_tunnel(&mut self, case: &TunnelCase) -> Result<TunnelOutcome, OvsError> {
        let [mut below, mut above] = self.make_bridges(case)?;
        if !case.options.is_empty() {
            self.ofctl(&["add-tlv-map"], &[&case.options], "")?;
        }
        self.ofctl(&["add-flows"], &["-"], &case.flows)?;
        for local in &case.locals {
            let (method, route) = match local.contains(':') {
                true => ("netdev-dummy/ip6addr", "2001:db8::/64"),
                false => ("netdev-dummy/ip4addr", "198.51.100.0/24"),
            };
            self.call(method, &[BELOW, local])?;
            self.call("ovs/route/add", &[route, BELOW])?;
        }
        for peer in &case.peers {
            self.call("tnl/neigh/set", &[BELOW, peer, &case.peer_mac])?;
        }
        let mut outcome = TunnelOutcome {
            below: Vec::new(),
            above: Vec::new(),
        };
        // What the bridges say for themselves.
        below.new_frames()?;
        for frame in &case.inward {
            self.receive("p2", frame)?;
            outcome.below.push(below.new_frames()?);
        }
        above.new_frames()?;
        for frame in &case.outer {
            self.receive("p1", frame)?;
            outcome.above.push(above.new_frames()?);
        }
        self.daemons.vsctl(&["--if-exists", "del-br", BELOW])?;
        Ok(outcome)
    }

    /// Returns the captures of `p1` and `p2`.
    fn make_bridges(&mut self, case: &TunnelCase) -> Result<[Capture; 2], OvsError> {
        let captures = [1, 2].map(|port| {
            self.captures_made += 1;
            Capture {
                port: port.to_string(),
                path: self
                    .daemons
                    .dir()
                    .join(format!("sent-{}.pcap", self.captures_made)),
                file: None,
            }
        });
        for bridge in [BRIDGE, BELOW] {
            self.daemons.vsctl(&["--if-exists", "del-br", bridge])?;
        }
        let mac = format!("other-config:hwaddr={}", case.own_mac);
        let [tx1, tx2] = [0, 1].map(|at: usize| {
            let path = captures[at].path.display();
            format!("options:tx_pcap={path}")
        });
        let dummy = "datapath_type=dummy";
        let protocols = "protocols=OpenFlow10,OpenFlow13";
        self.daemons.vsctl(&[
            "add-br",
            BELOW,
            "--",
            "set",
            "bridge",
            BELOW,
            dummy,
            &mac,
            "--",
            "add-port",
            BELOW,
            "p1",
            "--",
            "set",
            "interface",
            "p1",
            "type=dummy",
            "ofport_request=1",
            &tx1,
        ])?;
        self.daemons.vsctl(&[
            "add-br",
            BRIDGE,
            "--",
            "set",
            "bridge",
            BRIDGE,
            dummy,
            "fail-mode=secure",
            protocols,
            "--",
            "add-port",
            BRIDGE,
            "p2",
            "--",
            "set",
            "interface",
            "p2",
            "type=dummy",
            "ofport_request=2",
            &tx2,
        ])?;
        let mut words = vec!["add-port", BRIDGE, "t9", "--", "set", "interface", "t9"];
        words.push("ofport_request=9");
        words.extend(case.settings.iter().map(String::as_str));
        self.daemons.vsctl(&words)?;
        Ok(captures)
    }

    fn receive(&mut self, port: &str, frame: &[u8]) -> Result<(), OvsError> {
        let hex = frame.iter().fold(String::new(), |mut all, byte| {
            write!(all, "{byte:02x}").expect("a string takes all");
            all
        });
        self.call("netdev-dummy/receive", &[port, &hex])?;
        self.turn()?;
        self.call("revalidator/purge", &[])?;
        Ok(())
    }
}
