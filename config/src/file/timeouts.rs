//! How long an idle connection is kept, by protocol and state.

use std::time::Duration;

/// The names of `ovs-vsctl`'s timeout policies that Open vSwitch's schema has but its
/// userspace tracker does not know, and neither does ours.
pub(super) const UNSUPPORTED: [&str; 5] = [
    "tcp_close_wait",
    "tcp_last_ack",
    "tcp_retransmit",
    "tcp_syn_sent2",
    "tcp_unack",
];

macro_rules! timeouts {
    ($($(#[$doc:meta])* $name:ident = $seconds:literal,)*) => {
        /// `[conntrack.timeouts]`: time without a packet after which a connection is forgotten,
        /// in whole seconds, 1 s to 4,294,967,295 s.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Timeouts {
            $($(#[$doc])* pub $name: Duration,)*
        }

        impl Default for Timeouts {
            fn default() -> Self {
                Self { $($name: Duration::from_secs($seconds),)* }
            }
        }

        impl Timeouts {
            /// All names, in the order of the protocols' states.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// The time-out called `name`.
            pub(super) fn by_name_mut(&mut self, name: &str) -> Option<&mut Duration> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }

            /// Names and values.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, Duration)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

timeouts! {
    /// TCP, the opening side sent its SYN.
    tcp_syn_sent = 30,
    /// TCP, the handshake is not complete.
    tcp_syn_recv = 30,
    /// TCP, both sides established.
    tcp_established = 86_400,
    /// TCP, one side has sent its FIN.
    tcp_fin_wait = 900,
    /// TCP, both have.
    tcp_time_wait = 45,
    /// TCP, reset or closed.
    tcp_close = 30,
    /// UDP, SCTP, GRE and others: one packet seen.
    udp_first = 60,
    /// The same, further packets in one direction.
    udp_single = 60,
    /// The same, both directions seen (RFC 4787 REQ-5: at least two minutes).
    udp_multiple = 120,
    /// ICMP and ICMPv6 echo, no reply yet.
    icmp_first = 60,
    /// The same, replied.
    icmp_reply = 30,
}
