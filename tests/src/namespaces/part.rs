//! What hosts do in tests: this test binary as a process in a host's namespace.
//!
//! A binary that uses [`Lab::play`] has an ignored test `part` that calls [`play`].

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::{Lab, letters, meet};

/// What is to be done, in words.
const PART: &str = "WEIR_TEST_PART";
/// How long a transfer may pause.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long somebody waits who may be refused.
pub(super) const SHORT_PATIENCE: Duration = Duration::from_secs(2);
const READY: &str = "ready\n";

/// Somebody at a host. Ends with this value.
#[derive(Debug)]
pub struct Part {
    child: Child,
    /// Until it was ready.
    said: String,
}

impl Part {
    fn begin(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self {
            child: command.spawn().expect("ip can be run"),
            said: String::new(),
        }
    }

    /// Waits until it says that it is ready.
    fn once_ready(mut self) -> Self {
        // Unbuffered: what follows is for whoever waits.
        let output = self.child.stdout.as_mut().expect("it is piped");
        let mut said = Vec::new();
        while !said.ends_with(READY.as_bytes()) {
            let mut byte = [0];
            let read = output.read(&mut byte).expect("a pipe");
            let told = String::from_utf8_lossy(&said);
            assert_eq!(read, 1, "it ended: {told}");
            said.push(byte[0]);
        }
        self.said = String::from_utf8_lossy(&said).into_owned();
        self
    }

    /// Tells it a line; returns the line that it says then.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn asked(&mut self, line: &str) -> String {
        let input = self.child.stdin.as_mut().expect("it is piped");
        writeln!(input, "{line}").expect("it waits for more");
        loop {
            let said = self.next_line();
            // The test harness says so, of whoever runs for a minute.
            if !said.starts_with("test ") {
                return said;
            }
        }
    }

    fn next_line(&mut self) -> String {
        let output = self.child.stdout.as_mut().expect("it is piped");
        let mut said = Vec::new();
        while said.last() != Some(&b'\n') {
            let mut byte = [0];
            let read = output.read(&mut byte).expect("a pipe");
            assert_eq!(read, 1, "it ended: {}", String::from_utf8_lossy(&said));
            said.push(byte[0]);
        }
        String::from_utf8_lossy(&said).trim_end().to_owned()
    }

    /// Whether it goes on.
    pub fn is_there(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Lets it do what it waits for, as [`Part::told`].
    ///
    /// # Panics
    /// As that.
    pub fn goes_on(mut self) -> String {
        drop(self.child.stdin.take());
        self.told()
    }

    /// Waits until it ends by itself; returns what it said.
    ///
    /// # Panics
    /// If it failed, with what it said.
    pub fn told(mut self) -> String {
        let mut told = std::mem::take(&mut self.said);
        let (out, err) = (self.child.stdout.take(), self.child.stderr.take());
        let mut out = out.expect("it is piped");
        out.read_to_string(&mut told).expect("text");
        let mut err = err.expect("it is piped");
        err.read_to_string(&mut told).expect("text");
        let status = self.child.wait().expect("a child");
        assert!(status.success(), "{told}");
        told
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Either fails only if it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lab {
    /// Lets a host begin one of these parts:
    ///
    /// | words | does |
    /// |---|---|
    /// | `listen ADDRESS` | lets TCP connections be opened and does nothing with them |
    /// | `knock ADDRESS` | opens a TCP connection; says `somebody answers` or `nobody answers` |
    /// | `hold ADDRESS` | opens a TCP connection and does nothing with it |
    /// | `receive ADDRESS SIZE` | takes a transfer, compares each byte; says `all of it` |
    /// | `send ADDRESS SIZE` | sends that transfer, waits until it was received |
    /// | `echo ADDRESS` | sends each datagram back |
    /// | `ask ADDRESS` | sends one there; says `answered`, `refused` (by an ICMP error) or `nobody answers` |
    /// | `ask ADDRESS SIZE` | does so with one of that size |
    /// | `introduce NAME ADDRESS` | says its name and whom it sees to whoever asks, over TCP and over UDP |
    /// | `hail ADDRESS` | asks for that by one datagram; says `met NAME, who sees ADDRESS` or `nobody answers` |
    /// | `meet ADDRESS COUNT` | asks for it over as many TCP connections |
    /// | `meet-again ADDRESS COUNT` | does so, and at [`Part::goes_on`] once more over the same connections |
    /// | `answer NAME ADDRESS NAME=IP,...` | answers letters to that name, of senders that are seen under these addresses |
    /// | `write NAME TO ADDRESS` | writes letters, when [`Part::asked`] to: `keep SIZE`, `tcp SIZE`, `udp SIZE` |
    /// | `scrape ADDRESS` | says what Prometheus is told there |
    ///
    /// Who listens has begun to when this returns; who holds a connection has it; who meets again has
    /// met once.
    ///
    /// # Panics
    /// If that does not begin.
    pub fn play(&self, host: &str, part: &str) -> Part {
        let mut command = Command::new("ip");
        let binary = std::env::current_exe().expect("this binary");
        command
            .args(["netns", "exec", &self.name(host)])
            .arg(binary)
            .args(["--ignored", "--exact", "part", "--nocapture"])
            .env(PART, part);
        let waits = ["ask", "hail", "knock", "meet", "scrape", "send"];
        if waits.contains(&part.split(' ').next().expect("a word")) {
            Part::begin(&mut command)
        } else {
            Part::begin(&mut command).once_ready()
        }
    }

    /// Runs a program at a host that says `ready` when others may come.
    ///
    /// # Panics
    /// If it ends before.
    pub fn serve(&self, host: &str, program: &[&str]) -> Part {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name(host)])
            .args(program);
        Part::begin(&mut command).once_ready()
    }

    /// A TCP connection from one host to `address` of another, over which `size` bytes go.
    ///
    /// # Panics
    /// If not all of them arrive as they were.
    pub fn transfer(&self, from: &str, to: &str, address: SocketAddr, size: u64) {
        self.transfer_by(from, to, address, address, size);
    }

    /// As [`Lab::transfer`], to where somebody listens at `listening`, of which the sender knows
    /// another address.
    ///
    /// # Panics
    /// If not all of it arrives.
    pub fn transfer_by(
        &self,
        from: &str,
        to: &str,
        address: SocketAddr,
        listening: SocketAddr,
        size: u64,
    ) {
        let receiver = self.play(to, &format!("receive {listening} {size}"));
        self.play(from, &format!("send {address} {size}")).told();
        let received = receiver.told();
        assert!(received.contains("all of it"), "{received}\n{}", self.log());
    }

    /// Pings `address` four times.
    pub fn ping(&self, host: &str, address: &str) -> Output {
        let ping = ["ping", "-c", "4", "-i", "0.3", "-W", "2", address];
        self.at(host, &ping)
    }
}

/// Does what [`Lab::play`] wants of this process.
///
/// # Panics
/// If it cannot be done.
pub fn play() {
    let part = std::env::var(PART).expect("a part to play");
    let words: Vec<&str> = part.split(' ').collect();
    let address = || words[1].parse().expect("an address");
    let size = || words[2].parse().expect("a size");
    match words[0] {
        "listen" => {
            let _listener = listen(address());
            sleep(PATIENCE);
        }
        "hold" => {
            let _stream = TcpStream::connect_timeout(&address(), PATIENCE).expect("a connection");
            say_that_we_are_ready();
            sleep(PATIENCE);
        }
        "knock" => match TcpStream::connect_timeout(&address(), SHORT_PATIENCE) {
            Ok(_) => println!("somebody answers"),
            Err(error) => println!("nobody answers: {error}"),
        },
        "receive" => receive(address(), size()),
        "send" => send(address(), size()),
        "echo" => echo(address()),
        "ask" if words.len() == 2 => ask(address(), b"who is there?"),
        "ask" => ask(address(), &vec![b'?'; size() as usize]),
        "introduce" => meet::introduce(words[1], words[2].parse().expect("an address")),
        "hail" => meet::hail(address()),
        "answer" => letters::answer(words[1], words[2].parse().expect("an address"), words[3]),
        "write" => letters::write(words[1], words[2], words[3].parse().expect("an address")),
        "scrape" => letters::scrape(address()),
        "meet" => drop(meet::meet(address(), size())),
        "meet-again" => {
            let met = meet::meet(address(), size());
            say_that_we_are_ready();
            std::io::stdin()
                .read_to_end(&mut Vec::new())
                .expect("a pipe");
            meet::again(&met);
        }
        _ => panic!("{PART} is {part}"),
    }
}

pub(super) fn say_that_we_are_ready() {
    print!("{READY}");
    std::io::stdout().flush().expect("a pipe");
}

fn listen(address: SocketAddr) -> TcpListener {
    let listener = TcpListener::bind(address).expect("a free port");
    say_that_we_are_ready();
    listener
}

/// Reads the transfer and compares each byte.
fn receive(address: SocketAddr, size: u64) {
    let (stream, _) = listen(address).accept().expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut reader = BufReader::with_capacity(1 << 20, &stream);
    let mut pattern = Pattern::default();
    let mut received = 0;
    loop {
        let bytes = reader.fill_buf().expect("more of the transfer");
        if bytes.is_empty() {
            break;
        }
        for byte in bytes {
            assert_eq!(*byte, pattern.next_byte(), "byte {received}");
            received += 1;
        }
        let taken = bytes.len();
        reader.consume(taken);
    }
    assert_eq!(received, size);
    println!("all of it");
    (&stream).write_all(b"!").expect("an open connection");
}

/// Writes the transfer and waits until the other end has read it.
fn send(address: SocketAddr, size: u64) {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut pattern = Pattern::default();
    let mut left = size;
    while left > 0 {
        let size = left.min(1 << 20);
        let bytes: Vec<u8> = (0..size).map(|_| pattern.next_byte()).collect();
        (&stream).write_all(&bytes).expect("an open connection");
        left -= size;
    }
    stream
        .shutdown(Shutdown::Write)
        .expect("an open connection");
    (&stream).read_exact(&mut [0]).expect("an answer");
}

fn echo(address: SocketAddr) {
    let socket = UdpSocket::bind(address).expect("a free port");
    say_that_we_are_ready();
    let mut datagram = vec![0; 65_535];
    loop {
        let (size, from) = socket.recv_from(&mut datagram).expect("a datagram");
        let sent = socket.send_to(&datagram[..size], from).expect("a way back");
        assert_eq!(sent, size);
    }
}

fn ask(address: SocketAddr, question: &[u8]) {
    let any = if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any).expect("a port");
    // Only who is connected hears of errors.
    socket.connect(address).expect("a way there");
    socket
        .set_read_timeout(Some(SHORT_PATIENCE))
        .expect("a socket");
    socket.send(question).expect("a way there");
    let mut answer = vec![0; 65_535];
    match socket.recv(&mut answer) {
        Ok(size) => {
            assert_eq!(&answer[..size], question);
            println!("answered");
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => println!("refused"),
        Err(error) => println!("nobody answers: {error}"),
    }
}

/// Bytes of which no two stretches are alike (xorshift64).
struct Pattern {
    state: u64,
    byte: u32,
}

impl Default for Pattern {
    fn default() -> Self {
        Self {
            state: 0x9e37_79b9_7f4a_7c15,
            byte: 0,
        }
    }
}

impl Pattern {
    fn next_byte(&mut self) -> u8 {
        if self.byte == 8 {
            self.byte = 0;
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
        }
        self.byte += 1;
        self.state.to_le_bytes()[self.byte as usize - 1]
    }
}
