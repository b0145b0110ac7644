//! Who stands at the ends of a switch's ports, and what they say: machines, and other hosts that
//! wrap what theirs say into VXLAN over IPv4. Packets are text ([`weir_packet::text`]).

use std::fmt::Write;

use weir_packet::{VecFrame, text};

use crate::switch::Switch;

/// A machine with one interface.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// The port at which it is; of no use for one behind a tunnel.
    pub port: u32,
    /// Its MAC address.
    pub mac: &'static str,
    /// Its address.
    pub ip: &'static str,
}

impl Machine {
    /// A frame with `packet` from this machine to `mac`.
    pub fn to(&self, mac: &str, packet: &str) -> String {
        format!("eth {} > {mac} {packet}", self.mac)
    }

    /// It asks all who has `ip`.
    pub fn who_has(&self, ip: &str) -> String {
        self.to(
            "ff:ff:ff:ff:ff:ff",
            &format!("arp request {} > {ip}", self.ip),
        )
    }

    /// It tells `other` where it is.
    pub fn is_at(&self, other: &Self) -> String {
        self.to(other.mac, &format!("arp reply {} > {}", self.ip, other.ip))
    }

    /// An echo request to the address `ip`, without Ethernet.
    pub fn ping(&self, ip: &str, id: u16) -> String {
        format!("icmp {} > {ip} echo-request id={id} seq=1 len=56", self.ip)
    }

    /// The answer to the echo request from the address `ip`, without Ethernet.
    pub fn pong(&self, ip: &str, id: u16) -> String {
        format!("icmp {} > {ip} echo-reply id={id} seq=1 len=56", self.ip)
    }

    /// A client without an address asks for one (RFC 2131 3.1): a DHCPDISCOVER, as far as a switch
    /// looks.
    pub fn dhcp_discover(&self) -> String {
        self.to(
            "ff:ff:ff:ff:ff:ff",
            "udp 0.0.0.0:68 > 255.255.255.255:67 len=300",
        )
    }
}

/// Who sends a packet of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Who opened it.
    Client,
    /// The other side.
    Server,
}

/// A whole TCP connection between two `ADDRESS:PORT`: handshake, request, answer, and the end
/// from both sides.
pub fn tcp(client: &str, server: &str) -> Vec<(Sender, String)> {
    use Sender::{Client, Server};
    let segments = [
        (Client, "S seq=1000 mss=1460"),
        (Server, "SA seq=5000 ack=1001 mss=1460"),
        (Client, "A seq=1001 ack=5001"),
        (Client, "PA seq=1001 ack=5001 len=120"),
        (Server, "A seq=5001 ack=1121"),
        (Server, "PA seq=5001 ack=1121 len=1400"),
        (Client, "A seq=1121 ack=6401"),
        (Client, "FA seq=1121 ack=6401"),
        (Server, "FA seq=6401 ack=1122"),
        (Client, "A seq=1122 ack=6402"),
    ];
    let line = |(sender, segment)| {
        let (from, to) = match sender {
            Client => (client, server),
            Server => (server, client),
        };
        (sender, format!("tcp {from} > {to} {segment}"))
    };
    segments.map(line).into()
}

/// The network between hosts, as one of them sees it: our end of its VXLAN tunnels, and the others'.
#[derive(Clone, Copy, Debug)]
pub struct Underlay {
    /// The port that tunnels ride on.
    pub port: u32,
    /// Our end.
    pub own: Machine,
    /// The other ends.
    pub others: &'static [Machine],
}

impl Underlay {
    /// The frame `inner` in a packet from the end `from` to ours.
    pub fn wrapped(&self, from: &Machine, vni: u32, inner: &str) -> VecFrame {
        wrapped(
            &from.to(
                self.own.mac,
                &format!("udp {}:50000 > {}:4789 no-csum", from.ip, self.own.ip),
            ),
            vni,
            text::frame(inner).bytes(),
        )
    }

    /// The end `from` sends the frame `inner`.
    #[track_caller]
    pub fn receive(&self, sw: &mut Switch, from: &Machine, vni: u32, inner: &str) {
        sw.inject_frames(self.port, vec![self.wrapped(from, vni, inner)]);
    }

    /// What was sent since the last look: `ADDRESS OF THE OTHER END VNI: FRAME`. Every byte of the
    /// outer headers is as RFC 7348 has it.
    #[track_caller]
    pub fn sent(&self, sw: &mut Switch) -> Vec<String> {
        let frames = sw.sent_frames(self.port);
        frames.iter().map(|frame| self.unwrap(frame)).collect()
    }

    #[track_caller]
    fn unwrap(&self, frame: &VecFrame) -> String {
        let bytes = frame.bytes();
        let described = text::describe(bytes);
        // Ethernet, IPv4, UDP, VXLAN.
        assert!(bytes.len() > 14 + 20 + 8 + 8, "{described}");
        let other = self
            .others
            .iter()
            .find(|other| described.contains(&format!(" > {}:4789 ", other.ip)))
            .unwrap_or_else(|| panic!("for none of the other ends: {described}"));
        let source_port = u16::from_be_bytes([bytes[34], bytes[35]]);
        let vni = u32::from_be_bytes([0, bytes[46], bytes[47], bytes[48]]);
        let outer = self.own.to(
            other.mac,
            &format!(
                "udp {}:{source_port} > {}:4789 df no-csum",
                self.own.ip, other.ip
            ),
        );
        let inner = &bytes[50..];
        assert_eq!(
            text::describe(wrapped(&outer, vni, inner).bytes()),
            described
        );
        format!("{} {vni}: {}", other.ip, text::describe(inner))
    }
}

/// A VXLAN packet: the line `outer`, which lacks its payload, with a header and the frame `inner`.
fn wrapped(outer: &str, vni: u32, inner: &[u8]) -> VecFrame {
    let mut hex = String::new();
    for byte in inner {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    text::frame(&format!("{outer} data=08000000{vni:06x}00{hex}"))
}
