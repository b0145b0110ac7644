//! `weir replay`: captures through the pipeline, without devices and without a clock.
//!
//! Packets of all captures are merged by time stamp; equal stamps go in the order in which the
//! captures were named, and within a capture packets keep their order (a stamp that goes back
//! counts as the one before it). The stamps are the only clock: before each packet, timers run
//! to its stamp. What leaves is written with the stamp of the packet that caused it.
//!
//! Invariant: the same configuration, captures and seed write the same bytes.
//!
//! Threads: none.

use std::io::{self, Read};

use weir_packet::Tick;
use weir_tables::port::PortNo;

use crate::diagnostic::Diagnostic;

mod capture;
mod files;
mod switch;
#[cfg(test)]
mod tests;

pub use capture::{Capture, CaptureError, Packet};
pub use files::{Summary, run};
pub use switch::OfflineSwitch;

/// Why a replay failed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The configuration or its flows are wrong.
    #[error("{}", Diagnostic::list(.0))]
    Text(Vec<Diagnostic>),
    /// `--in` names no port of the configuration.
    #[error("--in {port}={file}: there is no port {port}: expected {}", known.join(" or "))]
    UnknownPort {
        /// The port.
        port: String,
        /// The capture.
        file: String,
        /// The ports there are.
        known: Vec<String>,
    },
    /// A capture is broken.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// An output file is also an input.
    #[error("{0}: would overwrite a capture that is to be read")]
    Overwrite(String),
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        error: io::Error,
    },
}

/// What a packet does, and time.
pub trait ReplaySwitch {
    /// Runs timers to `now`, which never goes back.
    fn advance(&mut self, now: Tick);

    /// A frame arrives at `port`; `out` takes each frame that leaves, in order.
    fn inject(&mut self, port: PortNo, frame: &[u8], now: Tick, out: &mut dyn FnMut(PortNo, &[u8]));
}

/// A capture, and the port at which its packets arrive.
#[derive(Debug)]
pub struct Input<R: Read> {
    /// The port.
    pub port: PortNo,
    /// The capture.
    pub capture: Capture<R>,
}

/// What went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fed {
    /// Packets that arrived.
    pub received: u64,
    /// Frames that left.
    pub sent: u64,
    /// The last packet's time; zero if there was none.
    pub end: Tick,
}

/// Takes what leaves: nanoseconds since the epoch, port, frame.
pub type Sink<'a> = dyn FnMut(u64, PortNo, &[u8]) -> Result<(), ReplayError> + 'a;

/// Feeds all packets of `inputs` into the switch that `start` makes at the first packet's time
/// (zero if there is none). `out` gets each frame that leaves.
///
/// Cost: holds one packet of each capture.
///
/// # Errors
/// Those of `start` and `out`, and the first broken packet.
pub fn feed<R: Read, S: ReplaySwitch>(
    mut inputs: Vec<Input<R>>,
    start: impl FnOnce(Tick) -> Result<S, ReplayError>,
    out: &mut Sink<'_>,
) -> Result<(S, Fed), ReplayError> {
    let mut heads = inputs
        .iter_mut()
        .map(|input| input.capture.next_packet())
        .collect::<Result<Vec<_>, _>>()?;
    let earliest = |heads: &[Option<Packet>]| {
        let times = heads
            .iter()
            .enumerate()
            .filter_map(|(at, head)| Some((head.as_ref()?.time, at)));
        // The first of equal stamps is the one named first.
        times.min().map(|(_, at)| at)
    };
    let first = earliest(&heads).and_then(|at| heads[at].as_ref());
    let mut fed = Fed {
        end: first.map_or(Tick::ZERO, Packet::tick),
        ..Fed::default()
    };
    let mut switch = start(fed.end)?;
    while let Some(at) = earliest(&heads) {
        let next = inputs[at].capture.next_packet()?;
        let Some(packet) = std::mem::replace(&mut heads[at], next) else {
            break;
        };
        fed.end = packet.tick();
        fed.received += 1;
        switch.advance(fed.end);
        let mut written = Ok(());
        switch.inject(
            inputs[at].port,
            &packet.frame,
            fed.end,
            &mut |port, frame| {
                fed.sent += 1;
                if written.is_ok() {
                    written = out(packet.time, port, frame);
                }
            },
        );
        written?;
    }
    Ok((switch, fed))
}
