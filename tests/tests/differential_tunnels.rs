//! Wrapped frames of weir beside those of Open vSwitch's userspace datapath, as bytes: each kind
//! of tunnel, over IPv4 and IPv6, with fixed ends and with those of flows, both ways.
//!
//! The source port of outer UDP packets is a hash of each one's own; it is left out, and with it
//! the checksum that covers it, which has to be right. Where Open vSwitch is not installed nothing is compared; with
//! `CI=true` that is a failure.

use weir_packet::checksum::l4_checksum_ok;
use weir_packet::{L4, VecFrame, parse, text};
use weir_tests::differential::{Ovs, OvsError, TunnelCase};
use weir_tests::switch::Switch;

const OWN: &str = "02:77:65:69:00:00";
const PEER: &str = "02:00:00:00:00:07";
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

/// What goes in. Congestion (`tos=3`) is told apart below.
const INWARD: [&str; 7] = [
    "udp 10.0.0.1:1000 > 10.0.0.2:53 len=20",
    "tcp 10.0.0.1:1000 > 10.0.0.2:80 S tos=2 ttl=3",
    "udp [2001:db8:1::1]:7 > [2001:db8:1::2]:8 tos=0xb9",
    "vlan 5 icmp 10.0.0.1 > 10.0.0.2 echo-request id=1 seq=1 tos=0xb8",
    "arp request 10.0.0.1 > 10.0.0.2",
    "ether type=0x88cc len=46",
    "udp 10.0.0.1:1 > 10.0.0.2:2 len=1300",
];

#[test]
fn wrapped_frames_are_those_of_open_vswitch() {
    let Some(mut ovs) = start_ovs() else {
        return;
    };
    for kind in ["geneve", "gre", "vxlan"] {
        for v6 in [false, true] {
            for is_flow in [false, true] {
                compare(&mut ovs, kind, v6, is_flow);
            }
        }
    }
}

/// Where weir chose otherwise (RFC 6040 4.1): Open vSwitch hides from the way that there was
/// congestion before it.
#[test]
fn congestion_within_is_told_without() {
    let Some(mut ovs) = start_ovs() else {
        return;
    };
    let line = "udp 10.0.0.1:1000 > 10.0.0.2:53 tos=3";
    let setup = Setup::new("vxlan", false, false);
    let case = setup.case(&[line], &[]);
    let theirs = ovs.run_tunnel(&case).expect("Open vSwitch answers");
    assert_eq!(theirs.below[0][0][15], 2);
    let mut sw = setup.switch();
    sw.inject(2, line);
    assert_eq!(sw.sent_frames(1)[0].bytes()[15], 3);
}

/// The options of three fields, one of them long, in both directions and with every action that
/// writes them.
#[test]
fn options_are_those_of_open_vswitch() {
    const MAP: &str = "{class=0x0102,type=3,len=4}->tun_metadata0,\
        {class=0x0102,type=0x84,len=8}->tun_metadata5,\
        {class=0xffff,type=0,len=32}->tun_metadata63";
    const FLOWS: [&str; 13] = [
        "in_port=2,udp,tp_dst=1 actions=set_field:0x12->tun_metadata0,output:9",
        "in_port=2,udp,tp_dst=2 actions=set_field:0x1200/0xff00->tun_metadata0,output:9",
        "in_port=2,udp,tp_dst=3 actions=load:0x5->tun_metadata5[60..63],\
         move:tun_metadata5[56..63]->tun_metadata0[0..7],output:9",
        "in_port=2,udp,tp_dst=4 actions=set_field:0x1->tun_metadata63,\
         set_field:0x2->tun_metadata0,delete_field:tun_metadata63,output:9",
        "in_port=2,udp,tp_dst=5 actions=set_field:0xff/0xff->tun_metadata63,\
         push:tun_metadata63[0..255],pop:tun_metadata5[0..63],output:9",
        "in_port=2,udp,tp_dst=6 actions=set_field:0x12345678->tun_metadata0,\
         delete_field:tun_metadata0,set_field:0x1/0xff->tun_metadata0,output:9",
        "in_port=2,udp,tp_dst=7 actions=push:tun_metadata0[0..31],pop:tun_metadata5[32..63],output:9",
        "in_port=9,tun_metadata0=0x1,tun_metadata5 actions=output:2",
        "in_port=9,ip,tun_metadata0=0x1,priority=9 actions=dec_ttl,output:2",
        "in_port=9,ip,tun_metadata0=0x200/0xff00,priority=8 actions=mod_nw_tos:8,output:2",
        "in_port=9,ip,tun_metadata63=0x77/0xff,priority=7 actions=mod_nw_tos:12,output:2",
        "in_port=9,ip,tun_metadata5,priority=6 actions=mod_nw_tos:16,output:2",
        "in_port=9,ip,priority=5 actions=mod_nw_tos:20,output:2",
    ];
    let Some(mut ovs) = start_ovs() else {
        return;
    };
    let flows = FLOWS.join("\n");
    let setup = Setup::new("geneve", false, false);
    let (remote, key) = setup.ends();
    let tunnel = format!("geneve over 1 {} > {remote} key={key}", setup.local);
    let mut sw = Switch::builder()
        .tunnel(9, &tunnel)
        .neighbour(1, setup.peer, PEER_MAC)
        .options(MAP)
        .flows(&flows);
    let lines: Vec<_> = (1..8)
        .map(|port| format!("udp 10.0.0.1:1000 > 10.0.0.2:{port} len=20"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let first = "0102030100000001";
    let long = format!("ffff0008{}", "77".repeat(32));
    let outer: Vec<Vec<u8>> = [
        "",
        first,
        "0102030100000201",
        &format!("0102840200000000000000ff{first}"),
        "0102840200000000000000ff",
        &long,
        // Not mapped; critical and not mapped; of another size; twice; cut off.
        &format!("0102020100000009{first}"),
        &format!("0102820100000009{first}"),
        "010203020000000100000001",
        "01020301000002010102030100000001",
        "01020303",
    ]
    .map(|options| wrapped(options, &setup))
    .into();
    let mut case = setup.case(&lines, &outer);
    case.options = MAP.to_owned();
    case.flows = flows;
    let theirs = ovs.run_tunnel(&case).expect("Open vSwitch answers");
    for (line, theirs) in lines.iter().zip(&theirs.below) {
        // Twice: what a cache says, too.
        for _ in 0..2 {
            sw.inject(2, line);
            let ours = sw.sent_frames(1);
            let ours: Vec<_> = ours
                .iter()
                .map(|one| without_entropy(one.bytes()))
                .collect();
            let theirs: Vec<_> = theirs.iter().map(|one| without_entropy(one)).collect();
            assert_eq!(ours, theirs, "{line}");
        }
    }
    for (frame, theirs) in outer.iter().zip(&theirs.above) {
        for _ in 0..2 {
            sw.inject_frames(1, vec![VecFrame::new(frame)]);
            let ours = sw.sent_frames(2);
            let ours: Vec<_> = ours.iter().map(|one| one.bytes().to_vec()).collect();
            assert_eq!(&ours, theirs, "{}", text::describe(frame));
        }
    }
}

/// What the other end sends with these options, as hexadecimal digits.
fn wrapped(options: &str, setup: &Setup) -> Vec<u8> {
    let inner = text::frame("udp 10.0.0.2:53 > 10.0.0.1:1000 ttl=9");
    let digits =
        |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let words = options.len() / 8;
    let header = format!("{words:02x}00655801020300{options}");
    let line = format!(
        "udp {}:5 > {}:6081 data={header}{}",
        setup.peer,
        setup.local,
        digits(inner.bytes())
    );
    let mut frame = text::frame(&line).bytes().to_vec();
    let mac = |text: &str| -> Vec<u8> {
        text.split(':')
            .map(|byte| u8::from_str_radix(byte, 16).expect("a MAC address"))
            .collect()
    };
    frame[..6].copy_from_slice(&mac(OWN));
    frame[6..12].copy_from_slice(&mac(PEER));
    frame
}

fn compare(ovs: &mut Ovs, kind: &str, v6: bool, is_flow: bool) {
    let setup = Setup::new(kind, v6, is_flow);
    let what = format!("{kind}, IPv6 {v6}, from flows {is_flow}");
    let mut sw = setup.switch();
    let mut wrapped = Vec::new();
    for line in INWARD {
        sw.inject(2, line);
        let frames = sw.sent_frames(1);
        assert_eq!(frames.len(), 1, "{what}: {line}");
        wrapped.push(frames[0].bytes().to_vec());
    }
    // What weir sends comes back from the other end.
    let outer: Vec<_> = wrapped.iter().map(|frame| turned(frame, v6)).collect();
    let mut ours = Vec::new();
    for frame in &outer {
        sw.inject_frames(1, vec![VecFrame::new(frame)]);
        let above = sw.sent_frames(2);
        ours.push(
            above
                .iter()
                .map(|frame| frame.bytes().to_vec())
                .collect::<Vec<_>>(),
        );
    }
    let case = setup.case(&INWARD, &outer);
    let theirs = ovs
        .run_tunnel(&case)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    for ((line, own), theirs) in INWARD.iter().zip(&wrapped).zip(&theirs.below) {
        let [theirs] = &theirs[..] else {
            panic!("{what}: {line}: Open vSwitch sent {} frames", theirs.len());
        };
        let (own, theirs) = (without_entropy(own), without_entropy(theirs));
        assert_eq!(
            own,
            theirs,
            "{what}: {line}\n{}\n{}",
            text::describe(&own),
            text::describe(&theirs)
        );
    }
    for ((line, own), theirs) in INWARD.iter().zip(&ours).zip(&theirs.above) {
        assert_eq!(own, theirs, "{what}: back: {line}");
    }
}

/// One tunnel, in the words of both switches.
struct Setup {
    kind: &'static str,
    local: &'static str,
    peer: &'static str,
    is_flow: bool,
}

impl Setup {
    fn new(kind: &str, v6: bool, is_flow: bool) -> Self {
        let kinds = ["geneve", "gre", "vxlan"];
        let kind = kinds.into_iter().find(|known| *known == kind);
        let (local, peer) = match v6 {
            false => ("198.51.100.1", "198.51.100.7"),
            true => ("2001:db8::1", "2001:db8::7"),
        };
        Self {
            kind: kind.expect("a kind of tunnel"),
            local,
            peer,
            is_flow,
        }
    }

    fn ends(&self) -> (&str, &str) {
        match self.is_flow {
            true => ("flow", "flow"),
            false => (self.peer, "66051"),
        }
    }

    fn flows(&self) -> String {
        let dst = if self.peer.contains(':') {
            "tun_ipv6_dst"
        } else {
            "tun_dst"
        };
        let set = match self.is_flow {
            true => format!("set_field:{}->{dst},set_field:0x10203->tun_id,", self.peer),
            false => String::new(),
        };
        format!("in_port=2 actions={set}output:9\nin_port=9 actions=output:2\n")
    }

    fn switch(&self) -> Switch {
        let (remote, key) = self.ends();
        let tunnel = format!("{} over 1 {} > {remote} key={key}", self.kind, self.local);
        Switch::builder()
            .tunnel(9, &tunnel)
            .neighbour(1, self.peer, PEER_MAC)
            .flows(&self.flows())
    }

    fn case(&self, inward: &[&str], outer: &[Vec<u8>]) -> TunnelCase {
        let (remote, key) = self.ends();
        let prefix = if self.local.contains(':') { 64 } else { 24 };
        TunnelCase {
            // Its own address is that of the bridge below: one that is named has to be the kernel's.
            settings: vec![
                format!("type={}", self.kind),
                format!("options:remote_ip={}", quoted(remote)),
                format!("options:key={key}"),
            ],
            options: String::new(),
            flows: self.flows(),
            own_mac: quoted(OWN),
            peer_mac: PEER.to_owned(),
            peers: vec![self.peer.to_owned()],
            locals: vec![format!("{}/{prefix}", self.local)],
            inward: inward
                .iter()
                .map(|line| text::frame(line).bytes().to_vec())
                .collect(),
            outer: outer.to_vec(),
        }
    }
}

/// An address as the database's tools take it: colons would divide it.
fn quoted(address: &str) -> String {
    format!("\"{address}\"")
}

/// The frame as the other end would send it: all addresses turned round.
fn turned(frame: &[u8], v6: bool) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let (macs, rest) = frame.split_at_mut(12);
    let (dst, src) = macs.split_at_mut(6);
    dst.swap_with_slice(src);
    let (at, size) = if v6 { (8, 16) } else { (12, 4) };
    let addresses = &mut rest[2 + at..2 + at + 2 * size];
    let (src, dst) = addresses.split_at_mut(size);
    src.swap_with_slice(dst);
    frame
}

/// The frame without what each switch chooses for itself.
fn without_entropy(frame: &[u8]) -> Vec<u8> {
    let layout = parse(frame, frame.len()).expect("no runt");
    let whole = VecFrame::new(frame);
    assert!(l4_checksum_ok(&whole, &layout), "{}", text::describe(frame));
    let mut frame = frame.to_vec();
    if layout.l4 == L4::Udp {
        let at = usize::from(layout.l4_offset);
        frame[at..at + 2].fill(0);
        let has_none = frame[at + 6..at + 8] == [0, 0];
        frame[at + 6..at + 8].fill(u8::from(!has_none));
    }
    frame
}

fn start_ovs() -> Option<Ovs> {
    match Ovs::start() {
        Ok(ovs) => Some(ovs),
        Err(OvsError::Absent(why)) => {
            eprintln!("SKIPPED: {}", OvsError::Absent(why.clone()));
            let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            assert!(!is_ci, "{why}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}
