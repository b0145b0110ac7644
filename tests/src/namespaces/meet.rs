//! Parts of hosts that tell each other who they are, and whom they see.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread::spawn;

use super::part::{SHORT_PATIENCE, say_that_we_are_ready};

/// Answers every byte over TCP, and every datagram, with a line.
pub(super) fn introduce(name: &str, address: SocketAddr) {
    let line = |name: &str, seen: SocketAddr| format!("met {name}, who sees {}\n", seen.ip());
    let listener = TcpListener::bind(address).expect("a free port");
    let socket = UdpSocket::bind(address).expect("a free port");
    say_that_we_are_ready();
    let own = name.to_owned();
    spawn(move || {
        loop {
            let (_, from) = socket.recv_from(&mut [0; 16]).expect("a question");
            let answer = line(&own, from);
            socket.send_to(answer.as_bytes(), from).expect("a way back");
        }
    });
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        let answer = line(name, stream.peer_addr().expect("it is open"));
        spawn(move || {
            while stream.read_exact(&mut [0]).is_ok() {
                stream.write_all(answer.as_bytes()).expect("it is open");
            }
        });
    }
}

/// Asks by one datagram who is at `address`, and says what was answered.
pub(super) fn hail(address: SocketAddr) {
    let any: IpAddr = if address.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).expect("a port");
    socket.connect(address).expect("a way there");
    socket
        .set_read_timeout(Some(SHORT_PATIENCE))
        .expect("a socket");
    socket.send(b"?").expect("a way there");
    let mut answer = [0; 128];
    match socket.recv(&mut answer) {
        Ok(size) => print!("{}", String::from_utf8_lossy(&answer[..size])),
        Err(error) => println!("nobody answers: {error}"),
    }
}

/// Opens `count` connections to `address`, asks over each who is there, and says what was answered.
pub(super) fn meet(address: SocketAddr, count: u64) -> Vec<TcpStream> {
    let streams = (0..count).filter_map(|_| {
        let stream = TcpStream::connect_timeout(&address, SHORT_PATIENCE);
        stream
            .map_err(|error| println!("nobody answers: {error}"))
            .ok()
    });
    let streams = streams.collect::<Vec<_>>();
    again(&streams);
    streams
}

/// Asks once more over connections that are open.
pub(super) fn again(streams: &[TcpStream]) {
    for mut stream in streams {
        stream
            .set_read_timeout(Some(SHORT_PATIENCE))
            .expect("a socket");
        stream.write_all(b"?").expect("it is open");
        let mut answer = String::new();
        let read = BufReader::new(stream).read_line(&mut answer);
        read.expect("an answer");
        print!("{answer}");
    }
}
