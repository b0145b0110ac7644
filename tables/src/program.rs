//! Instructions in the form in which lcores run them.
//!
//! Compiling is where a policy that asks for something weir does not execute is refused: a
//! [`Program`] holds only what the pipeline can do, so the pipeline cannot fail.

use weir_nat::NatSpec;

use crate::action::{Action, CtAction, Instructions, Subfield, TableId, ZoneSource};
use crate::field::{Access, Field, Prerequisite};
use crate::key::Slot;
use crate::port::PortNo;

mod clauses;
#[cfg(test)]
mod tests;

pub(crate) use clauses::Clause;

/// What a rule does.
#[derive(Debug, Default)]
pub struct Program {
    /// The clauses of conjunctions that it is, by ascending ID; it then does nothing else.
    pub(crate) clauses: Box<[Clause]>,
    /// The apply list.
    pub(crate) ops: Box<[Op]>,
    /// Where the packet goes on.
    pub(crate) goto_table: Option<TableId>,
}

/// One step.
#[derive(Debug)]
pub(crate) enum Op {
    Output(PortNo),
    OutputField(Bits),
    /// Runs buckets of this group on copies of the packet.
    Group(u32),
    Normal,
    Flood,
    InPort,
    /// Writes a constant.
    Set {
        dst: Bits,
        value: u128,
        mask: u128,
    },
    /// Copies `width` bits.
    Move {
        src: Bits,
        dst: Bits,
    },
    PushVlan(u16),
    PopVlan,
    DecTtl,
    Resubmit {
        port: Option<PortNo>,
        table: Option<TableId>,
    },
    Ct(Box<CtOp>),
    CtClear,
    Exit,
}

impl Op {
    /// Whether it only says where to look next.
    pub(crate) const fn is_jump(&self) -> bool {
        matches!(self, Self::Resubmit { .. })
    }
}

impl Op {
    /// Whether what it does depends on the packet in a way that no look-up shows.
    pub(crate) const fn reads_packet(&self) -> bool {
        match self {
            Self::OutputField(_)
            | Self::Normal
            | Self::PushVlan(_)
            | Self::PopVlan
            | Self::DecTtl
            | Self::Ct(_) => true,
            // What a group reads is noted where it chooses.
            Self::Group(_)
            | Self::Output(_)
            | Self::Flood
            | Self::InPort
            | Self::Set { .. }
            | Self::Move { .. }
            | Self::Resubmit { .. }
            | Self::CtClear
            | Self::Exit => false,
        }
    }
}

/// `ct(...)`
#[derive(Debug)]
pub(crate) struct CtOp {
    pub zone: Zone,
    pub commit: Option<CommitOp>,
    pub nat: Option<NatSpec>,
    pub table: Option<TableId>,
}

/// What `ct(commit)` does.
#[derive(Debug)]
pub(crate) struct CommitOp {
    pub force: bool,
    /// Writes to `ct_mark` and `ct_label`.
    pub exec: Box<[Op]>,
}

/// Where the zone comes from.
#[derive(Debug)]
pub(crate) enum Zone {
    Number(u16),
    Bits(Bits),
}

/// Some bits of the flow key, and what a packet must be for them to exist.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bits {
    pub slot: Slot,
    /// Lowest bit within the slot.
    pub start: u16,
    pub width: u16,
    pub field: Field,
    pub prerequisite: Prerequisite,
}

impl Bits {
    /// The bits set, right-aligned.
    pub(crate) const fn ones(&self) -> u128 {
        u128::MAX >> (128 - self.width as u32)
    }
}

/// A policy asks for something that weir parses but does not execute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not supported yet")]
pub struct Unsupported(pub String);

impl Program {
    /// Compiles `instructions`.
    ///
    /// # Errors
    /// [`Unsupported`] names the action or field that is not executed.
    pub fn compile(instructions: &Instructions) -> Result<Self, Unsupported> {
        if instructions.clear_actions {
            return Err(Unsupported("clear_actions".into()));
        }
        if !instructions.write_actions.is_empty() {
            return Err(Unsupported("write_actions".into()));
        }
        let mut ops = compile_list(&instructions.apply)?.into_vec();
        // Write-Metadata comes behind the list, so it is as good as an action at its end.
        if let Some((value, mask)) = instructions.write_metadata {
            let dst = writable(Subfield::whole(Field::METADATA))?;
            ops.push(Op::Set {
                dst,
                value: value.into(),
                mask: mask.into(),
            });
        }
        Ok(Self {
            clauses: clauses::compile(instructions)?,
            ops: ops.into(),
            goto_table: instructions.goto_table,
        })
    }

    /// Compiles a list of actions, in the order in which they are executed.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub(crate) fn of_list(actions: &[&Action]) -> Result<Self, Unsupported> {
        Ok(Self {
            ops: compile_list(actions.iter().copied())?,
            ..Self::default()
        })
    }
}

fn compile_list<'a>(
    actions: impl IntoIterator<Item = &'a Action>,
) -> Result<Box<[Op]>, Unsupported> {
    let mut ops = Vec::new();
    for action in actions {
        ops.extend(compile_action(action)?);
    }
    Ok(ops.into())
}

/// The step for `action`; `None` if there is nothing to do.
fn compile_action(action: &Action) -> Result<Option<Op>, Unsupported> {
    Ok(Some(match action {
        Action::Output(port) => compile_output(*port)?,
        Action::OutputField(subfield) => Op::OutputField(readable(*subfield)?),
        Action::SetField { field, value, mask } => Op::Set {
            dst: writable(Subfield::whole(*field))?,
            value: *value,
            mask: *mask,
        },
        Action::Load { value, dst } => {
            let dst = writable(*dst)?;
            Op::Set {
                dst,
                value: *value,
                mask: dst.ones(),
            }
        }
        Action::Move { src, dst } => Op::Move {
            src: readable(*src)?,
            dst: writable(*dst)?,
        },
        Action::PushVlan(ether_type) => Op::PushVlan(*ether_type),
        Action::PopVlan => Op::PopVlan,
        Action::DecTtl => Op::DecTtl,
        Action::Resubmit { ct: true, .. } => return Err(Unsupported("resubmit(...,ct)".into())),
        Action::Resubmit {
            port,
            table,
            ct: false,
        } => Op::Resubmit {
            port: *port,
            table: *table,
        },
        Action::Ct(ct) => Op::Ct(Box::new(compile_ct(ct)?)),
        Action::CtClear => Op::CtClear,
        Action::Exit => Op::Exit,
        // A clause is looked for, not run.
        Action::Note(_) | Action::Conjunction { .. } => return Ok(None),
        Action::Controller { .. } => return Err(Unsupported("CONTROLLER".into())),
        Action::Group(id) => Op::Group(*id),
    }))
}

fn compile_output(port: PortNo) -> Result<Op, Unsupported> {
    Ok(match port {
        PortNo::IN_PORT => Op::InPort,
        PortNo::NORMAL => Op::Normal,
        // No port has flooding turned off yet, so FLOOD and ALL are one.
        PortNo::FLOOD | PortNo::ALL => Op::Flood,
        PortNo::CONTROLLER | PortNo::TABLE | PortNo::NONE => {
            return Err(Unsupported(format!("output to {port}")));
        }
        port => Op::Output(port),
    })
}

fn compile_ct(ct: &CtAction) -> Result<CtOp, Unsupported> {
    if ct.alg.is_some() {
        return Err(Unsupported("ct(alg=...)".into()));
    }
    let zone = match ct.zone {
        ZoneSource::Number(zone) => Zone::Number(zone),
        ZoneSource::Field(subfield) => Zone::Bits(readable(subfield)?),
    };
    let commit = if ct.commit {
        Some(CommitOp {
            force: ct.force,
            exec: compile_exec(&ct.exec)?,
        })
    } else {
        None
    };
    Ok(CtOp {
        zone,
        commit,
        nat: ct.nat,
        table: ct.table,
    })
}

/// The list of `exec()`, which holds nothing but writes to `ct_mark` and `ct_label`.
fn compile_exec(actions: &[Action]) -> Result<Box<[Op]>, Unsupported> {
    let ops = compile_list(actions)?;
    let is_metadata = |field: Field| field.info().access == Access::CtExec;
    let only_writes = ops.iter().all(|op| match op {
        Op::Set { dst, .. } | Op::Move { dst, .. } => is_metadata(dst.field),
        _ => false,
    });
    if only_writes {
        Ok(ops)
    } else {
        let what = "an action other than a write to ct_mark or ct_label in exec()";
        Err(Unsupported(what.into()))
    }
}

/// Fields whose bits are in the key but which no packet fills yet.
pub(crate) fn is_executed(field: Field) -> bool {
    !matches!(
        field,
        Field::ACTSET_OUTPUT | Field::ND_TARGET | Field::ND_SLL | Field::ND_TLL
    ) && field.info().slot.is_some()
}

fn readable(subfield: Subfield) -> Result<Bits, Unsupported> {
    let info = subfield.field.info();
    match info.slot {
        Some(slot) if is_executed(subfield.field) => Ok(Bits {
            slot,
            start: subfield.start,
            // The whole of vlan_vid has one bit more: "a tag is there".
            width: if subfield.width == info.width {
                u16::from(slot.width())
            } else {
                subfield.width
            },
            field: subfield.field,
            prerequisite: info.prerequisite,
        }),
        _ => Err(Unsupported(format!("field {}", info.name))),
    }
}

fn writable(subfield: Subfield) -> Result<Bits, Unsupported> {
    match subfield.field.info().access {
        Access::ReadWrite | Access::CtExec => readable(subfield),
        Access::ReadOnly => Err(Unsupported(format!("writing {}", subfield.field.name()))),
    }
}
