use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, Endianness, TsResolution};
use proptest::prelude::*;
use weir_packet::reassembly::cut;
use weir_packet::{Frame, Tick, VecFrame, parse, text};
use weir_tables::port::PortNo;

use super::{Capture, Fed, Input, OfflineSwitch, Packet, ReplayError, ReplaySwitch, feed, run};
use crate::cli::{Replay, ReplayInput};
use crate::file::{Config, FlowSource, NamedText};

const SECOND: u64 = 1_000_000_000;

fn pcap_with(header: PcapHeader, packets: &[(u64, &[u8])]) -> Vec<u8> {
    let mut writer = PcapWriter::with_header(Vec::new(), header).expect("a vector");
    for (time, frame) in packets {
        let size = u32::try_from(frame.len()).expect("small");
        writer
            .write_packet(&PcapPacket::new(Duration::from_nanos(*time), size, frame))
            .expect("written");
    }
    writer.into_writer()
}

fn pcap(packets: &[(u64, &[u8])]) -> Vec<u8> {
    let ts_resolution = TsResolution::NanoSecond;
    pcap_with(
        PcapHeader {
            ts_resolution,
            ..PcapHeader::default()
        },
        packets,
    )
}

fn read(bytes: &[u8]) -> Result<Vec<Packet>, String> {
    let mut capture = Capture::open("x.pcap", bytes).map_err(|error| error.to_string())?;
    let mut packets = Vec::new();
    while let Some(packet) = capture.next_packet().map_err(|error| error.to_string())? {
        packets.push(packet);
    }
    Ok(packets)
}

fn packet(time: u64, frame: &[u8]) -> Packet {
    Packet {
        time,
        frame: frame.to_vec(),
    }
}

#[test]
fn either_byte_order_and_resolution_is_read() {
    for endianness in [Endianness::Big, Endianness::Little] {
        for (ts_resolution, time) in [
            (TsResolution::MicroSecond, 1_234_567_000),
            (TsResolution::NanoSecond, 1_234_567_891),
        ] {
            let header = PcapHeader {
                endianness,
                ts_resolution,
                ..PcapHeader::default()
            };
            let bytes = pcap_with(header, &[(time, b"abc"), (time + SECOND, b"d")]);
            assert_eq!(
                read(&bytes),
                Ok(vec![packet(time, b"abc"), packet(time + SECOND, b"d")])
            );
        }
    }
}

fn pcapng(options: Vec<InterfaceDescriptionOption<'static>>, units: u64) -> Vec<u8> {
    let mut writer = PcapNgWriter::new(Vec::new()).expect("a vector");
    let interface = InterfaceDescriptionBlock {
        linktype: DataLink::ETHERNET,
        snaplen: 0,
        options,
    };
    writer.write_pcapng_block(interface).expect("written");
    let packet = EnhancedPacketBlock {
        interface_id: 0,
        timestamp: Duration::from_nanos(units),
        original_len: 3,
        data: b"abc".into(),
        options: vec![],
    };
    writer.write_pcapng_block(packet).expect("written");
    writer.into_inner()
}

#[test]
fn a_pcapng_stamp_counts_the_units_of_its_interface() {
    use InterfaceDescriptionOption::{IfTsOffset, IfTsResol};
    let cases = [
        (vec![], 7_000_001, 7_000_001_000),
        (vec![IfTsResol(9)], 7_000_001, 7_000_001),
        (vec![IfTsResol(0)], 7, 7 * SECOND),
        (vec![IfTsResol(12)], 7_999, 7),
        (vec![IfTsResol(0x80 | 10)], 1536, SECOND + SECOND / 2),
        (vec![IfTsOffset(5)], 1, 5 * SECOND + 1000),
        (vec![IfTsOffset(u64::MAX)], 2_000_000, SECOND),
        (vec![IfTsResol(127)], u64::MAX, 0),
    ];
    for (options, units, time) in cases {
        let shown = format!("{options:?}");
        assert_eq!(
            read(&pcapng(options, units)),
            Ok(vec![packet(time, b"abc")]),
            "{shown}"
        );
    }
    let far = read(&pcapng(vec![IfTsResol(0)], 1 << 40));
    assert_eq!(
        far,
        Err("x.pcap: packet 1: the time stamp lies outside of 1970 to 2106".into())
    );
}

#[test]
fn broken_captures_say_where() {
    let good = pcap(&[(1, b"abc"), (2, b"def")]);
    let cut = &good[..good.len() - 1];
    let mut shortened = good.clone();
    shortened[24 + 16 + 3 + 15] = 99; // The second packet's original length, big endian.
    let mut late = good.clone();
    late[24 + 4] = 0xff; // The first packet's fraction.
    let raw = PcapHeader {
        datalink: DataLink::RAW,
        ..PcapHeader::default()
    };
    let cases: [(&[u8], &str); 7] = [
        (b"", "x.pcap: neither pcap nor pcapng"),
        (
            b"#!/bin/sh and so on, for long enough",
            "x.pcap: neither pcap nor pcapng",
        ),
        (&good[..20], "x.pcap: the file ends in the middle of it"),
        (cut, "x.pcap: packet 2: the file ends in the middle of it"),
        (
            &shortened,
            "x.pcap: packet 2: cut off by the capture: 3 of 99 bytes (capture with a longer snapshot)",
        ),
        (
            &late,
            "x.pcap: packet 1: the time stamp has a fraction above one second",
        ),
        (
            &pcap_with(raw, &[]),
            "x.pcap: not a capture of Ethernet frames but of RAW",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(read(bytes), Err(expected.to_owned()));
    }
}

#[test]
fn a_stamp_that_goes_back_counts_as_the_one_before() {
    let bytes = pcap(&[(5, b"a"), (3, b"b"), (9, b"c")]);
    assert_eq!(
        read(&bytes),
        Ok(vec![packet(5, b"a"), packet(5, b"b"), packet(9, b"c")])
    );
}

/// Sends each frame back behind the tick at which it came.
#[derive(Default)]
struct Echo {
    log: Vec<String>,
}

impl ReplaySwitch for Echo {
    fn advance(&mut self, now: Tick) {
        self.log.push(format!("@{}", now.as_millis()));
    }

    fn inject(&mut self, port: PortNo, frame: &[u8], _: Tick, out: &mut dyn FnMut(PortNo, &[u8])) {
        self.log
            .push(format!("{port}:{}", String::from_utf8_lossy(frame)));
        out(port, frame);
    }
}

fn inputs<'a>(captures: &'a [(u32, Vec<u8>)]) -> Vec<Input<&'a [u8]>> {
    let input = |(port, bytes): &'a (u32, Vec<u8>)| Input {
        port: PortNo(*port),
        capture: Capture::open("x", bytes.as_slice()).expect("a capture"),
    };
    captures.iter().map(input).collect()
}

#[test]
fn captures_are_merged_by_time_and_then_by_place() {
    let millis = |at: u64| at * 1_000_000;
    let captures = [
        (7, pcap(&[(millis(2), b"a"), (millis(3), b"b")])),
        (
            8,
            pcap(&[(millis(1), b"c"), (millis(2), b"d"), (millis(4), b"e")]),
        ),
    ];
    let mut sent = Vec::new();
    let mut out = |time, port: PortNo, frame: &[u8]| {
        sent.push((time, port.0, frame.to_vec()));
        Ok(())
    };
    let mut begun = None;
    let start = |now| {
        begun = Some(now);
        Ok(Echo::default())
    };
    let (echo, fed) = feed(inputs(&captures), start, &mut out).expect("fed");
    assert_eq!(begun, Some(Tick::from_millis(1)));
    assert_eq!(
        echo.log,
        [
            "@1", "8:c", "@2", "7:a", "@2", "8:d", "@3", "7:b", "@4", "8:e"
        ]
    );
    assert_eq!(
        fed,
        Fed {
            received: 5,
            sent: 5,
            end: Tick::from_millis(4)
        }
    );
    assert_eq!(sent[0], (millis(1), 8, b"c".to_vec()));
}

#[test]
fn nothing_in_is_nothing_out() {
    let captures = [(1, pcap(&[]))];
    let (_, fed) = feed(
        inputs(&captures),
        |_| Ok(Echo::default()),
        &mut |_, _, _| Ok(()),
    )
    .expect("fed");
    assert_eq!(fed, Fed::default());
}

fn firewall() -> Config {
    let mut config = Config::embedded();
    config.conntrack.max_connections = 1_000;
    config
}

/// Writes `config.toml` and captures of packets as text, and replays them into `out`.
fn replay(
    directory: &Path,
    captures: &[(&str, &[(u64, &str)])],
    seed: u64,
) -> Result<(), ReplayError> {
    let at = |name: &str| directory.join(name);
    std::fs::write(
        at("config.toml"),
        include_str!("../../../examples/stateful-firewall.toml"),
    )
    .expect("written");
    let flows = include_str!("../../../examples/stateful-firewall.flows");
    std::fs::write(at("stateful-firewall.flows"), flows).expect("written");
    let mut inputs = Vec::new();
    for (number, (port, packets)) in captures.iter().enumerate() {
        let frames: Vec<_> = packets
            .iter()
            .map(|(time, packet)| (*time, text::frame(packet)))
            .collect();
        let frames: Vec<_> = frames
            .iter()
            .map(|(time, frame)| (*time, frame.bytes()))
            .collect();
        let file = at(&format!("in{number}.pcap"));
        std::fs::write(&file, pcap(&frames)).expect("written");
        inputs.push(ReplayInput {
            port: (*port).to_owned(),
            file,
        });
    }
    run(&Replay {
        config: at("config.toml"),
        inputs,
        out: at("out"),
        seed,
    })
    .map(|_| ())
}

fn outputs(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(directory.join("out"))
        .expect("it was made")
        .map(|entry| entry.expect("readable"))
        .map(|entry| {
            let name = entry.file_name().into_string().expect("text");
            (name, std::fs::read(entry.path()).expect("readable"))
        })
        .collect()
}

const INSIDE: &[(u64, &str)] = &[
    (1_000 * SECOND, "tcp 10.0.0.1:1000 > 10.0.0.2:80 S seq=1"),
    (
        1_002 * SECOND + 1,
        "tcp 10.0.0.1:1000 > 10.0.0.2:80 A seq=2 ack=101",
    ),
];
const OUTSIDE: &[(u64, &str)] = &[
    (
        1_001 * SECOND + 5,
        "tcp 10.0.0.2:80 > 10.0.0.1:1000 SA seq=100 ack=2",
    ),
    (1_003 * SECOND, "tcp 10.0.0.2:81 > 10.0.0.1:1000 S seq=7"),
];

#[test]
fn a_handshake_passes_the_firewall_and_a_stranger_does_not() {
    let directory = tempfile::tempdir().expect("a directory");
    replay(directory.path(), &[("weir0", INSIDE), ("3", OUTSIDE)], 0).expect("replayed");
    let files = outputs(directory.path());
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        [
            "conntrack.txt",
            "drops.txt",
            "flows.txt",
            "weir0.pcap",
            "weir1.pcap"
        ]
    );
    let times = |name: &str| -> Vec<u64> {
        read(&files[name])
            .expect("our own")
            .iter()
            .map(|packet| packet.time)
            .collect()
    };
    assert_eq!(times("weir0.pcap"), [1_001 * SECOND + 5]);
    assert_eq!(times("weir1.pcap"), [1_000 * SECOND, 1_002 * SECOND + 1]);
    let text = |name: &str| String::from_utf8(files[name].clone()).expect("text");
    assert_eq!(
        text("conntrack.txt"),
        "tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1000,dport=80),\
         reply=(src=10.0.0.2,dst=10.0.0.1,sport=80,dport=1000),\
         protoinfo=(state=ESTABLISHED)\n"
    );
    let flows = text("flows.txt");
    assert!(
        flows.starts_with("OFPST_FLOW reply (OF1.3) (xid=0x2):\n cookie=0x0, "),
        "{flows}"
    );
    assert!(
        flows.contains("duration=3s, table=0, n_packets=4, n_bytes="),
        "{flows}"
    );
    assert!(
        text("drops.txt").contains("action_drop"),
        "{}",
        text("drops.txt")
    );
    assert!(
        text("drops.txt").ends_with("             1\n"),
        "{}",
        text("drops.txt")
    );
}

#[test]
fn the_same_input_writes_the_same_bytes() {
    let captures: &[(&str, &[(u64, &str)])] = &[("weir0", INSIDE), ("3", OUTSIDE)];
    let run = |seed| {
        let directory = tempfile::tempdir().expect("a directory");
        replay(directory.path(), captures, seed).expect("replayed");
        outputs(directory.path())
    };
    assert_eq!(run(5), run(5));
    assert_eq!(run(5), run(6), "nothing here is left to chance");
}

#[test]
fn connections_time_out_by_the_captures_clock() {
    let late = (
        1_003 * SECOND + 90_000 * SECOND,
        "arp request 10.0.0.1 > 10.0.0.2",
    );
    let inside: Vec<_> = INSIDE.iter().copied().chain([late]).collect();
    let directory = tempfile::tempdir().expect("a directory");
    replay(
        directory.path(),
        &[("weir0", &inside), ("weir1", OUTSIDE)],
        0,
    )
    .expect("replayed");
    assert_eq!(outputs(directory.path())["conntrack.txt"], b"");
}

#[test]
fn what_an_earlier_replay_wrote_does_not_stay() {
    let directory = tempfile::tempdir().expect("a directory");
    replay(directory.path(), &[("weir0", INSIDE)], 0).expect("replayed");
    assert!(outputs(directory.path()).contains_key("weir1.pcap"));
    replay(directory.path(), &[("weir1", OUTSIDE)], 0).expect("replayed");
    assert!(!outputs(directory.path()).contains_key("weir1.pcap"));
}

#[test]
fn an_input_is_never_overwritten() {
    let directory = tempfile::tempdir().expect("a directory");
    replay(directory.path(), &[("weir0", INSIDE)], 0).expect("replayed");
    let file = directory.path().join("out/weir1.pcap");
    let before = std::fs::read(&file).expect("it is there");
    let inputs = vec![ReplayInput {
        port: "weir0".to_owned(),
        file: file.clone(),
    }];
    let (config, out) = (
        directory.path().join("config.toml"),
        directory.path().join("out"),
    );
    let error = run(&Replay {
        config,
        inputs,
        out,
        seed: 0,
    })
    .expect_err("refused");
    assert!(matches!(error, ReplayError::Overwrite(_)), "{error}");
    assert_eq!(std::fs::read(&file).expect("it stays"), before);
}

#[test]
fn an_unknown_port_names_those_there_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let error = replay(directory.path(), &[("weir9", INSIDE)], 0).expect_err("refused");
    let text = error.to_string();
    assert!(
        text.ends_with("there is no port weir9: expected weir0 (2) or weir1 (3)"),
        "{text}"
    );
}

#[test]
fn wrong_flows_are_told_with_their_place() {
    let mut config = firewall();
    let text = NamedText {
        name: "x.flows".to_owned(),
        text: "actions=fly\n".to_owned(),
    };
    config.bridge.flows = vec![FlowSource::Embedded(text)];
    let errors = OfflineSwitch::new(&config, 0, Tick::ZERO)
        .err()
        .expect("refused");
    assert!(
        errors[0].to_string().starts_with("x.flows:1:9: "),
        "{}",
        errors[0]
    );
}

fn packets() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    let packet = (
        0..4_000_000_000 * SECOND,
        prop::collection::vec(any::<u8>(), 1..80),
    );
    prop::collection::vec(packet, 0..8)
}

proptest! {
    #[test]
    fn what_was_written_is_read(mut packets in packets()) {
        packets.sort();
        let frames: Vec<_> = packets.iter().map(|(time, frame)| (*time, frame.as_slice())).collect();
        let expected = packets.iter().map(|(time, frame)| packet(*time, frame)).collect();
        prop_assert_eq!(read(&pcap(&frames)), Ok(expected));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    /// Damages valid captures, which gets further than random bytes.
    #[test]
    fn any_damage_is_read_or_refused(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        is_pcapng in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let options = vec![InterfaceDescriptionOption::IfTsResol(9)];
        let mut bytes = if is_pcapng {
            pcapng(options, 77)
        } else {
            pcap(&[(1, b"abc"), (2, b"def")])
        };
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let end = cut.index(bytes.len() + 1);
        let _ = read(&bytes);
        let _ = read(&bytes[..end]);
    }

    /// Whatever arrives, in whatever order, the switch takes it and its clock does not go back.
    #[test]
    fn any_frames_are_taken(left in packets(), right in packets()) {
        let capture = |packets: &[(u64, Vec<u8>)]| {
            pcap(&packets.iter().map(|(time, frame)| (*time, frame.as_slice())).collect::<Vec<_>>())
        };
        let captures = [(2, capture(&left)), (3, capture(&right))];
        let start = |now| OfflineSwitch::new(&firewall(), 1, now).map_err(ReplayError::Text);
        let (switch, fed) = feed(inputs(&captures), start, &mut |_, _, _| Ok(())).expect("fed");
        prop_assert_eq!(fed.received, (left.len() + right.len()) as u64);
        let dropped: u64 = switch.drops().iter().map(|row| row.packets).sum();
        prop_assert!(fed.sent + dropped >= fed.received);
    }
}

/// The replay of a switch whose port `up` carries a tunnel; returns what left, by port.
fn replay_tunnel(
    directory: &Path,
    into: &str,
    packets: &[(u64, Vec<u8>)],
) -> Vec<(String, Vec<String>)> {
    let at = |name: &str| directory.join(name);
    let config = "[[port]]\nname = \"up\"\nid = 1\n[[port]]\nname = \"vm\"\nid = 2\n\
                  [[port]]\nname = \"tun\"\nid = 9\nkind = \"vxlan\"\nover = \"up\"\n\
                  local_ip = \"192.0.2.1\"\nremote_ip = \"192.0.2.7\"\nkey = 5\n\
                  [bridge]\nflows = [\"t.flows\"]\n";
    std::fs::write(at("config.toml"), config).expect("written");
    let flows = "in_port=2 actions=output:tun\nin_port=tun actions=output:2\n";
    std::fs::write(at("t.flows"), flows).expect("written");
    let packets: Vec<_> = packets
        .iter()
        .map(|(time, frame)| (*time, &frame[..]))
        .collect();
    std::fs::write(at("in.pcap"), pcap(&packets)).expect("written");
    let input = ReplayInput {
        port: into.to_owned(),
        file: at("in.pcap"),
    };
    let ran = run(&Replay {
        config: at("config.toml"),
        inputs: vec![input],
        out: at("out"),
        seed: 1,
    });
    ran.expect("it runs");
    let describe = |bytes: &[u8]| -> Vec<String> {
        let packets = read(bytes).expect("a capture");
        packets
            .iter()
            .map(|packet| text::describe(&packet.frame))
            .collect()
    };
    outputs(directory)
        .into_iter()
        .filter_map(|(name, bytes)| {
            let port = name.strip_suffix(".pcap")?.to_owned();
            Some((port, describe(&bytes)))
        })
        .collect()
}

#[test]
fn tunnels_work_without_devices() {
    let inner = "udp 10.0.0.1:1 > 10.0.0.2:2";
    let header = [8, 0, 0, 0, 0, 0, 5, 0];
    let hex: String = [&header, text::frame(inner).bytes()]
        .concat()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let outer = format!("udp 192.0.2.7:5 > 192.0.2.1:4789 data={hex}");
    let directory = tempfile::tempdir().expect("a directory");
    let arrives = vec![(SECOND, text::frame(&outer).bytes().to_vec())];
    let left = replay_tunnel(directory.path(), "up", &arrives);
    assert_eq!(left, [("vm".to_owned(), vec![inner.to_owned()])]);

    // Nobody answers in a capture of one side: the switch asks.
    let directory = tempfile::tempdir().expect("a directory");
    let sent = vec![(SECOND, text::frame(inner).bytes().to_vec())];
    let left = replay_tunnel(directory.path(), "vm", &sent);
    let ask = "eth 02:77:65:69:00:00 > ff:ff:ff:ff:ff:ff arp request 192.0.2.1 > 192.0.2.7";
    assert_eq!(left, [("up".to_owned(), vec![ask.to_owned()])]);
}

/// What one replay sends through a Geneve tunnel, another with the ends exchanged takes in: the
/// option is there, and decides.
#[test]
fn options_go_out_and_come_in() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let config = |own: &str, far: &str| {
        format!(
            "[[port]]\nname = \"vm\"\nid = 1\n[[port]]\nname = \"uplink\"\nid = 2\n\
             [[port]]\nname = \"tun\"\nid = 9\nkind = \"geneve\"\nover = \"uplink\"\n\
             local_ip = \"{own}\"\nremote_ip = \"{far}\"\nkey = 5\n\
             [[neighbour]]\nport = \"uplink\"\nip = \"{far}\"\nmac = \"02:77:65:69:00:01\"\n\
             [[geneve_option]]\nclass = 0x102\ntype = 0x83\nlen = 124\nfield = \"tun_metadata7\"\n\
             [bridge]\nflows = [\"test.flows\"]\n"
        )
    };
    let replay = |config: String, flows: &str, port: &str, out: &str| {
        std::fs::write(at("test.toml"), config).expect("written");
        std::fs::write(at("test.flows"), flows).expect("written");
        run(&Replay {
            config: at("test.toml"),
            inputs: vec![ReplayInput {
                port: port.to_owned(),
                file: at("in.pcap"),
            }],
            out: at(out),
            seed: 0,
        })
        .expect("replayed");
        std::fs::read_to_string(at(out).join("flows.txt")).expect("a dump")
    };
    let packets = [1, 2, 3].map(|port| text::frame(&format!("udp 10.0.0.1:{port} > 10.0.0.2:9")));
    let times = (0..).map(|at| at * SECOND);
    let packets: Vec<_> = times.zip(packets.iter().map(VecFrame::bytes)).collect();
    std::fs::write(at("in.pcap"), pcap(&packets)).expect("written");
    let set = "in_port=1,udp actions=move:udp_src->tun_metadata7[976..991],output:9\n";
    replay(config("192.0.2.1", "192.0.2.7"), set, "vm", "there");
    std::fs::copy(at("there").join("uplink.pcap"), at("in.pcap")).expect("something was sent");
    // Both ends' uplinks have one MAC address.
    let own = config("192.0.2.7", "192.0.2.1");
    let second = format!("0x2{}", "0".repeat(244));
    let met = format!(
        "tun_metadata7={second}/0xffff{} actions=output:1\npriority=0 actions=drop\n",
        "0".repeat(244)
    );
    let flows = replay(own, &met, "uplink", "here");
    assert!(flows.contains("n_packets=1, "), "{flows}");
    assert!(flows.contains("n_packets=2, "), "{flows}");
}

/// The pieces of a packet, in words, with at most `size` bytes behind Ethernet.
fn pieces(line: &str, size: usize) -> Vec<String> {
    let whole = text::frame(line);
    let layout = parse(whole.head(), whole.len()).expect("no runt");
    cut(&whole, &layout, size)
        .expect("it can be cut")
        .map(|piece| text::describe(piece.expect("memory").bytes()))
        .collect()
}

#[test]
fn a_datagram_in_pieces_goes_on_when_the_last_has_come() {
    let directory = tempfile::tempdir().expect("a directory");
    let ask = pieces("udp 10.0.0.1:1000 > 10.0.0.2:53 ip-id=7 len=4000", 1500);
    let lost = pieces("udp 10.0.0.1:1001 > 10.0.0.2:53 ip-id=8 len=4000", 1500);
    let [first, second, third] = &ask[..] else {
        panic!("three pieces");
    };
    let inside: &[(u64, &str)] = &[
        (1_000 * SECOND, third),
        (1_001 * SECOND, first),
        (1_002 * SECOND, &lost[0]),
        (1_003 * SECOND, second),
        (1_100 * SECOND, &lost[1]),
    ];
    replay(directory.path(), &[("weir0", inside)], 0).expect("replayed");
    let files = outputs(directory.path());
    let sent: Vec<_> = read(&files["weir1.pcap"])
        .expect("our own")
        .iter()
        .map(|packet| (packet.time, text::describe(&packet.frame)))
        .collect();
    let expected: Vec<_> = ask
        .iter()
        .map(|piece| (1_003 * SECOND, piece.clone()))
        .collect();
    assert_eq!(sent, expected);
    let drops = String::from_utf8(files["drops.txt"].clone()).expect("text");
    let expired = drops
        .lines()
        .find(|line| line.contains("fragment_expired"))
        .expect("a reason");
    assert_eq!(expired.split_whitespace().nth(1), Some("1"), "{drops}");
}
