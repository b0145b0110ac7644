//! Verbs about ports.

use std::sync::Arc;

use weir_tables::datapath::Datapath;
use weir_tables::lcore::{LcoreAnswer, LcoreRequest};
use weir_tables::port::{PortFlags, PortNo};

use super::{Management, gone};
use crate::control::{Failure, Frame, PortChange};

impl<D: Datapath> Management<D> {
    /// Switches something on or off at a port. Lcores obey from their next poll on; what their
    /// caches know is looked up anew.
    pub(super) fn change_port(
        &mut self,
        port: &str,
        change: PortChange,
    ) -> Result<Option<Frame>, Failure> {
        let ports = Arc::clone(&self.policy.ports);
        let mut known = ports.iter();
        let found = known.find(|(_, config)| config.name == port || config.no.to_string() == port);
        let Some((index, config)) = found else {
            return Err(Failure::input(format!("there is no port {port}")));
        };
        let (no, before) = (config.no, ports.flags(index));
        let after = changed(before, change);
        if after == before {
            return Ok(None);
        }
        self.policy.ports = Arc::new(ports.with_flags(index, after));
        self.policy.tables.ports_changed();
        self.publish();
        if after.down != before.down {
            self.datapath.show_link(no, !after.down);
        }
        Ok(None)
    }

    /// Forgets the MAC addresses that NORMAL has learned.
    pub(super) fn flush_macs(&mut self) -> Result<Frame, Failure> {
        for lcore in 0..self.datapath.counters().len() {
            match self.datapath.ask(lcore, LcoreRequest::FlushMacs) {
                Ok(LcoreAnswer::MacsFlushed) => {}
                Ok(other) => unreachable!("an lcore answers what it was asked, not {other:?}"),
                Err(error) => return Err(gone(error)),
            }
        }
        Ok(Frame::Lines(vec!["table successfully flushed".to_owned()]))
    }

    /// What is switched off at port `no`.
    pub(super) fn port_flags(&self, no: PortNo) -> PortFlags {
        let ports = &self.policy.ports;
        let index = ports.index_of(no);
        index.map_or_else(PortFlags::default, |index| ports.flags(index))
    }
}

const fn changed(before: PortFlags, change: PortChange) -> PortFlags {
    let mut flags = before;
    match change {
        PortChange::Up => flags.down = false,
        PortChange::Down => flags.down = true,
        PortChange::Receive => flags.no_receive = false,
        PortChange::NoReceive => flags.no_receive = true,
        PortChange::Flood => flags.no_flood = false,
        PortChange::NoFlood => flags.no_flood = true,
        PortChange::Forward => flags.no_forward = false,
        PortChange::NoForward => flags.no_forward = true,
    }
    flags
}
