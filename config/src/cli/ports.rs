//! Arguments of verbs about ports.

use clap::Args;

use super::Switch;
use crate::control::{PortChange, Verb};
use crate::diagnostic::nearest;
use crate::verbs::VerbError;

/// `weir mod-port`
#[derive(Debug, Args)]
pub struct ModPort {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// The bridge, the port, and what to do.
    #[arg(required = true, num_args = 2..=3, value_name = "PORT ACTION")]
    pub(crate) words: Vec<String>,
}

/// What `mod-port` can do.
const CHANGES: [(&str, PortChange); 8] = [
    ("up", PortChange::Up),
    ("down", PortChange::Down),
    ("receive", PortChange::Receive),
    ("no-receive", PortChange::NoReceive),
    ("flood", PortChange::Flood),
    ("no-flood", PortChange::NoFlood),
    ("forward", PortChange::Forward),
    ("no-forward", PortChange::NoForward),
];

/// What it can do in Open vSwitch and would change nothing here, and why.
const POINTLESS: [(&str, &str); 6] = [
    (
        "packet-in",
        "a packet that no flow matches is never sent to a controller",
    ),
    (
        "no-packet-in",
        "a packet that no flow matches is never sent to a controller",
    ),
    ("stp", "there is no spanning tree"),
    ("no-stp", "there is no spanning tree"),
    ("receive-stp", "there is no spanning tree"),
    ("no-receive-stp", "there is no spanning tree"),
];

impl ModPort {
    /// The bridge, if it was named, and what is asked.
    ///
    /// # Errors
    /// [`VerbError::Usage`] if the action is none.
    pub(crate) fn change(&self) -> Result<(Option<String>, Verb), VerbError> {
        let (bridge, port, action) = match &self.words[..] {
            [port, action] => (None, port, action),
            [bridge, port, action] => (Some(bridge.clone()), port, action),
            _ => {
                return Err(VerbError::Usage(
                    "mod-port: expected PORT and ACTION".to_owned(),
                ));
            }
        };
        let Some((_, change)) = CHANGES.iter().find(|(name, _)| name == action) else {
            return Err(VerbError::Usage(why_not(action)));
        };
        let verb = Verb::ModPort {
            port: port.clone(),
            change: *change,
        };
        Ok((bridge, verb))
    }
}

fn why_not(action: &str) -> String {
    if let Some((_, why)) = POINTLESS.iter().find(|(name, _)| *name == action) {
        return format!("mod-port: {action} is not supported: {why}");
    }
    let names = || CHANGES.iter().map(|(name, _)| *name);
    match nearest(action, names()) {
        Some(near) => format!("mod-port: unknown action {action}: did you mean {near}?"),
        None => {
            let names: Vec<_> = names().collect();
            format!(
                "mod-port: unknown action {action}: expected {}",
                names.join(", ")
            )
        }
    }
}
