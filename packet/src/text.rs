//! Packets as text, for tests, replays and benches: [`parse`] makes the bytes of a line,
//! [`describe`] a line of the bytes.
//!
//! ```text
//! udp 10.0.0.5:4000 > 192.0.2.9:53
//! tcp 10.0.0.1:1 > 10.0.0.2:2 SA seq=1 ack=2 win=1000 wscale=7 len=100
//! vlan 5 pcp 3 tcp [2001:db8::1]:1 > [2001:db8::2]:2 S ttl=1
//! icmp 10.0.0.1 > 10.0.0.2 echo-request id=7 seq=1
//! icmp 10.0.0.9 > 10.0.0.1 unreachable code=3 { udp 10.0.0.1:4 > 10.0.0.2:5 len=9 } cut=28
//! icmp6 fe80::1 > ff02::1 neighbor-solicit target=fe80::2 sll=02:00:00:00:00:01
//! eth 02:00:00:00:00:09 > ff:ff:ff:ff:ff:ff arp request 10.0.0.1 > 10.0.0.2
//! sctp 10.0.0.1:1 > 10.0.0.2:2 vtag=0x5 chunk=data:3:00112233
//! ip proto=47 10.0.0.1 > 10.0.0.2 data=00000800
//! udp 10.0.0.1:1 > 10.0.0.2:2 frag id=7 off=0 mf len=1472
//! ether type=0x88cc len=46
//! hex ffffffffffff020000000001
//! ```
//!
//! Addresses choose IPv4 or IPv6. Lengths and checksums are made right unless the line says
//! otherwise; nothing is padded to Ethernet's 60 bytes unless it says `pad=`. Numbers are
//! decimal or, after `0x`, hexadecimal.
//!
//! * In front: `eth SRC > DST` (else 02:00:00:00:00:01 > 02:00:00:00:00:02), up to any number
//!   of `vlan VID [pcp N] [dei] [tpid N]`, outermost first, and any of the IP words.
//! * IP: `ttl=` (64; 255 for Neighbour Discovery), `tos=`, `frag id= off= [mf]` (`off` in bytes), `bad-csum`
//!   (the L4 checksum is one too high), `csum=`, `no-csum` (UDP); IPv4: `ip-id=`, `df`, `ipopt=HEX`,
//!   `bad-ip-csum`, `ip-csum=`; IPv6: `label=`, `ext=PROTOCOL:HEX` (an extension header without its first
//!   two bytes, in front of the fragment header).
//! * Payload: `len=N` counted bytes, of which the first is `from=` (0), or `data=HEX`.
//! * TCP: flags out of `FSRPAUECN`, `seq=`, `ack=`, `win=` (65535), `urg=`, `mss=`, `sack-ok`,
//!   `ts=VALUE:ECHO`, `wscale=`, or all options as `opt=HEX`. UDP: `udp-len=`. SCTP: `vtag=`,
//!   `chunk=NAME[:FLAGS[:HEX]]`, `init=TAG` and `init-ack=TAG` (chunks with that tag, and else plain).
//! * ICMP: a type's name or `type=`, `code=`, `id=` and `seq=` or `mtu=` or `rest=` (the four bytes
//!   behind the checksum), `{ the quoted packet }` and `cut=` (how many bytes of it are quoted).
//!   Neighbour Discovery: `target=`, `sll=` or `tll=`, `flags=RSO`.
//! * ARP and RARP: `request`, `reply` or `op=`; `sha=` (that of `eth`), `tha=` (zero in a
//!   request, else that of `eth`).
//! * `pad=N` zero bytes at the end.

mod decode;
mod encode;
mod packet;
mod print;
mod read;

use crate::frame::VecFrame;

/// A line that describes no packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct TextError {
    /// Where, in characters from 1; one behind the end if something is missing.
    pub column: usize,
    /// What was found and what would do.
    pub message: String,
}

/// The bytes of the packet that `line` describes.
///
/// # Errors
/// [`TextError`] if it describes none, or one whose lengths do not fit their fields.
pub fn parse(line: &str) -> Result<Vec<u8>, TextError> {
    let packet = read::packet(line)?;
    encode::packet(&packet).map_err(|message| TextError { column: 1, message })
}

/// [`parse`] for a test: the frame of a line that is known to be right.
///
/// # Panics
/// If it is not.
pub fn frame(line: &str) -> VecFrame {
    match parse(line) {
        Ok(bytes) => VecFrame::from(bytes),
        Err(error) => panic!("{line}: {error}"),
    }
}

/// The line that describes a frame: [`parse`] makes the same bytes of it, whatever they are.
///
/// Values that [`parse`] would assume are left out; a frame that the syntax cannot express is
/// printed as `hex`.
pub fn describe(frame: &[u8]) -> String {
    decode::packet(frame).to_string()
}

#[cfg(test)]
mod tests;
