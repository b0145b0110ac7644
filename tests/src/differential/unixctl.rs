//! The control socket of an Open vSwitch daemon: JSON-RPC 1.0 over a Unix stream socket, as
//! `ovs-appctl` speaks it.

use std::io;
use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Deserializer, Value, json};

/// How long a daemon may take to answer one command.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection to a daemon.
pub(super) struct UnixCtl {
    requests: UnixStream,
    replies: serde_json::StreamDeserializer<
        'static,
        serde_json::de::IoRead<BufReader<UnixStream>>,
        Value,
    >,
}

impl UnixCtl {
    /// Connects to the daemon that listens at `path`.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let requests = UnixStream::connect(path)?;
        requests.set_read_timeout(Some(PATIENCE))?;
        let reader = BufReader::new(requests.try_clone()?);
        let replies = Deserializer::from_reader(reader).into_iter();
        Ok(Self { requests, replies })
    }

    /// Runs one command and returns what it prints; `Err` holds the daemon's error text.
    pub(super) fn call(&mut self, method: &str, arguments: &[&str]) -> Result<String, String> {
        let request = json!({ "method": method, "params": arguments, "id": 0 });
        self.requests
            .write_all(request.to_string().as_bytes())
            .map_err(|error| format!("{method}: {error}"))?;
        let reply = match self.replies.next() {
            Some(reply) => reply.map_err(|error| format!("{method}: {error}"))?,
            None => return Err(format!("{method}: the daemon closed its control socket")),
        };
        match (&reply["error"], &reply["result"]) {
            (Value::Null, Value::String(text)) => Ok(text.clone()),
            (Value::Null, other) => Ok(other.to_string()),
            (Value::String(error), _) => Err(format!("{method}: {}", error.trim_end())),
            (error, _) => Err(format!("{method}: {error}")),
        }
    }
}
