//! Bursts against packets one by one.

use proptest::prelude::*;
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec};
use weir_packet::{Frame, Layout, VecFrame, text};

use super::*;
use crate::filter::Filter;
use crate::request::{Commit, Seen, ZoneDir};
use crate::settings::Settings;
use crate::tracker::Cursor;

/// Of few connections, so that a burst has several packets of one, in both directions.
fn packets() -> impl Strategy<Value = VecFrame> {
    let port = 1..4u16;
    let tcp = (
        port.clone(),
        prop::sample::select(
            &[
                "S seq=100",
                "SA seq=900 ack=101",
                "A seq=101 ack=901",
                "A seq=101 ack=901 len=10",
                "FA seq=101 ack=901",
                "FA seq=901 ack=102",
                "R seq=901",
                "S seq=9000",
                "A seq=1 ack=1",
                "R seq=101",
            ][..],
        ),
        any::<bool>(),
    )
        .prop_map(|(port, segment, back)| {
            if back {
                format!("tcp 10.0.0.2:80 > 10.0.0.1:{port} {segment}")
            } else {
                format!("tcp 10.0.0.1:{port} > 10.0.0.2:80 {segment}")
            }
        });
    let udp = (port.clone(), 0..3u8).prop_map(|(port, kind)| match kind {
        0 => format!("udp 10.0.0.1:{port} > 10.0.0.2:53"),
        1 => format!("udp 10.0.0.2:53 > 10.0.0.1:{port}"),
        _ => format!("udp 10.0.0.2:53 > 10.0.0.9:{port}"),
    });
    let sctp = (
        port.clone(),
        prop::sample::select(
            &[
                "init=1",
                "vtag=1 init-ack=1",
                "vtag=1 chunk=cookie-echo",
                "vtag=1 chunk=cookie-ack",
                "vtag=1 chunk=data",
                "vtag=1 chunk=shutdown",
                "vtag=2 chunk=heartbeat",
            ][..],
        ),
        any::<bool>(),
    )
        .prop_map(|(port, chunk, back)| {
            if back {
                format!("sctp 10.0.0.2:80 > 10.0.0.1:{port} {chunk}")
            } else {
                format!("sctp 10.0.0.1:{port} > 10.0.0.2:80 {chunk}")
            }
        });
    let icmp = (port, 0..4u8).prop_map(|(id, kind)| match kind {
        0 => format!("icmp 10.0.0.1 > 10.0.0.2 echo-request id={id}"),
        1 => format!("icmp 10.0.0.2 > 10.0.0.1 echo-reply id={id}"),
        2 => {
            format!("icmp 10.0.0.7 > 10.0.0.1 time-exceeded {{ udp 10.0.0.1:{id} > 10.0.0.2:53 }}")
        }
        _ => "icmp6 fe80::1 > ff02::1 neighbor-solicit target=fe80::2".to_owned(),
    });
    prop_oneof![4 => tcp, 3 => udp, 2 => sctp, 2 => icmp].prop_map(|line| text::frame(&line))
}

/// What is asked for one packet.
#[derive(Clone, Debug)]
pub(in crate::tracker) struct Asked {
    pub(in crate::tracker) frame: VecFrame,
    pub(in crate::tracker) zone: u16,
    pub(in crate::tracker) commit: Option<Commit>,
    pub(in crate::tracker) nat: Option<NatSpec>,
    /// Whether it comes with what a packet of the burst before met.
    seen: Option<prop::sample::Index>,
}

pub(in crate::tracker) fn asked() -> impl Strategy<Value = Asked> {
    let zone_dir = prop::sample::select(&[ZoneDir::Original, ZoneDir::Reply][..]);
    let commit = (
        prop::bool::weighted(0.2),
        any::<Option<(u32, u32)>>(),
        prop::option::weighted(0.2, any::<(u128, u128)>()),
        prop::option::weighted(0.2, zone_dir),
    )
        .prop_map(|(force, mark, label, zone_dir)| Commit {
            force,
            mark,
            label,
            zone_dir,
            helper: None,
        });
    let nat = prop_oneof![
        3 => Just(None),
        1 => Just(Some(NatSpec::Existing)),
        2 => (1..4u16).prop_map(|last| {
            let address = [10, 0, 0, 9].into();
            let range = NatRange::new(address, address, Some((1, last))).expect("a range");
            Some(NatSpec::Allocate {
                kind: NatKind::Src,
                range: Some(range),
                flags: NatFlags::default(),
            })
        }),
    ];
    (
        packets(),
        0..2u16,
        prop::option::weighted(0.7, commit),
        nat,
        prop::option::weighted(0.2, any::<prop::sample::Index>()),
    )
        .prop_map(|(frame, zone, commit, nat, seen)| Asked {
            frame,
            zone,
            commit,
            nat,
            seen,
        })
}

pub(in crate::tracker) fn layout(frame: &VecFrame) -> Layout {
    weir_packet::parse(frame.head(), frame.len()).expect("no runt")
}

proptest! {
    #[test]
    fn a_burst_is_its_packets_one_by_one(
        bursts in prop::collection::vec(
            (prop::collection::vec(asked(), 0..40), prop_oneof![Just(0u64), Just(10), Just(40_000)]),
            1..8,
        ),
        limit in 3..40u32,
        secret: u64,
    ) {
        let settings = Settings { max_connections: limit, ..Settings::default() };
        let mut together = Tracker::new(&settings, secret);
        let mut apart = Tracker::new(&settings, secret);
        let mut millis = 5;
        let mut met: Vec<Seen> = Vec::new();
        for (burst, pass) in bursts {
            millis += pass;
            let now = Tick::from_millis(millis);
            let layouts: Vec<_> = burst.iter().map(|asked| layout(&asked.frame)).collect();
            let requests = burst.iter().map(|asked| Request {
                zone: asked.zone,
                commit: asked.commit,
                nat: asked.nat.as_ref(),
                seen: asked.seen.filter(|_| !met.is_empty()).map(|index| *index.get(&met)),
            });
            let requests: Vec<_> = requests.collect();
            let mut jobs: Vec<_> = burst.iter().zip(&layouts).zip(&requests)
                .map(|((asked, layout), request)| Job::new(&asked.frame, layout, *request))
                .collect();
            together.execute_batch(&mut jobs, now);
            let mut seen = Vec::new();
            for (n, job) in jobs.iter().enumerate() {
                let alone = apart.execute(job.frame, job.layout, &job.request, now);
                prop_assert_eq!(&job.outcome, &alone, "packet {}", n);
                seen.extend(alone.ok().and_then(|outcome| outcome.seen));
            }
            met = seen;
            together.check(now);
            let dump = |tracker: &Tracker| {
                let mut entries = Vec::new();
                tracker.dump(Cursor::default(), usize::MAX, &Filter::default(), now, &mut entries);
                entries
            };
            prop_assert_eq!(dump(&together), dump(&apart));
            prop_assert_eq!(together.counters(), apart.counters());
        }
    }
}
