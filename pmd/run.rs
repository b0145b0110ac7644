//! `weir run`: the switch in the foreground, until a signal ends it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use weir_config::cli::{CacheLevel, Run};
use weir_config::control::{Limits, Server};
use weir_config::file::Config;
use weir_config::management::Management;
use weir_config::policy::Policy;
use weir_config::verbs::Exit;
use weir_packet::Tick;
use weir_pmd::eal::EalArgs;
use weir_pmd::switch::{Switch, SwitchArgs};
use weir_pmd::worker::WorkerSettings;
use weir_tables::classifier::HashSecret;
use weir_tables::port::PortIndex;

/// Runs the switch; returns when it has stopped and nothing of it is left.
pub(crate) fn run(arguments: Run) -> Exit {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::builder()
                .with_default_directive(tracing::Level::INFO.into())
                .from_env_lossy(),
        )
        .with_writer(std::io::stderr)
        // A log in a file has no colours.
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    match attempt(arguments) {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("weir: {error}");
            Exit::Input
        }
    }
}

/// What stopped the switch from running, in words for its user.
type Failure = Box<dyn std::error::Error>;

fn attempt(arguments: Run) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let file = arguments.config;
    let config = match &file {
        Some(file) => Config::load(file).map_err(|error| error.to_string())?,
        None => Config::embedded(),
    };
    config
        .require_devices()
        .map_err(|error| error.to_string())?;
    let secret = arguments.secret.unwrap_or_else(random);
    let mut policy = Policy::load(
        &config,
        config.eal.shard_count(),
        HashSecret(secret),
        Tick::ZERO,
    )
    .map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    let snapshot = Arc::new(policy.tables.snapshot(&policy.ports));
    let switch = Switch::start(
        switch_args(&config, &policy, secret, arguments.no_cache),
        &snapshot,
    )?;
    let mut control = config.control.clone();
    if let Some(socket) = arguments.socket {
        control.socket = socket;
    }
    let server = Server::start(&control, Limits::default())?;
    tracing::info!(
        "{} runs with {} ports; socket {}",
        config.bridge.name,
        config.ports.len(),
        control.socket.display()
    );
    let management = Management::new(config, file, policy, switch);
    let mut management = management
        .with_metrics(server.asker())
        .map_err(|error| format!("metrics: {error}"))?;
    management.run(&server.requests(), || stop.load(Ordering::Relaxed));
    tracing::info!("stopping");
    drop(management);
    drop(server);
    Ok(())
}

fn switch_args(
    config: &Config,
    policy: &Policy,
    secret: u64,
    no_cache: Option<CacheLevel>,
) -> SwitchArgs {
    let eal = &config.eal;
    let devices = (0..).map(PortIndex).zip(&config.ports);
    let devices = devices.filter(|(_, port)| port.tunnel.is_none());
    let ports = devices.map(|(index, port)| {
        let device = port.device_config().expect("require_devices() was asked");
        (index, device)
    });
    SwitchArgs {
        eal: EalArgs {
            worker_cpus: eal.lcores.clone(),
            hugepages: eal.hugepages,
            memory_mb: eal.memory_mb,
            pci: config.uses_pci(),
            extra: eal.args.clone(),
        },
        cpus: (0..eal.shard_count())
            .map(|shard| eal.lcores[shard % eal.lcores.len()])
            .collect(),
        mbufs_per_node: eal.mbufs,
        ports: ports.collect(),
        rss: eal.rss,
        worker: WorkerSettings {
            idle_sleep: eal.idle_sleep,
            ..WorkerSettings::default()
        },
        caches: no_cache.map_or(config.caches, |level| level.off(config.caches)),
        conntrack: policy.conntrack.clone(),
        fragments: config.fragments,
        packet_ins: config.controller,
        secret,
    }
}

/// A number that nobody outside can guess; from the operating system, by way of the standard
/// library's hash keys.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
