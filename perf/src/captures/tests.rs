use std::collections::HashSet;

use weir_packet::checksum::{ipv4_header_checksum_ok, l4_checksum_ok};
use weir_packet::{Frame, L4, VecFrame, parse};

use super::*;

const BOTH: [Direction; 2] = [Direction::Forward, Direction::Reply];

fn variants() -> Vec<Traffic> {
    let plain = Traffic::udp(300);
    let snat = Some(IpAddr::from([203, 0, 113, 1]));
    vec![
        Traffic {
            family: Family::V6,
            ..plain.clone()
        },
        Traffic {
            transport: Transport::Tcp,
            ..plain.clone()
        },
        Traffic {
            transport: Transport::Tcp,
            family: Family::V6,
            ..plain.clone()
        },
        Traffic {
            sizes: Sizes::Imix,
            ..plain.clone()
        },
        Traffic {
            sizes: Sizes::Fixed(1514),
            transport: Transport::Tcp,
            ..plain.clone()
        },
        Traffic {
            translated_to: snat,
            ..plain.clone()
        },
        Traffic {
            order: Order::Zipf {
                frames: 1000,
                exponent: 1.0,
            },
            ..plain.clone()
        },
        plain,
    ]
}

/// RFC 1071 as simple as it can be said: nothing that the switch itself uses.
fn ones_complement_sum(bytes: impl IntoIterator<Item = u8>) -> u16 {
    let bytes: Vec<u8> = bytes.into_iter().collect();
    let mut sum = 0u32;
    for word in bytes.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[test]
fn checksums_are_right_and_not_zero() {
    for traffic in variants() {
        for frame in BOTH
            .into_iter()
            .flat_map(|direction| traffic.frames(direction))
        {
            let (ip_size, addresses, protocol) = match traffic.family {
                Family::V4 => (20, 26..34, frame[23]),
                Family::V6 => (40, 22..54, frame[20]),
            };
            let l4 = &frame[14 + ip_size..];
            let checksum = if traffic.transport == Transport::Tcp {
                &l4[16..18]
            } else {
                &l4[6..8]
            };
            assert_ne!(checksum, [0, 0]);
            let pseudo = [0, protocol]
                .into_iter()
                .chain((l4.len() as u16).to_be_bytes());
            let covered = frame[addresses]
                .iter()
                .copied()
                .chain(pseudo)
                .chain(l4.iter().copied());
            assert_eq!(ones_complement_sum(covered), 0xffff, "{traffic:?}");
            if traffic.family == Family::V4 {
                assert_eq!(ones_complement_sum(frame[14..34].iter().copied()), 0xffff);
            }
        }
    }
}

#[test]
fn frames_are_whole_and_carry_the_tuple() {
    for traffic in variants() {
        for direction in BOTH {
            let tuples: HashSet<_> = (0..traffic.connections)
                .map(|number| traffic.tuple(number, direction))
                .collect();
            assert_eq!(tuples.len(), traffic.connections as usize);
            for bytes in traffic.frames(direction) {
                let frame = VecFrame::new(&bytes);
                let layout = parse(frame.head(), frame.len()).expect("Ethernet");
                assert_eq!(layout.malformed, None);
                assert_eq!(layout.l3_end as usize, bytes.len());
                assert!(matches!(layout.l4, L4::Udp | L4::Tcp));
                assert!(ipv4_header_checksum_ok(frame.head(), &layout));
                assert!(l4_checksum_ok(&frame, &layout));
                let tuple = Tuple::of(frame.head(), &layout).expect("whole");
                assert!(tuples.contains(&tuple), "{tuple}");
            }
        }
    }
}

#[test]
fn each_connection_is_visited_once_in_another_order_each_way() {
    let traffic = Traffic::udp(1000);
    let [forward, reply] = BOTH.map(|way| order::visits(&traffic, way));
    for visits in [&forward, &reply] {
        let mut sorted = visits.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..1000));
        assert_ne!(sorted, *visits);
    }
    assert_ne!(forward, reply);
}

#[test]
fn the_same_traffic_gives_the_same_bytes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for traffic in variants() {
        let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
        traffic.write(Direction::Reply, &first).expect("written");
        traffic.write(Direction::Reply, &second).expect("written");
        let bytes = std::fs::read(&first).expect("readable");
        assert_eq!(bytes, std::fs::read(&second).expect("readable"));
        let expected: usize = traffic
            .frames(Direction::Reply)
            .map(|frame| 16 + frame.len())
            .sum();
        assert_eq!(bytes.len(), 24 + expected);
        let other = Traffic { seed: 2, ..traffic };
        other.write(Direction::Reply, &second).expect("written");
        assert_ne!(bytes, std::fs::read(&second).expect("readable"));
    }
}

#[test]
fn replies_answer_what_leaves_the_switch() {
    let address = Ipv4Addr::new(203, 0, 113, 1);
    let plain = Traffic::udp(130_000);
    let snat = Traffic {
        translated_to: Some(address.into()),
        ..plain.clone()
    };
    let mut outside = HashSet::new();
    for connection in 0..plain.connections {
        let sent = plain.tuple(connection, Direction::Forward);
        assert_eq!(plain.tuple(connection, Direction::Reply), sent.reversed());
        assert_eq!(snat.tuple(connection, Direction::Forward), sent);
        let reply = snat.tuple(connection, Direction::Reply);
        assert_eq!(reply.dst(), IpAddr::V4(address));
        assert_eq!((reply.src(), reply.dst_port), (sent.dst(), sent.src_port));
        // One address for all, every port kept, and still no two alike.
        assert!(outside.insert(reply));
    }
}

#[test]
fn zipf_prefers_the_first_ranks() {
    let order = Order::Zipf {
        frames: 100_000,
        exponent: 1.0,
    };
    let traffic = Traffic {
        order,
        ..Traffic::udp(1000)
    };
    let mut counts = vec![0u32; 1000];
    for connection in order::visits(&traffic, Direction::Forward) {
        counts[connection as usize] += 1;
    }
    counts.sort_unstable_by(|a, b| b.cmp(a));
    // The harmonic number of 1000 is 7.485: rank 1 has 13.4 %, rank 2 half of that.
    assert!((12_500..14_300).contains(&counts[0]), "{}", counts[0]);
    assert!((6_000..7_400).contains(&counts[1]), "{}", counts[1]);
    assert!(counts[999] < 60);
}

#[test]
fn imix_has_its_shares() {
    let traffic = Traffic {
        sizes: Sizes::Imix,
        ..Traffic::udp(12_000)
    };
    let mut counts = [0; 3];
    for frame in traffic.frames(Direction::Forward) {
        match frame.len() {
            60 => counts[0] += 1,
            590 => counts[1] += 1,
            1514 => counts[2] += 1,
            other => panic!("{other} bytes"),
        }
    }
    for (count, expected) in counts.into_iter().zip([7000_i32, 4000, 1000]) {
        assert!(
            (expected - 300..expected + 300).contains(&count),
            "{counts:?}"
        );
    }
}

#[test]
fn a_reply_comes_for_what_was_sent_and_for_nothing_else() {
    for order in [
        Order::Shuffled,
        Order::Zipf {
            frames: 3000,
            exponent: 1.0,
        },
    ] {
        let traffic = Traffic {
            order,
            ..Traffic::udp(1000)
        };
        let [forward, reply] = BOTH.map(|way| {
            let mut visits = order::visits(&traffic, way);
            visits.sort_unstable();
            visits
        });
        assert_eq!(forward, reply);
    }
}
