//! From operations back to the actions that they were compiled from, for those who explain.
//!
//! Invariant: what is said here of a list has the length and order of what
//! [`super::Program::compile`] makes of it.

use crate::action::{Action, Instructions};

/// What an operation stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    Action(&'a Action),
    ClearActions,
    WriteActions(&'a [Action]),
    WriteMetadata(u64, u64),
    /// The copy that `clone()` made is done with.
    EndOfCopy,
}

/// What each operation of the program of `instructions` stands for.
pub(crate) fn sources(instructions: &Instructions) -> Vec<Source<'_>> {
    let Instructions {
        apply,
        clear_actions,
        write_actions,
        write_metadata,
        ..
    } = instructions;
    let clear = clear_actions.then_some(Source::ClearActions);
    let write = (!write_actions.is_empty()).then_some(Source::WriteActions(write_actions));
    let metadata = write_metadata.map(|(value, mask)| Source::WriteMetadata(value, mask));
    let [apply, set] = [apply, write_actions].map(|actions| {
        let actions: Vec<_> = actions.iter().collect();
        let list = sources_of_list(&actions).into_iter();
        list.map(|action| action.map_or(Source::EndOfCopy, Source::Action))
    });
    apply
        .chain(clear)
        .chain(write)
        .chain(metadata)
        .chain(set)
        .collect()
}

/// The same for a list of actions; `None`: a copy is done with.
pub(crate) fn sources_of_list<'a>(actions: &[&'a Action]) -> Vec<Option<&'a Action>> {
    let mut all = Vec::new();
    for &action in actions {
        match action {
            Action::Note(_) | Action::Conjunction { .. } => {}
            Action::Clone(inner) => {
                let inner: Vec<_> = inner.iter().collect();
                all.push(Some(action));
                all.extend(sources_of_list(&inner));
                all.push(None);
            }
            _ => all.push(Some(action)),
        }
    }
    all
}
