//! After any translation every checksum is what computing it anew gives, and nothing else of the
//! packet changed: random packets with options, extension headers, tags and padding, the answers to
//! them, errors that quote what was sent, whole or cut, and datagrams in pieces, both ways.

use std::net::IpAddr;

use proptest::prelude::*;
use weir_packet::checksum::{write_ipv4_header_checksum, write_l4_checksum};
use weir_packet::reassembly::cut;
use weir_packet::{Frame, L3, L4, Layout, Tuple, VecFrame, parse, strategy, text};
use weir_tests::pieces::gathered;
use weir_tests::switch::Switch;

/// What is translated between port 1 and port 2.
#[derive(Clone, Copy, Debug)]
enum Translated {
    Source,
    Destination,
    Both,
}

/// Source in zone 1, destination in zone 2, for both versions.
fn switch(translated: Translated, random: bool, secret: u64) -> Switch {
    let random = if random { ",random" } else { "" };
    let (src, dst) = (
        matches!(translated, Translated::Source | Translated::Both),
        matches!(translated, Translated::Destination | Translated::Both),
    );
    let mut flows = String::new();
    for (ip, from, to) in [
        (
            "ip",
            "198.51.100.7-198.51.100.9:5000-5999",
            "192.0.2.1-192.0.2.2:80-90",
        ),
        (
            "ipv6",
            "[2001:db8:7::7]-[2001:db8:7::9]:5000-5999",
            "[2001:db8:9::1]-[2001:db8:9::2]:80-90",
        ),
    ] {
        let there = |zone: u8, nat: &str, table: u8| {
            format!("ct(commit,zone={zone},nat({nat}),table={table})")
        };
        let back = |zone: u8, table: u8| format!("ct(zone={zone},nat,table={table})");
        let pass = |table: u8| format!("resubmit(,{table})");
        let src_there = if src {
            there(1, &format!("src={from}{random}"), 1)
        } else {
            pass(1)
        };
        let dst_there = if dst {
            there(2, &format!("dst={to}{random}"), 2)
        } else {
            pass(2)
        };
        let dst_back = if dst { back(2, 3) } else { pass(3) };
        let src_back = if src { back(1, 4) } else { pass(4) };
        flows += &format!(
            "in_port=1,{ip} actions={src_there}
             table=1,{ip} actions={dst_there}
             in_port=2,{ip} actions={dst_back}
             table=3,{ip} actions={src_back}\n"
        );
    }
    flows += "table=2 actions=output:2\ntable=4 actions=output:1";
    Switch::builder().secret(secret).flows(&flows)
}

fn layout_of(frame: &VecFrame) -> Layout {
    parse(frame.head(), frame.len()).expect("no runt")
}

fn tuple_of(frame: &VecFrame) -> Option<Tuple> {
    Tuple::of(frame.head(), &layout_of(frame))
}

/// The packet with these addresses and numbers, written where the RFCs have them, and each checksum
/// computed anew; one that is not there stays so.
fn written(frame: &VecFrame, tuple: &Tuple) -> VecFrame {
    let mut frame = frame.clone();
    let layout = layout_of(&frame);
    let (l3, l4) = (usize::from(layout.l3_offset), usize::from(layout.l4_offset));
    let head = frame.head_mut();
    match (tuple.src(), tuple.dst()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            head[l3 + 12..l3 + 16].copy_from_slice(&src.octets());
            head[l3 + 16..l3 + 20].copy_from_slice(&dst.octets());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            head[l3 + 8..l3 + 24].copy_from_slice(&src.octets());
            head[l3 + 24..l3 + 40].copy_from_slice(&dst.octets());
        }
        _ => unreachable!("a tuple is of one version"),
    }
    match layout.l4 {
        L4::Tcp | L4::Udp | L4::Sctp => {
            head[l4..l4 + 2].copy_from_slice(&tuple.src_port.to_be_bytes());
            head[l4 + 2..l4 + 4].copy_from_slice(&tuple.dst_port.to_be_bytes());
        }
        L4::Icmp | L4::Icmpv6 if tuple.has_identifier() => {
            head[l4 + 4..l4 + 6].copy_from_slice(&tuple.src_port.to_be_bytes());
        }
        L4::None | L4::Icmp | L4::Icmpv6 => {}
    }
    anew(&mut frame);
    frame
}

fn anew(frame: &mut VecFrame) {
    let layout = layout_of(frame);
    write_ipv4_header_checksum(frame.head_mut(), &layout);
    let l4 = usize::from(layout.l4_offset);
    // RFC 768: 0 says that there is none.
    let none = layout.l4 == L4::Udp && frame.head()[l4 + 6..l4 + 8] == [0, 0];
    if !none {
        write_l4_checksum(frame, &layout);
    }
}

/// The answer to a packet: its ends change places, and a request becomes a reply.
fn answer(frame: &VecFrame) -> VecFrame {
    let tuple = tuple_of(frame).expect("it has one");
    let mut frame = frame.clone();
    let layout = layout_of(&frame);
    let kind = match (layout.l4, tuple.dst_port >> 8) {
        (L4::Icmp, 8) => Some(0),
        (L4::Icmp, 0) => Some(8),
        (L4::Icmpv6, 128) => Some(129),
        (L4::Icmpv6, 129) => Some(128),
        _ => None,
    };
    if let Some(kind) = kind {
        frame.head_mut()[usize::from(layout.l4_offset)] = kind;
    }
    written(&frame, &tuple.reversed())
}

/// A router's error about a packet that went out, which quotes so many bytes of it.
fn error_about(sent: &VecFrame, quoted: usize) -> VecFrame {
    let layout = layout_of(sent);
    let start = usize::from(layout.l3_offset);
    let end = (layout.l3_end as usize).min(start + quoted);
    let quote: String = sent.bytes()[start..end]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let to = tuple_of(sent).expect("it has one").src();
    let line = match layout.l3 {
        L3::Ipv6 => format!("icmp6 2001:db8:fe::1 > {to} type=1 code=0 data={quote}"),
        _ => format!("icmp 203.0.113.254 > {to} type=3 code=1 data={quote}"),
    };
    text::frame(&line)
}

/// What an error quotes.
fn quoted(error: &VecFrame) -> &[u8] {
    let layout = layout_of(error);
    &error.bytes()[usize::from(layout.l4_offset) + 8..layout.l3_end as usize]
}

/// The one frame that left at `port`.
fn left(sw: &mut Switch, port: u32) -> VecFrame {
    let mut frames = sw.sent_frames(port);
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

fn described(frame: &VecFrame) -> String {
    text::describe(frame.bytes())
}

/// How many bytes behind the IP header, extension headers included, an error must quote to say
/// which connection it is about: the L4 header of IPv6 (RFC 4443 2.4), 64 bits of IPv4 (RFC 792).
fn numbers(layout: &Layout) -> usize {
    match (layout.l3, layout.l4) {
        (L3::Ipv6, L4::Tcp) => 20,
        (L3::Ipv6, L4::Sctp) => 12,
        (_, _) => 8,
    }
}

/// Whether so many bytes behind Ethernet end between the two bytes of TCP's checksum: from half of it
/// nobody can tell what it was before.
fn ends_in_a_checksum(frame: &VecFrame, quoted: usize) -> bool {
    let layout = layout_of(frame);
    let checksum = usize::from(layout.l4_offset - layout.l3_offset) + 16;
    layout.l4 == L4::Tcp && quoted == checksum + 1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_checksum_is_what_computing_it_anew_gives(
        lines in prop::collection::vec(strategy::whole_ip_line(), 1..8),
        translated in prop::sample::select(&[Translated::Source, Translated::Destination, Translated::Both][..]),
        random: bool,
        secret: u64,
        cuts in prop::collection::vec(0..600usize, 8),
    ) {
        let mut sw = switch(translated, random, secret);
        for (line, cut) in lines.iter().zip(cuts) {
            let frame = text::frame(line);
            let mut before = None;
            // The second and the third time it is known.
            for _ in 0..3 {
                sw.inject_frames(1, vec![frame.clone()]);
                let sent = sw.sent_frames(2);
                // Another connection may have its tuple.
                let Some(sent) = sent.first() else { continue };
                let Some(tuple) = tuple_of(sent) else {
                    prop_assert_eq!(described(sent), described(&frame));
                    continue;
                };
                prop_assert_eq!(described(sent), described(&written(&frame, &tuple)));
                prop_assert!(before.is_none_or(|before| before == tuple), "it keeps its tuple");
                before = Some(tuple);
            }
            let (Some(tuple), Some(original)) = (before, tuple_of(&frame)) else { continue };
            if tuple == original {
                continue; // it was no connection, and was left alone
            }
            let out = written(&frame, &tuple);
            for _ in 0..3 {
                let back = answer(&out);
                sw.inject_frames(2, vec![back.clone()]);
                let came = left(&mut sw, 1);
                prop_assert_eq!(described(&came), described(&written(&back, &original.reversed())));
            }
            let layout = layout_of(&out);
            let numbers = usize::from(layout.l4_offset - layout.l3_offset) + numbers(&layout);
            if (layout.l3_end as usize) < usize::from(layout.l3_offset) + numbers {
                continue; // too short to be quoted
            }
            for _ in 0..2 {
                let error = error_about(&out, numbers + cut);
                sw.inject_frames(2, vec![error.clone()]);
                let came = left(&mut sw, 1);
                // Who sent the packet finds its first bytes as it sent them.
                let start = usize::from(layout_of(&frame).l3_offset);
                let quote = quoted(&came);
                prop_assert_eq!(quote.len(), quoted(&error).len());
                let known = quote.len() - usize::from(ends_in_a_checksum(&frame, quote.len()));
                prop_assert_eq!(&quote[..known], &frame.bytes()[start..start + known]);
                let mut computed = came.clone();
                anew(&mut computed);
                prop_assert_eq!(described(&came), described(&computed));
                prop_assert_eq!(destination(&came), original.src());
            }
        }
        sw.ignore_what_is_sent();
    }
}

/// The most bytes of an L4 header: TCP with all its options.
const LARGEST_L4: usize = 60;

/// The packet of this line as one that can be cut: without padding, and with the header that pieces of
/// IPv6 need.
fn datagram(line: &str) -> VecFrame {
    let (line, _) = line.rsplit_once(" pad=").unwrap_or((line, ""));
    let frame = text::frame(line);
    match layout_of(&frame).l3 {
        L3::Ipv6 => text::frame(&format!("{line} frag id=9 off=0")),
        _ => frame,
    }
}

/// The frame in pieces with at most so many bytes of data; its L4 header is whole in the first of them.
/// `None`: it fits into one, or says nothing by which its pieces are known.
fn in_pieces(frame: &VecFrame, data: usize) -> Option<Vec<VecFrame>> {
    let layout = layout_of(frame);
    let headers = usize::from(layout.l4_offset - layout.l3_offset);
    let pieces = cut(frame, &layout, headers + LARGEST_L4 + data)?;
    let pieces: Vec<_> = pieces.map(|piece| piece.expect("memory")).collect();
    (pieces.len() > 1).then_some(pieces)
}

/// The one datagram that these are pieces of.
fn whole(pieces: Vec<VecFrame>) -> VecFrame {
    let mut found = gathered(pieces);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_datagram_in_pieces_is_translated_as_the_whole(
        line in strategy::whole_ip_line(),
        translated in prop::sample::select(&[Translated::Source, Translated::Destination, Translated::Both][..]),
        data in 8..200usize,
        backwards: bool,
        secret: u64,
    ) {
        let frame = datagram(&line);
        let Some(mut pieces) = in_pieces(&frame, data) else { return Ok(()) };
        let Some(original) = tuple_of(&frame) else { return Ok(()) };
        if backwards {
            pieces.reverse();
        }
        let mut sw = switch(translated, false, secret);
        let mut before = None;
        for _ in 0..2 {
            sw.inject_frames(1, pieces.clone());
            let sent = sw.sent_frames(2);
            prop_assert_eq!(sent.len(), pieces.len());
            let sent = whole(sent);
            let tuple = tuple_of(&sent).expect("it has the numbers that it had");
            prop_assert_eq!(described(&sent), described(&written(&frame, &tuple)));
            prop_assert!(before.is_none_or(|before| before == tuple), "it keeps its tuple");
            before = Some(tuple);
        }
        let tuple = before.expect("it was sent");
        if tuple == original {
            return Ok(()); // it was no connection, and was left alone
        }
        let back = answer(&written(&frame, &tuple));
        let pieces = in_pieces(&back, data).expect("as the packet that it answers");
        sw.inject_frames(2, pieces);
        let came = whole(sw.sent_frames(1));
        prop_assert_eq!(described(&came), described(&written(&back, &original.reversed())));
    }
}

/// Where a packet goes.
fn destination(frame: &VecFrame) -> IpAddr {
    let layout = layout_of(frame);
    let header = &frame.bytes()[usize::from(layout.l3_offset)..];
    if layout.l3 == L3::Ipv6 {
        let address: [u8; 16] = header[24..40].try_into().expect("16 bytes");
        address.into()
    } else {
        let address: [u8; 4] = header[16..20].try_into().expect("4 bytes");
        address.into()
    }
}
