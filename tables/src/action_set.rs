//! The order in which an action set is executed (OpenFlow 1.3.5, 5.10; `ovs-actions(7)`, "The
//! Action Set"). The actions of a group's bucket are one.

use crate::action::Action;

/// When an action of a set is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Before the writes, in this order; of several the last one counts.
    Slot(u8),
    /// In the order of the set.
    Write,
    /// At the end: of all these only the highest, and of several the last. Without any, the
    /// whole set does nothing.
    Final(u8),
    /// Not at all.
    Nowhere,
}

const fn place(action: &Action) -> Place {
    match action {
        Action::PopVlan => Place::Slot(0),
        Action::PushVlan(_) => Place::Slot(1),
        Action::DecTtl(_) => Place::Slot(2),
        Action::SetField { .. }
        | Action::SetOption { .. }
        | Action::Load { .. }
        | Action::Move { .. } => Place::Write,
        Action::Ct(_) => Place::Final(0),
        Action::CtClear => Place::Final(1),
        Action::Resubmit { .. } => Place::Final(2),
        Action::Output(_) | Action::Controller(_) => Place::Final(3),
        Action::Group(_) => Place::Final(4),
        // So that it is refused by whoever compiles the set.
        Action::Unexecuted { in_set: true, .. } => Place::Write,
        Action::OutputCut { .. }
        | Action::OutputField(_)
        | Action::Conjunction { .. }
        | Action::Note(_)
        | Action::Exit
        | Action::Clone(_)
        | Action::Push(_)
        | Action::Pop(_)
        | Action::CheckPktLarger { .. }
        | Action::DeleteField(_)
        | Action::FinTimeout { .. }
        | Action::Unexecuted { in_set: false, .. } => Place::Nowhere,
    }
}

/// The actions of the set `actions` that are executed, in order.
pub fn in_order(actions: &[Action]) -> Vec<&Action> {
    let last = |wanted: Place| actions.iter().rev().find(|action| place(action) == wanted);
    let Some(end) = (0..=4).rev().find_map(|rank| last(Place::Final(rank))) else {
        return Vec::new();
    };
    let slots = (0..=2).filter_map(|slot| last(Place::Slot(slot)));
    let writes = actions
        .iter()
        .filter(|action| place(action) == Place::Write);
    slots.chain(writes).chain([end]).collect()
}

/// Whether an action has a place in a set.
pub fn has_place(action: &Action) -> bool {
    place(action) != Place::Nowhere
}

#[cfg(test)]
mod tests;
