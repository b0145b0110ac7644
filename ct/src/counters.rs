//! What the tracker counts.

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
    invalid_icmp_type: "Invalid: an ICMP or ICMPv6 type or code that is not tracked.",
    invalid_icmp_reply_first: "Invalid: an ICMP or ICMPv6 answer without a query.",
    invalid_icmp_quote: "Invalid: the packet quoted by an ICMP error is malformed, or not from the error's receiver.",
    invalid_icmp_unrelated: "Invalid: an ICMP error about no known connection.",
}

/// Why a packet is `+inv`. Each is a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    NotIp,
    IpHeader,
    IpChecksum,
    Fragment,
    L4Length,
    L4Checksum,
    PortZero,
    TcpFlags,
    TcpSynAckFirst,
    TcpNotSyn,
    TcpWindow,
    TcpReset,
    IcmpType,
    IcmpReplyFirst,
    IcmpQuote,
    IcmpUnrelated,
}

impl Counters {
    pub(crate) const fn count_invalid(&mut self, reason: Invalid) {
        let counter = match reason {
            Invalid::NotIp => &mut self.invalid_not_ip,
            Invalid::IpHeader => &mut self.invalid_ip_header,
            Invalid::IpChecksum => &mut self.invalid_ip_checksum,
            Invalid::Fragment => &mut self.invalid_fragment,
            Invalid::L4Length => &mut self.invalid_l4_length,
            Invalid::L4Checksum => &mut self.invalid_l4_checksum,
            Invalid::PortZero => &mut self.invalid_port_zero,
            Invalid::TcpFlags => &mut self.invalid_tcp_flags,
            Invalid::TcpSynAckFirst => &mut self.invalid_tcp_syn_ack_first,
            Invalid::TcpNotSyn => &mut self.invalid_tcp_not_syn,
            Invalid::TcpWindow => &mut self.invalid_tcp_window,
            Invalid::TcpReset => &mut self.invalid_tcp_reset,
            Invalid::IcmpType => &mut self.invalid_icmp_type,
            Invalid::IcmpReplyFirst => &mut self.invalid_icmp_reply_first,
            Invalid::IcmpQuote => &mut self.invalid_icmp_quote,
            Invalid::IcmpUnrelated => &mut self.invalid_icmp_unrelated,
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
