//! As much of HTTP/1.1 (RFC 9112) as a scrape needs: one GET or HEAD per connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

/// Bytes that a request's head may have.
const HEAD_SIZE: usize = 8 << 10;

/// What was asked.
pub(super) struct Request {
    /// The path, without a query.
    pub(super) path: String,
    /// GET, not HEAD.
    pub(super) wants_body: bool,
}

/// What is answered.
pub(super) struct Response {
    pub(super) status: &'static str,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

/// Reads a request's head until `end`; what is not one is answered by the inner error.
///
/// # Errors
/// If the client is gone, or too slow.
pub(super) fn read(mut stream: &TcpStream, end: Instant) -> io::Result<Result<Request, Response>> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        stream.set_read_timeout(Some(left(end)?))?;
        let came = match stream.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(came) => came,
            Err(error) if retry(&error) => continue,
            Err(error) => return Err(error),
        };
        // The end of the head may lie across two reads.
        let from = head.len().saturating_sub(3);
        head.extend_from_slice(&chunk[..came]);
        if head[from..].windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(parse(&head));
        }
        if head.len() > HEAD_SIZE {
            let status = "431 Request Header Fields Too Large";
            return Ok(Err(Response::text(status, "too long\n")));
        }
    }
}

fn parse(head: &[u8]) -> Result<Request, Response> {
    let bad = || Response::text("400 Bad Request", "not HTTP/1\n");
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| bad())?;
    let [method, target, version] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err(bad());
    };
    if !version.starts_with("HTTP/1.") {
        return Err(bad());
    }
    let wants_body = match method {
        "GET" => true,
        "HEAD" => false,
        _ => return Err(Response::text("405 Method Not Allowed", "GET only\n")),
    };
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Ok(Request { path, wants_body })
}

impl Response {
    pub(super) fn text(status: &'static str, body: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.to_owned(),
        }
    }

    pub(super) fn without_body(mut self) -> Self {
        self.body.clear();
        self
    }

    /// Writes the response until `end` and closes the connection.
    ///
    /// # Errors
    /// If the client is gone, or too slow.
    pub(super) fn write(&self, mut stream: &TcpStream, end: Instant) -> io::Result<()> {
        let allow = if self.status.starts_with("405") {
            "Allow: GET, HEAD\r\n"
        } else {
            ""
        };
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{allow}\
             Connection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.body.len()
        );
        let bytes = [head.as_bytes(), self.body.as_bytes()].concat();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            stream.set_write_timeout(Some(left(end)?))?;
            match stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if retry(&error) => {}
                Err(error) => return Err(error),
            }
        }
        stream.shutdown(Shutdown::Write)
    }
}

/// The time until `end`.
fn left(end: Instant) -> io::Result<std::time::Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}

fn retry(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}
