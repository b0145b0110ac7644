//! From what can run back to text.

use toml::Spanned;
use weir_ct::{Timeouts, ZoneSettings};
use weir_tables::field::Field;
use weir_tables::port::PortNo;
use weir_tables::tunnel::options::TlvMapping;
use weir_tables::tunnel::{Remote, TunnelKey, TunnelKind};

use super::raw;
use super::{Config, Device, FailMode, FlowSource, Neighbour, Port, Vlans, timeouts};

pub(super) fn to_toml(config: &Config) -> String {
    let eal = &config.eal;
    let file = raw::File {
        eal: Some(raw::Eal {
            lcores: typed(
                eal.lcores
                    .iter()
                    .map(|&lcore| placeless(i64::from(lcore)))
                    .collect(),
            ),
            shards: eal.shards.and_then(|shards| typed(i64::from(shards))),
            hugepages: Some(eal.hugepages),
            memory_mb: typed(eal.memory_mb.into()),
            mbufs: typed(eal.mbufs.into()),
            args: Some(eal.args.clone()),
            rss: Some(eal.rss),
            idle_sleep_us: typed(i64::try_from(eal.idle_sleep.as_micros()).unwrap_or(i64::MAX)),
        }),
        port: config
            .ports
            .iter()
            .map(|port| placeless(raw_port(port)))
            .collect(),
        neighbour: config
            .neighbours
            .iter()
            .map(|neighbour| placeless(raw_neighbour(neighbour)))
            .collect(),
        geneve_option: config
            .options
            .iter()
            .map(|option| placeless(raw_option(option)))
            .collect(),
        bridge: Some(raw::Bridge {
            name: typed(config.bridge.name.clone()),
            flows: Some(sources(&config.bridge.flows)),
            groups: (!config.bridge.groups.is_empty()).then(|| sources(&config.bridge.groups)),
            fail_mode: typed(
                match config.bridge.fail_mode {
                    FailMode::Secure => "secure",
                    FailMode::Standalone => "standalone",
                }
                .to_owned(),
            ),
        }),
        cache: Some(raw::Cache {
            trajectories: typed(
                config
                    .caches
                    .trajectories
                    .map_or(0, |cache| int(cache.entries)),
            ),
            megaflows: typed(
                config
                    .caches
                    .megaflows
                    .map_or(0, |cache| int(cache.entries)),
            ),
            masks_per_port: config
                .caches
                .megaflows
                .and_then(|cache| typed(int(cache.masks_per_port))),
        }),
        conntrack: Some(raw::Conntrack {
            max_connections: typed(config.conntrack.max_connections.into()),
            tcp_loose: Some(config.conntrack.tcp_loose),
            tcp_liberal: Some(config.conntrack.tcp_liberal),
            zone_limit: config.conntrack.zone_limit.map(|n| placeless(n.into())),
            accounting: Some(config.conntrack.accounting),
            timeouts: Some(seconds(&config.conntrack.timeouts)),
        }),
        zone: config.conntrack.zones.iter().map(raw_zone).collect(),
        controller: Some(raw::Controller {
            slots: typed(int(config.controller.waiting)),
            rate: typed(config.controller.rate.into()),
            burst: typed(config.controller.burst.into()),
        }),
        fragments: Some(raw::Fragments {
            waiting: typed(config.fragments.pieces.into()),
        }),
        control: Some(raw::Control {
            socket: typed(config.control.socket.display().to_string()),
            mode: typed(format!("{:04o}", config.control.mode)),
            owner: config.control.owner.clone().map(placeless),
            group: config.control.group.clone().map(placeless),
        }),
        metrics: config.metrics.map(|listen| raw::Metrics {
            listen: typed(listen.to_string()),
        }),
    };
    toml::to_string(&file).expect("tables with text keys, no value that TOML lacks")
}

fn raw_zone((id, zone): (&u16, &ZoneSettings)) -> Spanned<raw::Zone> {
    placeless(raw::Zone {
        id: typed(i64::from(*id)),
        tcp_loose: zone.tcp_loose,
        tcp_liberal: zone.tcp_liberal,
        limit: zone.limit.map(|n| placeless(n.into())),
        source_limit: zone.source_limit.map(|n| placeless(n.into())),
        timeouts: zone.timeouts.as_ref().map(seconds),
    })
}

fn seconds(all: &Timeouts) -> raw::Seconds {
    timeouts::all(all)
        .map(|(name, timeout)| {
            let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
            (placeless(name.to_owned()), placeless(seconds))
        })
        .collect()
}

/// A length as TOML has it.
fn int(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

fn raw_port(port: &Port) -> raw::Port {
    let (tag, trunks) = match &port.vlans {
        Vlans::Access(tag) => (typed(i64::from(*tag)), None),
        Vlans::All => (None, None),
        Vlans::Trunk(vlans) => (
            None,
            typed(
                vlans
                    .iter()
                    .map(|vlan| placeless(i64::from(*vlan)))
                    .collect(),
            ),
        ),
    };
    let (vdev, pci) = match &port.device {
        None => (None, None),
        Some(Device::Pci(address)) => (None, typed(address.clone())),
        Some(Device::Vdev(vdev)) => (typed(vdev.clone()), None),
    };
    let is_local = port.id == PortNo::LOCAL;
    let port_without_tunnel = raw::Port {
        name: typed(port.name.clone()),
        id: (!is_local).then(|| placeless(port.id.0.into())),
        local: is_local.then(|| placeless(true)),
        vdev,
        pci,
        tag,
        trunks,
        ..raw::Port::default()
    };
    match &port.tunnel {
        None => raw::Port {
            queues: port.queues.map(|queues| placeless(queues.into())),
            rxq_affinity: raw_affinity(port),
            mtu: typed(port.mtu.into()),
            ..port_without_tunnel
        },
        Some(tunnel) => raw::Port {
            kind: typed(tunnel.kind.name().to_owned()),
            over: typed(tunnel.over.clone()),
            local_ip: typed(tunnel.local.to_string()),
            remote_ip: typed(match tunnel.remote {
                Remote::Address(address) => address.to_string(),
                Remote::Flow => "flow".to_owned(),
            }),
            key: match tunnel.key {
                TunnelKey::Absent => None,
                TunnelKey::Number(key) => typed(toml::Value::Integer(key.into())),
                TunnelKey::Flow => typed(toml::Value::String("flow".to_owned())),
            },
            dst_port: match tunnel.kind {
                TunnelKind::Gre => None,
                TunnelKind::Geneve | TunnelKind::Vxlan => typed(tunnel.dst_port.into()),
            },
            ..port_without_tunnel
        },
    }
}

fn raw_affinity(port: &Port) -> raw::Typed<raw::Affinity> {
    let all = port.affinity.iter();
    let all = all.map(|(queue, lcore)| (placeless(queue.to_string()), placeless((*lcore).into())));
    (!port.affinity.is_empty()).then(|| placeless(all.collect()))
}

fn raw_neighbour(neighbour: &Neighbour) -> raw::Neighbour {
    let mac = neighbour.mac.map(|byte| format!("{byte:02x}"));
    raw::Neighbour {
        port: typed(neighbour.port.clone()),
        ip: typed(neighbour.ip.to_string()),
        mac: typed(mac.join(":")),
    }
}

fn raw_option(option: &TlvMapping) -> raw::GeneveOption {
    raw::GeneveOption {
        class: typed(option.class.into()),
        r#type: typed(option.option_type.into()),
        len: typed(option.size.into()),
        field: typed(Field::tun_metadata(option.index).name().to_owned()),
    }
}

fn sources(sources: &[FlowSource]) -> Vec<Spanned<String>> {
    let name = |source: &FlowSource| match source {
        FlowSource::Embedded(text) => text.name.clone(),
        FlowSource::File(path) => path.display().to_string(),
    };
    sources.iter().map(|one| placeless(name(one))).collect()
}

fn typed<T>(value: T) -> raw::Typed<T> {
    Some(placeless(value))
}

fn placeless<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}
