//! Why a port does not start.

use super::DeviceName;
use crate::eal::{errno_text, with_log};
use crate::log;
use crate::mempool::PoolError;

/// A port that does not start, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("port \"{port}\" ({device}) does not start: {cause}")]
pub struct PortError {
    /// The port's name.
    pub port: String,
    /// Its device.
    pub device: DeviceName,
    /// The reason.
    pub cause: Box<PortErrorCause>,
}

impl PortError {
    /// How many receive queues the device can have, if more were asked for.
    pub(crate) fn most_receive_queues(&self) -> Option<u16> {
        match *self.cause {
            PortErrorCause::Queues {
                kind: "receive",
                max,
                ..
            } => Some(max),
            _ => None,
        }
    }
}

/// The reason why a port does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortErrorCause {
    /// Another port has the device.
    #[error("the device is in use already")]
    InUse,
    /// The driver would ignore this argument without a word.
    #[error("{driver} has no argument \"{argument}\"; it has {known}")]
    UnknownArgument {
        /// The driver.
        driver: &'static str,
        /// What was given.
        argument: String,
        /// What could have been.
        known: String,
    },
    /// The device is there, but not as an Ethernet port.
    #[error("the device makes no Ethernet port")]
    NoPort,
    /// One device, several ports, and nothing says which.
    #[error("the device makes {0} Ethernet ports; devices with more than one are not supported")]
    SeveralPorts(usize),
    /// Too many queues, or none.
    #[error("{asked} {kind} queues were asked for; the device has 1 to {max}")]
    Queues {
        /// "receive" or "transmit".
        kind: &'static str,
        /// How many were asked for.
        asked: u16,
        /// How many there can be.
        max: u16,
    },
    /// A queue that the configuration gives to an lcore is not there.
    #[error(
        "rxq_affinity gives queue {queue} to lcore {lcore}; the device has {count} receive queues"
    )]
    NoSuchQueue {
        /// The queue's number.
        queue: u16,
        /// The lcore's number.
        lcore: u16,
        /// How many there are, counted from 0.
        count: u16,
    },
    /// The device has another redirection table than it was given.
    #[error("the device does not keep the redirection table it was given")]
    Redirection,
    /// The device cannot have this MTU.
    #[error("mtu {asked} is out of range: {driver} in this DPDK takes {min} to {max}")]
    Mtu {
        /// What was asked for, in bytes.
        asked: u16,
        /// The least possible.
        min: u16,
        /// The most possible.
        max: u16,
        /// The driver.
        driver: String,
    },
    /// Frames of this size are chains of buffers, which the device does not take.
    #[error(
        "mtu {mtu} needs frames in several buffers of {buffer} bytes, which {driver} cannot {verb}"
    )]
    Chains {
        /// What was asked for, in bytes.
        mtu: u16,
        /// Size of a buffer in bytes.
        buffer: u16,
        /// The driver.
        driver: String,
        /// "receive" or "send".
        verb: &'static str,
    },
    /// No memory for its frames.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// DPDK or the driver refused a step.
    #[error("{step}: {}", with_log(.reason, .log))]
    Step {
        /// What was tried.
        step: &'static str,
        /// The error number as text.
        reason: String,
        /// What the driver logged, if anything.
        log: String,
    },
}

impl PortErrorCause {
    /// The result of a step as DPDK returns it: negative is an error number.
    pub(super) fn check(step: &'static str, result: i32) -> Result<(), Self> {
        if result >= 0 {
            return Ok(());
        }
        Err(Self::Step {
            step,
            reason: errno_text(result),
            log: log::recent(),
        })
    }

    /// As [`Self::check`], for what a device may do without.
    pub(super) fn check_optional(step: &'static str, result: i32) -> Result<(), Self> {
        if result == -(nix::Error::ENOTSUP as i32) {
            Ok(())
        } else {
            Self::check(step, result)
        }
    }
}
