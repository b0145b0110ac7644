//! `conjunction(ID,K/N)` in the form in which a look-up reads it.

use super::Unsupported;
use crate::action::{Action, Instructions};

/// That a rule is clause number K of N of a conjunction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    /// What `conj_id` is when all clauses are there.
    pub id: u32,
    /// Clauses in all.
    pub clauses: u8,
    /// Bit K-1 is set.
    pub bits: u64,
}

impl Clause {
    /// The bits of all clauses.
    pub(crate) const fn all(&self) -> u64 {
        u64::MAX >> (64 - self.clauses)
    }
}

/// The clauses that a rule is, by ascending ID, one for each ID.
///
/// # Errors
/// [`Unsupported`] if there are any and the rule is to do something else, too: a clause by
/// itself does nothing.
pub(super) fn compile(instructions: &Instructions) -> Result<Box<[Clause]>, Unsupported> {
    let mut clauses: Vec<Clause> = Vec::new();
    let mut others = instructions.write_metadata.is_some() || instructions.goto_table.is_some();
    for action in &instructions.apply {
        match *action {
            Action::Conjunction {
                id,
                clause,
                clauses: count,
            } => clauses.push(Clause {
                id,
                clauses: count,
                bits: 1 << (clause - 1),
            }),
            Action::Note(_) => {}
            _ => others = true,
        }
    }
    if others && !clauses.is_empty() {
        let what = "an action other than note beside conjunction";
        return Err(Unsupported(what.into()));
    }
    // A stable sort: where clauses of one ID differ in their number, the first has its way.
    clauses.sort_by_key(|clause| clause.id);
    clauses.dedup_by(|next, kept| {
        let same = next.id == kept.id;
        kept.bits |= if same { next.bits } else { 0 };
        same
    });
    Ok(clauses.into())
}
