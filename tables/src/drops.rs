//! Why packets left the switch without being sent.

use weir_ct::CtDrop;

/// Makes the enum, the names and the sentences from one list.
macro_rules! reasons {
    ($($variant:ident $name:literal $sentence:literal;)*) => {
        /// Why a packet, or one copy of it, left the switch without being sent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $(#[doc = $sentence] $variant),*
        }

        impl DropReason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The counter's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What happened, in a sentence.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence),* }
            }
        }
    };
}

reasons! {
    Runt "runt" "The frame is shorter than an Ethernet header.";
    HeaderSplit "header_split" "The frame is empty, or its headers do not fit the first buffer.";
    TableMiss "table_miss" "No rule of a table matched.";
    ActionDrop "action_drop" "The rules that matched send the packet nowhere.";
    OutputToInPort "output_to_in_port" "The only output is the port the packet came from.";
    NoBucket "no_bucket" "The group has no bucket that is live, or is gone.";
    PortNoReceive "port_no_receive" "The input port is down or receives nothing (mod-port).";
    PortNoForward "port_no_forward" "The output port is down or sends nothing (mod-port).";
    UnknownPort "unknown_port" "The rule's output port does not exist.";
    MtuExceeded "mtu_exceeded" "The packet is larger than the output port's MTU.";
    TxFull "tx_full" "The output queue refused the frame.";
    TxChain "tx_chain" "The output device does not take frames of several buffers.";
    NoBuffer "no_buffer" "No memory for a copy of the packet.";
    NoHeadroom "no_headroom" "No room in front of the frame for another VLAN tag or the headers of a tunnel.";
    TooManyTags "too_many_tags" "The packet already has as many VLAN tags as weir handles.";
    TtlExpired "ttl_expired" "dec_ttl found a TTL or hop limit of 0 or 1.";
    RecursionLimit "recursion_limit" "Tables were resubmitted or recirculated too deep.";
    ResubmitLimit "resubmit_limit" "One packet was looked up too often.";
    StackLimit "stack_limit" "More values were pushed than a packet's stack holds.";
    ActionSetLimit "action_set_limit" "More rules wrote to the action set than it has room for.";
    PacketInLimited "packet_in_limited" "The input port sends more to the controller than it may.";
    PacketInFull "packet_in_full" "Packets for the controller were not taken out in time.";
    NormalReserved "normal_reserved" "NORMAL does not forward reserved multicast 01:80:c2:00:00:0x.";
    NormalVlan "normal_vlan" "The input port does not carry the packet's VLAN (NORMAL).";
    NormalNoPort "normal_no_port" "NORMAL found no port to send to.";
    CtTupleInUse "ct_tuple_in_use" "The tuple of the replies belongs to another connection.";
    NatExhausted "nat_exhausted" "Every address and port of the NAT range is taken for this destination.";
    NatVersion "nat_version" "The NAT range has addresses of the other IP version.";
    TunnelMalformed "tunnel_malformed" "The header of a tunnel is cut off, or of a form that weir does not know.";
    TunnelOptions "tunnel_options" "A Geneve option is cut off, has another size than it is mapped with, or is critical and not mapped.";
    TunnelChecksum "tunnel_checksum" "A checksum of a tunnel's outer headers is wrong.";
    TunnelFragment "tunnel_fragment" "A piece of a fragmented packet came through a tunnel; tunnels do not reassemble.";
    TunnelUnknown "tunnel_unknown" "No tunnel port takes packets of this address and key.";
    TunnelEcn "tunnel_ecn" "There was congestion on the way through a tunnel, which the packet inside cannot tell (RFC 6040).";
    TunnelNoRemote "tunnel_no_remote" "Nothing says where the other end of the tunnel is: tun_dst is not set.";
    TunnelNoNeighbour "tunnel_no_neighbour" "The MAC address of the tunnel's other end is not known yet; it was asked for.";
    TunnelMtu "tunnel_mtu" "With the headers of the tunnel the packet is larger than the MTU of the port below.";
    NeighbourAnswer "neighbour_answer" "It was for weir itself: what somebody's MAC address is.";
    CtZoneFull "ct_zone_full" "The zone has as many connections as it may, and none to evict.";
    CtSourceLimit "ct_source_limit" "The source address has as many connections in the zone as it may.";
    FtpHeld "ftp_held" "A part of a command of FTP that is to be rewritten; it goes on together with the rest.";
    FtpNoRoom "ftp_no_room" "No room in front of the frame for the new payload, or it lies in several buffers.";
    FragmentOverlap "fragment_overlap" "Pieces of a datagram overlap, or one lies behind its end (RFC 5722).";
    FragmentDuplicate "fragment_duplicate" "The piece of a datagram came before.";
    FragmentTiny "fragment_tiny" "The first piece of a datagram does not hold its L4 header, or a piece has no data (RFC 1858).";
    FragmentMisaligned "fragment_misaligned" "A piece that is not the last is no multiple of 8 bytes long.";
    FragmentOversize "fragment_oversize" "The datagram would have more than 65,535 bytes.";
    FragmentTooMany "fragment_too_many" "The datagram came in more pieces than are put together.";
    FragmentEcn "fragment_ecn" "Congestion was noted on a piece, and another cannot carry that (RFC 3168).";
    FragmentExpired "fragment_expired" "The other pieces of the datagram did not come in time.";
    FragmentEvicted "fragment_evicted" "Pieces of newer datagrams took the place.";
    HandOffFull "hand_off_full" "Too much is under way to the lcore that it belongs to.";
    HandOffLoop "hand_off_loop" "It was passed on from lcore to lcore too often.";
    HoldFull "hold_full" "Too many packets wait for the answer of another lcore.";
    HoldLimit "hold_limit" "What was left to do for a packet that must wait for another lcore could not be kept.";
    CtFull "ct_full" "The connection table is full and holds nothing to evict.";
}

/// How many kinds of [`DropReason`] there are.
pub const DROP_REASONS: usize = DropReason::ALL.len();

impl From<CtDrop> for DropReason {
    fn from(reason: CtDrop) -> Self {
        match reason {
            CtDrop::TableFull => Self::CtFull,
            CtDrop::TupleInUse => Self::CtTupleInUse,
            CtDrop::NatExhausted => Self::NatExhausted,
            CtDrop::NatVersion => Self::NatVersion,
            CtDrop::ZoneFull => Self::CtZoneFull,
            CtDrop::SourceLimit => Self::CtSourceLimit,
            CtDrop::Held => Self::FtpHeld,
            CtDrop::NoRoom => Self::FtpNoRoom,
        }
    }
}
