//! Conversations as lines of packets: what the two ends of a connection say, in order.

/// Who sends a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Who opened the connection.
    Client,
    /// Who was asked.
    Server,
}

/// A TCP connection from its SYN to its last acknowledgement: 300 bytes are asked, 1,200
/// answered. Both ends are `ADDRESS:PORT`.
pub fn tcp(client: &str, server: &str) -> Vec<(End, String)> {
    let ask = |rest: &str| (End::Client, format!("tcp {client} > {server} {rest}"));
    let answer = |rest: &str| (End::Server, format!("tcp {server} > {client} {rest}"));
    vec![
        ask("S seq=1000 mss=1400"),
        answer("SA seq=5000 ack=1001 mss=1400"),
        ask("A seq=1001 ack=5001"),
        ask("PA seq=1001 ack=5001 len=300"),
        answer("A seq=5001 ack=1301"),
        answer("PA seq=5001 ack=1301 len=1200"),
        ask("A seq=1301 ack=6201"),
        ask("FA seq=1301 ack=6201"),
        answer("FA seq=6201 ack=1302"),
        ask("A seq=1302 ack=6202"),
    ]
}

/// Two questions and their answers over UDP.
pub fn udp(client: &str, server: &str) -> Vec<(End, String)> {
    let ask = (
        End::Client,
        format!("udp {client} > {server} len=30 from=1"),
    );
    let answer = (End::Server, format!("udp {server} > {client} len=90"));
    vec![ask.clone(), answer.clone(), ask, answer]
}

/// Three pings.
pub fn ping(client: &str, server: &str, id: u16) -> Vec<(End, String)> {
    (1..=3)
        .flat_map(|seq| {
            [
                (
                    End::Client,
                    format!("icmp {client} > {server} echo-request id={id} seq={seq} len=56"),
                ),
                (
                    End::Server,
                    format!("icmp {server} > {client} echo-reply id={id} seq={seq} len=56"),
                ),
            ]
        })
        .collect()
}
