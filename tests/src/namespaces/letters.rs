//! Parts of hosts that write to each other for a long time: each letter says who sent it to whom, and what is in
//! it follows from that, so one that comes to somebody else or changed on its way is seen.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread::spawn;
use std::time::Duration;

use super::part::{SHORT_PATIENCE, say_that_we_are_ready};

/// How long a letter by TCP may take: lcores, ports and queues move meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who sent something to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Letter {
    from: String,
    to: String,
    number: u64,
    size: usize,
}

impl Letter {
    fn heading(&self) -> String {
        let Self {
            from,
            to,
            number,
            size,
        } = self;
        format!("{from} {to} {number} {size}\n")
    }

    fn read(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_whitespace().collect();
        let [from, to, number, size] = words[..] else {
            return None;
        };
        Some(Self {
            from: from.to_owned(),
            to: to.to_owned(),
            number: number.parse().ok()?,
            size: size.parse().ok()?,
        })
    }

    /// What is in it (xorshift64, seeded with the heading).
    fn body(&self) -> Vec<u8> {
        let heading = self.heading();
        let seed = heading
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let mut state = seed | 1;
        let words = std::iter::from_fn(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            Some(state.to_le_bytes())
        });
        words.flatten().take(self.size).collect()
    }

    fn answer(&self) -> Self {
        Self {
            from: self.to.clone(),
            to: self.from.clone(),
            ..self.clone()
        }
    }

    fn bytes(&self) -> Vec<u8> {
        [self.heading().into_bytes(), self.body()].concat()
    }
}

/// Ends this process, which the test notices.
fn wrong(what: &str) -> ! {
    println!("WRONG: {what}");
    eprintln!("WRONG: {what}");
    std::process::exit(9);
}

/// Answers letters to `name` at `address`; `known` says who is seen under which address: `NAME=IP,...`.
pub(super) fn answer(name: &str, address: SocketAddr, known: &str) {
    let known: Vec<(String, IpAddr)> = known
        .split(',')
        .map(|pair| pair.split_once('=').expect("NAME=IP"))
        .map(|(name, ip)| (name.to_owned(), ip.parse().expect("an address")))
        .collect();
    let listener = TcpListener::bind(address).expect("a free port");
    let socket = UdpSocket::bind(address).expect("a free port");
    say_that_we_are_ready();
    let own = name.to_owned();
    let check = move |letter: &Letter, body: &[u8], seen: SocketAddr| {
        let place = known.iter().find(|(name, _)| *name == letter.from);
        if letter.to != own || body != letter.body() || place.is_none_or(|(_, ip)| *ip != seen.ip())
        {
            wrong(&format!("{own} got {letter:?} from {seen}"));
        }
    };
    let checks = check.clone();
    spawn(move || {
        let mut datagram = vec![0; 65_535];
        loop {
            let (size, from) = socket.recv_from(&mut datagram).expect("a datagram");
            let (letter, body) = open(&datagram[..size]);
            checks(&letter, body, from);
            // Nobody may be there any more.
            let _ = socket.send_to(&letter.answer().bytes(), from);
        }
    });
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let check = check.clone();
        spawn(move || {
            let Ok(seen) = stream.peer_addr() else { return };
            let mut reader = BufReader::new(&stream);
            while let Some((letter, body)) = next(&mut reader) {
                check(&letter, &body, seen);
                if (&stream).write_all(&letter.answer().bytes()).is_err() {
                    return;
                }
            }
        });
    }
}

fn open(datagram: &[u8]) -> (Letter, &[u8]) {
    let end = datagram.iter().position(|byte| *byte == b'\n');
    let heading = end.and_then(|end| std::str::from_utf8(&datagram[..end]).ok());
    match (heading.and_then(Letter::read), end) {
        (Some(letter), Some(end)) => (letter, &datagram[end + 1..]),
        _ => wrong(&format!("no letter: {datagram:?}")),
    }
}

/// The next letter of a connection; `None`: it ended.
fn next(reader: &mut impl BufRead) -> Option<(Letter, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|size| *size > 0)?;
    let Some(letter) = Letter::read(&line) else {
        wrong(&format!("no letter: {line}"));
    };
    let mut body = vec![0; letter.size];
    reader.read_exact(&mut body).ok()?;
    Some((letter, body))
}

/// Writes letters as `name` to `to` at `address`: one for each line `keep SIZE` (over one connection for all),
/// `tcp SIZE` (over one of its own) or `udp SIZE`; says `answered` or `lost: WHY`.
pub(super) fn write(name: &str, to: &str, address: SocketAddr) {
    let mut kept = None;
    say_that_we_are_ready();
    for (number, line) in std::io::stdin().lines().enumerate() {
        let line = line.expect("text");
        let (how, size) = line.split_once(' ').expect("two words");
        let letter = Letter {
            from: name.to_owned(),
            to: to.to_owned(),
            number: number as u64,
            size: size.parse().expect("a size"),
        };
        let sent = match how {
            "udp" => by_datagram(&letter, address),
            "tcp" => connect(address).and_then(|stream| over(&stream, &letter)),
            _ => match kept.take().map_or_else(|| connect(address), Ok) {
                Ok(stream) => over(&stream, &letter).map(|()| kept = Some(stream)),
                Err(error) => Err(error),
            },
        };
        match sent {
            Ok(()) => println!("answered"),
            Err(error) => println!("lost: {error}"),
        }
    }
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn over(mut stream: &TcpStream, letter: &Letter) -> std::io::Result<()> {
    stream.write_all(&letter.bytes())?;
    let wanted = letter.answer().bytes();
    let mut answer = vec![0; wanted.len()];
    stream.read_exact(&mut answer)?;
    if answer != wanted {
        wrong(&format!("another answer to {letter:?}"));
    }
    Ok(())
}

fn by_datagram(letter: &Letter, address: SocketAddr) -> std::io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(SHORT_PATIENCE))?;
    socket.send(&letter.bytes())?;
    let mut answer = vec![0; 65_535];
    let size = socket.recv(&mut answer)?;
    if answer[..size] != letter.answer().bytes() {
        wrong(&format!("another answer to {letter:?}"));
    }
    Ok(())
}

/// What Prometheus is told at `address`.
pub(super) fn scrape(address: SocketAddr) {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("somebody listens");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n")
        .expect("an open connection");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    print!("{answer}");
}
