//! Geneve options as `tun_metadata` fields: matched, written, moved, taken away, sent on.

use weir_packet::Frame;
use weir_tests::switch::Switch;

use super::*;

const INNER: &str = "udp 10.0.0.1:1000 > 10.0.0.2:53";
const MAP: &str = "{class=0x0102,type=3,len=4}->tun_metadata0,\
    {class=0x0102,type=0x84,len=8}->tun_metadata5,\
    {class=0xffff,type=0,len=32}->tun_metadata63";

/// Ports 9 and 10 are tunnels whose ends come from flows; to port 10 the key is 7.
fn switch(flows: &str) -> Switch {
    Switch::builder()
        .tunnel(9, "geneve over 1 192.0.2.1 > 192.0.2.7 key=5")
        .tunnel(10, "geneve over 3 192.0.2.1 > 192.0.2.7 key=7")
        .tunnel(11, "vxlan over 3 192.0.2.1 > 192.0.2.7 key=7")
        .neighbour(1, "192.0.2.7", PEER_MAC)
        .neighbour(3, "192.0.2.7", PEER_MAC)
        .options(MAP)
        .flows(flows)
}

/// A packet that comes out of port 9's tunnel with these options.
fn with(options: &str) -> VecFrame {
    let outer = "udp 192.0.2.7:5 > 192.0.2.1:6081";
    wrapped(outer, &geneve(5, options), INNER)
}

/// An option, from its class, type and data.
fn option(head: &str, data: &str) -> String {
    format!("{head}{:02x}{data}", data.len() / 8)
}

/// The options of the packets that were sent through port 10, as hexadecimal digits, and whether
/// the header says that one of them is critical.
fn sent_options(sw: &mut Switch) -> Vec<(String, bool)> {
    let of = |frame: &VecFrame| {
        let header = &frame.bytes()[42..];
        let size = usize::from(header[0] & 0x3f) * 4;
        (hex(&header[8..8 + size]), header[1] & 0x40 != 0)
    };
    sw.sent_frames(3).iter().map(of).collect()
}

#[test]
fn each_form_of_a_match_is_met() {
    let first = option("010203", "12345678");
    let both = first.clone() + &option("010284", "00000000000000ff");
    let long = option("ffff00", &"a5".repeat(32));
    for (matched, differs, options) in [
        ("tun_metadata0", "tun_metadata5", &first),
        (
            "tun_metadata0=0x12345678",
            "tun_metadata0=0x12345679",
            &first,
        ),
        (
            "tun_metadata0=0x5600/0xff00",
            "tun_metadata0=0x7800/0xff00",
            &first,
        ),
        (
            "tun_metadata0=0x12000000/0xff000000",
            "tun_metadata0=0/0xff",
            &first,
        ),
        (
            "tun_metadata0,tun_metadata5=0xff",
            "tun_metadata0,tun_metadata63",
            &both,
        ),
        (
            "tun_metadata5=0/0xffffffff00000000",
            "tun_metadata5=0x1/0x1,tun_metadata63",
            &both,
        ),
        (
            "tun_metadata63=0xa5/0xff",
            "tun_metadata63=0xa4/0xff",
            &long,
        ),
    ] {
        let mut sw = switch(&format!(
            "in_port=9,{matched} actions=output:2\nin_port=9,{differs} actions=output:4"
        ));
        for _ in 0..3 {
            sw.inject_frames(1, vec![with(options), with(""), with(options)]);
            assert_eq!(sw.sent(2), [INNER, INNER], "{matched}");
        }
        sw.assert_state("ct: none; drops: table_miss=3");
    }
}

#[test]
fn what_is_not_mapped_is_passed_over_unless_it_is_critical() {
    let mut sw = switch("tun_metadata0=1 actions=output:2\npriority=0 actions=output:4");
    let mapped = option("010203", "00000001");
    let unknown = option("010202", "00000009");
    sw.inject_frames(1, vec![with(&(unknown.clone() + &mapped)), with(&unknown)]);
    assert_eq!((sw.sent(2).len(), sw.sent(4).len()), (1, 1));
    // Critical and unknown; of another size than it is mapped with.
    let critical = mapped.clone() + &option("010282", "00000009");
    for wrong in [critical, option("010203", "0000000100000002")] {
        sw.inject_frames(1, vec![with(&wrong)]);
    }
    sw.assert_state("ct: none; drops: tunnel_options=2");
}

#[test]
fn what_came_is_sent_on_as_far_as_it_is_mapped() {
    let mut sw = switch("in_port=9 actions=output:10");
    let first = option("010203", "12345678");
    let second = option("010284", "00000000000000ff");
    let unknown = option("010202", "00000009");
    for options in [
        String::new(),
        unknown.clone(),
        second.clone() + &unknown + &first,
    ] {
        for _ in 0..3 {
            sw.inject_frames(1, vec![with(&options)]);
        }
    }
    let sent = sent_options(&mut sw);
    assert!(sent[..6].iter().all(|one| *one == (String::new(), false)));
    // By the fields' numbers.
    assert!(
        sent[6..]
            .iter()
            .all(|one| *one == (first.clone() + &second, true))
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn fields_are_written_and_what_was_output_before_is_not() {
    let mut sw = switch(
        "in_port=2 actions=set_field:0x11->tun_metadata0,output:10,\
         set_field:0xab00/0xff00->tun_metadata0,output:10,\
         load:0x7->tun_metadata5[60..63],output:10,\
         delete_field:tun_metadata0,output:10,\
         delete_field:tun_metadata5,output:10",
    );
    let first = |value: u32| option("010203", &format!("{value:08x}"));
    let second = option("010284", "7000000000000000");
    for _ in 0..3 {
        sw.inject(2, INNER);
        let wanted = [
            (first(0x11), false),
            (first(0xab11), false),
            (first(0xab11) + &second, true),
            (second.clone(), true),
            (String::new(), false),
        ];
        assert_eq!(sent_options(&mut sw), wanted);
    }
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn parts_are_moved_pushed_and_popped() {
    let mut sw = switch(
        "in_port=9,ip actions=move:tun_metadata0[8..23]->reg1[0..15],\
         move:tun_metadata63[0..63]->tun_metadata5[0..63],\
         push:tun_metadata63[0..255],pop:tun_metadata0[0..31],\
         move:nw_ttl->tun_metadata0[24..31],resubmit(,1),output:10\n\
         table=1,reg1=0x3456,tun_metadata5=0xa5a5a5a5a5a5a5a5 actions=output:2",
    );
    let options = option("010203", "12345678") + &option("ffff00", &"a5".repeat(32));
    for _ in 0..3 {
        sw.inject_frames(1, vec![with(&options)]);
        let wanted = option("010203", "40a5a5a5")
            + &option("010284", "a5a5a5a5a5a5a5a5")
            + &option("ffff00", &"a5".repeat(32));
        assert_eq!(sent_options(&mut sw), [(wanted, true)]);
        assert_eq!(sw.sent(2), [INNER]);
    }
    sw.assert_state("ct: none; drops: none");
}

/// As many as one header has room for: 252 bytes with their own headers, in front of a tagged
/// packet, over IPv4 and IPv6.
#[test]
fn the_longest_options_come_in_and_go_out() {
    let long = "a5".repeat(124);
    let options = option("ffff00", &long) + &option("ffff01", &"5a".repeat(116));
    for (ends, to) in [
        ("192.0.2.1 > 192.0.2.7", "192.0.2.7"),
        ("2001:db8::1 > 2001:db8::7", "2001:db8::7"),
    ] {
        let mut sw = Switch::builder()
            .tunnel(9, "geneve over 1 192.0.2.1 > 192.0.2.7 key=5")
            .tunnel(10, &format!("geneve over 3 {ends} key=7"))
            .neighbour(3, to, PEER_MAC)
            .options(
                "{class=0xffff,type=0,len=124}->tun_metadata63,\
                 {class=0xffff,type=1,len=116}->tun_metadata0",
            )
            .flows(&format!(
                "in_port=9,tun_metadata63=0x{long} actions=push_vlan:0x8100,\
                 set_field:0x1007->vlan_vid,output:10,strip_vlan,output:2\n\
                 in_port=2 actions=set_field:1->tun_metadata63,output:10"
            ));
        for _ in 0..3 {
            sw.inject_frames(1, vec![with(&options)]);
            assert_eq!(sw.sent(2), [INNER]);
            let sent = sw.sent_frames(3);
            let frame = sent[0].bytes();
            let outer = if to.contains(':') { 62 } else { 42 };
            let inner = text::frame(&format!("vlan 7 {INNER}"));
            assert_eq!(frame.len(), outer + 8 + 248 + inner.len());
            let sent = hex(&frame[outer + 8..outer + 8 + 248]);
            // By the fields' numbers.
            let (first, second) = options.split_at(2 * 128);
            assert_eq!(sent, second.to_owned() + first);
            assert_eq!(frame[outer + 8 + 248..], *inner.bytes());
        }
        sw.inject(2, INNER);
        assert_eq!(sw.sent_frames(3).len(), 1);
        sw.assert_state("ct: none; drops: none");
    }
}

#[test]
fn connections_and_groups_see_them_too() {
    let mut sw = switch("");
    sw.change_groups("group_id=1,type=all,bucket=actions=set_field:7->tun_metadata0,output:10")
        .expect("a group");
    sw.change_flows(
        "in_port=9,ip actions=ct(commit,zone=tun_metadata0[0..15],table=1,\
         exec(move:tun_metadata0[0..31]->ct_mark))\n\
         table=1,ct_zone=0x9,ct_mark=0x10009,tun_metadata0=0x10009 actions=output:2,group:1",
    )
    .expect("flows");
    for _ in 0..3 {
        sw.inject_frames(1, vec![with(&option("010203", "00010009"))]);
        assert_eq!(sw.sent(2), [INNER]);
        let sent = sent_options(&mut sw);
        assert_eq!(sent, [(option("010203", "00000007"), false)]);
    }
}

/// The same option, the same bucket, whatever else differs; others reach all of them.
#[test]
fn a_group_chooses_by_an_option() {
    let mut sw = switch("");
    sw.change_groups(
        "group_id=1,type=select,selection_method=hash,fields=tun_metadata5,\
         bucket=2,bucket=4,bucket=10",
    )
    .expect("a group");
    sw.change_flows("in_port=9,ip actions=group:1")
        .expect("flows");
    let mut reached = [0; 3];
    for tenant in 0..40 {
        let option = option("010284", &format!("{tenant:08x}00000000"));
        let mut buckets = Vec::new();
        for (other, inner) in [
            ("", INNER),
            ("", "udp 10.0.0.9:7 > 10.0.0.8:8"),
            ("0102030100000001", INNER),
        ] {
            let outer = "udp 192.0.2.7:5 > 192.0.2.1:6081";
            let header = geneve(5, &(other.to_owned() + &option));
            for _ in 0..2 {
                sw.inject_frames(1, vec![wrapped(outer, &header, inner)]);
                let counts = [sw.sent(2).len(), sw.sent(4).len(), sw.sent_frames(3).len()];
                buckets.push(counts.iter().position(|&count| count == 1));
            }
        }
        let bucket = buckets[0].expect("one of them");
        assert!(
            buckets.iter().all(|other| *other == Some(bucket)),
            "{tenant}: {buckets:?}"
        );
        reached[bucket] += 1;
    }
    assert!(reached.iter().all(|&count| count > 4), "{reached:?}");
    // Without the option, one bucket for all.
    sw.inject_frames(1, vec![with(""), with(&option("010203", "00000009"))]);
    let counts = [sw.sent(2).len(), sw.sent(4).len(), sw.sent_frames(3).len()];
    assert!(counts.contains(&2), "{counts:?}");
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_packet_that_came_through_no_tunnel_has_none() {
    let mut sw = switch(
        "in_port=2 actions=move:tun_metadata0[0..31]->reg0,output:10,output:11,resubmit(,1)\n\
         table=1,reg0=0 actions=output:4",
    );
    for _ in 0..3 {
        sw.inject(2, INNER);
        assert_eq!(sw.sent(4), [INNER]);
        assert_eq!(sw.sent_frames(3).len(), 2);
    }
    // A VXLAN header has no room for any.
    let mut sw = switch("in_port=9 actions=output:11");
    sw.inject_frames(1, vec![with(&option("010203", "00000001"))]);
    assert_eq!(sw.sent_frames(3)[0].bytes().len(), 42 + 8 + 42);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_map_that_changes_makes_what_is_remembered_stale() {
    let mut sw = switch("in_port=9 actions=output:10");
    let old = option("010203", "12345678");
    let new = option("0a0a0a", "12345678");
    for _ in 0..3 {
        sw.inject_frames(1, vec![with(&old), with(&new)]);
        let wanted = [(old.clone(), false), (String::new(), false)];
        assert_eq!(sent_options(&mut sw), wanted);
    }
    // The other option lies in keys where the first did.
    sw.del_tlv_map(&[0]).expect("no rule names it");
    sw.add_tlv_map("{class=0x0a0a,type=10,len=4}->tun_metadata0")
        .expect("there is room");
    for _ in 0..3 {
        sw.inject_frames(1, vec![with(&old), with(&new)]);
        let wanted = [(String::new(), false), (new.clone(), false)];
        assert_eq!(sent_options(&mut sw), wanted);
    }
}

#[test]
fn a_map_is_not_taken_from_rules_that_use_it() {
    let mut sw = switch("");
    let in_use = |index: u8| {
        Err(format!(
            "tun_metadata{index} is used by a flow or a group (NXTTMFC_INVALID_TLV_DEL)"
        ))
    };
    sw.change_flows("tun_metadata0 actions=move:tun_metadata5[0..31]->reg0")
        .expect("mapped fields");
    assert_eq!(sw.del_tlv_map(&[0]), in_use(0));
    assert_eq!(sw.del_tlv_map(&[63, 5]), in_use(5));
    sw.change_flows("delete").expect("a flow");
    sw.change_groups("group_id=1,type=all,bucket=actions=set_field:1->tun_metadata63,output:2")
        .expect("a group");
    assert_eq!(sw.del_tlv_map(&[63]), in_use(63));
    assert_eq!(sw.del_tlv_map(&[0, 5, 17]), Ok(()));
    let unmapped = sw.change_flows("tun_metadata0 actions=drop");
    assert_eq!(
        unmapped.expect_err("it is gone"),
        "flow 1: tun_metadata0 stands for no option: see add-tlv-map (NXFMFC_INVALID_TLV_FIELD)"
    );
}

/// Options at random, some of them mapped, some matched: every cache comes to the same as none.
#[test]
fn random_options_are_treated_alike_with_and_without_caches() {
    let mut sw = switch(
        "in_port=9,tun_metadata0=0/0x1 actions=set_field:1->tun_metadata5,output:10\n\
         in_port=9,tun_metadata5=0x100/0xff00 actions=delete_field:tun_metadata0,output:10\n\
         in_port=9,priority=9 actions=move:tun_metadata0[0..7]->tun_metadata5[8..15],output:10",
    );
    let mut state = 1_u32;
    let mut draw = |most: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % most
    };
    for _ in 0..200 {
        let mut frames = Vec::new();
        for _ in 0..4 {
            let mut options = String::new();
            for _ in 0..draw(3) {
                options += &match draw(3) {
                    0 => option("010203", &format!("{:08x}", draw(4))),
                    1 => option("010284", &format!("{:016x}", draw(3) << 8)),
                    _ => option("010209", "00000001"),
                };
            }
            frames.push(with(&options));
        }
        sw.inject_frames(1, frames);
        assert_eq!(sw.sent_frames(3).len(), 4);
    }
    sw.assert_state("ct: none; drops: none");
}
