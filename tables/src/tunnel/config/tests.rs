use std::collections::HashMap as Model;

use proptest::prelude::*;

use super::*;

fn ip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn config(
    kind: TunnelKind,
    over: u16,
    local: u8,
    remote: Option<u8>,
    key: Option<u32>,
) -> TunnelConfig {
    TunnelConfig {
        kind,
        over: PortIndex(over),
        local: ip(local),
        remote: remote.map_or(Remote::Flow, |remote| Remote::Address(ip(remote))),
        key: key.map_or(TunnelKey::Flow, TunnelKey::Number),
        dst_port: kind.default_port().unwrap_or(0),
    }
}

fn any_config() -> impl Strategy<Value = TunnelConfig> {
    (
        prop::sample::select(&TunnelKind::ALL[..]),
        0..2_u16,
        0..2_u8,
        prop::option::of(0..3_u8),
        prop::option::of(0..3_u32),
    )
        .prop_map(|(kind, over, local, remote, key)| config(kind, over, local, remote, key))
}

proptest! {
    /// The port found takes the packet, and none that is more specific does.
    #[test]
    fn the_most_specific_is_found(
        configs in prop::collection::vec(any_config(), 0..40),
        packet in any_config(),
        src in 0..3_u8,
        key in 0..3_u32,
    ) {
        let mut unique: Model<Wanted, TunnelConfig> = Model::new();
        for config in configs {
            unique.insert(Wanted::of(&config), config);
        }
        let list: Vec<_> = (10..).map(PortIndex).zip(unique.into_values()).collect();
        let tunnels = Tunnels::new(&list, &[]);
        let packet = TunnelConfig { remote: Remote::Flow, key: TunnelKey::Flow, ..packet };
        let takes = |config: &TunnelConfig| {
            config.kind == packet.kind
                && config.over == packet.over
                && config.local == packet.local
                && matches!(config.key, TunnelKey::Flow | TunnelKey::Number(_))
                && (config.key == TunnelKey::Flow || config.key == TunnelKey::Number(key))
                && (config.remote == Remote::Flow || config.remote == Remote::Address(ip(src)))
        };
        // As in Open vSwitch: the key first, then the address.
        let rank = |config: &TunnelConfig| (config.key == TunnelKey::Flow, config.remote == Remote::Flow);
        let best = list.iter().filter(|(_, config)| takes(config)).min_by_key(|(_, config)| rank(config));
        prop_assert_eq!(tunnels.find(&packet, ip(src), key), best.map(|(port, _)| *port));
    }
}

#[test]
fn ports_know_what_they_are() {
    let known = StaticNeighbour {
        over: PortIndex(2),
        ip: ip(9),
        mac: [2; 6],
    };
    let vxlan = config(TunnelKind::Vxlan, 2, 1, None, None);
    let gre = config(TunnelKind::Gre, 2, 1, None, None);
    let tunnels = Tunnels::new(&[(PortIndex(5), vxlan), (PortIndex(3), gre)], &[known]);
    assert_eq!(tunnels.of(PortIndex(5)), Some(&vxlan));
    assert_eq!(
        (tunnels.of(PortIndex(2)), tunnels.of(PortIndex(9))),
        (None, None)
    );
    assert!(tunnels.ride_on(PortIndex(2)) && !tunnels.ride_on(PortIndex(5)));
    assert!(tunnels.is_local(PortIndex(2), ip(1)) && !tunnels.is_local(PortIndex(3), ip(1)));
    assert_eq!(tunnels.service(4789), Some(TunnelKind::Vxlan));
    assert_eq!((tunnels.service(6081), tunnels.service(0)), (None, None));
    assert_eq!(tunnels.neighbour(PortIndex(2), ip(9)), Some([2; 6]));
    assert_eq!(tunnels.neighbour(PortIndex(1), ip(9)), None);
    assert_eq!(tunnels.neighbours().collect::<Vec<_>>(), [known]);
    assert!(Tunnels::default().is_empty() && !tunnels.is_empty());
}

#[test]
fn no_key_is_received_as_key_0() {
    let absent = TunnelConfig {
        key: TunnelKey::Absent,
        ..config(TunnelKind::Gre, 0, 1, None, None)
    };
    let tunnels = Tunnels::new(&[(PortIndex(1), absent)], &[]);
    let packet = config(TunnelKind::Gre, 0, 1, None, None);
    assert_eq!(tunnels.find(&packet, ip(2), 0), Some(PortIndex(1)));
    assert_eq!(tunnels.find(&packet, ip(2), 1), None);
}
