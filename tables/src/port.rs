//! Port numbers.

/// An OpenFlow 1.1+ port number: a port of the switch, or a reserved one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PortNo(pub u32);

impl PortNo {
    /// The highest number a port of the switch can have.
    pub const MAX: Self = Self(0xfeff);
    /// Back to where the packet came from.
    pub const IN_PORT: Self = Self(0xffff_fff8);
    /// The flow tables; only in packet-out.
    pub const TABLE: Self = Self(0xffff_fff9);
    /// The learning switch.
    pub const NORMAL: Self = Self(0xffff_fffa);
    /// All ports but the packet's own and those with flooding off.
    pub const FLOOD: Self = Self(0xffff_fffb);
    /// All ports but the packet's own.
    pub const ALL: Self = Self(0xffff_fffc);
    /// The controller.
    pub const CONTROLLER: Self = Self(0xffff_fffd);
    /// The host's own stack.
    pub const LOCAL: Self = Self(0xffff_fffe);
    /// No port.
    pub const NONE: Self = Self(0xffff_ffff);

    /// The reserved port's name as Open vSwitch prints it; `None` for an ordinary port.
    pub const fn reserved_name(self) -> Option<&'static str> {
        Some(match self {
            Self::IN_PORT => "IN_PORT",
            Self::TABLE => "TABLE",
            Self::NORMAL => "NORMAL",
            Self::FLOOD => "FLOOD",
            Self::ALL => "ALL",
            Self::CONTROLLER => "CONTROLLER",
            Self::LOCAL => "LOCAL",
            Self::NONE => "NONE",
            _ => return None,
        })
    }
}

impl std::fmt::Display for PortNo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reserved_name() {
            Some(name) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

impl std::fmt::Debug for PortNo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
