//! The names of timeouts: those of `ovs-vsctl`'s timeout policies, and `nf_conntrack`'s for SCTP.

use std::time::Duration;

use weir_ct::Timeouts;

/// Names in Open vSwitch's schema that its userspace tracker does not know, and neither does
/// ours.
pub(super) const UNSUPPORTED: [&str; 5] = [
    "tcp_close_wait",
    "tcp_last_ack",
    "tcp_retransmit",
    "tcp_syn_sent2",
    "tcp_unack",
];

macro_rules! names {
    ($($name:ident)*) => {
        /// All names, in the order of the protocols' states.
        pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// The timeout called `name`.
        pub(super) fn by_name<'a>(timeouts: &'a mut Timeouts, name: &str) -> Option<&'a mut Duration> {
            match name {
                $(stringify!($name) => Some(&mut timeouts.$name),)*
                _ => None,
            }
        }

        /// Names and values.
        pub(super) fn all(timeouts: &Timeouts) -> impl Iterator<Item = (&'static str, Duration)> + use<> {
            // Names every field: a new timeout without a name does not compile.
            let Timeouts { $($name),* } = timeouts.clone();
            [$((stringify!($name), $name)),*].into_iter()
        }
    };
}

names! {
    tcp_syn_sent tcp_syn_recv tcp_established tcp_fin_wait tcp_time_wait tcp_close
    sctp_closed sctp_cookie_wait sctp_cookie_echoed sctp_established
    sctp_shutdown_sent sctp_shutdown_recd sctp_shutdown_ack_sent sctp_heartbeat_sent
    udp_first udp_single udp_multiple
    icmp_first icmp_reply
}
