//! Where a frame belongs, as far as its headers say.

use weir_ct::{Belongs, Owners, ShardId};
use weir_packet::{Frame, Layout, VecFrame, parse};

use crate::lcore::Lcore;
use crate::port::{PortIndex, PortNo};
use crate::snapshot::Snapshot;
use crate::tunnel::carried;

impl Lcore {
    /// Which other lcore deals with a frame that comes in at `in_port`, as far as is known here;
    /// `None`: this one does.
    pub(in crate::lcore) fn elsewhere(&self, frame: &VecFrame, in_port: PortNo) -> Option<usize> {
        let owners = self.tracker.owners()?;
        let in_port = self.snapshot.ports.index_of(in_port);
        let wire = belongs(owners, &self.snapshot, frame, in_port);
        let elsewhere = self.tracker.elsewhere(wire);
        elsewhere.map(|ShardId(other)| other.into())
    }
}

/// Where a frame belongs that comes in at `in_port`, or at none.
pub(super) fn belongs<F: Frame>(
    owners: &Owners,
    snapshot: &Snapshot,
    frame: &F,
    in_port: Option<PortIndex>,
) -> Belongs {
    let Ok(layout) = parse(frame.head(), frame.len()) else {
        return Belongs::Anywhere;
    };
    match in_port.filter(|port| snapshot.ports.tunnels().ride_on(*port)) {
        Some(over) => belongs_inside(owners, snapshot, frame, &layout, over),
        None => owners.belongs(frame.head(), &layout),
    }
}

/// Where a frame of a port belongs on which tunnels ride.
pub(super) fn belongs_inside<F: Frame>(
    owners: &Owners,
    snapshot: &Snapshot,
    frame: &F,
    layout: &Layout,
    over: PortIndex,
) -> Belongs {
    let (tunnels, options) = (snapshot.ports.tunnels(), &snapshot.options);
    let Some(at) = carried(frame, layout, over, tunnels, options) else {
        return owners.belongs(frame.head(), layout);
    };
    let head = frame.head().get(at..).unwrap_or_default();
    // Padding is not carried.
    let end = frame.len().min(layout.l3_end as usize);
    match parse(head, end.saturating_sub(at)) {
        Ok(inner) => owners.belongs(head, &inner),
        Err(_) => Belongs::Anywhere,
    }
}
