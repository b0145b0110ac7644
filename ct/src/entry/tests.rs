use std::time::Duration;

use weir_packet::{IpPair, Tick, Tuple};

use super::{DumpStyle, Entry, Expected, ProtocolInfo, TcpInfo, date};
use crate::alg::Helper;
use crate::record::Carried;
use crate::tcp::PeerState;

const PLAIN: DumpStyle = DumpStyle {
    statistics: false,
    more: false,
    lcore: None,
    epoch_ms: None,
};
const STATISTICS: DumpStyle = DumpStyle {
    statistics: true,
    ..PLAIN
};
const MORE: DumpStyle = DumpStyle {
    more: true,
    ..PLAIN
};

fn tcp(original: PeerState, reply: PeerState) -> Entry {
    let ip = IpPair::V4 {
        src: [10, 1, 1, 1].into(),
        dst: [10, 1, 1, 2].into(),
    };
    let tuple = Tuple {
        ip,
        protocol: 6,
        src_port: 30_000,
        dst_port: 80,
    };
    let info = |state| TcpInfo {
        state,
        window_scale: 0,
        scaling: false,
        liberal: false,
    };
    Entry {
        id: 77,
        zone: 0,
        zone_dir: None,
        original: tuple,
        reply: tuple.reversed(),
        mark: 0,
        label: 0,
        protocol: ProtocolInfo::Tcp {
            original: info(original),
            reply: info(reply),
        },
        replied: true,
        timeout_left: Duration::from_millis(29_999),
        start: Tick::from_millis(1_500),
        last_seen: Tick::from_millis(12_034),
        carried: None,
        helper: None,
        parent: None,
    }
}

const TUPLES: &str = "orig=(src=10.1.1.1,dst=10.1.1.2,sport=30000,dport=80),\
                      reply=(src=10.1.1.2,dst=10.1.1.1,sport=80,dport=30000)";

#[test]
fn prints_zone_mark_and_labels_unless_zero() {
    let mut entry = tcp(PeerState::TimeWait, PeerState::TimeWait);
    assert_eq!(
        entry.to_string(),
        format!("tcp,{TUPLES},protoinfo=(state=TIME_WAIT)")
    );
    entry.zone = 1;
    entry.mark = 170;
    entry.label = 0xaa_0000_0000;
    assert_eq!(
        entry.to_string(),
        format!("tcp,{TUPLES},zone=1,mark=170,labels=0xaa00000000,protoinfo=(state=TIME_WAIT)")
    );
    assert_eq!(
        entry.display(STATISTICS).to_string(),
        format!(
            "tcp,{TUPLES},start=1.500,last=12.034,zone=1,timeout=29,mark=170,\
             labels=0xaa00000000,protoinfo=(state=TIME_WAIT)"
        )
    );
}

#[test]
fn shows_the_state_of_the_end_that_is_further() {
    let shown = |original, reply| {
        let line = tcp(original, reply).to_string();
        line.rsplit_once("state=")
            .map(|(_, state)| state.trim_end_matches(')').to_owned())
    };
    let state = |name: &str| Some(name.to_owned());
    assert_eq!(
        shown(PeerState::SynSent, PeerState::Closed),
        state("SYN_SENT")
    );
    assert_eq!(
        shown(PeerState::Established, PeerState::SynSent),
        state("ESTABLISHED")
    );
    assert_eq!(
        shown(PeerState::Established, PeerState::Closing),
        state("CLOSING")
    );
    // As the kernel names it.
    assert_eq!(
        shown(PeerState::FinWait2, PeerState::Closing),
        state("TIME_WAIT")
    );
}

#[test]
fn shows_both_ends_on_request() {
    let mut entry = tcp(PeerState::FinWait2, PeerState::Closing);
    entry.zone = 9;
    assert_eq!(
        entry.display(MORE).to_string(),
        format!(
            "tcp,{TUPLES},start=1.500,last=12.034,id=77,zone=9,\
             status=SEEN_REPLY|ASSURED|CONFIRMED,timeout=29,\
             protoinfo=(state_orig=FIN_WAIT_2,state_reply=CLOSING,flags_orig=0,flags_reply=0)"
        )
    );
    let end = |window_scale, scaling, liberal| TcpInfo {
        state: PeerState::Established,
        window_scale,
        scaling,
        liberal,
    };
    entry.replied = false;
    entry.protocol = ProtocolInfo::Tcp {
        original: end(7, true, false),
        reply: end(0, false, true),
    };
    assert_eq!(
        entry.display(MORE).to_string(),
        format!(
            "tcp,{TUPLES},start=1.500,last=12.034,id=77,zone=9,status=CONFIRMED,timeout=29,\
             protoinfo=(state_orig=ESTABLISHED,state_reply=ESTABLISHED,\
             wscale_orig=7,wscale_reply=0,flags_orig=WINDOW_SCALE,flags_reply=BE_LIBERAL)"
        )
    );
}

#[test]
fn protocols_without_a_name_are_numbers() {
    let named = |protocol| {
        let mut entry = tcp(PeerState::Closed, PeerState::Closed);
        entry.protocol = ProtocolInfo::Stateless;
        entry.original.protocol = protocol;
        entry.to_string().split(',').next().map(str::to_owned)
    };
    for (protocol, name) in [
        (1, "icmp"),
        (2, "igmp"),
        (17, "udp"),
        (47, "47"),
        (58, "icmpv6"),
    ] {
        assert_eq!(named(protocol).as_deref(), Some(name));
    }
    for (protocol, name) in [(33, "dccp"), (132, "sctp"), (136, "udplite"), (255, "255")] {
        assert_eq!(named(protocol).as_deref(), Some(name));
    }
}

#[test]
fn shows_what_was_carried_when_and_by_whom() {
    let mut entry = tcp(PeerState::TimeWait, PeerState::TimeWait);
    let carried = |packets, bytes| Carried { packets, bytes };
    entry.carried = Some([carried(3, 180), carried(u64::MAX, 0)]);
    let style = DumpStyle {
        lcore: Some(5),
        epoch_ms: Some(1_790_000_000_000),
        ..STATISTICS
    };
    assert_eq!(
        entry.display(style).to_string(),
        "tcp,orig=(src=10.1.1.1,dst=10.1.1.2,sport=30000,dport=80,packets=3,bytes=180),\
         reply=(src=10.1.1.2,dst=10.1.1.1,sport=80,dport=30000,\
         packets=18446744073709551615,bytes=0),start=2026-09-21T14:13:21.500Z,\
         last=2026-09-21T14:13:32.034Z,timeout=29,protoinfo=(state=TIME_WAIT),lcore=5"
    );
}

#[test]
fn days_have_dates() {
    for (days, expected) in [
        (0, (1970, 1, 1)),
        (58, (1970, 2, 28)),
        (59, (1970, 3, 1)),
        (11_016, (2000, 2, 29)),
        (11_017, (2000, 3, 1)),
        (20_717, (2026, 9, 21)),
        (47_540, (2100, 2, 28)),
        (47_541, (2100, 3, 1)),
    ] {
        assert_eq!(date(days), expected, "{days}");
    }
}

#[test]
fn prints_helpers_parents_and_what_is_expected() {
    let mut entry = tcp(PeerState::Established, PeerState::Established);
    entry.helper = Some(Helper::Ftp);
    assert_eq!(
        entry.to_string(),
        format!("tcp,{TUPLES},protoinfo=(state=ESTABLISHED),helper=ftp")
    );
    entry.helper = None;
    entry.parent = Some(entry.reply);
    assert_eq!(
        entry.to_string(),
        format!("tcp,{TUPLES},protoinfo=(state=ESTABLISHED)")
    );
    assert!(
        entry
            .display(MORE)
            .to_string()
            .ends_with("),parent=(src=10.1.1.2,dst=10.1.1.1,sport=80,dport=30000)")
    );

    let tuple = Tuple {
        src_port: 0,
        ..entry.original
    };
    let mut expected = Expected {
        zone: 0,
        tuple,
        parent: entry.original,
        mark: 0,
        label: 0,
        timeout_left: Duration::from_secs(1),
    };
    let (orig, parent) = (
        "tcp,orig=(src=10.1.1.1,dst=10.1.1.2,sport=0,dport=80)",
        "parent=(src=10.1.1.1,dst=10.1.1.2,sport=30000,dport=80)",
    );
    assert_eq!(expected.to_string(), format!("{orig},{parent}"));
    (expected.zone, expected.mark, expected.label) = (7, 3, 0x10);
    assert_eq!(
        expected.to_string(),
        format!("{orig},zone=7,mark=3,labels=0x10,{parent}")
    );
}
