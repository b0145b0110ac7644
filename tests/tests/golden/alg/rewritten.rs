//! Payloads that are translated. What is sent has right checksums: the switch of tests looks at
//! each packet.

use std::collections::BTreeMap;

use proptest::prelude::*;
use weir_packet::view::Tcp;
use weir_packet::{Layout, VecFrame, parse, text};
use weir_tests::switch::Switch;

use super::{CLIENT, Control, SERVER, hex};

/// 1 is inside, 2 outside; the client is known there as 198.51.100.77.
const MASQUERADE: &str = "
    ip actions=ct(nat,table=1)
    table=1,in_port=1,ct_state=+new-rel,tcp,tp_dst=21 actions=ct(commit,alg=ftp,nat(src=198.51.100.77)),2
    table=1,in_port=1,ct_state=+new+rel,ip actions=ct(commit,nat),2
    table=1,in_port=2,ct_state=+new+rel,ip actions=ct(commit,nat),1
    table=1,in_port=1,ct_state=+est actions=2
    table=1,in_port=2,ct_state=+est actions=1";

/// The server, 10.0.0.9, is known to the client on port 1 as 203.0.113.200.
const PUBLISHED: &str = "
    ip actions=ct(nat,table=1)
    table=1,in_port=1,ct_state=+new-rel,tcp,tp_dst=21 actions=ct(commit,alg=ftp,nat(dst=10.0.0.9)),2
    table=1,in_port=1,ct_state=+new+rel,ip actions=ct(commit,nat),2
    table=1,in_port=2,ct_state=+new+rel,ip actions=ct(commit,nat),1
    table=1,in_port=1,ct_state=+est actions=2
    table=1,in_port=2,ct_state=+est actions=1";

const OUTSIDE: &str = "tcp 198.51.100.77:4000 > 192.0.2.9:21";
const INSIDE: &str = "tcp 192.0.2.9:21 > 10.0.0.5:4000";

/// The control connection of this client.
fn open(sw: &mut Switch, client: &str) -> Control {
    Control::open_as(sw, client, "198.51.100.77:4000", SERVER)
}

fn one(mut sent: Vec<String>) -> String {
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.remove(0)
}

#[test]
fn a_longer_command_moves_the_numbers_of_both_ends() {
    let mut sw = Switch::with_flows(MASQUERADE);
    let mut control = open(&mut sw, CLIENT);
    let command = control.command("PORT 10,0,0,5,156,64\r\n");
    sw.inject(1, &command);
    // Seven octets more.
    let said = hex("PORT 198,51,100,77,156,64\r\n");
    assert_eq!(
        one(sw.sent(2)),
        format!("{OUTSIDE} PA seq=100 ack=500 data={said}")
    );
    // It acknowledges 27 octets, which were 22, and blocks of what lies behind.
    sw.inject(2, "tcp 192.0.2.9:21 > 198.51.100.77:4000 A seq=500 ack=127");
    assert_eq!(one(sw.sent(1)), format!("{INSIDE} A seq=500 ack=122"));
    // Not all of it: nothing of it.
    sw.inject(2, "tcp 192.0.2.9:21 > 198.51.100.77:4000 A seq=500 ack=124");
    assert_eq!(one(sw.sent(1)), format!("{INSIDE} A seq=500 ack=105"));
    let next = control.command("NOOP\r\n");
    sw.inject(1, &next);
    let said = hex("NOOP\r\n");
    assert_eq!(
        one(sw.sent(2)),
        format!("{OUTSIDE} PA seq=127 ack=500 data={said}")
    );
    // Said again it is said in the same way, from wherever.
    sw.inject(1, &command);
    let said = hex("PORT 198,51,100,77,156,64\r\n");
    assert_eq!(
        one(sw.sent(2)),
        format!("{OUTSIDE} PA seq=100 ack=500 data={said}")
    );
    let part = hex("5,156,64\r\nNOOP\r\n");
    sw.inject(
        1,
        &format!("tcp {CLIENT} > {SERVER} PA seq=112 ack=500 data={part}"),
    );
    let said = hex("198,51,100,77,156,64\r\nNOOP\r\n");
    assert_eq!(
        one(sw.sent(2)),
        format!("{OUTSIDE} PA seq=105 ack=500 data={said}")
    );
    sw.assert_state("ct: replied=1 expectations=1; drops: none");
}

#[test]
fn selective_acknowledgments_are_in_the_numbers_of_their_receiver() {
    let mut sw = Switch::with_flows(MASQUERADE);
    let mut control = open(&mut sw, CLIENT);
    let command = control.command("PORT 10,0,0,5,156,64\r\n");
    let more = control.command("NOOP\r\nNOOP\r\n");
    sw.inject(1, &command);
    sw.inject(1, &more);
    assert_eq!(sw.sent(2).len(), 2);
    let sack = |blocks: &[(u32, u32)]| {
        let numbers = blocks.iter().flat_map(|(left, right)| [left, right]);
        let numbers: String = numbers.map(|number| format!("{number:08x}")).collect();
        format!("opt=010105{:02x}{numbers}", 2 + 8 * blocks.len())
    };
    // The second NOOP; then from within the command on, and a part of it alone.
    for (there, here) in [
        ([(133, 139), (127, 128)], [(128, 134), (122, 123)]),
        ([(110, 133), (110, 120)], [(120, 128), (120, 120)]),
    ] {
        let (there, here) = (sack(&there), sack(&here));
        sw.inject(
            2,
            &format!("tcp 192.0.2.9:21 > 198.51.100.77:4000 A seq=500 ack=100 {there}"),
        );
        assert_eq!(
            one(sw.sent(1)),
            format!("{INSIDE} A seq=500 ack=100 {here}")
        );
    }
    sw.assert_state("ct: replied=1 expectations=1; drops: none");
}

#[test]
fn a_data_connection_is_translated_as_its_master_is() {
    let mut sw = Switch::with_flows(MASQUERADE);
    let mut control = open(&mut sw, CLIENT);
    let command = control.command("PORT 10,0,0,5,156,64\r\n");
    sw.inject(1, &command);
    sw.inject(2, "tcp 192.0.2.9:20 > 198.51.100.77:40000 S seq=1");
    assert_eq!(sw.sent(1), ["tcp 192.0.2.9:20 > 10.0.0.5:40000 S seq=1"]);
    sw.inject(1, "tcp 10.0.0.5:40000 > 192.0.2.9:20 SA seq=7 ack=2");
    assert_eq!(
        sw.sent(2)[1..],
        ["tcp 198.51.100.77:40000 > 192.0.2.9:20 SA seq=7 ack=2"]
    );
    // Passive: the text stays, and the client is as before.
    let reply = control.reply("227 ok (192,0,2,9,195,80)\r\n");
    sw.inject(2, &reply);
    assert_eq!(sw.sent(1).len(), 1);
    sw.inject(1, "tcp 10.0.0.5:5555 > 192.0.2.9:50000 S seq=1");
    assert_eq!(
        sw.sent(2),
        ["tcp 198.51.100.77:5555 > 192.0.2.9:50000 S seq=1"]
    );
    sw.assert_state("ct: new=1 replied=2 expectations=2 related=2; drops: none");
}

/// Two clients behind one address announce the same port.
#[test]
fn a_port_that_another_client_has_announced_is_replaced() {
    let mut sw = Switch::with_flows(MASQUERADE);
    let mut one_client = open(&mut sw, CLIENT);
    let mut other = Control::open_as(&mut sw, "10.0.0.6:4001", "198.51.100.77:4001", SERVER);
    let command = one_client.command("PORT 10,0,0,5,156,64\r\n");
    sw.inject(1, &command);
    let command = other.command("PORT 10,0,0,6,156,64\r\n");
    sw.inject(1, &command);
    let said = hex("PORT 198,51,100,77,156,65\r\n");
    assert!(sw.sent(2)[1].ends_with(&said));
    sw.inject(2, "tcp 192.0.2.9:20 > 198.51.100.77:40001 S seq=1");
    assert_eq!(sw.sent(1), ["tcp 192.0.2.9:20 > 10.0.0.6:40000 S seq=1"]);
    sw.inject(2, "tcp 192.0.2.9:20 > 198.51.100.77:40000 S seq=1");
    assert_eq!(sw.sent(1), ["tcp 192.0.2.9:20 > 10.0.0.5:40000 S seq=1"]);
    sw.assert_state("ct: new=2 replied=2 expectations=2 related=2; drops: none");
}

#[test]
fn a_published_server_says_its_public_address() {
    let mut sw = Switch::with_flows(PUBLISHED);
    let (client, public) = ("198.51.100.5:4000", "203.0.113.200:21");
    sw.inject(1, &format!("tcp {client} > {public} S seq=99"));
    sw.inject(2, &format!("tcp 10.0.0.9:21 > {client} SA seq=499 ack=100"));
    sw.inject(1, &format!("tcp {client} > {public} A seq=100 ack=500"));
    assert_eq!(sw.sent_anywhere().len(), 3);
    let said = hex("227 Entering Passive Mode (10,0,0,9,195,80)\r\n");
    sw.inject(
        2,
        &format!("tcp 10.0.0.9:21 > {client} PA seq=500 ack=100 data={said}"),
    );
    let said = hex("227 Entering Passive Mode (203,0,113,200,195,80)\r\n");
    assert_eq!(
        one(sw.sent(1)),
        format!("tcp {public} > {client} PA seq=500 ack=100 data={said}")
    );
    sw.inject(1, "tcp 198.51.100.5:5555 > 203.0.113.200:50000 S seq=1");
    assert_eq!(
        sw.sent(2),
        ["tcp 198.51.100.5:5555 > 10.0.0.9:50000 S seq=1"]
    );
    // Active: the server's connection comes from its public address.
    let said = hex("PORT 198,51,100,5,156,64\r\n");
    sw.inject(
        1,
        &format!("tcp {client} > {public} PA seq=100 ack=550 data={said}"),
    );
    assert!(one(sw.sent(2)).ends_with(&format!("ack=545 data={said}")));
    sw.inject(2, "tcp 10.0.0.9:20 > 198.51.100.5:40000 S seq=1");
    assert_eq!(
        sw.sent(1),
        ["tcp 203.0.113.200:20 > 198.51.100.5:40000 S seq=1"]
    );
    sw.assert_state("ct: new=2 replied=1 expectations=2 related=2; drops: none");
}

/// What is to be rewritten goes on as a whole; what comes before it is not held up.
#[test]
fn a_command_in_pieces_is_held_until_it_can_be_rewritten() {
    let mut sw = Switch::with_flows(MASQUERADE);
    let mut control = open(&mut sw, CLIENT);
    let pieces = ["NOOP\r\nPOR", "T 10,0", ",0,5,156", ",64\r\nNO"];
    let [first, second, third, fourth] = pieces.map(|piece| control.command(piece));
    sw.inject(1, &first);
    let said = hex("NOOP\r\nPOR");
    assert_eq!(
        one(sw.sent(2)),
        format!("{OUTSIDE} PA seq=100 ack=500 data={said}")
    );
    for piece in [&second, &third, &second] {
        sw.inject(1, piece);
        assert_eq!(sw.sent(2), [""; 0]);
    }
    sw.inject(1, &fourth);
    let said = hex("T 198,51,100,77,156,64\r\nNO");
    assert_eq!(
        one(sw.sent(2)),
        format!("{OUTSIDE} PA seq=109 ack=500 data={said}")
    );
    sw.inject(2, "tcp 192.0.2.9:21 > 198.51.100.77:4000 A seq=500 ack=135");
    assert_eq!(one(sw.sent(1)), format!("{INSIDE} A seq=500 ack=130"));
    // A sender that waits for its acknowledgment before it says the rest gets it, untranslated.
    let begun = control.command("OP\r\nPORT 10,0");
    sw.inject(1, &begun);
    assert!(
        one(sw.sent(2)).ends_with(&hex("OP\r\n")),
        "what comes before is not held"
    );
    for _ in 0..3 {
        sw.inject(1, &begun);
    }
    assert!(sw.sent(2)[2].ends_with(&hex("OP\r\nPORT 10,0")));
    sw.assert_state("ct: replied=1 refused_held=3 expectations=1; drops: ftp_held=3");
}

/// What one end of a connection has received, by its number from the first on.
#[derive(Default)]
struct Received(BTreeMap<u32, u8>);

impl Received {
    /// Takes in a frame; what it says twice is the same.
    fn take(&mut self, frame: &VecFrame, first: u32) {
        let (layout, header, data) = tcp(frame);
        assert!(layout.l3_end as usize <= frame.bytes().len());
        for (at, byte) in (0..).zip(data) {
            let number = header.sequence().wrapping_add(at).wrapping_sub(first);
            let before = self.0.insert(number, *byte);
            assert!(before.is_none_or(|before| before == *byte), "at {number}");
        }
    }

    /// What has come without a gap.
    fn text(&self) -> Vec<u8> {
        let whole = self.0.iter().zip(0..);
        whole
            .take_while(|((at, _), wanted)| *at == wanted)
            .map(|((_, byte), _)| *byte)
            .collect()
    }
}

fn tcp(frame: &VecFrame) -> (Layout, Tcp<'_>, &[u8]) {
    let bytes = frame.bytes();
    let layout = parse(bytes, bytes.len()).expect("a frame");
    let l4 = &bytes[layout.l4_offset.into()..layout.l3_end as usize];
    let (header, data) = Tcp::split(l4).expect("TCP");
    (layout, header, data)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However the client cuts what it says, and whatever it says again: the server gets it, with
    /// its commands translated, and the client learns what has arrived, and not more.
    #[test]
    fn both_ends_see_one_connection(
        isn: u32,
        lines in prop::collection::vec(
            prop_oneof![
                Just("NOOP".to_owned()),
                (1024_u16..=65_535).prop_map(|port| {
                    format!("PORT 10,0,0,5,{},{}", port >> 8, port & 0xff)
                }),
                (1024_u16..=65_535).prop_map(|port| format!("EPRT |1|10.0.0.5|{port}|")),
            ],
            1..5,
        ),
        cuts in prop::collection::vec((1_usize..40, any::<bool>()), 1..30),
    ) {
        let mut sw = Switch::with_flows(MASQUERADE);
        sw.inject(1, &format!("tcp {CLIENT} > {SERVER} S seq={isn}"));
        let server = "192.0.2.9:21 > 198.51.100.77:4000";
        let first = isn.wrapping_add(1);
        sw.inject(2, &format!("tcp {server} SA seq=499 ack={first}"));
        sw.inject(1, &format!("tcp {CLIENT} > {SERVER} A seq={first} ack=500"));
        sw.sent_anywhere();

        let said: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let meant = said.replace("10,0,0,5", "198,51,100,77").replace("10.0.0.5", "198.51.100.77");
        let mut received = Received::default();
        let (mut acknowledged, mut at, mut rounds) = (0, 0, 0);
        for (size, again) in cuts.into_iter().cycle() {
            // What was lost, or is held, is said once more when all has been said.
            if at == said.len() {
                at = acknowledged;
                rounds += 1;
                prop_assert!(rounds < 8, "{acknowledged} of {}", said.len());
            }
            let end = (at + size * (rounds + 1)).min(said.len());
            let from = if again { acknowledged.max(at.saturating_sub(size)) } else { at };
            let number = first.wrapping_add(from as u32);
            let data = hex(&said[from..end]);
            sw.inject(1, &format!("tcp {CLIENT} > {SERVER} PA seq={number} ack=500 data={data}"));
            at = end;
            for frame in sw.sent_frames(2) {
                received.take(&frame, first);
                let come = first.wrapping_add(received.text().len() as u32);
                sw.inject(2, &format!("tcp {server} A seq=500 ack={come}"));
                for frame in sw.sent_frames(1) {
                    let (_, header, _) = tcp(&frame);
                    let told = header.acknowledgment().wrapping_sub(first) as usize;
                    prop_assert!(told <= at && told >= acknowledged, "{told}");
                    acknowledged = told;
                }
            }
            if acknowledged == said.len() {
                break;
            }
        }
        let text = received.text();
        prop_assert_eq!(String::from_utf8_lossy(&text), meant);
    }
}

/// A text that no frame has room for any more is dropped by name, and nothing else happens.
#[test]
fn a_frame_without_room_is_dropped_by_name() {
    let mut sw = Switch::with_flows(MASQUERADE);
    let mut control = open(&mut sw, CLIENT);
    let command = control.command("PORT 10,0,0,5,156,64\r\n");
    let mut frame = text::frame(&command);
    weir_packet::Frame::push_front(&mut frame, VecFrame::HEADROOM).expect("there is room");
    let bytes = frame.bytes()[VecFrame::HEADROOM..].to_vec();
    weir_packet::Frame::head_mut(&mut frame)[..bytes.len()].copy_from_slice(&bytes);
    weir_packet::Frame::truncate(&mut frame, bytes.len());
    sw.inject_frames(1, vec![frame, text::frame("udp 10.0.0.5:1 > 192.0.2.9:2")]);
    assert_eq!(sw.sent(2), [""; 0]);
    sw.assert_state(
        "ct: replied=1 refused_no_room=1 expectations=1; drops: table_miss=1 ftp_no_room=1",
    );
}
