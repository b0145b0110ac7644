use super::*;

fn port(no: u32, name: &str) -> PortConfig {
    PortConfig {
        no: PortNo(no),
        name: name.to_owned(),
        mtu: 1500,
        vlan: VlanMode::TrunkAll,
    }
}

fn numbers(ports: &PortTable) -> Vec<(u16, u32)> {
    ports
        .iter()
        .map(|(index, port)| (index.0, port.no.0))
        .collect()
}

#[test]
fn a_removed_port_keeps_its_place_until_there_is_no_other() {
    let ports = PortTable::new(vec![port(1, "a"), port(2, "b"), port(3, "c")]);
    let down = PortFlags {
        down: true,
        ..PortFlags::default()
    };
    let ports = ports
        .with_flags(PortIndex(1), down)
        .without_port(PortIndex(1));
    assert_eq!(numbers(&ports), [(0, 1), (2, 3)]);
    assert_eq!(ports.index_of(PortNo(2)), None);
    assert_eq!(ports.port(PortIndex(1)).name, "b", "for packets under way");

    let (ports, index) = ports.with_port(port(4, "d"), 4).expect("a place is left");
    assert_eq!(index, PortIndex(3));
    let ports = ports.without_port(PortIndex(0));
    let (same, index) = ports.with_port(port(2, "b"), 4).expect("its own is free");
    assert_eq!(index, PortIndex(1), "its own");
    assert_eq!(
        same.flags(index),
        PortFlags::default(),
        "nothing is left of what it was"
    );
    assert_eq!(numbers(&same), [(1, 2), (2, 3), (3, 4)]);
    let (_, index) = ports.with_port(port(1, "a"), 4).expect("its own is free");
    assert_eq!(index, PortIndex(0), "its own, though another went first");

    let (other, index) = ports
        .with_port(port(2, "other"), 4)
        .expect("a place is free");
    assert_eq!(index, PortIndex(1), "that of the port that went first");
    let (full, index) = other.with_port(port(9, "x"), 4).expect("a place is free");
    assert_eq!((index, full.len()), (PortIndex(0), 4));
    assert!(full.with_port(port(10, "y"), 4).is_none(), "all are taken");
}

#[test]
fn a_port_configured_otherwise_is_the_same_port() {
    let ports = PortTable::new(vec![port(1, "a")]);
    let tagged = PortConfig {
        vlan: VlanMode::Access(7),
        ..port(1, "a")
    };
    let changed = ports.with_config(PortIndex(0), tagged.clone());
    assert_eq!(changed.port(PortIndex(0)), &tagged);
    assert_eq!(changed.index_of(PortNo(1)), Some(PortIndex(0)));
}
