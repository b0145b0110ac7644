//! Switches of configuration files: the ports, tunnels and policy that `weir run` would have.

use std::path::Path;

use weir_config::diagnostic::Diagnostic;
use weir_config::file::Config;
use weir_config::policy::Policy;
use weir_tables::classifier::HashSecret;

use super::{Caches, START, Switch};

impl Switch {
    /// The switch of `examples/NAME.toml`, with a small connection table.
    ///
    /// # Panics
    /// If there is no such file, or it is wrong.
    pub fn of_example(name: &str) -> Self {
        Self::of_config(&example(name)).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    /// The switch of a configuration, with a connection table for 32,768 connections.
    ///
    /// # Errors
    /// What is wrong with its flows and groups.
    pub fn of_config(config: &Config) -> Result<Self, Vec<Diagnostic>> {
        const SECRET: u64 = 0x5eed;
        let secret = HashSecret(SECRET);
        let policy = Policy::load(config, Self::OTHERS.len() + 1, secret, START)?;
        let mut settings = policy.conntrack;
        settings.max_connections = 32_768;
        let caches = Caches::default();
        Ok(Self::with_tables(
            policy.tables,
            policy.ports,
            &settings,
            caches,
            SECRET,
        ))
    }
}

/// `examples/NAME.toml`.
///
/// # Panics
/// If there is no such file, or it is wrong.
pub fn example(name: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/{name}.toml"));
    Config::load(&path).unwrap_or_else(|error| panic!("{error}"))
}
