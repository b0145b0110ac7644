//! `trace` of a switch that runs.

use super::*;
use crate::control::FlowStyle;
use crate::trace::TraceReport;

const POLICY: &str = "\
    table=0,udp actions=ct(table=1)
    table=1,udp,ct_state=+new actions=ct(commit,exec(set_field:7->ct_mark)),output:weir1
    table=1,udp,ct_state=+est actions=output:weir1
    table=0,arp actions=NORMAL";

impl Management<OneLcore> {
    fn trace_of(&mut self, flow: &str, ct_next: &[&str]) -> TraceReport {
        let verb = Verb::Trace {
            flow: flow.to_owned(),
            packet: None,
            ct_next: ct_next.iter().map(|&state| state.to_owned()).collect(),
        };
        match &self.ask(verb).expect("a trace")[..] {
            [Frame::Trace(report)] => (**report).clone(),
            other => panic!("not a trace: {other:?}"),
        }
    }

    /// All that a client can ask for.
    fn everything(&mut self) -> String {
        self.datapath.lcore.housekeep(self.datapath.now, 0);
        let verbs = [
            Verb::DumpFlows {
                matching: None,
                style: FlowStyle::default(),
            },
            Verb::DumpConntrack {
                more: true,
                statistics: true,
                json: true,
                filter: Vec::new(),
            },
            Verb::DumpDrops,
            Verb::FdbShow,
            Verb::PmdStatsShow,
            Verb::Metrics,
        ];
        let frames = verbs.map(|verb| self.ask(verb).expect("an answer"));
        format!("{frames:?}")
    }
}

const FLOW: &str = "in_port=weir0,udp,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,\
                    nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=5,tp_dst=6";
const REPLY: &str = "in_port=weir1,udp,dl_src=02:00:00:00:00:02,dl_dst=02:00:00:00:00:01,\
                     nw_src=10.0.0.2,nw_dst=10.0.0.1,tp_src=6,tp_dst=5";
const BACK: &str = "eth 02:00:00:00:00:02 > 02:00:00:00:00:01 udp 10.0.0.2:6 > 10.0.0.1:5";

#[test]
fn a_trace_sees_connections_and_caches_and_changes_nothing() {
    let mut management = management(POLICY);
    management.inject(0, A_TO_B);
    management.inject(1, BACK);
    let before = management.everything();
    let report = management.trace_of(FLOW, &[]);
    assert_eq!(management.everything(), before);
    assert_eq!(report.sections[1].ct_state, "est|trk");
    assert!(
        report.sections[1].flow.contains("ct_mark=0x7"),
        "{report:#?}"
    );
    assert_eq!(report.caches.trajectory.answer, "miss");
    assert_eq!(report.caches.megaflows[0].answer, "hit", "{report:#?}");

    // Twice, and the trajectory is known.
    management.inject(0, A_TO_B);
    management.inject(0, A_TO_B);
    let report = management.trace_of(FLOW, &[]);
    assert_eq!(report.caches.trajectory.answer, "hit", "{report:#?}");

    // What the cache would do is said of the packet as it is.
    let other = FLOW.replace("tp_dst=6", "tp_dst=7");
    let report = management.trace_of(&other, &[]);
    assert_eq!(report.sections[1].ct_state, "new|trk");
    let why = &report.caches.trajectory.because;
    assert!(
        why.starts_with("no entry has its key; not remembered: a ct()"),
        "{why}"
    );

    // A change of the connection is noticed.
    let filter = Vec::new();
    management
        .ask(Verb::FlushConntrack { filter })
        .expect("a flush");
    let why = management.trace_of(FLOW, &[]).caches.trajectory.because;
    assert!(
        why.starts_with("connection 1 of 1 that the entry names has changed"),
        "{why}"
    );

    // And one of the policy, of the packet's state.
    let flow = "table=1,udp,ct_state=+trk,priority=40000 actions=drop".to_owned();
    management.ask(Verb::AddFlow { flow }).expect("added");
    let report = management.trace_of(FLOW, &[]);
    let why = &report.caches.trajectory.because;
    assert!(why.starts_with("stale: a change of policy"), "{why}");
    let why = &report.caches.megaflows[1].because;
    assert!(why.starts_with("stale: a change of policy"), "{why}");
    assert_eq!(report.drops[0].reason, "action_drop");
}

#[test]
fn a_state_that_is_given_goes_before_the_real_one() {
    let mut management = management(POLICY);
    assert_eq!(
        management.trace_of(REPLY, &[]).sections[1].ct_state,
        "new|trk"
    );
    let report = management.trace_of(REPLY, &["trk,est,rpl", "trk,inv"]);
    assert_eq!(report.sections[1].ct_state, "est|rpl|trk");
    assert!(report.sections[1].forced);
    assert_eq!(report.unused_ct_next, 1);
}

#[test]
fn a_wrong_question_is_the_input_s_fault() {
    let mut management = management(POLICY);
    let verb = Verb::Trace {
        flow: "in_port=7,udp".to_owned(),
        packet: None,
        ct_next: Vec::new(),
    };
    let failure = management.ask(verb).expect_err("a refusal");
    assert_eq!(failure.kind, FailureKind::Input);
    assert_eq!(
        failure.message,
        "flow:1:1: there is no port 7\n  in_port=7,udp\n  ^^^^^^^^^ expected 2 or 3"
    );
}

#[test]
fn a_trace_comes_over_the_socket() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("weir.sock");
    let listen = Config::embedded().control;
    let server = control::Server::start(
        &crate::file::Control {
            socket: path.clone(),
            ..listen
        },
        control::Limits::default(),
    )
    .expect("a socket");
    let requests = server.requests();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let stopped = &stop;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            management(POLICY).run(&requests, || {
                stopped.load(std::sync::atomic::Ordering::SeqCst)
            });
        });
        let request = control::Request {
            bridge: Some("br0".to_owned()),
            verb: Verb::Trace {
                flow: FLOW.to_owned(),
                packet: None,
                ct_next: Vec::new(),
            },
        };
        let frames: Result<Vec<_>, _> = control::call(&path, request).expect("a call").collect();
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        let frames = frames.expect("an answer");
        assert!(matches!(&frames[..], [Frame::Trace(_)]), "{frames:?}");
    });
}

#[test]
fn a_trace_of_a_piece_says_that_it_waits() {
    let mut management = management(POLICY);
    let before = management.everything();
    let report = management.trace_of(
        "in_port=weir0,udp,ip_frag=later,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,\
         nw_src=10.0.0.1,nw_dst=10.0.0.2",
        &[],
    );
    assert_eq!(management.everything(), before);
    let told = format!("{report:?}");
    assert!(
        told.contains("zone 0: a piece of a datagram waits here for the others"),
        "{report:#?}"
    );
    let [section] = &report.sections[..] else {
        panic!("it does not go on: {report:#?}");
    };
    assert_eq!(section.datapath_actions, "ct");
    assert!(
        report.drops.is_empty() && report.sent.is_empty(),
        "{report:#?}"
    );
}
