//! What the tracker counts.

use crate::request::CtDrop;

/// Declares the counters: field, and the sentence that documents and exports it.
macro_rules! counters {
    ($($name:ident: $help:literal,)*) => {
        /// Totals since start. Every packet that is `+inv` counts in exactly one of `invalid_*`.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $(
                #[doc = $help]
                pub $name: u64,
            )*
        }

        impl Counters {
            /// All counters: name, value, and what it counts.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
                [$((stringify!($name), self.$name, $help),)*].into_iter()
            }
        }
    };
}

counters! {
    created: "Connections created.",
    expired: "Connections forgotten because their time was over.",
    evicted: "Unreplied connections given up for a new one at the limit.",
    flushed: "Connections removed by flush.",
    forced: "Connections ended by a forced commit in the reply direction.",
    reopened: "Closed TCP connections ended by a SYN of a new one.",
    refused_table_full: "Commits that dropped their packet: table full.",
    refused_tuple_in_use: "Commits that dropped their packet: reply tuple in use.",
    refused_nat_exhausted: "Commits that dropped their packet: every address and port of the NAT range taken.",
    refused_nat_version: "Commits that dropped their packet: NAT range of the other IP version.",
    refused_zone_full: "Commits that dropped their packet: limit of the zone reached.",
    refused_source_limit: "Commits that dropped their packet: limit of the source address reached.",
    refused_held: "Segments held back: a part of a command of FTP that waits for the rest.",
    refused_no_room: "Packets dropped: no room for the payload that a helper makes.",
    expectations: "Connections expected because a helper found them announced.",
    expectations_refused: "Announcements that opened nothing: another's address, a port below 1024 or taken, or no room.",
    related: "Connections created that were expected.",
    unhelped: "Connections created without the helper asked for: no room for more.",
    invalid_not_ip: "Invalid: neither IPv4 nor IPv6.",
    invalid_ip_header: "Invalid: malformed IPv4 or IPv6 header, or IPv6 extension header.",
    invalid_ip_checksum: "Invalid: wrong IPv4 header checksum.",
    invalid_fragment: "Invalid: a fragment.",
    invalid_l4_length: "Invalid: L4 header cut off, or its length field is impossible.",
    invalid_l4_checksum: "Invalid: wrong L4 checksum.",
    invalid_port_zero: "Invalid: TCP, UDP or SCTP port 0.",
    invalid_tcp_flags: "Invalid: TCP flags that contradict each other.",
    invalid_tcp_syn_ack_first: "Invalid: a SYN-ACK without a connection.",
    invalid_tcp_not_syn: "Invalid: not a SYN, without a connection, while mid-stream pick-up is off.",
    invalid_tcp_window: "Invalid: outside the TCP window.",
    invalid_tcp_reset: "Invalid: a reset whose number does not fit.",
    invalid_tcp_unanswered: "Invalid: a TCP segment of an opening end whose SYN was not answered.",
    invalid_sctp_chunks: "Invalid: SCTP chunks whose length is impossible, or that may not go together, or none.",
    invalid_sctp_unopened: "Invalid: SCTP chunks that open no association, without one.",
    invalid_sctp_tag: "Invalid: another SCTP verification tag.",
    invalid_sctp_state: "Invalid: an SCTP chunk that the state of the association does not allow.",
    invalid_icmp_type: "Invalid: an ICMP or ICMPv6 type or code that is not tracked.",
    invalid_icmp_reply_first: "Invalid: an ICMP or ICMPv6 answer without a query.",
    invalid_icmp_quote: "Invalid: the packet quoted by an ICMP error is malformed, or not from the error's receiver.",
    invalid_icmp_unrelated: "Invalid: an ICMP error about no known connection.",
}

/// Declares the reasons: variant, and the counter that it is.
macro_rules! reasons {
    ($($variant:ident: $counter:ident,)*) => {
        /// Why a packet is `+inv`. Each is a counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Invalid {
            $($variant,)*
        }

        impl Invalid {
            /// All of them, by number.
            pub(crate) const NAMES: &[&str] = &[$(stringify!($counter)),*];
        }

        impl Counters {
            pub(crate) const fn count_invalid(&mut self, reason: Invalid) {
                let counter = match reason {
                    $(Invalid::$variant => &mut self.$counter,)*
                };
                *counter += 1;
            }
        }
    };
}

reasons! {
    NotIp: invalid_not_ip,
    IpHeader: invalid_ip_header,
    IpChecksum: invalid_ip_checksum,
    Fragment: invalid_fragment,
    L4Length: invalid_l4_length,
    L4Checksum: invalid_l4_checksum,
    PortZero: invalid_port_zero,
    TcpFlags: invalid_tcp_flags,
    TcpSynAckFirst: invalid_tcp_syn_ack_first,
    TcpNotSyn: invalid_tcp_not_syn,
    TcpWindow: invalid_tcp_window,
    TcpReset: invalid_tcp_reset,
    TcpUnanswered: invalid_tcp_unanswered,
    SctpChunks: invalid_sctp_chunks,
    SctpUnopened: invalid_sctp_unopened,
    SctpTag: invalid_sctp_tag,
    SctpState: invalid_sctp_state,
    IcmpType: invalid_icmp_type,
    IcmpReplyFirst: invalid_icmp_reply_first,
    IcmpQuote: invalid_icmp_quote,
    IcmpUnrelated: invalid_icmp_unrelated,
}

impl Counters {
    pub(crate) const fn count_refused(&mut self, reason: CtDrop) {
        let counter = match reason {
            CtDrop::TableFull => &mut self.refused_table_full,
            CtDrop::TupleInUse => &mut self.refused_tuple_in_use,
            CtDrop::NatExhausted => &mut self.refused_nat_exhausted,
            CtDrop::NatVersion => &mut self.refused_nat_version,
            CtDrop::ZoneFull => &mut self.refused_zone_full,
            CtDrop::SourceLimit => &mut self.refused_source_limit,
            CtDrop::Held => &mut self.refused_held,
            CtDrop::NoRoom => &mut self.refused_no_room,
        };
        *counter += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Counters;

    #[test]
    fn every_counter_is_listed_once_with_its_value() {
        let counters = Counters {
            created: 3,
            invalid_icmp_unrelated: 7,
            ..Counters::default()
        };
        let names: HashSet<_> = counters.iter().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), counters.iter().count());
        assert_eq!(counters.iter().map(|(_, value, _)| value).sum::<u64>(), 10);
        assert!(counters.iter().all(|(.., help)| help.ends_with('.')));
    }
}
