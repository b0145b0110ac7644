//! Configurations of `examples/` as switches: whole, or with less than they name.

use weir_config::diagnostic::Diagnostic;
use weir_config::file::{Config, Neighbour};

use crate::hosts::Underlay;
use crate::switch::{Switch, example};

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
        Self {
            config: example(name),
        }
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

    /// Only the first file of flows, and no group.
    #[must_use]
    pub fn dump_alone(mut self) -> Self {
        self.config.bridge.flows.truncate(1);
        self.config.bridge.groups.clear();
        self
    }

    /// Its ports, without any policy.
    #[must_use]
    pub fn without_policy(mut self) -> Self {
        self.config.bridge.flows.clear();
        self.config.bridge.groups.clear();
        self
    }

    /// The text of its first file of flows.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn dump(&self) -> String {
        let mut texts = self.config.flow_texts();
        let texts = texts.as_mut().unwrap_or_else(|error| panic!("{error}"));
        texts.swap_remove(0).text
    }

    /// The switch that it describes.
    ///
    /// # Errors
    /// What is wrong with its policy.
    pub fn switch(&self) -> Result<Switch, Vec<Diagnostic>> {
        Switch::of_config(&self.config)
    }
}

fn mac(text: &str) -> [u8; 6] {
    let mut bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16));
    std::array::from_fn(|_| bytes.next().expect("six bytes").expect("hexadecimal"))
}
