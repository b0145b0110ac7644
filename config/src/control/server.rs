//! The switch's end of the control socket.
//!
//! Threads: one accepts; one per client reads the request, waits for the answer and writes it, and then is there for
//! another client for a while, since tools that change single flows connect for each.
//! All waits have an end ([`Limits`]). Requests meet the management thread in one queue, which
//! has room for a request of each client, so no client waits for another there.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::reply::{ReplySender, channel};
use super::socket::{BoundSocket, SocketError};
use super::{Envelope, Failure, Frame, Limits, Request, VERSION, Verb};
use crate::file::Control;
use crate::metrics::Sample;

/// How long clients may finish when the server stops.
const GRACE: Duration = Duration::from_millis(500);

/// How long a thread without a client waits for the next one.
const IDLE: Duration = Duration::from_secs(10);

/// How much of a request is read at first, and then, in bytes.
const CHUNKS: [usize; 2] = [4 << 10, 64 << 10];

/// Requests that [`Asker`]s may have waiting.
const ASKERS: usize = 4;

/// A request, and where its answer goes.
pub type Incoming = (Request, ReplySender);

/// Accepts clients until dropped.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    requests: Receiver<Incoming>,
    asker: Asker,
    wake: UnixStream,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Makes the socket and listens.
    ///
    /// # Errors
    /// If the socket cannot be made, or another switch listens there.
    pub fn start(control: &Control, limits: Limits) -> Result<Self, SocketError> {
        let system = |what| {
            let path = control.socket.clone();
            move |error| SocketError::System { path, what, error }
        };
        let socket = BoundSocket::bind(control)?;
        let (wake, woken) = UnixStream::pair().map_err(system("make a pipe"))?;
        let (sender, requests) = bounded(limits.clients + ASKERS);
        let shared = Arc::new(Shared {
            limits,
            stopping: AtomicBool::new(false),
            reading: AtomicUsize::new(0),
            clients: Mutex::default(),
            one_less: Condvar::new(),
        });
        let asker = Asker(sender.clone());
        let acceptor = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("control".to_owned())
                .spawn(move || accept(&shared, &socket, &woken, &sender))
                .map_err(system("start a thread"))?
        };
        Ok(Self {
            shared,
            requests,
            asker,
            wake,
            acceptor: Some(acceptor),
        })
    }

    /// Lets another thread of this process ask as a client does.
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// Where requests arrive, for the one thread that answers them.
    pub fn requests(&self) -> Receiver<Incoming> {
        self.requests.clone()
    }

    /// How many bytes of requests are held that have not come to their end.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.shared.reading.load(Ordering::Relaxed)
    }

    /// How many clients are connected.
    pub fn clients(&self) -> usize {
        self.shared.clients().streams.len()
    }
}

/// A client in the same process.
#[derive(Clone, Debug)]
pub struct Asker(Sender<Incoming>);

impl Asker {
    /// A sample of all that is counted; `None` if the management thread does not answer within
    /// `patience`, or others ask too much.
    pub fn sample(&self, patience: Duration) -> Option<Sample> {
        let (sender, mut answer) = channel();
        let request = Request {
            bridge: None,
            verb: Verb::Metrics,
        };
        self.0.try_send((request, sender)).ok()?;
        match answer.next(patience) {
            Frame::Sample(sample) => Some(*sample),
            _ => None,
        }
    }
}

impl Drop for Server {
    /// Removes the socket, gives clients a moment to read their answers, then cuts them off.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = self.wake.shutdown(Shutdown::Both);
        if let Some(acceptor) = self.acceptor.take() {
            // It cannot panic in a way that leaves anything undone: the socket's file goes with
            // its stack.
            let _ = acceptor.join();
        }
        // Requests nobody took are answered "stopping" by dropping their reply senders.
        while self.requests.try_recv().is_ok() {}
        for last in [false, true] {
            let clients = self.shared.clients();
            for stream in clients.streams.values() {
                let how = if last { Shutdown::Both } else { Shutdown::Read };
                let _ = stream.shutdown(how);
            }
            let some_left = |clients: &mut Clients| !clients.streams.is_empty();
            let _ = self
                .shared
                .one_less
                .wait_timeout_while(clients, GRACE, some_left);
        }
    }
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    stopping: AtomicBool,
    /// Bytes held by requests that are being read.
    reading: AtomicUsize,
    clients: Mutex<Clients>,
    one_less: Condvar,
}

#[derive(Debug, Default)]
struct Clients {
    next: u64,
    streams: HashMap<u64, UnixStream>,
}

impl Shared {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(
    shared: &Arc<Shared>,
    socket: &BoundSocket,
    woken: &UnixStream,
    requests: &Sender<Incoming>,
) {
    let idle = bounded(0);
    while !shared.stopping.load(Ordering::SeqCst) {
        let mut events = [
            PollFd::new(socket.listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(woken.as_fd(), PollFlags::POLLIN),
        ];
        let polled = poll(&mut events, PollTimeout::NONE);
        match socket.listener.accept() {
            Ok((stream, _)) => admit(shared, stream, requests, &idle),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::warn!("control socket: cannot accept: {error}");
                // Out of descriptors, most likely: the listener stays readable, so wait.
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        if polled.is_err_and(|errno| errno != nix::errno::Errno::EINTR) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A client, and what it is connected by.
type Job = (Seat, UnixStream);

/// Gives `stream` a thread, one of those that wait at `idle` if there is any; or tells it that there are too many.
fn admit(
    shared: &Arc<Shared>,
    stream: UnixStream,
    requests: &Sender<Incoming>,
    idle: &(Sender<Job>, Receiver<Job>),
) {
    let seat = match Seat::take(shared, &stream) {
        Ok(seat) => seat,
        Err(reason) => return refuse(stream, reason),
    };
    let (to_idle, jobs) = idle;
    // Nothing waits in this queue: it is taken at once, or not at all.
    let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) =
        to_idle.try_send((seat, stream))
    else {
        return;
    };
    let (shared, requests, jobs) = (Arc::clone(shared), requests.clone(), jobs.clone());
    let spawned = std::thread::Builder::new()
        .name("control client".to_owned())
        .spawn(move || {
            let mut next = Some(job);
            while let Some((seat, stream)) = next {
                if let Err(error) = serve(&shared, &stream, &requests) {
                    tracing::debug!("control client cut off: {error}");
                }
                // The registered copy keeps the connection open otherwise.
                let _ = stream.shutdown(Shutdown::Both);
                drop((seat, stream));
                // There is none any more once nobody accepts.
                next = jobs.recv_timeout(IDLE).ok();
            }
        });
    if let Err(error) = spawned {
        tracing::warn!("control socket: cannot start a thread: {error}");
    }
}

/// Says why, without waiting: the frame fits into an empty socket buffer or is lost.
fn refuse(mut stream: UnixStream, reason: &str) {
    let _ = stream.set_nonblocking(true);
    let _ = stream.write(&encode(&Frame::Failed(Failure::unreachable(reason))));
}

/// A place among the clients.
struct Seat {
    shared: Arc<Shared>,
    number: u64,
}

impl Seat {
    fn take(shared: &Arc<Shared>, stream: &UnixStream) -> Result<Self, &'static str> {
        let mut clients = shared.clients();
        if clients.streams.len() >= shared.limits.clients {
            return Err("the switch has too many clients");
        }
        let copy = stream
            .try_clone()
            .map_err(|_| "the switch has no file descriptor left")?;
        // An accepted socket blocks on Linux whatever the listener does; other systems inherit.
        stream
            .set_nonblocking(false)
            .map_err(|_| "the connection broke")?;
        let number = clients.next;
        clients.next += 1;
        clients.streams.insert(number, copy);
        Ok(Self {
            shared: Arc::clone(shared),
            number,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.clients().streams.remove(&self.number);
        self.shared.one_less.notify_all();
    }
}

/// Serves one client to its end; an error is the reason why it was cut off.
fn serve(shared: &Shared, stream: &UnixStream, requests: &Sender<Incoming>) -> Result<(), String> {
    let limits = &shared.limits;
    let end = Instant::now() + limits.request_time;
    let request = match read_request(shared, stream, end) {
        Ok(request) => request,
        Err(failure) => {
            let reason = failure.message.clone();
            write_frame(
                stream,
                &Frame::Failed(failure),
                Instant::now() + limits.frame_time,
            )?;
            return Err(reason);
        }
    };
    // Who wants to hear of events stays for as long as it likes.
    let is_monitor = matches!(
        request.verb,
        Verb::Monitor { .. } | Verb::MonitorConntrack { .. }
    );
    let (sender, mut answer) = channel();
    // There is room for one request of each client and those of a few askers.
    if requests.try_send((request, sender)).is_err() {
        tracing::debug!("the management thread takes no more requests");
    }
    let end = Instant::now() + limits.reply_time;
    loop {
        let frame = answer.next(limits.answer_time);
        let soon = Instant::now() + limits.frame_time;
        let frame_end = if is_monitor { soon } else { end.min(soon) };
        write_frame(stream, &frame, frame_end)?;
        if matches!(frame, Frame::Done | Frame::Failed(_)) {
            return Ok(());
        }
    }
}

fn read_request(shared: &Shared, stream: &UnixStream, end: Instant) -> Result<Request, Failure> {
    let line = read_line(shared, stream, end)?;
    // The version first: the rest of another version's request may look different.
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let not_a_request = |error| Failure::input(format!("not a request: {error}"));
    let Version { version } = serde_json::from_slice(&line).map_err(not_a_request)?;
    if version != VERSION {
        let message = format!(
            "the switch speaks version {VERSION} of the control protocol, the client {version}"
        );
        return Err(Failure::unreachable(message));
    }
    let envelope: Envelope = serde_json::from_slice(&line).map_err(not_a_request)?;
    Ok(envelope.request)
}

/// Reads up to the first line end.
fn read_line(shared: &Shared, mut stream: &UnixStream, end: Instant) -> Result<Vec<u8>, Failure> {
    let mut line = Vec::new();
    let mut held = Held {
        reading: &shared.reading,
        size: 0,
    };
    let mut chunk = vec![0; CHUNKS[0]];
    loop {
        let patience = end.saturating_duration_since(Instant::now());
        if patience.is_zero() {
            return Err(Failure::unreachable("the request took too long"));
        }
        stream
            .set_read_timeout(Some(patience))
            .map_err(Failure::unreachable)?;
        let came = match stream.read(&mut chunk) {
            Ok(0) => return Err(Failure::input("the request has no end")),
            Ok(came) => &chunk[..came],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(Failure::unreachable(error)),
        };
        if let Some(at) = came.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&came[..at]);
            return match &came[at + 1..] {
                [] => Ok(line),
                _ => Err(Failure::input("more than one request")),
            };
        }
        line.extend_from_slice(came);
        if came.len() == chunk.len() {
            chunk.resize(CHUNKS[1], 0);
        }
        if line.len() > shared.limits.request_size {
            return Err(Failure::input("the request is too long"));
        }
        if !held.grow_to(line.len(), shared.limits.requests_size) {
            return Err(Failure::unreachable("the switch has too many requests"));
        }
    }
}

/// A share of the bytes that all requests may hold.
struct Held<'a> {
    reading: &'a AtomicUsize,
    size: usize,
}

impl Held<'_> {
    fn grow_to(&mut self, size: usize, limit: usize) -> bool {
        let more = size - self.size;
        self.size = size;
        self.reading.fetch_add(more, Ordering::Relaxed) + more <= limit
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.reading.fetch_sub(self.size, Ordering::Relaxed);
    }
}

fn write_frame(mut stream: &UnixStream, frame: &Frame, end: Instant) -> Result<(), String> {
    let bytes = encode(frame);
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let patience = end.saturating_duration_since(Instant::now());
        if patience.is_zero() {
            return Err("it does not read its answer".to_owned());
        }
        stream
            .set_write_timeout(Some(patience))
            .map_err(|error| error.to_string())?;
        match stream.write(rest) {
            Ok(0) => return Err("it is gone".to_owned()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

fn encode(frame: &Frame) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(frame).expect("text keys and numbers only");
    bytes.push(b'\n');
    bytes
}
