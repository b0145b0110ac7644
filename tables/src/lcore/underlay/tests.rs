use std::net::IpAddr;
use std::sync::Arc;

use weir_ct::Settings;
use weir_packet::{VecFrame, text};

use super::*;
use crate::action::{Action, Instructions, TableId};
use crate::cache::TrajectorySettings;
use crate::classifier::HashSecret;
use crate::field::Field;
use crate::flow_mod::FlowMod;
use crate::flow_tables::FlowTables;
use crate::port::{PortConfig, PortNo, PortTable, VlanMode};
use crate::tunnel::{Remote, TunnelConfig, TunnelKey, TunnelKind, Tunnels};

#[derive(Default)]
struct Sent(Vec<PortIndex>);

impl Output<VecFrame> for Sent {
    fn send(&mut self, port: PortIndex, _frame: VecFrame) {
        self.0.push(port);
    }
}

/// Port 1 is below, port 2 above, port 9 a VXLAN tunnel from anywhere. What comes from
/// 192.0.2.7 goes to port 2.
fn lcore() -> Lcore {
    let port = |no: u32| PortConfig {
        no: PortNo(no),
        name: format!("p{no}"),
        mtu: 1500,
        vlan: VlanMode::TrunkAll,
    };
    let config = TunnelConfig {
        kind: TunnelKind::Vxlan,
        over: PortIndex(0),
        local: IpAddr::from([192, 0, 2, 1]),
        remote: Remote::Flow,
        key: TunnelKey::Flow,
        dst_port: 4789,
    };
    let ports = PortTable::new([1, 2, 9].map(port).to_vec());
    let ports = ports.with_tunnels(Tunnels::new(&[(PortIndex(2), config)], &[]));
    let mut tables = FlowTables::new(1, HashSecret(1));
    let mut flow = FlowMod {
        table: Some(TableId(0)),
        instructions: Instructions {
            apply: vec![Action::Output(PortNo(2))],
            ..Instructions::default()
        },
        ..FlowMod::default()
    };
    flow.matches.set_exact(Field::TUN_SRC, 0xc000_0207);
    tables.apply(&[flow], Tick::ZERO).expect("a right flow");
    let snapshot = Arc::new(tables.snapshot(&Arc::new(ports)));
    Lcore::new(0, snapshot, &Settings::default(), 1)
        .with_trajectories(TrajectorySettings { entries: 64 })
}

impl Lcore {
    /// A packet comes through the tunnel from 192.0.2.`end`; returns whether it goes to port 2.
    fn comes_through(&mut self, end: u8) -> bool {
        let inner = text::frame("udp 10.0.0.1:1 > 10.0.0.2:2");
        let header = [8, 0, 0, 0, 0, 0, 5, 0];
        let hex: String = [&header, inner.bytes()]
            .concat()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let frame = text::frame(&format!("udp 192.0.2.{end}:5 > 192.0.2.1:4789 data={hex}"));
        let mut out = Sent::default();
        self.process(
            PortIndex(0),
            std::iter::once(frame),
            Tick::from_millis(5),
            &mut out,
        );
        out.0 == [PortIndex(1)]
    }

    fn hits(&self) -> u64 {
        self.trajectory_stats().hits
    }
}

#[test]
fn a_number_that_is_given_again_finds_nothing_of_the_end_that_had_it() {
    let mut lcore = lcore();
    assert!(lcore.comes_through(7) && lcore.comes_through(7));
    assert_eq!(lcore.hits(), 1);
    lcore.ingress.use_up();
    // Those that have no number go the long way; those that have one are still remembered.
    assert!(!lcore.comes_through(8) && lcore.comes_through(7));
    assert_eq!(lcore.hits(), 2);
    for _ in 0..64 {
        assert!(lcore.ingress.is_used_up());
        lcore.housekeep(Tick::from_millis(5), 1);
    }
    assert!(!lcore.ingress.is_used_up());
    // Now 8 has the number that 7 had.
    assert!(!lcore.comes_through(8) && !lcore.comes_through(8));
    assert_eq!(lcore.hits(), 3);
    assert!(lcore.comes_through(7));
}
