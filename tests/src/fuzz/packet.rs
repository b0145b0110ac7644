//! Bytes as a frame.

use std::net::{Ipv4Addr, Ipv6Addr};

use weir_ct::{Commit, Request, Settings, Tracker};
use weir_nat::rewrite;
use weir_packet::checksum::{
    ipv4_header_checksum_ok, l4_checksum_ok, write_ipv4_header_checksum, write_l4_checksum,
};
use weir_packet::{Frame, L4, Layout, SegmentedFrame, Tick, VecFrame, parse, text};

use crate::routed::has_routing_header;
use crate::switch::Switch;

/// A frame is parsed, described, tracked and rewritten; it does not matter how it lies in
/// memory, checksums that were right stay right, and its layout stays what it was.
///
/// # Panics
/// If one of these fails.
pub fn packet_parse(bytes: &[u8]) {
    let described = text::describe(bytes);
    assert_eq!(text::parse(&described).as_deref(), Ok(bytes), "{described}");
    let Ok(layout) = parse(bytes, bytes.len()) else {
        assert!(bytes.len() < 14, "only a runt has no layout");
        return;
    };
    headers_lie_within(bytes, &layout);
    tunnels_carry_it(bytes, &layout);
    segments_do_not_matter(bytes, &layout);

    let mut frame = VecFrame::new(bytes);
    rewrites_keep_checksums(&mut frame, &layout);
    let mut frame = VecFrame::new(bytes);
    write_ipv4_header_checksum(frame.head_mut(), &layout);
    write_l4_checksum(&mut frame, &layout);
    assert!(ipv4_header_checksum_ok(frame.head(), &layout));
    rewrites_keep_checksums(&mut frame, &layout);

    let settings = Settings {
        max_connections: 4,
        ..Settings::default()
    };
    let mut tracker = Tracker::new(&settings, 0);
    let commit = Request {
        commit: Some(Commit::default()),
        ..Request::default()
    };
    for _ in 0..2 {
        let outcome = tracker.execute(&frame, &layout, &commit, Tick::ZERO);
        assert!(
            outcome.is_ok(),
            "four connections are enough for one packet: {outcome:?}"
        );
    }
    assert!(tracker.len() <= 1);
}

/// The packet comes out of each kind of tunnel as it went in; and whatever it is itself, an
/// underlay port takes it.
fn tunnels_carry_it(bytes: &[u8], layout: &Layout) {
    let mut sw = Switch::builder();
    for (at, kind) in (0..).zip(["vxlan", "geneve", "gre"]) {
        // One way over port 1, back over port 2.
        for (port, over, ends) in [
            (
                10,
                1,
                ["192.0.2.1 > 192.0.2.7", "2001:db8::1 > 2001:db8::7"],
            ),
            (
                20,
                2,
                ["192.0.2.7 > 192.0.2.1", "2001:db8::7 > 2001:db8::1"],
            ),
        ] {
            for (v6, ends) in (0..).zip(ends) {
                let no = port + at + 5 * v6;
                sw = sw.tunnel(no, &format!("{kind} over {over} {ends} key=7"));
            }
        }
    }
    for (over, ip) in [
        (1, "192.0.2.7"),
        (1, "2001:db8::7"),
        (2, "192.0.2.1"),
        (2, "2001:db8::1"),
    ] {
        sw = sw.neighbour(over, ip, [2; 6]);
    }
    let mut sw = sw.flows(
        "in_port=3 actions=output:10,output:11,output:12,output:15,output:16,output:17
         in_port=1 actions=drop
         in_port=2 actions=drop
         priority=0 actions=output:4",
    );
    sw.ignore_what_is_sent();
    let frame = VecFrame::new(bytes);
    sw.inject_frames(1, vec![frame.clone()]);
    sw.sent_anywhere();
    sw.inject_frames(3, vec![frame.clone()]);
    let wrapped = sw.sent_frames(1);
    let fits = bytes.len() <= 1_300;
    assert!(wrapped.len() == 6 || !fits, "{} copies", wrapped.len());
    let count = wrapped.len();
    sw.inject_frames(2, wrapped);
    let came = sw.sent_frames(4);
    assert_eq!(came.len(), count);
    // ECN is what it was, since nothing was added to it on the way.
    assert!(came.iter().all(|one| *one == frame), "{layout:?}");
}

fn headers_lie_within(bytes: &[u8], layout: &Layout) {
    assert!(usize::from(layout.l3_offset) <= bytes.len());
    assert!(layout.l3_end as usize <= bytes.len());
    assert!(usize::from(layout.l4_offset) <= bytes.len());
    assert!(layout.vlan_tags <= 2);
}

/// A frame whose headers lie in its first segment is the same frame in one piece.
fn segments_do_not_matter(bytes: &[u8], layout: &Layout) {
    let head_size = usize::from(layout.l4_offset).max(14) + 60;
    let cut = SegmentedFrame::new(bytes, head_size, &[7, 0, 1]);
    let of_cut = parse(cut.head(), cut.len());
    assert_eq!(of_cut.as_ref(), Ok(layout));
    let whole = VecFrame::new(bytes);
    assert_eq!(l4_checksum_ok(&cut, layout), l4_checksum_ok(&whole, layout));
}

fn rewrites_keep_checksums(frame: &mut VecFrame, layout: &Layout) {
    if is_all_zero(frame.head(), layout) {
        return;
    }
    let right = |frame: &VecFrame| {
        [
            ipv4_header_checksum_ok(frame.head(), layout),
            l4_checksum_ok(frame, layout),
        ]
    };
    let before = right(frame);
    let head = frame.head_mut();
    rewrite::set_ipv4_src(head, layout, Ipv4Addr::new(198, 51, 100, 7));
    rewrite::set_ipv4_dst(head, layout, Ipv4Addr::BROADCAST);
    rewrite::set_ipv4_tos(head, layout, 0xb8);
    rewrite::set_ipv4_ttl(head, layout, 7);
    rewrite::set_ipv6_src(head, layout, Ipv6Addr::LOCALHOST);
    if !has_routing_header(head, layout) {
        rewrite::set_ipv6_dst(head, layout, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7));
    }
    rewrite::set_ipv6_traffic_class(head, layout, 0xb8);
    rewrite::set_ipv6_flow_label(head, layout, 0xf_ffff);
    rewrite::set_ipv6_hop_limit(head, layout, 7);
    rewrite::set_src_port(head, layout, 40_000);
    rewrite::set_dst_port(head, layout, 0);
    rewrite::set_icmp_type(head, layout, 8);
    rewrite::set_icmp_code(head, layout, 3);
    assert_eq!(right(frame), before);
    let after = parse(frame.head(), frame.len());
    assert_eq!(
        after.as_ref(),
        Ok(layout),
        "{}",
        text::describe(frame.head())
    );
}

/// Whether the L4 checksum is over nothing but zeros, which only an ICMP message can be. Its
/// checksum is then 0xffff, and 0 is wrong, but in one's complement both are zero: nobody who
/// sees a change alone can tell them apart.
fn is_all_zero(head: &[u8], layout: &Layout) -> bool {
    let message = head.get(layout.l4_offset.into()..layout.l3_end as usize);
    layout.l4 == L4::Icmp && message.is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0))
}
