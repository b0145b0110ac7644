//! Timeouts as every packet needs them: in milliseconds, by the state of the connection.

use std::time::Duration;

use weir_packet::Tick;

use crate::record::{Datagram, Protocol, Query};
use crate::sctp::AssociationState;
use crate::settings::Timeouts;
use crate::tcp::{Phase, Tcp};

/// How long connections are kept.
#[derive(Clone, Debug)]
pub(crate) struct Lifetimes {
    /// By [`Phase`].
    tcp: [u64; 6],
    /// By [`AssociationState`].
    sctp: [u64; 8],
    /// By [`Query`].
    query: [u64; 2],
    /// By [`Datagram`].
    datagram: [u64; 3],
}

impl Lifetimes {
    pub(crate) fn new(timeouts: &Timeouts) -> Self {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let mut all = Self {
            tcp: [0; 6],
            sctp: [0; 8],
            query: [0; 2],
            datagram: [0; 3],
        };
        for (phase, span) in [
            (Phase::SynSent, timeouts.tcp_syn_sent),
            (Phase::SynRecv, timeouts.tcp_syn_recv),
            (Phase::Established, timeouts.tcp_established),
            (Phase::FinWait, timeouts.tcp_fin_wait),
            (Phase::TimeWait, timeouts.tcp_time_wait),
            (Phase::Close, timeouts.tcp_close),
        ] {
            all.tcp[phase as usize] = millis(span);
        }
        for (state, span) in [
            (AssociationState::Closed, timeouts.sctp_closed),
            (AssociationState::CookieWait, timeouts.sctp_cookie_wait),
            (AssociationState::CookieEchoed, timeouts.sctp_cookie_echoed),
            (AssociationState::Established, timeouts.sctp_established),
            (AssociationState::ShutdownSent, timeouts.sctp_shutdown_sent),
            (
                AssociationState::ShutdownReceived,
                timeouts.sctp_shutdown_recd,
            ),
            (
                AssociationState::ShutdownAckSent,
                timeouts.sctp_shutdown_ack_sent,
            ),
            (
                AssociationState::HeartbeatSent,
                timeouts.sctp_heartbeat_sent,
            ),
        ] {
            all.sctp[state as usize] = millis(span);
        }
        for (query, span) in [
            (Query::First, timeouts.icmp_first),
            (Query::Replied, timeouts.icmp_reply),
        ] {
            all.query[query as usize] = millis(span);
        }
        for (datagram, span) in [
            (Datagram::First, timeouts.udp_first),
            (Datagram::Single, timeouts.udp_single),
            (Datagram::Multiple, timeouts.udp_multiple),
        ] {
            all.datagram[datagram as usize] = millis(span);
        }
        all
    }

    /// When a connection in this state is over if nothing more comes.
    #[inline]
    pub(crate) fn deadline(&self, protocol: &Protocol, now: Tick) -> Tick {
        match protocol {
            Protocol::Tcp(tcp) => self.after_segment(tcp, now),
            Protocol::Sctp(sctp) => later(now, self.sctp[sctp.state as usize]),
            Protocol::Query(query) => self.after_query(*query, now),
            Protocol::Datagram(datagram) => self.after_datagram(*datagram, now),
        }
    }

    /// Since when a connection in this state has heard nothing that keeps it, as its deadline tells;
    /// not after `now`. Timeouts that were changed in between make it wrong by as much.
    pub(crate) fn idle(&self, protocol: &Protocol, deadline: Tick, now: Tick) -> Tick {
        let span = self.deadline(protocol, Tick::ZERO).as_millis();
        Tick::from_millis(deadline.as_millis().saturating_sub(span)).min(now)
    }

    /// The same for a TCP connection.
    #[inline]
    pub(crate) fn after_segment(&self, tcp: &Tcp, now: Tick) -> Tick {
        later(now, self.tcp[tcp.phase() as usize])
    }

    /// The same for a TCP connection that was reset.
    pub(crate) const fn reset(&self, now: Tick) -> Tick {
        later(now, self.tcp[Phase::Close as usize])
    }

    /// The same for a query.
    #[inline]
    pub(crate) const fn after_query(&self, query: Query, now: Tick) -> Tick {
        later(now, self.query[query as usize])
    }

    /// The same for datagrams.
    #[inline]
    pub(crate) const fn after_datagram(&self, datagram: Datagram, now: Tick) -> Tick {
        later(now, self.datagram[datagram as usize])
    }
}

#[inline]
const fn later(now: Tick, millis: u64) -> Tick {
    Tick::from_millis(now.as_millis().saturating_add(millis))
}
