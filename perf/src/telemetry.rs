//! DPDK's telemetry socket (DPDK programmer's guide, "Telemetry Library"), which every DPDK
//! program opens unless told not to.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket,
};
use serde_json::Value;

use crate::contender::PortCount;
use crate::failure::Failure;

/// Longest answer that DPDK gives.
const MAX_ANSWER_SIZE: usize = 16_384;

/// A connection to a DPDK program.
#[derive(Debug)]
pub struct Telemetry {
    socket: OwnedFd,
    /// "DPDK 22.11.11"
    pub version: String,
}

impl Telemetry {
    /// Where the program with this `--file-prefix` listens, if it runs as root.
    pub fn path(file_prefix: &str) -> PathBuf {
        Path::new("/var/run/dpdk")
            .join(file_prefix)
            .join("dpdk_telemetry.v2")
    }

    /// Connects.
    ///
    /// # Errors
    /// If nobody listens there.
    pub fn connect(path: &Path) -> Result<Self, Failure> {
        let failed = |error: nix::Error| Failure::path(path)(error.into());
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None);
        let socket = socket.map_err(failed)?;
        connect(socket.as_raw_fd(), &UnixAddr::new(path).map_err(failed)?).map_err(failed)?;
        let mut telemetry = Self {
            socket,
            version: String::new(),
        };
        let greeting = telemetry.receive()?;
        telemetry.version = greeting["version"].as_str().unwrap_or("DPDK").to_owned();
        Ok(telemetry)
    }

    /// DPDK's number of the device called `name`.
    ///
    /// # Errors
    /// If the program does not answer, or has no such device.
    pub fn number_of(&mut self, name: &str) -> Result<u16, Failure> {
        let list = self.ask("/ethdev/list")?;
        let numbers = list["/ethdev/list"].as_array().cloned().unwrap_or_default();
        for number in numbers.iter().filter_map(Value::as_u64) {
            let info = self.ask(&format!("/ethdev/info,{number}"))?;
            if info["/ethdev/info"]["name"].as_str() == Some(name) {
                return Ok(number as u16);
            }
        }
        Err(Failure::Program(format!(
            "telemetry knows no device {name}"
        )))
    }

    /// Frames received and sent by the device with DPDK's number `port`.
    ///
    /// # Errors
    /// If the program does not answer, or has no such device.
    pub fn port(&mut self, port: u16) -> Result<PortCount, Failure> {
        let answer = self.ask(&format!("/ethdev/stats,{port}"))?;
        let stats = &answer["/ethdev/stats"];
        match (stats["ipackets"].as_u64(), stats["opackets"].as_u64()) {
            (Some(received), Some(sent)) => Ok(PortCount { received, sent }),
            _ => Err(Failure::Program(format!(
                "telemetry does not know port {port}: {answer}"
            ))),
        }
    }

    fn ask(&mut self, command: &str) -> Result<Value, Failure> {
        send(
            self.socket.as_raw_fd(),
            command.as_bytes(),
            MsgFlags::empty(),
        )
        .map_err(|error| Failure::io("telemetry")(error.into()))?;
        self.receive()
    }

    fn receive(&mut self) -> Result<Value, Failure> {
        let mut bytes = vec![0; MAX_ANSWER_SIZE];
        let size = recv(self.socket.as_raw_fd(), &mut bytes, MsgFlags::empty())
            .map_err(|error| Failure::io("telemetry")(error.into()))?;
        serde_json::from_slice(&bytes[..size])
            .map_err(|error| Failure::Program(format!("telemetry says no JSON: {error}")))
    }
}
