//! The Prometheus endpoint: `GET /metrics`, off unless `[metrics] listen` names an address.
//!
//! A scrape asks the management thread for one [`Sample`], so all numbers are of one moment;
//! lcores only ever write their counters.
//!
//! Threads: one, which serves scrapes one after another. A client that does not write its
//! request or read its answer is cut off after [`PATIENCE`], so it can hinder scrapes for no
//! longer.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use crate::control::Asker;
use crate::show::{
    DropRow, GroupStatsRow, LcoreRow, NatRow, PortRow, PublicationsRow, RxQueueRow, ZoneRow,
};

mod http;
mod series;
#[cfg(test)]
mod tests;

use series::Encoder;

/// How long a scrape may take to write its request, and again to read its answer.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Everything that Prometheus is told, of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The moment: milliseconds since the switch started.
    pub at_ms: u64,
    /// Each port.
    pub ports: Vec<PortRow>,
    /// Drops by reason.
    pub drops: Vec<DropRow>,
    /// Malformed packets by kind.
    pub malformed: Vec<CounterRow>,
    /// Tables that hold flows.
    pub tables: Vec<TableRow>,
    /// Connections now.
    pub connections: u64,
    /// The most there can be.
    pub max_connections: u64,
    /// What the connection tracker counts. `invalid_REASON` and `refused_REASON` become series
    /// with the label `reason`; each other is a series of its own.
    pub conntrack: Vec<CounterRow>,
    /// Packets handed over for a controller, by reason.
    pub packet_ins: Vec<CounterRow>,
    /// Packets that a controller was to get and did not, by reason.
    pub packet_ins_refused: Vec<CounterRow>,
    /// Each group.
    pub groups: Vec<GroupStatsRow>,
    /// What each zone counted.
    pub zones: Vec<ZoneRow>,
    /// Each range of translations; not more than a few hundred of them have a name.
    pub nat: Vec<NatRow>,
    /// How versions of the policy reach the lcores.
    pub publications: PublicationsRow,
    /// The pools that buffers of frames come from.
    pub pools: Vec<PoolRow>,
    /// Each lcore.
    pub lcores: Vec<LcoreRow>,
    /// Each receive queue.
    pub rx_queues: Vec<RxQueueRow>,
}

/// A named counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterRow {
    /// Its name: lower case and `_`.
    pub name: String,
    /// Its value, since start.
    pub value: u64,
    /// What it counts, in a sentence.
    pub sentence: String,
}

/// The size of one flow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRow {
    /// Its number.
    pub table: u8,
    /// Flows in it.
    pub flows: u64,
    /// Different masks among them: what a look-up may have to visit.
    pub masks: u64,
}

/// What is in use of one pool of buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRow {
    /// The NUMA node on which it lies; `None`: wherever there is memory.
    pub node: Option<u32>,
    /// Buffers, in use or not.
    pub buffers: u64,
    /// Those in frames or with a device. Others take and give back while this is counted, so it is
    /// exact only when nothing goes on.
    pub in_use: u64,
}

/// Serves scrapes until dropped.
#[derive(Debug)]
pub struct Exporter {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Listens on `listen`; `source` is asked at each scrape.
    ///
    /// # Errors
    /// If the address cannot be listened on, or the system has no thread or descriptor left.
    pub fn start(listen: SocketAddr, source: Asker) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (wake, woken) = UnixStream::pair()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = {
            let stopping = Arc::clone(&stopping);
            let serve = move || serve(&listener, &woken, &stopping, &source);
            std::thread::Builder::new()
                .name("metrics".to_owned())
                .spawn(serve)?
        };
        Ok(Self {
            address,
            stopping,
            wake,
            thread: Some(thread),
        })
    }

    /// The address listened on, with the port the system chose if 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = self.wake.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, woken: &UnixStream, stopping: &AtomicBool, source: &Asker) {
    let mut encoder = Encoder::default();
    while !stopping.load(Ordering::SeqCst) {
        let mut events = [
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(woken.as_fd(), PollFlags::POLLIN),
        ];
        let polled = poll(&mut events, PollTimeout::NONE);
        match listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = answer(&stream, source, &mut encoder) {
                    tracing::debug!("metrics client cut off: {error}");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::warn!("metrics: cannot accept: {error}");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        if polled.is_err_and(|errno| errno != nix::errno::Errno::EINTR) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn answer(stream: &TcpStream, source: &Asker, encoder: &mut Encoder) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let respond = |response: http::Response| response.write(stream, Instant::now() + PATIENCE);
    let request = match http::read(stream, Instant::now() + PATIENCE)? {
        Ok(request) => request,
        Err(refused) => return respond(refused),
    };
    if request.path != "/metrics" {
        return respond(http::Response::text("404 Not Found", "see /metrics\n"));
    }
    let response = match source.sample(PATIENCE) {
        Some(sample) => http::Response {
            status: "200 OK",
            content_type: prometheus::TEXT_FORMAT,
            body: encoder.encode(&sample),
        },
        None => http::Response::text("503 Service Unavailable", "the switch does not answer\n"),
    };
    respond(if request.wants_body {
        response
    } else {
        response.without_body()
    })
}
