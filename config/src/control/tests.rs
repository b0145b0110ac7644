//! Over a real socket, with a management thread that answers like one.

use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{
    ClientError, Failure, FailureKind, FlowStyle, Frame, Incoming, Limits, Refused, Request,
    Server, SocketError, Verb, call,
};
use crate::file::Control;
use crate::show::DropRow;

/// So generous that a slow machine changes nothing; a test of a bound makes that one small.
const PATIENT: Limits = Limits {
    clients: 8,
    request_size: 1 << 20,
    requests_size: 4 << 20,
    request_time: Duration::from_secs(30),
    answer_time: Duration::from_secs(30),
    frame_time: Duration::from_secs(30),
    reply_time: Duration::from_secs(60),
};

/// A bound that is to be reached.
const SOON: Duration = Duration::from_millis(300);

struct Bench {
    directory: TempDir,
    server: Option<Server>,
}

impl Bench {
    /// A server whose requests `answer` answers.
    fn new(limits: Limits, answer: impl Fn(Incoming) + Send + 'static) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let server = Server::start(&control(&directory), limits).expect("it starts");
        let requests = server.requests();
        thread::spawn(move || requests.iter().for_each(answer));
        Self {
            directory,
            server: Some(server),
        }
    }

    fn path(&self) -> PathBuf {
        socket(&self.directory)
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.path()).expect("it listens")
    }

    /// Sends bytes as they are; returns all that comes back.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text
    }

    /// Bytes of requests that have not come to their end.
    fn held(&self) -> usize {
        self.server.as_ref().expect("running").held()
    }

    fn clients(&self) -> usize {
        self.server.as_ref().expect("running").clients()
    }

    fn wait_for_clients(&self, number: usize) {
        let end = Instant::now() + Duration::from_secs(5);
        while self.clients() != number {
            assert!(
                Instant::now() < end,
                "{} clients, not {number}",
                self.clients()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn socket(directory: &TempDir) -> PathBuf {
    directory.path().join("weir.sock")
}

fn control(directory: &TempDir) -> Control {
    Control {
        socket: socket(directory),
        mode: 0o660,
        owner: None,
        group: None,
    }
}

fn drops(number: u64) -> Frame {
    Frame::Drops(vec![DropRow {
        reason: "table_miss".to_owned(),
        packets: number,
        sentence: "No rule of a table matched.".to_owned(),
    }])
}

/// Answers every request with one frame.
fn one((_, reply): Incoming) {
    reply.one(drops(7));
}

fn ask(path: &Path, verb: Verb) -> Result<Vec<Frame>, ClientError> {
    call(path, Request { bridge: None, verb })?.collect()
}

fn refusal(answer: Result<Vec<Frame>, ClientError>) -> Failure {
    match answer {
        Err(ClientError::Failed(failure)) => failure,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_request_is_answered() {
    let bench = Bench::new(PATIENT, one);
    assert_eq!(
        ask(&bench.path(), Verb::DumpDrops).expect("an answer"),
        [drops(7)]
    );
    bench.wait_for_clients(0);
}

#[test]
fn a_request_arrives_as_it_was_sent() {
    let sent = Request {
        bridge: Some("br0".to_owned()),
        verb: Verb::AddFlow {
            flow: "actions=\"\n\u{1f980}\0".to_owned(),
        },
    };
    let expected = sent.clone();
    let bench = Bench::new(PATIENT, move |(request, reply)| {
        assert_eq!(request, expected);
        reply.done();
    });
    let frames: Result<Vec<_>, _> = call(&bench.path(), sent).expect("it listens").collect();
    assert_eq!(frames.expect("done"), []);
}

#[test]
fn requests_of_any_length_come_whole() {
    let bench = Bench::new(PATIENT, |(request, reply)| match request.verb {
        Verb::AddFlow { flow } => reply.one(drops(flow.len() as u64)),
        other => panic!("{other:?}"),
    });
    // Around what is read at once, and one client after the other.
    for length in (4_000..4_200).chain([65_000, 65_536, 69_700, 300_000]) {
        let flow = "x".repeat(length);
        let answer = ask(&bench.path(), Verb::AddFlow { flow });
        assert_eq!(answer.expect("an answer"), [drops(length as u64)]);
    }
    bench.wait_for_clients(0);
}

#[test]
fn a_failure_says_whose_fault_it_is() {
    let bench = Bench::new(PATIENT, |(_, reply)| {
        reply.fail(Failure::input("flows:1:1: no"));
    });
    let failure = refusal(ask(&bench.path(), Verb::Show));
    assert_eq!(
        failure,
        Failure {
            kind: FailureKind::Input,
            message: "flows:1:1: no".to_owned()
        }
    );
}

#[test]
fn a_long_answer_is_streamed() {
    let bench = Bench::new(PATIENT, |(_, reply)| reply.stream((0..10_000).map(drops)));
    let frames = ask(&bench.path(), Verb::DumpDrops).expect("an answer");
    assert_eq!(frames.len(), 10_000);
    assert_eq!(frames.last(), Some(&drops(9_999)));
}

#[test]
fn an_answer_in_pieces_is_never_waited_for() {
    let bench = Bench::new(PATIENT, |(_, reply)| {
        let (mut next, mut refused) = (drops(0), 0_u32);
        for number in 1..=1_000 {
            while let Err(Refused::Full(frame)) = reply.offer(next) {
                next = frame;
                refused += 1;
                thread::sleep(Duration::from_micros(50));
            }
            next = drops(number);
        }
        reply.one(next);
        let _ = refused;
    });
    let frames = ask(&bench.path(), Verb::DumpDrops).expect("an answer");
    assert_eq!(frames, (0..=1_000).map(drops).collect::<Vec<_>>());
}

#[test]
fn many_clients_are_served_at_once() {
    let limits = Limits {
        clients: 64,
        ..PATIENT
    };
    let bench = Bench::new(limits, one);
    let path = bench.path();
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                for _ in 0..8 {
                    ask(&path, Verb::DumpDrops).expect("an answer");
                }
            });
        }
    });
    bench.wait_for_clients(0);
}

#[test]
fn a_silent_client_is_cut_off_and_hinders_nobody() {
    let bench = Bench::new(
        Limits {
            request_time: SOON,
            ..PATIENT
        },
        one,
    );
    let mut silent: Vec<_> = (0..4).map(|_| bench.connect()).collect();
    bench.wait_for_clients(4);
    ask(&bench.path(), Verb::Show).expect("others are served");
    for stream in &mut silent {
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("an end");
        assert!(said.contains("the request took too long"), "{said}");
    }
    bench.wait_for_clients(0);
}

#[test]
fn a_client_that_dribbles_is_cut_off() {
    let bench = Bench::new(
        Limits {
            request_time: SOON,
            ..PATIENT
        },
        one,
    );
    let mut stream = bench.connect();
    let start = Instant::now();
    while stream.write_all(b"{").is_ok() {
        thread::sleep(Duration::from_millis(20));
        assert!(start.elapsed() < Duration::from_secs(5), "still connected");
    }
    bench.wait_for_clients(0);
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let bench = Bench::new(
        Limits {
            frame_time: SOON,
            ..PATIENT
        },
        |(_, reply)| reply.stream((0..).map(drops)),
    );
    let mut stream = bench.connect();
    stream
        .write_all(b"{\"version\":1,\"request\":{\"bridge\":null,\"verb\":\"show\"}}\n")
        .expect("sent");
    bench.wait_for_clients(1);
    bench.wait_for_clients(0);
}

#[test]
fn rubbish_is_refused() {
    let bench = Bench::new(PATIENT, one);
    let long = [vec![b'['; 2 << 20], vec![b'\n']].concat();
    let cases: [(&[u8], &str); 8] = [
        (b"\n", "not a request"),
        (b"GET / HTTP/1.1\r\n", "not a request"),
        (b"\xff\xfe\x00\n", "not a request"),
        (
            b"{\"version\":1,\"request\":{\"verb\":\"shutdown\"}}\n",
            "not a request: unknown variant",
        ),
        (
            b"{\"version\":1,\"request\":{\"verb\":\"show\",\"x\":1}}\n",
            "unknown field",
        ),
        (
            b"{\"version\":2,\"request\":\"anything\"}\n",
            "speaks version 1",
        ),
        (
            b"{\"version\":1,\"request\":{\"bridge\":null,\"verb\":\"show\"}}\nmore",
            "more than one request",
        ),
        (&long, "the request is too long"),
    ];
    for (sent, expected) in cases {
        let said = bench.raw(sent);
        assert!(said.contains(expected), "{said} lacks {expected}");
        assert!(said.ends_with("}\n"), "{said} is not a frame");
    }
    // Deep nesting must not overflow a stack.
    let deep = [
        b"{\"version\":1,\"request\":".to_vec(),
        vec![b'['; 500_000],
        vec![b'\n'],
    ]
    .concat();
    assert!(bench.raw(&deep).contains("not a request"));
    bench.wait_for_clients(0);
    ask(&bench.path(), Verb::Show).expect("the server lives");
}

#[test]
fn a_request_without_end_is_refused() {
    let bench = Bench::new(PATIENT, one);
    let mut stream = bench.connect();
    stream.write_all(b"{\"version\":1").expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("shut");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("an end");
    assert!(said.contains("the request has no end"), "{said}");
}

#[test]
fn a_further_client_is_told_that_there_are_too_many() {
    let bench = Bench::new(
        Limits {
            clients: 2,
            request_time: Duration::from_secs(9),
            ..PATIENT
        },
        one,
    );
    let _others = (bench.connect(), bench.connect());
    bench.wait_for_clients(2);
    let failure = refusal(ask(&bench.path(), Verb::Show));
    assert_eq!(
        failure,
        Failure::unreachable("the switch has too many clients")
    );
}

#[test]
fn requests_together_are_bounded() {
    let limits = Limits {
        requests_size: 300 << 10,
        request_time: Duration::from_secs(9),
        ..PATIENT
    };
    let bench = Bench::new(limits, one);
    let held = [b'x'; 100 << 10];
    let mut others: Vec<_> = (0..2).map(|_| bench.connect()).collect();
    for stream in &mut others {
        stream.write_all(&held).expect("taken");
    }
    let end = Instant::now() + Duration::from_secs(5);
    while bench.held() != 2 * held.len() {
        assert!(Instant::now() < end, "{} bytes held", bench.held());
        thread::sleep(Duration::from_millis(5));
    }
    // Whoever passes the bound is refused; who sends a small request is not.
    loop {
        let said = bench.raw(&[held.as_slice(), &held, b"\n"].concat());
        if said.contains("too many requests") {
            break;
        }
        assert!(Instant::now() < end, "never refused: {said}");
    }
    ask(&bench.path(), Verb::Show).expect("a small request fits");
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for_forever() {
    let bench = Bench::new(
        Limits {
            answer_time: SOON,
            ..PATIENT
        },
        |(_, reply)| {
            thread::sleep(Duration::from_secs(2));
            reply.done();
        },
    );
    let failure = refusal(ask(&bench.path(), Verb::Show));
    assert_eq!(failure, Failure::unreachable("the switch does not answer"));
}

#[test]
fn an_unanswered_request_says_that_the_switch_stops() {
    let bench = Bench::new(PATIENT, |(_, reply)| drop(reply));
    let failure = refusal(ask(&bench.path(), Verb::Show));
    assert_eq!(failure, Failure::unreachable("the switch is stopping"));
}

#[test]
fn a_client_that_leaves_is_noticed() {
    let (said, heard) = crossbeam_channel::bounded(1);
    let bench = Bench::new(PATIENT, move |(_, reply)| {
        while reply.offer(drops(1)) != Err(Refused::Abandoned) {
            thread::sleep(Duration::from_millis(1));
        }
        said.send(()).expect("the test waits");
    });
    let mut stream = bench.connect();
    stream
        .write_all(b"{\"version\":1,\"request\":{\"bridge\":null,\"verb\":\"show\"}}\n")
        .expect("sent");
    drop(stream);
    heard.recv_timeout(Duration::from_secs(5)).expect("noticed");
}

#[test]
fn the_socket_goes_with_the_server() {
    let mut bench = Bench::new(PATIENT, one);
    let mode = bench
        .path()
        .metadata()
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    drop(bench.server.take());
    let left: Vec<_> = bench
        .directory
        .path()
        .read_dir()
        .expect("readable")
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let answer = ask(&bench.path(), Verb::Show);
    assert!(
        matches!(answer, Err(ClientError::Unreachable { .. })),
        "{answer:?}"
    );
}

#[test]
fn a_stopping_server_cuts_off_whoever_stays() {
    let mut bench = Bench::new(
        Limits {
            request_time: Duration::from_secs(60),
            ..PATIENT
        },
        one,
    );
    let mut stream = bench.connect();
    bench.wait_for_clients(1);
    let start = Instant::now();
    drop(bench.server.take());
    assert!(start.elapsed() < Duration::from_secs(3));
    stream.read_to_end(&mut Vec::new()).expect("an end");
}

#[test]
fn a_second_switch_is_refused() {
    let bench = Bench::new(PATIENT, one);
    let error = Server::start(&control(&bench.directory), PATIENT).expect_err("refused");
    assert!(matches!(error, SocketError::InUse(_)), "{error}");
    ask(&bench.path(), Verb::Show).expect("the first still listens");
}

#[test]
fn a_foreign_listener_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let _foreign = UnixListener::bind(socket(&directory)).expect("bound");
    let error = Server::start(&control(&directory), PATIENT).expect_err("refused");
    assert!(matches!(error, SocketError::InUse(_)), "{error}");
    assert!(socket(&directory).exists());
}

#[test]
fn a_socket_that_a_crash_left_is_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(UnixListener::bind(socket(&directory)).expect("bound"));
    let before = socket(&directory)
        .metadata()
        .expect("it stays behind")
        .ino();
    std::fs::write(directory.path().join("weir.sock.lock"), "").expect("so does the lock file");
    let server = Server::start(&control(&directory), PATIENT).expect("it starts");
    assert!(
        socket(&directory)
            .metadata()
            .expect("there")
            .file_type()
            .is_socket()
    );
    drop(server);
    assert!(!socket(&directory).exists(), "inode {before}");
}

#[test]
fn a_file_in_the_way_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(socket(&directory), "precious").expect("written");
    let error = Server::start(&control(&directory), PATIENT).expect_err("refused");
    assert!(matches!(error, SocketError::NotASocket(_)), "{error}");
    assert_eq!(
        std::fs::read_to_string(socket(&directory)).expect("there"),
        "precious"
    );
    assert_eq!(
        directory.path().read_dir().expect("readable").count(),
        1,
        "no lock file stays"
    );
}

#[test]
fn an_unknown_owner_leaves_nothing_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let control = Control {
        owner: Some("no-such-user-here".to_owned()),
        ..control(&directory)
    };
    let error = Server::start(&control, PATIENT).expect_err("refused");
    assert!(
        error
            .to_string()
            .ends_with("there is no user no-such-user-here"),
        "{error}"
    );
    assert_eq!(directory.path().read_dir().expect("readable").count(), 0);
}

#[test]
fn the_group_is_set() {
    let directory = tempfile::tempdir().expect("a directory");
    let group = nix::unistd::Gid::current().to_string();
    let control = Control {
        group: Some(group.clone()),
        ..control(&directory)
    };
    let _server = Server::start(&control, PATIENT).expect("it starts");
    let meta = socket(&directory).metadata().expect("there");
    assert_eq!(meta.gid().to_string(), group);
}

#[test]
fn a_missing_directory_is_made_and_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("run/weir.sock");
    let control = Control {
        socket: socket.clone(),
        ..control(&directory)
    };
    let server = Server::start(&control, PATIENT).expect("it starts");
    assert!(socket.exists());
    drop(server);
    assert_eq!(directory.path().read_dir().expect("readable").count(), 0);
}

#[test]
fn a_bridge_may_come_first() {
    let verb = |verb, bridge: Option<&str>| {
        Request {
            bridge: bridge.map(str::to_owned),
            verb,
        }
        .for_bridge("br0")
    };
    let flows = |text: &str| Verb::DumpFlows {
        matching: Some(text.to_owned()),
        style: FlowStyle::default(),
    };
    assert_eq!(
        verb(flows("br0"), None),
        Ok(Verb::DumpFlows {
            matching: None,
            style: FlowStyle::default()
        })
    );
    assert_eq!(verb(flows("tcp"), None), Ok(flows("tcp")));
    assert_eq!(verb(flows("tcp"), Some("br0")), Ok(flows("tcp")));
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let flush = |list: &[&str]| Verb::FlushConntrack {
        filter: words(list),
    };
    assert_eq!(
        verb(flush(&["br0", "zone=1"]), None),
        Ok(flush(&["zone=1"]))
    );
    let failure = verb(flows("tcp"), Some("br1")).expect_err("another bridge");
    assert_eq!(
        failure.message,
        "there is no bridge br1: this switch's is br0"
    );
}
