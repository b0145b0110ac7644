//! New connections while a pool runs out, through everything that an lcore does with a frame.

use std::cell::RefCell;

use weir_ct::Filter;

use super::forwarder::{Caches, Forwarder};
use super::meter::{Cost, Meter};
use super::store::Store;
use super::tracking::{OPENED, POOL, between};
use crate::captures::Direction;
use crate::failure::Failure;
use crate::scenario::Scenario;

/// The first packets of [`OPENED`] connections of the scenario `snat`, translated to one outside
/// address that has `percent` of [`POOL`] ports taken towards their destination.
///
/// # Errors
/// If they do not all get a port.
pub(super) fn opening(meter: &Meter, percent: u32) -> Result<Cost, Failure> {
    let mut scenario = Scenario::named("snat-1k").expect("a scenario");
    scenario.policy.translates_to = Some("203.0.113.1:1024-61023");
    scenario.traffic = between([10, 0, 0, 1]);
    let comes = Store::new(&between([10, 0, 0, 2]), Direction::Forward);
    let mut forwarder = Forwarder::new(&scenario, Caches::Trajectories)?;
    let taken = (POOL * percent / 100) as usize;
    let mut sent = forwarder.first(Direction::Forward, taken);
    let filter = Filter::parse(&["ct_nw_src=10.0.0.2"]).expect("it is one");
    let forwarder = RefCell::new(forwarder);
    let mut samples = 0;
    let cost = meter.measure_with(
        OPENED as u64,
        || forwarder.borrow_mut().forget_connections(filter),
        |()| {
            sent += forwarder.borrow_mut().other(&comes, OPENED);
            samples += 1;
        },
    );
    if sent != (taken + samples * OPENED) as u64 {
        let message = format!("{percent} % of the ports taken: {sent} connections were opened");
        return Err(Failure::Unproven(message));
    }
    Ok(cost)
}
