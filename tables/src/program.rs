//! Instructions in the form in which lcores run them.
//!
//! Compiling is where a policy that asks for something weir does not execute is refused: a
//! [`Program`] holds only what the pipeline can do, so the pipeline cannot fail.

use weir_ct::{Helper, ZoneDir};
use weir_nat::NatSpec;

use crate::action::{
    Action, Alg, ControllerAction, CtAction, Instructions, PacketInReason, Subfield, TableId,
    ZoneSource,
};
use crate::field::{Access, Field, Prerequisite};
use crate::key::{Slot, word};
use crate::packet_in::USERDATA_MAX;
use crate::port::PortNo;
use crate::tunnel::options::{Piece, Place, TlvMap};

mod clauses;
mod sources;
#[cfg(test)]
mod tests;

pub(crate) use clauses::Clause;
pub(crate) use sources::{Source, sources, sources_of_list};

/// What a rule does.
#[derive(Debug, Default)]
pub struct Program {
    /// The clauses of conjunctions that it is, by ascending ID; it then does nothing else.
    pub(crate) clauses: Box<[Clause]>,
    /// The apply list, and behind it what `write_actions` adds to the action set.
    pub(crate) ops: Box<[Op]>,
    /// How many of them are the apply list.
    pub(crate) applied: usize,
    /// Where the packet goes on.
    pub(crate) goto_table: Option<TableId>,
    /// What `fin_timeout` makes of the rule's timeouts.
    pub(crate) fin_timeout: Option<FinTimeout>,
    /// What `write_actions` makes of actset_output.
    pub(crate) set_output: Option<SetOutput>,
}

/// Where a packet goes if nothing else is written to its action set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetOutput {
    Port(PortNo),
    Group,
}

/// A rule's timeouts in seconds, once a connection ends; 0: as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FinTimeout {
    pub idle: u16,
    pub hard: u16,
}

/// One step.
#[derive(Debug)]
pub(crate) enum Op {
    Output(PortNo),
    /// What is sent is cut to so many bytes.
    OutputCut {
        port: PortNo,
        max_len: u32,
    },
    OutputField(Bits),
    /// Runs buckets of this group on copies of the packet.
    Group(u32),
    Normal,
    Flood,
    All,
    InPort,
    /// Writes a constant.
    Set {
        dst: Bits,
        value: u128,
        mask: u128,
    },
    /// Writes constants to whole words: `tun_metadata` fields, which may be long.
    Words(Box<[WordWrite]>),
    /// Copies `width` bits.
    Move {
        src: Bits,
        dst: Bits,
    },
    PushVlan(u16),
    PopVlan,
    /// Which controllers hear of a TTL that has run out.
    DecTtl(Box<[u16]>),
    Controller(Box<PacketInOp>),
    Resubmit {
        port: Option<PortNo>,
        table: Option<TableId>,
        /// Whether the look-up sees the connection's original tuple.
        ct: bool,
    },
    Ct(Box<CtOp>),
    CtClear,
    Exit,
    /// What stands before the operation `end`, an [`Op::EndClone`], is done to a copy.
    Clone {
        end: usize,
    },
    EndClone,
    Push(Bits),
    Pop(Bits),
    /// Whether the frame without its tags has more than `size` bytes.
    CheckLarger {
        size: u16,
        dst: Bits,
    },
    /// Tells the rule's keeper of a connection's end.
    FinTimeout,
    ClearSet,
    /// Adds the operations behind the apply list to the action set.
    WriteSet,
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
            | Self::OutputCut { .. }
            | Self::Normal
            | Self::PushVlan(_)
            | Self::PopVlan
            | Self::DecTtl(_)
            | Self::Controller(_)
            | Self::Ct(_)
            | Self::Clone { .. }
            | Self::EndClone
            | Self::Push(_)
            | Self::Pop(_)
            | Self::CheckLarger { .. }
            | Self::FinTimeout => true,
            // What a group reads is noted where it chooses.
            Self::Group(_)
            | Self::Output(_)
            | Self::Flood
            | Self::All
            | Self::InPort
            | Self::Set { .. }
            | Self::Words(_)
            | Self::Move { .. }
            | Self::Resubmit { .. }
            | Self::CtClear
            | Self::Exit
            | Self::ClearSet
            | Self::WriteSet => false,
        }
    }
}

/// `controller(...)`. How much of the packet is wanted counts only where the rest is kept, and
/// nobody keeps it: so all of it is sent.
#[derive(Debug)]
pub(crate) struct PacketInOp {
    pub reason: PacketInReason,
    pub controller: u16,
    pub userdata: Box<[u8]>,
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
    /// The direction that alone is in the zone.
    pub zone_dir: Option<ZoneDir>,
    /// What looks into the payload of a connection that is created.
    pub helper: Option<Helper>,
    /// Writes to `ct_mark` and `ct_label`.
    pub exec: Box<[Op]>,
}

/// Where the zone comes from.
#[derive(Debug)]
pub(crate) enum Zone {
    Number(u16),
    Bits(Bits),
}

/// A write to some bits of a word of the flow key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WordWrite {
    pub word: u8,
    /// The bits written.
    pub mask: u64,
    /// What they are then.
    pub value: u64,
}

/// Some bits of the flow key, and what a packet must be for them to exist.
#[derive(Clone, Debug)]
pub(crate) struct Bits {
    pub place: BitsPlace,
    pub width: u16,
    pub field: Field,
    pub prerequisite: Prerequisite,
}

/// Where bits lie in the flow key.
#[derive(Clone, Debug)]
pub(crate) enum BitsPlace {
    Slot {
        slot: Slot,
        /// Lowest bit within the slot.
        start: u16,
    },
    /// In a `tun_metadata` field.
    Option {
        /// The lowest bits first.
        pieces: Box<[Piece]>,
        /// The field's bit in the word that says which fields the packet has.
        present: u64,
    },
}

impl Bits {
    /// The bits set, right-aligned; no more than 128 of them.
    pub(crate) const fn ones(&self) -> u128 {
        match self.width {
            0..128 => u128::MAX >> (128 - self.width as u32),
            _ => u128::MAX,
        }
    }
}

/// A policy asks for something that weir parses but does not execute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not supported yet")]
pub struct Unsupported(pub String);

impl Program {
    /// Whether it gives connections helpers.
    pub(crate) fn helps(&self) -> bool {
        self.ops.iter().any(|op| match op {
            Op::Ct(ct) => ct
                .commit
                .as_ref()
                .is_some_and(|commit| commit.helper.is_some()),
            _ => false,
        })
    }

    /// Compiles `instructions`; `map` says where `tun_metadata` fields lie.
    ///
    /// # Errors
    /// [`Unsupported`] names the action or field that is not executed.
    pub fn compile(instructions: &Instructions, map: &TlvMap) -> Result<Self, Unsupported> {
        let mut ops = Vec::with_capacity(instructions.apply.len());
        compile_list(&instructions.apply, map, &mut ops)?;
        if instructions.clear_actions {
            ops.push(Op::ClearSet);
        }
        if !instructions.write_actions.is_empty() {
            ops.push(Op::WriteSet);
        }
        // Write-Metadata comes behind the list, so it is as good as an action at its end.
        if let Some((value, mask)) = instructions.write_metadata {
            let dst = writable(Subfield::whole(Field::METADATA), map)?;
            ops.push(Op::Set {
                dst,
                value: value.into(),
                mask: mask.into(),
            });
        }
        let applied = ops.len();
        compile_list(&instructions.write_actions, map, &mut ops)?;
        Ok(Self {
            clauses: clauses::compile(instructions)?,
            ops: ops.into(),
            applied,
            goto_table: instructions.goto_table,
            fin_timeout: fin_timeout(&instructions.apply),
            set_output: set_output(&instructions.write_actions),
        })
    }

    /// Compiles a list of actions, in the order in which they are executed.
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub(crate) fn of_list(actions: &[&Action], map: &TlvMap) -> Result<Self, Unsupported> {
        let mut ops = Vec::with_capacity(actions.len());
        for action in actions {
            compile_action(action, map, &mut ops)?;
        }
        Ok(Self {
            applied: ops.len(),
            ops: ops.into(),
            ..Self::default()
        })
    }

    /// What is added to the action set.
    pub(crate) fn write(&self) -> &[Op] {
        &self.ops[self.applied..]
    }
}

/// What writing `actions` makes of actset_output: the last output, unless there is a group.
fn set_output(actions: &[Action]) -> Option<SetOutput> {
    let mut output = None;
    for action in actions {
        match action {
            Action::Output(port) => output = Some(SetOutput::Port(*port)),
            Action::Controller(_) => output = Some(SetOutput::Port(PortNo::CONTROLLER)),
            Action::Group(_) => return Some(SetOutput::Group),
            _ => {}
        }
    }
    output
}

/// The shortest of the timeouts that `actions` name.
fn fin_timeout(actions: &[Action]) -> Option<FinTimeout> {
    let shorter = |left: u16, right: u16| match (left, right) {
        (0, other) | (other, 0) => other,
        (left, right) => left.min(right),
    };
    let mut all: Option<FinTimeout> = None;
    for action in actions {
        let one = match action {
            Action::FinTimeout { idle, hard } => FinTimeout {
                idle: *idle,
                hard: *hard,
            },
            Action::Clone(actions) => match fin_timeout(actions) {
                Some(inner) => inner,
                None => continue,
            },
            _ => continue,
        };
        let before = all.unwrap_or_default();
        all = Some(FinTimeout {
            idle: shorter(before.idle, one.idle),
            hard: shorter(before.hard, one.hard),
        });
    }
    all
}

/// Whether `action` can be executed.
///
/// # Errors
/// [`Unsupported`] names what cannot.
pub fn check_action(action: &Action) -> Result<(), Unsupported> {
    compile_action(action, TlvMap::any(), &mut Vec::new())
}

/// Whether a match on `field` can be executed.
///
/// # Errors
/// [`Unsupported`] names the field if not.
pub fn check_field(field: Field) -> Result<(), Unsupported> {
    if is_executed(field) {
        Ok(())
    } else {
        Err(Unsupported(format!("field {}", field.name())))
    }
}

fn compile_list(actions: &[Action], map: &TlvMap, ops: &mut Vec<Op>) -> Result<(), Unsupported> {
    for action in actions {
        compile_action(action, map, ops)?;
    }
    Ok(())
}

/// Adds the steps for `action`.
fn compile_action(action: &Action, map: &TlvMap, ops: &mut Vec<Op>) -> Result<(), Unsupported> {
    let op = match action {
        Action::Output(port) => compile_output(*port)?,
        Action::OutputField(subfield) => Op::OutputField(readable(*subfield, map)?),
        Action::SetField { field, value, mask } => Op::Set {
            dst: writable(Subfield::whole(*field), map)?,
            value: *value,
            mask: *mask,
        },
        Action::SetOption { field, value, mask } => {
            let place = option(*field, map)?;
            let write = |(word, mask, value)| WordWrite { word, mask, value };
            Op::Words(place.writes(value, mask).into_iter().map(write).collect())
        }
        // The value stays, as in Open vSwitch: a write to a part of it brings it back.
        Action::DeleteField(field) => Op::Words(Box::new([WordWrite {
            word: word::OPTIONS_PRESENT,
            mask: option(*field, map)?.present(),
            value: 0,
        }])),
        Action::Load { value, dst } => {
            let dst = writable(*dst, map)?;
            Op::Set {
                mask: dst.ones(),
                value: *value,
                dst,
            }
        }
        Action::Move { src, dst } => Op::Move {
            src: readable(*src, map)?,
            dst: writable(*dst, map)?,
        },
        Action::PushVlan(ether_type) => Op::PushVlan(*ether_type),
        Action::PopVlan => Op::PopVlan,
        Action::DecTtl(controllers) if controllers.is_empty() => Op::DecTtl([0].into()),
        Action::DecTtl(controllers) => Op::DecTtl(controllers.as_slice().into()),
        Action::Resubmit { port, table, ct } => Op::Resubmit {
            port: *port,
            table: *table,
            ct: *ct,
        },
        Action::Ct(ct) => Op::Ct(Box::new(compile_ct(ct, map)?)),
        Action::CtClear => Op::CtClear,
        Action::Exit => Op::Exit,
        // A clause is looked for, not run.
        Action::Note(_) | Action::Conjunction { .. } => return Ok(()),
        Action::OutputCut { port, max_len } => Op::OutputCut {
            port: *port,
            max_len: *max_len,
        },
        Action::Clone(actions) => {
            let start = ops.len();
            ops.push(Op::Clone { end: 0 });
            compile_list(actions, map, ops)?;
            ops[start] = Op::Clone { end: ops.len() };
            Op::EndClone
        }
        Action::Push(src) => Op::Push(readable(*src, map)?),
        Action::Pop(dst) => Op::Pop(writable(*dst, map)?),
        Action::CheckPktLarger { size, dst } => Op::CheckLarger {
            size: *size,
            dst: writable(*dst, map)?,
        },
        Action::FinTimeout { .. } => Op::FinTimeout,
        Action::Unexecuted { name, .. } => return Err(Unsupported((*name).into())),
        Action::Controller(action) => Op::Controller(Box::new(compile_controller(action)?)),
        Action::Group(id) => Op::Group(*id),
    };
    ops.push(op);
    Ok(())
}

fn compile_output(port: PortNo) -> Result<Op, Unsupported> {
    Ok(match port {
        PortNo::IN_PORT => Op::InPort,
        PortNo::NORMAL => Op::Normal,
        PortNo::FLOOD => Op::Flood,
        PortNo::ALL => Op::All,
        // As resubmit(,0).
        PortNo::TABLE => Op::Resubmit {
            port: None,
            table: Some(TableId(0)),
            ct: false,
        },
        PortNo::CONTROLLER => {
            Op::Controller(Box::new(compile_controller(&ControllerAction::default())?))
        }
        PortNo::NONE => return Err(Unsupported(format!("output to {port}"))),
        port => Op::Output(port),
    })
}

fn compile_controller(action: &ControllerAction) -> Result<PacketInOp, Unsupported> {
    if action.pause {
        return Err(Unsupported("controller(pause)".into()));
    }
    if action.meter.is_some() {
        return Err(Unsupported("controller(meter_id=...)".into()));
    }
    if action.userdata.len() > USERDATA_MAX {
        let what = format!("controller(userdata=...) of more than {USERDATA_MAX} bytes");
        return Err(Unsupported(what));
    }
    Ok(PacketInOp {
        reason: action.reason,
        controller: action.id,
        userdata: action.userdata.as_slice().into(),
    })
}

fn compile_ct(ct: &CtAction, map: &TlvMap) -> Result<CtOp, Unsupported> {
    let zone = match ct.zone {
        ZoneSource::Number(zone) => Zone::Number(zone),
        ZoneSource::Field(subfield) => Zone::Bits(readable(subfield, map)?),
    };
    let commit = if ct.commit {
        Some(CommitOp {
            force: ct.force,
            zone_dir: ct.zone_dir,
            helper: ct.alg.map(|alg| match alg {
                Alg::Ftp => Helper::Ftp,
                Alg::Tftp => Helper::Tftp,
            }),
            exec: compile_exec(&ct.exec, map)?,
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
fn compile_exec(actions: &[Action], map: &TlvMap) -> Result<Box<[Op]>, Unsupported> {
    let mut ops = Vec::with_capacity(actions.len());
    compile_list(actions, map, &mut ops)?;
    let is_metadata = |field: Field| field.info().access == Access::CtExec;
    let only_writes = ops.iter().all(|op| match op {
        Op::Set { dst, .. } | Op::Move { dst, .. } => is_metadata(dst.field),
        _ => false,
    });
    if only_writes {
        Ok(ops.into())
    } else {
        let what = "an action other than a write to ct_mark or ct_label in exec()";
        Err(Unsupported(what.into()))
    }
}

/// Whether rules can match and actions read `field`: whether it is in the key.
pub(crate) fn is_executed(field: Field) -> bool {
    field.info().slot.is_some() || field.option().is_some()
}

/// Where the value of a `tun_metadata` field lies.
fn option(field: Field, map: &TlvMap) -> Result<Place, Unsupported> {
    let place = field.option().and_then(|index| map.place(index));
    place.ok_or_else(|| Unsupported(format!("field {}", field.name())))
}

fn readable(subfield: Subfield, map: &TlvMap) -> Result<Bits, Unsupported> {
    let info = subfield.field.info();
    let (place, width) = match info.slot {
        Some(slot) => {
            // The whole of vlan_vid has one bit more: "a tag is there".
            let width = if subfield.width == info.width {
                u16::from(slot.width())
            } else {
                subfield.width
            };
            let start = subfield.start;
            (BitsPlace::Slot { slot, start }, width)
        }
        None => {
            let place = option(subfield.field, map)?;
            let pieces = place.pieces(subfield.start, subfield.width);
            let present = place.present();
            (BitsPlace::Option { pieces, present }, subfield.width)
        }
    };
    Ok(Bits {
        place,
        width,
        field: subfield.field,
        prerequisite: info.prerequisite,
    })
}

fn writable(subfield: Subfield, map: &TlvMap) -> Result<Bits, Unsupported> {
    match subfield.field.info().access {
        Access::ReadWrite | Access::CtExec => readable(subfield, map),
        Access::ReadOnly => Err(Unsupported(format!("writing {}", subfield.field.name()))),
    }
}
