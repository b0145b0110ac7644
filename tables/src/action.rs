//! Actions and instructions, in the canonical form in which an OpenFlow 1.3 switch holds them.
//!
//! Short-hands (`mod_dl_dst`, `strip_vlan`, `set_tunnel`, ...) do not occur here: the parser
//! writes what OpenFlow 1.3 sends for them (`set_field`, `pop_vlan`, ...).

use weir_ct::ZoneDir;
use weir_nat::NatSpec;

use crate::field::Field;
use crate::port::PortNo;
use crate::wide::Wide;

/// A table's number: 0 to 253.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u8);

impl TableId {
    /// The highest table a rule may be in.
    pub const MAX: Self = Self(253);
}

/// Some consecutive bits of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subfield {
    /// The field.
    pub field: Field,
    /// Lowest bit, from 0.
    pub start: u16,
    /// Number of bits, at least 1.
    pub width: u16,
}

impl Subfield {
    /// All bits of `field`.
    pub fn whole(field: Field) -> Self {
        Self {
            field,
            start: 0,
            width: field.info().width,
        }
    }
}

/// One action of an apply list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `output:PORT`, or a reserved port such as `NORMAL`. Output to the packet's own input
    /// port is skipped; `IN_PORT` is how to send it back.
    Output(PortNo),
    /// `output:FIELD[a..b]`
    OutputField(Subfield),
    /// `output(port=PORT,max_len=BYTES)`: what is sent is cut.
    OutputCut {
        /// A numbered port, `LOCAL` or `IN_PORT`.
        port: PortNo,
        /// Bytes of the frame to send, at least 14.
        max_len: u32,
    },
    /// `CONTROLLER:MAX_LEN`, `controller(...)`
    Controller(Box<ControllerAction>),
    /// `group:ID`
    Group(u32),
    /// `set_field:VALUE/MASK->FIELD`
    SetField {
        /// The field written.
        field: Field,
        /// The value, within `mask`.
        value: u128,
        /// The bits written.
        mask: u128,
    },
    /// `set_field:VALUE/MASK->tun_metadataN`: the packet has the field from here on.
    SetOption {
        /// The field written.
        field: Field,
        /// The value, within `mask`.
        value: Box<Wide>,
        /// The bits written; all that any option has, or more than this one has: all.
        mask: Box<Wide>,
    },
    /// `delete_field:tun_metadataN`
    DeleteField(Field),
    /// `load:VALUE->FIELD[a..b]`; into a `tun_metadata` field it is a [`Self::SetOption`].
    Load {
        /// The value, right-aligned.
        value: u128,
        /// Where it goes.
        dst: Subfield,
    },
    /// `move:FIELD[a..b]->FIELD[c..d]`
    Move {
        /// Read from.
        src: Subfield,
        /// Written to; as wide as `src`.
        dst: Subfield,
    },
    /// `push_vlan:ETHERTYPE`
    PushVlan(u16),
    /// `pop_vlan`
    PopVlan,
    /// `dec_ttl`, `dec_ttl(ID,...)`: which controllers hear of a TTL that has run out; none
    /// named: controller 0.
    DecTtl(Vec<u16>),
    /// `resubmit(PORT,TABLE)`: look up again, then go on behind it.
    Resubmit {
        /// in_port for the look-up only; `None`: the packet's own.
        port: Option<PortNo>,
        /// `None`: the current table.
        table: Option<TableId>,
        /// Whether the look-up sees the connection's original tuple.
        ct: bool,
    },
    /// `ct(...)`
    Ct(Box<CtAction>),
    /// `ct_clear`
    CtClear,
    /// `conjunction(ID,K/N)`
    Conjunction {
        /// The conjunction's ID, matched by `conj_id`.
        id: u32,
        /// This clause, from 1.
        clause: u8,
        /// Clauses in all.
        clauses: u8,
    },
    /// `note:HEX`
    Note(Vec<u8>),
    /// `exit`
    Exit,
    /// `clone(...)`: done to a copy of the packet.
    Clone(Vec<Self>),
    /// `push:FIELD[a..b]`
    Push(Subfield),
    /// `pop:FIELD[a..b]`
    Pop(Subfield),
    /// `check_pkt_larger(BYTES)->FIELD[a]`
    CheckPktLarger {
        /// Bytes of the frame without its VLAN tags.
        size: u16,
        /// One bit: whether the frame is larger.
        dst: Subfield,
    },
    /// `fin_timeout(...)`: the rule's timeouts once a connection ends. 0: as they are.
    FinTimeout {
        /// Seconds.
        idle: u16,
        /// Seconds.
        hard: u16,
    },
    /// An action that is read and printed but not executed: a policy that has one is refused.
    Unexecuted {
        /// What it is called.
        name: &'static str,
        /// The whole of it, in canonical form.
        text: String,
        /// Whether it may be in an action set.
        in_set: bool,
    },
}

impl Action {
    /// Calls `found` with each part of a field that the action, or one inside of it, names.
    pub fn subfields(&self, found: &mut dyn FnMut(Subfield)) {
        match self {
            Self::OutputField(bits)
            | Self::Push(bits)
            | Self::Pop(bits)
            | Self::Load { dst: bits, .. }
            | Self::CheckPktLarger { dst: bits, .. } => found(*bits),
            Self::SetField { field, .. } => found(Subfield::whole(*field)),
            // How many bits it has is for its option to say.
            Self::SetOption { field, .. } | Self::DeleteField(field) => found(Subfield {
                field: *field,
                start: 0,
                width: 1,
            }),
            Self::Move { src, dst } => {
                found(*src);
                found(*dst);
            }
            Self::Ct(ct) => {
                if let ZoneSource::Field(bits) = ct.zone {
                    found(bits);
                }
                ct.exec.iter().for_each(|action| action.subfields(found));
            }
            Self::Clone(actions) => actions.iter().for_each(|action| action.subfields(found)),
            Self::Output(_)
            | Self::OutputCut { .. }
            | Self::Controller(_)
            | Self::Group(_)
            | Self::PushVlan(_)
            | Self::PopVlan
            | Self::DecTtl(_)
            | Self::Resubmit { .. }
            | Self::CtClear
            | Self::Conjunction { .. }
            | Self::Note(_)
            | Self::Exit
            | Self::FinTimeout { .. }
            | Self::Unexecuted { .. } => {}
        }
    }
}

/// `controller(...)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerAction {
    /// Bytes of the packet to send.
    pub max_len: u16,
    /// What the packet-in says of why it was sent.
    pub reason: PacketInReason,
    /// Which controller it is for.
    pub id: u16,
    /// Bytes that come back with the packet-in.
    pub userdata: Vec<u8>,
    /// Whether the packet waits for an answer.
    pub pause: bool,
    /// A meter that limits the packet-ins.
    pub meter: Option<u32>,
}

impl Default for ControllerAction {
    fn default() -> Self {
        Self {
            max_len: u16::MAX,
            reason: PacketInReason::Action,
            id: 0,
            userdata: Vec::new(),
            pause: false,
            meter: None,
        }
    }
}

/// Why a packet is sent to a controller (OpenFlow 1.3.5, A.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketInReason {
    /// No rule matched.
    NoMatch,
    /// An action said so.
    Action,
    /// The TTL has run out.
    InvalidTtl,
    /// The action set said so.
    ActionSet,
    /// A group said so.
    Group,
    /// A packet-out said so.
    PacketOut,
}

impl PacketInReason {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::NoMatch,
        Self::Action,
        Self::InvalidTtl,
        Self::ActionSet,
        Self::Group,
        Self::PacketOut,
    ];

    /// The word for it in actions and dumps.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoMatch => "no_match",
            Self::Action => "action",
            Self::InvalidTtl => "invalid_ttl",
            Self::ActionSet => "action_set",
            Self::Group => "group",
            Self::PacketOut => "packet_out",
        }
    }
}

/// `ct(...)`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CtAction {
    /// Create the connection, or refresh its metadata.
    pub commit: bool,
    /// Re-make a connection found in the reply direction; needs `commit`.
    pub force: bool,
    /// The zone.
    pub zone: ZoneSource,
    /// The direction that alone is in the zone, the other one being in zone 0; needs `commit`.
    pub zone_dir: Option<ZoneDir>,
    /// Where a copy of the packet goes on, tracked.
    pub table: Option<TableId>,
    /// Address translation.
    pub nat: Option<NatSpec>,
    /// Writes to `ct_mark` and `ct_label`; needs `commit`.
    pub exec: Vec<Action>,
    /// Application-level gateway; needs `commit` to have an effect.
    pub alg: Option<Alg>,
}

/// Where ct() takes its zone from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneSource {
    /// A number.
    Number(u16),
    /// A 16-bit subfield of the packet's key.
    Field(Subfield),
}

impl Default for ZoneSource {
    fn default() -> Self {
        Self::Number(0)
    }
}

/// An application-level gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alg {
    /// RFC 959 and RFC 2428.
    Ftp,
    /// RFC 1350.
    Tftp,
}

/// What a rule does, in the order of execution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instructions {
    /// The apply list; empty together with all else: drop.
    pub apply: Vec<Action>,
    /// `clear_actions`
    pub clear_actions: bool,
    /// `write_actions(...)`
    pub write_actions: Vec<Action>,
    /// `write_metadata:VALUE/MASK`
    pub write_metadata: Option<(u64, u64)>,
    /// `goto_table:N`
    pub goto_table: Option<TableId>,
}
