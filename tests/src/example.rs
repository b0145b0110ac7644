//! Configurations of `examples/` as switches: whole, or with less than they name.

use std::path::{Path, PathBuf};

use weir_config::file::{Config, NamedText, Neighbour, read_text};

use crate::hosts::Underlay;
use crate::switch::{Builder, Switch};

/// The most connections that a switch of an example holds: less than it would as a daemon.
const MAX_CONNECTIONS: u32 = 32_768;

/// A configuration of `examples/`.
#[derive(Debug)]
pub struct Example {
    config: Config,
}

impl Example {
    /// `examples/NAME.toml`
    ///
    /// # Panics
    /// If it is wrong.
    pub fn load(name: &str) -> Self {
        let config = Config::load(&repository().join(format!("examples/{name}.toml")));
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        Self { config }
    }

    /// The same, with the other ends of tunnels known as if they were configured.
    ///
    /// # Panics
    /// If there is no such port, or an address is none.
    #[must_use]
    pub fn knowing(mut self, underlay: &Underlay) -> Self {
        let ports = &self.config.ports;
        let port = ports.iter().find(|port| port.id.0 == underlay.port);
        let port = port.expect("the underlay's port").name.clone();
        let known = underlay.others.iter().map(|other| Neighbour {
            port: port.clone(),
            ip: other.ip.parse().expect("an address"),
            mac: mac(other.mac),
        });
        self.config.neighbours.extend(known);
        self
    }

    /// The switch that it describes.
    ///
    /// # Panics
    /// If the policy is wrong.
    pub fn switch(&self) -> Switch {
        let groups = self.config.group_texts();
        let groups = groups.unwrap_or_else(|error| panic!("{error}"));
        let flows = self.config.flow_texts();
        let flows = flows.unwrap_or_else(|error| panic!("{error}"));
        self.with(&groups, &flows)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same switch with another policy.
    ///
    /// # Errors
    /// What is wrong with the policy.
    pub fn with(&self, groups: &[NamedText], flows: &[NamedText]) -> Result<Switch, String> {
        Builder::default()
            .max_connections(MAX_CONNECTIONS)
            .policy(&self.config, groups, flows)
    }
}

/// A seed policy as its owner printed it.
///
/// # Panics
/// If there is none of this name.
pub fn seed(name: &str) -> NamedText {
    let path = repository().join(format!("config/tests/seeds/{name}.flows"));
    read_text(&path).unwrap_or_else(|error| panic!("{error}"))
}

fn mac(text: &str) -> [u8; 6] {
    let mut bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16));
    std::array::from_fn(|_| bytes.next().expect("six bytes").expect("hexadecimal"))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
