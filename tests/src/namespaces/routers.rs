//! A switch on the wire between two routers, with a host behind each:
//!
//! ```text
//! client -- inner -- [inside: switch: outside] -- outer -- server
//! ```
//!
//! So errors come from routers on the path, on either side, about packets that others sent.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Lab, text};

/// One version of IP: who has which address.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// How `ip` is told the version.
    version: &'static str,
    /// How many bits of an address are those of its network, and of all.
    bits: (u8, u8),
    /// The host behind the inner router.
    pub client: &'static str,
    /// The inner router, towards the client and towards the switch.
    pub inner: (&'static str, &'static str),
    /// The outer router, towards the switch and towards the server.
    pub outer: (&'static str, &'static str),
    /// The host behind the outer router.
    pub server: &'static str,
}

/// Addresses of IPv4.
pub const V4: Addresses = Addresses {
    version: "-4",
    bits: (24, 32),
    client: "10.0.0.5",
    inner: ("10.0.0.1", "192.0.2.2"),
    outer: ("192.0.2.1", "198.51.100.1"),
    server: "198.51.100.9",
};

/// Addresses of IPv6.
pub const V6: Addresses = Addresses {
    version: "-6",
    bits: (64, 128),
    client: "fd00:a::5",
    inner: ("fd00:a::1", "2001:db8:2::2"),
    outer: ("2001:db8:2::1", "2001:db8:9::1"),
    server: "2001:db8:9::9",
};

/// What the links beside the server and beside the client take, in bytes of IP.
const SERVER_MTU: &str = "1400";
const CLIENT_MTU: &str = "1300";

const TCP_PORT: u16 = 5001;
const UDP_PORT: u16 = 5002;
/// How much a transfer is, in bytes.
const TRANSFER: u64 = 5_000_000;
/// What hosts do that the kernel here does not, or no program.
const SCTP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/sctp.py");
const SCTP_PORT: &str = "5004";
const FTP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ftp/hosts.py");

/// The switch, and the hosts and routers on either side of it.
#[derive(Debug)]
pub struct Routers {
    /// The switch, with hosts `client`, `inner`, `outer` and `server`.
    pub lab: Lab,
}

impl Routers {
    /// What hosts do with, as [`super::weir_binary_and`] has it.
    pub const PROGRAMS: &[&[&str]] = &[
        &["traceroute", "-V"],
        &["tracepath", "-V"],
        &["python3", SCTP],
    ];

    /// Runs `examples/NAME.toml`, which has ports `inside` and `outside`. The outer router sends what
    /// is for one of `behind`, networks or addresses of each version, to the inner one.
    ///
    /// # Panics
    /// As [`Lab::start`].
    pub fn start_example(binary: PathBuf, name: &str, behind: [&str; 2]) -> Self {
        let hosts = ["client", "inner", "outer", "server"];
        let lab = Lab::start_example(binary, name, &hosts);
        lab.cable(("client", "eth0"), ("inner", "hosts"));
        lab.cable(("outer", "hosts"), ("server", "eth0"));
        lab.plug("inside", "inner", "02:00:00:00:00:02");
        lab.plug("outside", "outer", "02:00:00:00:00:01");
        for (addresses, behind) in [V4, V6].into_iter().zip(behind) {
            let Addresses {
                version,
                inner,
                outer,
                ..
            } = addresses;
            for (host, device, address) in [
                ("client", "eth0", addresses.client),
                ("inner", "hosts", inner.0),
                ("inner", "inside", inner.1),
                ("outer", "outside", outer.0),
                ("outer", "hosts", outer.1),
                ("server", "eth0", addresses.server),
            ] {
                lab.address(host, device, &format!("{address}/{}", addresses.bits.0));
            }
            for (host, to, via) in [
                ("client", "default", inner.0),
                ("inner", "default", outer.0),
                ("outer", behind, inner.1),
                ("server", "default", outer.1),
            ] {
                lab.route(host, &[version, "route", "add", to, "via", via]);
            }
        }
        for host in ["inner", "outer"] {
            lab.set(host, "net/ipv4/ip_forward", "1");
            lab.set(host, "net/ipv6/conf/all/forwarding", "1");
        }
        for host in hosts {
            // Who is asked often is to answer each time.
            lab.set(host, "net/ipv4/icmp_ratelimit", "0");
            lab.set(host, "net/ipv6/icmp/ratelimit", "0");
        }
        Self { lab }
    }

    /// The client finds the routers up to the server, by UDP, echo and TCP.
    ///
    /// # Panics
    /// If one is missing, or another one shown.
    pub fn client_traces_the_route(&self, addresses: &Addresses) {
        // Connections of the kernel's. With `--tcp`, traceroute listens at a raw socket, and once in some
        // hundred runs takes no answer there, though all have come to the client's device.
        for way in ["--udp", "--icmp", "--module=tcpconn"] {
            let options = ["-n", "-q", "1", "-w", "5", "-m", "6", addresses.server];
            let asked = [&["traceroute", way], &options[..]].concat();
            let told = text(&self.lab.at("client", &asked));
            // One line for each, after the first: its number, its address, how long it took.
            let hops = told.lines().skip(1);
            let hops = hops.filter_map(|line| line.split_whitespace().nth(1));
            let expected = [addresses.inner.0, addresses.outer.0, addresses.server];
            assert_eq!(
                hops.collect::<Vec<_>>(),
                expected,
                "{way}: {told}\n{}\n{}",
                self.lab.weir(&["dump-drops"]),
                self.lab.log()
            );
        }
    }

    /// The link beside the server takes less than others, and that beside the client still less. Who
    /// sends more is told by the router there, and does not do so again: over TCP either way, with
    /// the server seeing the client under the address `seen`, by echo and by UDP.
    ///
    /// # Panics
    /// If somebody is not told.
    pub fn both_ends_find_the_mtu(&self, addresses: &Addresses, seen: &str) {
        let Addresses {
            version,
            client,
            server,
            ..
        } = *addresses;
        let whole = |address| format!("{address}/{}", addresses.bits.1);
        for (router, to, mtu) in [("outer", server, SERVER_MTU), ("inner", client, CLIENT_MTU)] {
            // Of the route, since a link would also not take more from its other end.
            let limited = ["dev", "hosts", "mtu", "lock", mtu];
            let to = whole(to);
            let route = [&[version, "route", "replace", &to], &limited[..]].concat();
            self.lab.route(router, &route);
        }
        self.client_uploads(addresses);
        self.client_fetches_files(addresses);
        self.knows_mtu("server", seen, CLIENT_MTU);
        self.knows_mtu("client", server, SERVER_MTU);

        let forget = [version, "route", "flush", "cache"];
        self.lab.route("client", &forget);
        let large = [
            "-M", "do", "-s", "1400", "-c", "2", "-i", "0.2", "-W", "1", server,
        ];
        // Refused by the host itself, since it knows, but for the first one.
        let pinged = self
            .lab
            .at("client", &[&["ping", "-n"], &large[..]].concat());
        assert!(!pinged.status.success(), "{}", text(&pinged));
        self.knows_mtu("client", server, SERVER_MTU);
        self.lab.route("client", &forget);
        let traced = self
            .lab
            .at("client", &["tracepath", "-n", "-m", "6", server]);
        let told = text(&traced);
        self.is_told(&told, &format!("pmtu {SERVER_MTU}"));
        self.is_told(&told, "Resume: pmtu");
    }

    /// Echo requests of the client are answered; those of the server to `seen` are not.
    ///
    /// # Panics
    /// If it is otherwise.
    pub fn only_the_client_pings(&self, addresses: &Addresses, seen: &str) {
        let pinged = self.lab.ping("client", addresses.server);
        self.is_told(&text(&pinged), " 0% packet loss");
        let refused = self.lab.at("server", &["ping", "-c", "1", "-W", "1", seen]);
        self.is_told(&text(&refused), "100% packet loss");
    }

    /// UDP and TCP, and SCTP from user space.
    ///
    /// # Panics
    /// If something does not arrive.
    pub fn client_is_answered(&self, addresses: &Addresses) {
        let at = addresses.at(UDP_PORT);
        let echoing = self.lab.play("server", &format!("echo {at}"));
        let asked = self.lab.play("client", &format!("ask {at}")).told();
        self.is_told(&asked, "answered");
        // Of a size that no link takes: it goes and comes in pieces.
        let asked = self.lab.play("client", &format!("ask {at} 8000")).told();
        self.is_told(&asked, "answered");
        let large = ["-c", "2", "-i", "0.2", "-W", "2", "-s", "5000"];
        let large = [&["ping"], &large[..], &[addresses.server]].concat();
        self.is_told(&text(&self.lab.at("client", &large)), " 0% packet loss");
        drop(echoing);
        // Nobody is there any more, and says so.
        let asked = self.lab.play("client", &format!("ask {at}")).told();
        self.is_told(&asked, "refused");
        self.client_uploads(addresses);

        let server = addresses.server;
        let answering = ["python3", SCTP, "answer", server, SCTP_PORT];
        let _answering = self.lab.serve("server", &answering);
        let asked = self
            .lab
            .at("client", &["python3", SCTP, "ask", server, SCTP_PORT]);
        self.is_told(&text(&asked), "answered");
    }

    /// Files are fetched and stored by FTP, active and passive, and fetched by TFTP.
    ///
    /// # Panics
    /// If one is not.
    pub fn client_fetches_files(&self, addresses: &Addresses) {
        let serving = ["python3", FTP, "serve", V4.server, V6.server];
        let _serving = self.lab.serve("server", &serving);
        let server = addresses.server;
        let asked = self
            .lab
            .at("client", &["python3", FTP, "ask-known", server]);
        let told = text(&asked);
        for way in ["passive", "active", "pieces"] {
            self.is_told(&told, &format!("ftp {server} 21 {way}\n"));
        }
        self.is_told(&told, &format!("tftp {server} 69\n"));
    }

    fn client_uploads(&self, addresses: &Addresses) {
        let at = addresses.at(TCP_PORT);
        self.lab.transfer("client", "server", at, TRANSFER);
    }

    /// What a host has been told of the way to `address`.
    fn knows_mtu(&self, host: &str, address: &str, mtu: &str) {
        let route = self.lab.at(host, &["ip", "route", "get", address]);
        self.is_told(&text(&route), &format!(" mtu {mtu} "));
    }

    fn is_told(&self, told: &str, words: &str) {
        assert!(told.contains(words), "{words}: {told}\n{}", self.lab.log());
    }
}

impl Addresses {
    /// A port of the server.
    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.server.parse().expect("an address"), port)
    }
}
