//! Captures that stand for the traffic of many connections.
//!
//! A [`Traffic`] describes both directions of N connections. The clients' port plays its
//! [`Forward`](Direction::Forward) capture, the servers' port its [`Reply`](Direction::Reply)
//! capture, over and over. Each connection is visited once per turn, in an order that has nothing to do with
//! its tuple and differs between the directions; or as often as Zipf's law says.
//!
//! All checksums are valid and none is zero, so a tracker has to verify them.
//!
//! Invariants
//!   1. The same `Traffic` gives the same bytes.
//!   2. Connections differ in (source port, server, server's port), so all of them keep their ports when
//!      their clients are translated to one address.
//!   3. A reply's tuple is the reverse of what the forward frame looks like behind the switch.
//!   4. TCP segments are from the middle of a stream, and each further turn of a capture is a
//!      retransmission: acceptable to a tracker that picks connections up.

use std::fs::File;
use std::io::{self, BufWriter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use pcap_file::pcap::{PcapPacket, PcapWriter};
use weir_packet::{IpPair, Tuple, protocol};

mod frame;
mod order;
#[cfg(test)]
mod tests;

pub use frame::{CLIENT_MAC, SERVER_MAC};

/// A host of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Its IPv4 address.
    pub ip: [u8; 4],
}

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client, which opened the connection, to the server.
    Forward,
    /// From the server to the client.
    Reply,
}

/// IP version of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What the connections speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP, one segment with data per direction, from the middle of a stream.
    Tcp,
}

/// How large the frames are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// All of one size in bytes, without FCS; larger where the headers need it.
    Fixed(usize),
    /// "Simple IMIX": of twelve frames seven have 60 bytes, four 590 and one 1514, without FCS.
    Imix,
}

/// How often and in which order connections are visited in one turn of a capture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// Each once, shuffled.
    Shuffled,
    /// So many frames, each of a connection drawn with a probability proportional to
    /// rank ^ -exponent. Some connections may be missing.
    Zipf {
        /// Frames per turn.
        frames: u32,
        /// Zipf's exponent; 1 is the classic.
        exponent: f64,
    },
}

/// Both directions of many connections.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// How many connections, 1 to [`Self::MAX_CONNECTIONS`].
    pub connections: u32,
    /// IP version.
    pub family: Family,
    /// UDP or TCP.
    pub transport: Transport,
    /// Sizes of the frames.
    pub sizes: Sizes,
    /// Order of the frames.
    pub order: Order,
    /// The address that the clients are translated to by the switch, if they are; replies are
    /// addressed to it. Of the same family.
    pub translated_to: Option<IpAddr>,
    /// The client and the server that all connections are between, over IPv4; otherwise there are
    /// many of both.
    pub between: Option<[Host; 2]>,
    /// Feeds the shuffling and drawing.
    pub seed: u64,
}

impl Traffic {
    /// Clients and servers have addresses for as many.
    pub const MAX_CONNECTIONS: u32 = 16_000_000;

    /// UDP over IPv4 in frames of 60 bytes (64 on a wire), shuffled.
    pub const fn udp(connections: u32) -> Self {
        Self {
            connections,
            family: Family::V4,
            transport: Transport::Udp,
            sizes: Sizes::Fixed(60),
            order: Order::Shuffled,
            translated_to: None,
            between: None,
            seed: 1,
        }
    }

    /// How many frames one turn of a capture has.
    pub const fn frames_per_turn(&self) -> u32 {
        match self.order {
            Order::Shuffled => self.connections,
            Order::Zipf { frames, .. } => frames,
        }
    }

    /// The tuple of connection number `connection` in `direction`.
    ///
    /// # Panics
    /// If `translated_to` is of another family.
    pub fn tuple(&self, connection: u32, direction: Direction) -> Tuple {
        // Neighbouring connections share a client; a port comes again only with another server.
        let client = 1 + connection / 16;
        let server = 1 + connection / PORTS;
        let src_port = LEAST_PORT + (connection % PORTS) as u16;
        let (ip, dst_port) = match (self.family, self.between) {
            (Family::V4, Some([client, server])) => {
                let ip = IpPair::V4 {
                    src: client.ip.into(),
                    dst: server.ip.into(),
                };
                (ip, SERVER_PORT + (connection / PORTS) as u16)
            }
            (Family::V4, None) => {
                let ip = IpPair::V4 {
                    src: Ipv4Addr::from_bits(CLIENTS_V4.to_bits() + client),
                    dst: Ipv4Addr::from_bits(SERVERS_V4.to_bits() + server),
                };
                (ip, SERVER_PORT)
            }
            (Family::V6, _) => {
                let ip = IpPair::V6 {
                    src: Ipv6Addr::from_bits(CLIENTS_V6.to_bits() + u128::from(client)),
                    dst: Ipv6Addr::from_bits(SERVERS_V6.to_bits() + u128::from(server)),
                };
                (ip, SERVER_PORT)
            }
        };
        let protocol = match self.transport {
            Transport::Tcp => protocol::TCP,
            Transport::Udp => protocol::UDP,
        };
        let sent = Tuple {
            ip,
            protocol,
            src_port,
            dst_port,
        };
        match direction {
            Direction::Forward => sent,
            Direction::Reply => self.translated(sent).reversed(),
        }
    }

    /// The frames of one turn, in order.
    pub fn frames(&self, direction: Direction) -> impl Iterator<Item = Vec<u8>> {
        assert!(
            (1..=Self::MAX_CONNECTIONS).contains(&self.connections),
            "{} connections cannot be told apart",
            self.connections
        );
        self.frames_of(order::visits(self, direction), direction)
    }

    /// A frame of each of `connections`, in their order.
    fn frames_of(
        &self,
        connections: Vec<u32>,
        direction: Direction,
    ) -> impl Iterator<Item = Vec<u8>> {
        connections
            .into_iter()
            .zip(self.frame_sizes(direction))
            .map(move |(connection, size)| {
                frame::frame(
                    &self.tuple(connection, direction),
                    self.macs(direction),
                    direction,
                    connection,
                    size,
                )
            })
    }

    /// Writes one turn as a classic pcap file; the frames are a microsecond apart.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, direction: Direction, path: &Path) -> io::Result<()> {
        write_frames(self.frames(direction), path)
    }

    /// The same of some connections only, whatever their number, shuffled.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_some(
        &self,
        connections: &[u32],
        direction: Direction,
        path: &Path,
    ) -> io::Result<()> {
        let mut connections = connections.to_vec();
        order::random(self.seed, direction).shuffle(&mut connections);
        write_frames(self.frames_of(connections, direction), path)
    }

    /// A frame of one connection.
    pub fn frame_of(&self, connection: u32, direction: Direction) -> Vec<u8> {
        let mut frames = self.frames_of(vec![connection], direction);
        frames.next().expect("one was asked for")
    }

    /// Source and destination of frames in `direction`.
    fn macs(&self, direction: Direction) -> [[u8; 6]; 2] {
        let [client, server] = self
            .between
            .map_or([CLIENT_MAC, SERVER_MAC], |hosts| hosts.map(|host| host.mac));
        match direction {
            Direction::Forward => [client, server],
            Direction::Reply => [server, client],
        }
    }

    fn translated(&self, sent: Tuple) -> Tuple {
        let ip = match (sent.ip, self.translated_to) {
            (ip, None) => ip,
            (IpPair::V4 { dst, .. }, Some(IpAddr::V4(src))) => IpPair::V4 { src, dst },
            (IpPair::V6 { dst, .. }, Some(IpAddr::V6(src))) => IpPair::V6 { src, dst },
            (_, Some(other)) => panic!("{other} is of another family than the traffic"),
        };
        Tuple { ip, ..sent }
    }

    fn frame_sizes(&self, direction: Direction) -> Box<dyn Iterator<Item = usize>> {
        match self.sizes {
            Sizes::Fixed(size) => Box::new(std::iter::repeat(size)),
            Sizes::Imix => {
                let mut draws = order::random(self.seed ^ 0x1a1a, direction);
                Box::new(std::iter::repeat_with(move || {
                    IMIX[draws.usize(..IMIX.len())]
                }))
            }
        }
    }
}

/// Writes a classic pcap file; the frames are a microsecond apart.
fn write_frames(frames: impl Iterator<Item = Vec<u8>>, path: &Path) -> io::Result<()> {
    let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut writer = PcapWriter::new(file).map_err(io::Error::other)?;
    for (at, frame) in (0..).zip(frames) {
        let size = frame.len() as u32;
        let packet = PcapPacket::new_owned(Duration::from_micros(at), size, frame);
        writer.write_packet(&packet).map_err(io::Error::other)?;
    }
    writer
        .into_writer()
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_data()
}

/// Writes a capture without frames.
///
/// # Errors
/// If the file cannot be written.
pub fn write_empty(path: &Path) -> io::Result<()> {
    PcapWriter::new(File::create(path)?)
        .map(drop)
        .map_err(io::Error::other)
}

/// Of the addresses for private use (RFC 1918).
const CLIENTS_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
/// For benchmarks (RFC 2544, RFC 6890).
const SERVERS_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
/// For benchmarks (RFC 5180).
const CLIENTS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 1, 0, 0, 0, 0);
const SERVERS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 2, 0, 0, 0, 0);
/// Where the servers listen, the first if there is but one.
const SERVER_PORT: u16 = 53;
/// Client ports lie above the well-known ones, as translators want them (RFC 4787 REQ-3).
const LEAST_PORT: u16 = 1024;
/// How many client ports are used before the next server's turn.
const PORTS: u32 = 60_000;

const IMIX: [usize; 12] = [60, 590, 60, 60, 590, 60, 1514, 60, 590, 60, 60, 590];
