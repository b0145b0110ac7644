//! The short way against the long one: two trackers, one of which takes it where it is allowed.

use std::collections::HashMap;

use proptest::prelude::*;
use weir_packet::{Frame, L4, Layout, Tick, VecFrame, parse, text};

use super::{After, Part, Recall};
use crate::entry::Entry;
use crate::filter::Filter;
use crate::request::{Commit, Request, ZoneDir};
use crate::settings::{Settings, Timeouts};
use crate::state::CtState;
use crate::tracker::{Cursor, Tracker};

/// Segments of two connections, datagrams of two, pings of one, packets of one association, in both
/// directions, and errors about them.
fn lines() -> impl Strategy<Value = String> {
    let flags = proptest::sample::select(vec!["S", "SA", "A", "A", "A", "PA", "FA", "R", "RA"]);
    let number = || prop_oneof![4 => 100..140u32, 1 => any::<u32>()];
    let tcp = (
        0..2u16,
        any::<bool>(),
        flags,
        number(),
        number(),
        0..64u16,
        0..20usize,
    );
    let tcp = tcp.prop_map(|(which, back, flags, seq, ack, win, len)| {
        let port = 4000 + which;
        let (from, to) = match back {
            false => (format!("10.0.0.1:{port}"), "10.0.0.2:80".to_owned()),
            true => ("10.0.0.2:80".to_owned(), format!("10.0.0.1:{port}")),
        };
        format!("tcp {from} > {to} {flags} seq={seq} ack={ack} win={win} len={len}")
    });
    let udp = (0..2u16, any::<bool>()).prop_map(|(which, back)| {
        let port = 4000 + which;
        match back {
            false => format!("udp 10.0.0.1:{port} > 10.0.0.2:53"),
            true => format!("udp 10.0.0.2:53 > 10.0.0.1:{port}"),
        }
    });
    let echo = any::<bool>().prop_map(|back| {
        match back {
            false => "icmp 10.0.0.1 > 10.0.0.2 echo-request id=7",
            true => "icmp 10.0.0.2 > 10.0.0.1 echo-reply id=7",
        }
        .to_owned()
    });
    let sctp = (any::<bool>(), 0..6_usize, 0..3_u32).prop_map(|(back, chunk, tag)| {
        let ends = match back {
            false => "10.0.0.1:4000 > 10.0.0.2:80",
            true => "10.0.0.2:80 > 10.0.0.1:4000",
        };
        let rest = match chunk {
            0 => format!("vtag=0 init={tag}"),
            1 => format!("vtag={tag} init-ack={tag}"),
            2 => format!("vtag={tag} chunk=cookie-echo"),
            3 => format!("vtag={tag} chunk=cookie-ack"),
            4 => format!("vtag={tag} chunk=data:3:00112233"),
            _ => format!("vtag={tag} chunk=shutdown-complete"),
        };
        format!("sctp {ends} {rest}")
    });
    // About what each end sent, from the other end and from a router.
    let error = (any::<bool>(), any::<bool>(), 0..3_usize).prop_map(|(back, router, about)| {
        let (from, to) = match back {
            false => ("10.0.0.1", "10.0.0.2"),
            true => ("10.0.0.2", "10.0.0.1"),
        };
        let (client, server) = match about {
            0 => (":4000", ":53"),
            1 => (":4000", ":80"),
            _ => ("", ""),
        };
        let (ours, theirs) = if back {
            (server, client)
        } else {
            (client, server)
        };
        let quoted = match about {
            0 => format!("udp {from}{ours} > {to}{theirs} len=9"),
            1 => format!("tcp {from}{ours} > {to}{theirs} A seq=100 ack=100"),
            _ => format!("icmp {from} > {to} echo-request id=7"),
        };
        let teller = if router { "10.0.0.9" } else { to };
        format!("icmp {teller} > {from} unreachable code=3 {{ {quoted} }}")
    });
    prop_oneof![3 => tcp, 2 => udp, 1 => echo, 1 => sctp, 1 => error]
}

/// What `ct()` a packet goes through.
fn requests() -> impl Strategy<Value = Request<'static>> {
    let zone_dir = prop::option::weighted(
        0.3,
        prop_oneof![Just(ZoneDir::Original), Just(ZoneDir::Reply)],
    );
    let mark = prop::option::weighted(0.3, (0..2_u32, Just(0xff)));
    let commit = (zone_dir, mark).prop_map(|(zone_dir, mark)| Commit {
        zone_dir,
        mark,
        ..Commit::default()
    });
    let zone = prop_oneof![3 => Just(3), 1 => Just(0)];
    (zone, prop::option::of(commit)).prop_map(|(zone, commit)| Request {
        zone,
        commit,
        ..Request::default()
    })
}

#[derive(Clone, Debug)]
enum Step {
    /// A packet, and how many milliseconds before it pass.
    Packet(String, Request<'static>, u64),
    /// Timeouts of a zone, or of all, in seconds.
    Timeouts(bool, u64),
    /// Limits of all, of a zone and of sources in it.
    Limits(u32, Option<u32>, Option<u32>),
    Flush(Filter),
    Expire,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let packet = (lines(), requests(), 0..40_000_u64);
    let limit = || prop::option::of(0..6_u32);
    let filters = prop::sample::select(vec![
        "",
        "zone=3",
        "zone=0",
        "mark=1",
        "zone=3 ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=17,ct_tp_src=4000,ct_tp_dst=53",
    ]);
    let filter = |text: &str| {
        let words: Vec<_> = text.split_whitespace().collect();
        Filter::parse(&words).expect("it is right")
    };
    let step = prop_oneof![
        40 => packet.prop_map(|(line, request, wait)| Step::Packet(line, request, wait)),
        2 => (any::<bool>(), 1..200_u64).prop_map(|(own, secs)| Step::Timeouts(own, secs)),
        2 => (1..16_u32, limit(), limit())
            .prop_map(|(all, zone, source)| Step::Limits(all, zone, source)),
        1 => filters.prop_map(move |text| Step::Flush(filter(text))),
        1 => Just(Step::Expire),
    ];
    prop::collection::vec(step, 1..200)
}

/// All timeouts alike.
fn timeouts(secs: u64) -> Timeouts {
    let all = std::time::Duration::from_secs(secs);
    Timeouts {
        tcp_syn_sent: all,
        tcp_syn_recv: all,
        tcp_established: all,
        tcp_fin_wait: all,
        tcp_time_wait: all,
        tcp_close: all,
        sctp_closed: all,
        sctp_cookie_wait: all,
        sctp_cookie_echoed: all,
        sctp_established: all,
        sctp_shutdown_sent: all,
        sctp_shutdown_recd: all,
        sctp_shutdown_ack_sent: all,
        sctp_heartbeat_sent: all,
        udp_first: all,
        udp_single: all,
        udp_multiple: all,
        icmp_first: all,
        icmp_reply: all,
    }
}

/// The packet and its `ct()` as a cache tells them from others.
fn name_of(line: &str, request: &Request<'_>) -> String {
    let words: Vec<_> = line.split(' ').take(5).collect();
    // What follows the addresses of a TCP segment is no part of a cache's key.
    let words = match words[0] {
        "icmp" => &words[..],
        _ => &words[..4],
    };
    format!("{words:?} {request:?}")
}

fn settings() -> Settings {
    Settings {
        max_connections: 16,
        accounting: true,
        ..Settings::default()
    }
}

fn part(frame: &VecFrame, layout: &Layout) -> Option<Part> {
    match layout.l4 {
        L4::Tcp => Part::tcp(frame.head(), layout),
        L4::Udp => Some(Part::UDP),
        L4::Icmp if frame.bytes()[usize::from(layout.l4_offset)] != UNREACHABLE => {
            Some(Part::QUERY)
        }
        _ => None,
    }
}

/// The type of an ICMP error (RFC 792).
const UNREACHABLE: u8 = 3;

fn size(layout: &Layout) -> u32 {
    layout.l3_end - u32::from(layout.l3_offset)
}

fn dump(tracker: &Tracker, now: Tick) -> Vec<Entry> {
    let mut entries = Vec::new();
    tracker.dump(
        Cursor::default(),
        usize::MAX,
        &Filter::default(),
        now,
        &mut entries,
    );
    entries
}

proptest! {
    #[test]
    fn the_short_way_is_the_long_one(
        steps in steps(),
    ) {
        let mut settings = settings();
        let mut long = Tracker::new(&settings, 1);
        let mut short = Tracker::new(&settings, 1);
        // By the packet's text, as a cache would have it by its bytes.
        let mut known: HashMap<String, (Recall, CtState, u32)> = HashMap::new();
        let mut now = Tick::from_millis(1000);
        for step in steps {
            let told = format!("{step:?}");
            match step {
                Step::Packet(line, request, wait) => {
                    now = now + std::time::Duration::from_millis(wait);
                    let frame = text::frame(&line);
                    let layout = parse(frame.head(), frame.len()).expect("no runt");
                    let wanted = long.execute(&frame, &layout, &request, now);
                    let wanted = wanted.map(|outcome| (outcome.state, outcome.mark));
                    let name = name_of(&line, &request);
                    let allowed = known.get(&name).and_then(|&(recall, state, mark)| {
                        let part = part(&frame, &layout)?;
                        let mut after = After::NOTHING;
                        let allowed = short.allows(recall, &part, now, &mut after);
                        allowed.then_some((recall, state, mark, after))
                    });
                    match allowed {
                        Some((recall, state, mark, after)) => {
                            prop_assert_eq!(wanted, Ok((state, mark)), "{}", line);
                            short.apply(recall, &after, size(&layout), now);
                        }
                        None => {
                            let got = short.execute(&frame, &layout, &request, now);
                            let seen = got.map(|outcome| (outcome.state, outcome.mark));
                            prop_assert_eq!(seen, wanted, "{}", line);
                            known.remove(&name);
                            if let Ok(outcome) = got && let Some(recall) = outcome.recall {
                                known.insert(name, (recall, outcome.state, outcome.mark));
                            }
                        }
                    }
                }
                Step::Timeouts(own, secs) => {
                    if own {
                        settings.zones.entry(3).or_default().timeouts = Some(timeouts(secs));
                    } else {
                        settings.timeouts = timeouts(secs);
                    }
                    let done = [&mut long, &mut short].map(|to| to.reconfigure(&settings));
                    prop_assert_eq!(done, [Ok(Vec::new()), Ok(Vec::new())]);
                }
                Step::Limits(all, zone, source) => {
                    settings.max_connections = all;
                    let own = settings.zones.entry(3).or_default();
                    (own.limit, own.source_limit) = (zone, source);
                    let done = [&mut long, &mut short].map(|to| to.reconfigure(&settings));
                    prop_assert_eq!(done, [Ok(Vec::new()), Ok(Vec::new())]);
                }
                Step::Flush(filter) => {
                    let flushed = [&mut long, &mut short].map(|tracker| {
                        let mut flushed = 0;
                        tracker.flush(Cursor::default(), usize::MAX, &filter, &mut flushed);
                        flushed
                    });
                    prop_assert_eq!(flushed[0], flushed[1]);
                }
                Step::Expire => {
                    let forgotten = [&mut long, &mut short].map(|to| to.expire(now, usize::MAX));
                    prop_assert_eq!(forgotten[0], forgotten[1]);
                }
            }
            prop_assert_eq!(dump(&short, now), dump(&long, now), "after {}", told);
            prop_assert_eq!(short.counters(), long.counters(), "after {}", told);
            let counts = [&short, &long].map(|to| to.zone_counts(0, usize::MAX));
            prop_assert_eq!(&counts[0], &counts[1], "after {}", told);
            short.check(now);
        }
    }
}

proptest! {
    /// Whether a packet is allowed, and what is then done, in one step and in two.
    #[test]
    fn one_step_is_two(
        packets in prop::collection::vec((lines(), any::<bool>(), 0..40_000u64), 1..200),
    ) {
        let mut two = Tracker::new(&settings(), 1);
        let mut one = Tracker::new(&settings(), 1);
        let mut known: HashMap<String, Recall> = HashMap::new();
        let mut now = Tick::from_millis(1000);
        for (line, commit, wait) in packets {
            now = now + std::time::Duration::from_millis(wait);
            let frame = text::frame(&line);
            let layout = parse(frame.head(), frame.len()).expect("no runt");
            let commit = commit.then_some(Commit::default());
            let request = Request { zone: 3, commit, ..Request::default() };
            let name = name_of(&line, &request);
            let mut done = false;
            if let (Some(&recall), Some(part)) = (known.get(&name), part(&frame, &layout)) {
                let mut after = After::NOTHING;
                done = two.allows(recall, &part, now, &mut after);
                if done {
                    two.apply(recall, &after, size(&layout), now);
                }
                prop_assert_eq!(one.pass::<true>(recall, &part, size(&layout), now), done, "{}", line);
            }
            if !done {
                let wanted = two.execute(&frame, &layout, &request, now);
                let got = one.execute(&frame, &layout, &request, now);
                prop_assert_eq!(got.map(|o| o.recall), wanted.map(|o| o.recall), "{}", line);
                known.remove(&name);
                if let Ok(outcome) = got && let Some(recall) = outcome.recall {
                    known.insert(name, recall);
                }
            }
            prop_assert_eq!(dump(&one, now), dump(&two, now), "after {}", line);
            one.check(now);
        }
    }
}

#[test]
fn established_traffic_takes_the_short_way() {
    let mut tracker = Tracker::new(&settings(), 1);
    let now = Tick::from_millis(1000);
    let send = |line: &str, tracker: &mut Tracker| {
        let frame = text::frame(line);
        let layout = parse(frame.head(), frame.len()).expect("no runt");
        let commit = Some(Commit::default());
        let request = Request {
            zone: 3,
            commit,
            ..Request::default()
        };
        tracker
            .execute(&frame, &layout, &request, now)
            .expect("no drop")
            .recall
    };
    let (there, back) = (
        "udp 10.0.0.1:4000 > 10.0.0.2:53",
        "udp 10.0.0.2:53 > 10.0.0.1:4000",
    );
    assert_eq!(send(there, &mut tracker), None, "made");
    assert_eq!(send(back, &mut tracker), None, "replied to");
    let mut nothing = After::NOTHING;
    let after = &mut nothing;
    let recall = send(there, &mut tracker).expect("it was there, and changed nothing");
    assert!(tracker.allows(recall, &Part::UDP, now, after));
    assert!(
        !tracker.allows(recall, &Part::QUERY, now, after),
        "another protocol"
    );
    let late = now + std::time::Duration::from_secs(3600);
    assert!(
        !tracker.allows(recall, &Part::UDP, late, after),
        "its time is over"
    );
    tracker.flush(Cursor::default(), usize::MAX, &Filter::default(), &mut 0);
    assert!(
        !tracker.allows(recall, &Part::UDP, now, after),
        "it is gone"
    );
    send(there, &mut tracker);
    assert!(
        !tracker.allows(recall, &Part::UDP, now, after),
        "another has its slot"
    );
}
