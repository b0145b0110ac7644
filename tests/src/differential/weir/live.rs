//! A case that asks something, on one lcore with a management thread's code and a control socket:
//! what is asked goes the way of a user's command line, and is answered where the packets are.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::Receiver;
use weir_config::control::{self, Incoming, Limits, Server};
use weir_config::file::{Config, Control};
use weir_config::management::Management;
use weir_config::policy::Policy;
use weir_config::verbs::{Call, print};
use weir_packet::{Tick, VecFrame};
use weir_tables::classifier::HashSecret;
use weir_tables::counters::LcoreCounters;
use weir_tables::datapath::{Datapath, LcoreGone, PollStats, PortStatus};
use weir_tables::lcore::{Lcore, LcoreAnswer, LcoreRequest};
use weir_tables::packet_in::PacketIn;
use weir_tables::pipeline::Output;
use weir_tables::port::{PortIndex, PortNo, PortTable};
use weir_tables::snapshot::Snapshot;

use super::BEGIN;
use crate::differential::case::{Case, Question};
use crate::differential::outcome::{Outcome, SentFrame};

/// How long the switch waits for the next request before it looks whether the client is content.
const PATIENCE: Duration = Duration::from_millis(2);

struct State {
    lcore: Lcore,
    now: Tick,
}

/// The lcore, shared by the case, which gives it packets, and the management.
#[derive(Clone)]
struct Shared(Rc<RefCell<State>>);

#[derive(Default)]
struct Sent(Vec<(PortIndex, VecFrame)>);

impl Output<VecFrame> for Sent {
    fn send(&mut self, port: PortIndex, frame: VecFrame) {
        self.0.push((port, frame));
    }
}

impl Datapath for Shared {
    fn now(&self) -> Tick {
        self.0.borrow().now
    }

    fn counters(&self) -> Vec<Arc<LcoreCounters>> {
        vec![self.0.borrow().lcore.counters()]
    }

    fn poll_stats(&self) -> Vec<PollStats> {
        vec![PollStats::default()]
    }

    fn publish(&mut self, snapshot: Arc<Snapshot>) {
        drop(self.0.borrow_mut().lcore.refresh(snapshot));
    }

    fn oldest_generation(&mut self) -> u64 {
        self.0.borrow().lcore.snapshot().generation
    }

    fn ask(&mut self, _lcore: usize, request: LcoreRequest) -> Result<LcoreAnswer, LcoreGone> {
        let state = &mut *self.0.borrow_mut();
        Ok(state.lcore.answer(request, state.now))
    }

    fn packet_ins(&mut self, _read: &mut dyn FnMut(&PacketIn)) {}

    fn ports(&self) -> Vec<PortStatus> {
        Vec::new()
    }
}

/// Runs `case` with the configuration of `file`; the control socket is `socket`.
pub(super) fn run(case: &Case, file: &Path, socket: &Path) -> Result<Outcome, String> {
    let config = Config::load(file).map_err(|error| error.to_string())?;
    let mut now = tick(0);
    let mut policy = Policy::load(&config, 1, HashSecret(0), now).map_err(|errors| {
        errors
            .iter()
            .map(|error| format!("{error}\n"))
            .collect::<String>()
    })?;
    let snapshot = Arc::new(policy.tables.snapshot(&policy.ports));
    let ports = policy.ports.clone();
    let lcore = Lcore::new(0, snapshot, &policy.conntrack, 0).with_caches(config.caches);
    let shared = Shared(Rc::new(RefCell::new(State { lcore, now })));
    let control = Control {
        socket: socket.to_owned(),
        mode: 0o600,
        owner: None,
        group: None,
    };
    let server = Server::start(&control, Limits::default()).map_err(|error| error.to_string())?;
    let requests = server.requests();
    let mut switch = Live {
        management: Management::new(config, None, policy, shared.clone()),
        shared,
        requests,
        socket,
    };
    let (mut sent, mut answers) = (Vec::new(), Vec::new());
    let mut questions = case.questions.iter().peekable();
    for packet in &case.packets {
        while let Some(asked) = questions.next_if(|asked| asked.packets <= sent.len()) {
            answers.push(switch.ask(asked)?);
        }
        now = tick(packet.time_ms);
        switch.advance(now);
        let index = ports.index_of(number(&packet.port));
        let index = index.ok_or_else(|| format!("there is no port {}", packet.port))?;
        let frame = VecFrame::new(&packet.frame);
        let mut out = Sent::default();
        let state = &mut *switch.shared.0.borrow_mut();
        state
            .lcore
            .process(index, std::iter::once(frame), now, &mut out);
        sent.push(by_port(case, &out.0, &ports));
    }
    for asked in questions {
        answers.push(switch.ask(asked)?);
    }
    let dump = |switch: &mut Live<'_>, verb: &str| {
        let answer = switch.command(&[verb.to_owned()])?;
        answer.ok_or_else(|| format!("{verb} is refused"))
    };
    let conntrack = dump(&mut switch, "dump-conntrack")?;
    let conntrack = conntrack.lines().map(str::to_owned).collect();
    let flows = dump(&mut switch, "dump-flows")?;
    let outcome = Outcome::new(sent, conntrack, flows.lines(), case.flows.len())?;
    Ok(outcome.with_answers(answers))
}

/// The frames in the order of a case's ports, as captures have them.
fn by_port(case: &Case, sent: &[(PortIndex, VecFrame)], ports: &PortTable) -> Vec<SentFrame> {
    let mut frames = Vec::new();
    for port in &case.ports {
        let here = sent
            .iter()
            .filter(|(index, _)| ports.port(*index).no == number(&port.number));
        frames.extend(here.map(|(_, frame)| SentFrame {
            port: port.number.clone(),
            frame: frame.bytes().to_vec(),
        }));
    }
    frames
}

/// The number of a port that a case calls so.
fn number(port: &str) -> PortNo {
    port.parse().map_or(PortNo::LOCAL, PortNo)
}

fn tick(time_ms: u64) -> Tick {
    Tick::from_millis(u64::try_from(BEGIN.as_millis()).expect("fits") + time_ms)
}

struct Live<'a> {
    management: Management<Shared>,
    shared: Shared,
    requests: Receiver<Incoming>,
    socket: &'a Path,
}

impl Live<'_> {
    fn advance(&mut self, now: Tick) {
        let state = &mut *self.shared.0.borrow_mut();
        state.now = now;
        state.lcore.housekeep(now, usize::MAX);
    }

    fn ask(&mut self, asked: &Question) -> Result<Option<String>, String> {
        self.advance(tick(asked.time_ms));
        let mut words = asked.words.clone();
        // What `ovs-ofctl` calls so is the same.
        if words[0] == "ct-flush" {
            words[0] = "flush-conntrack".to_owned();
        }
        let answer = self.command(&words)?;
        Ok(answer.map(|text| without_clock(&text)))
    }

    /// What the user reads; `None` if it is refused.
    fn command(&mut self, words: &[String]) -> Result<Option<String>, String> {
        let Ok(call) = Call::of_words(words) else {
            return Ok(None);
        };
        let socket = self.socket.to_owned();
        let client = thread::spawn(move || {
            let mut text = Vec::new();
            let replies =
                control::call(&socket, call.request).map_err(|error| error.to_string())?;
            print(call.layout, replies, &mut text).map_err(|error| error.to_string())?;
            String::from_utf8(text).map_err(|error| error.to_string())
        });
        while !client.is_finished() {
            if let Ok((request, reply)) = self.requests.recv_timeout(PATIENCE) {
                match request.for_bridge("br0") {
                    Ok(verb) => self.management.answer(verb, reply),
                    Err(failure) => reply.fail(failure),
                }
            }
            self.management.look_after();
        }
        let answer = client
            .join()
            .map_err(|_| "the client panicked".to_owned())?;
        Ok(answer.ok())
    }
}

/// `text` without the times of day in it.
fn without_clock(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = [",start=", ",last="]
        .iter()
        .filter_map(|key| rest.find(key))
        .min()
    {
        let (head, tail) = rest.split_at(at);
        kept.push_str(head);
        let end = tail[1..]
            .find([',', ')', '\n'])
            .map_or(tail.len(), |end| end + 1);
        rest = &tail[end..];
    }
    kept + rest
}
