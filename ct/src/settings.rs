//! What a user sets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::credits::Scope;

/// Settings of the tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most connections held at once, all zones and lcores together. Memory is taken for as many.
    pub max_connections: u32,
    /// Whether a TCP connection may be picked up in the middle. If not, only a SYN opens one.
    pub tcp_loose: bool,
    /// Whether segments outside of the window are acceptable, resets excepted.
    pub tcp_liberal: bool,
    /// The most connections of a zone that has no limit of its own; `None`: no limit.
    pub zone_limit: Option<u32>,
    /// Whether each connection counts what it carries, which costs each packet of it a few percent.
    /// Memory for that is taken at start. As Linux's `nf_conntrack_acct`, off unless asked for.
    pub accounting: bool,
    /// What differs in some zones.
    pub zones: BTreeMap<u16, ZoneSettings>,
    /// How long connections are kept.
    pub timeouts: Timeouts,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 1_000_000,
            tcp_loose: true,
            tcp_liberal: false,
            zone_limit: None,
            accounting: false,
            zones: BTreeMap::new(),
            timeouts: Timeouts::default(),
        }
    }
}

impl Settings {
    /// For how many connections one of so many lcores has memory: of several, for its equal share and
    /// a quarter more, or for [`SLOTS`] if that is more, but never for more than there may be in all. Owners are
    /// drawn by a keyed hash, so that no lcore comes to have so many more than others.
    pub fn slots(&self, lcores: u16) -> u32 {
        let share = self.max_connections.div_ceil(lcores.into());
        if lcores == 1 {
            return share;
        }
        let most = share.saturating_add(share.div_ceil(4)).max(SLOTS);
        most.min(self.max_connections)
    }

    /// The limit that holds for what `scope` names.
    pub fn limit(&self, scope: Scope) -> Option<u32> {
        match scope {
            Scope::All => Some(self.max_connections),
            Scope::Zone(zone) => {
                let own = self.zones.get(&zone).and_then(|own| own.limit);
                own.or(self.zone_limit)
            }
        }
    }

    /// Whether there is a limit for some zone.
    pub(crate) fn limits_zones(&self) -> bool {
        self.zone_limit.is_some() || self.zones.values().any(|own| own.limit.is_some())
    }

    /// The limits that are others in `new`, sorted.
    pub(crate) fn changed_limits(&self, new: &Self) -> Vec<Scope> {
        let zones: BTreeSet<u16> = if self.zone_limit == new.zone_limit {
            self.zones.keys().chain(new.zones.keys()).copied().collect()
        } else {
            (0..=u16::MAX).collect()
        };
        let all = std::iter::once(Scope::All).chain(zones.into_iter().map(Scope::Zone));
        all.filter(|scope| self.limit(*scope) != new.limit(*scope))
            .collect()
    }
}

/// Connections for which each of several lcores has memory at least.
const SLOTS: u32 = 16_384;

/// Settings of one zone; what is `None` is as for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ZoneSettings {
    /// As [`Settings::tcp_loose`].
    pub tcp_loose: Option<bool>,
    /// As [`Settings::tcp_liberal`].
    pub tcp_liberal: Option<bool>,
    /// The most connections; 0: none.
    pub limit: Option<u32>,
    /// The most connections that one source address may open; 0: none. Such count as were opened
    /// since there is a limit. With several lcores each counts its own, up to an equal share of this,
    /// rounded up.
    pub source_limit: Option<u32>,
    /// How long its connections are kept: all that, not only what differs.
    pub timeouts: Option<Timeouts>,
}

/// How long an idle connection is kept; named as `ovs-vsctl`'s timeout policies. The defaults
/// are those of Open vSwitch, `udp_multiple` excepted; SCTP's, which it has not, are Linux's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// TCP: one SYN, or the first segment of a connection that was picked up in the middle.
    pub tcp_syn_sent: Duration,
    /// TCP: both ends heard, the handshake not finished.
    pub tcp_syn_recv: Duration,
    /// TCP: established.
    pub tcp_established: Duration,
    /// TCP: one end has sent a FIN.
    pub tcp_fin_wait: Duration,
    /// TCP: both ends have sent a FIN, not both acknowledged.
    pub tcp_time_wait: Duration,
    /// TCP: both FINs acknowledged, or reset.
    pub tcp_close: Duration,
    /// SCTP: an INIT without an answer, or the end of an association.
    pub sctp_closed: Duration,
    /// SCTP: the INIT ACK was seen.
    pub sctp_cookie_wait: Duration,
    /// SCTP: the COOKIE ECHO was seen.
    pub sctp_cookie_echoed: Duration,
    /// SCTP: established. Endpoints send a HEARTBEAT every half minute (RFC 9260 16).
    pub sctp_established: Duration,
    /// SCTP: the end that opened it has sent a SHUTDOWN.
    pub sctp_shutdown_sent: Duration,
    /// SCTP: the other end has sent a SHUTDOWN.
    pub sctp_shutdown_recd: Duration,
    /// SCTP: the SHUTDOWN ACK was seen.
    pub sctp_shutdown_ack_sent: Duration,
    /// SCTP: HEARTBEATs without an answer.
    pub sctp_heartbeat_sent: Duration,
    /// UDP and every protocol without a tracker of its own: one packet.
    pub udp_first: Duration,
    /// The same: several packets, all in one direction.
    pub udp_single: Duration,
    /// The same: packets in both directions. RFC 4787 REQ-5 wants at least two minutes.
    pub udp_multiple: Duration,
    /// ICMP and ICMPv6 queries without an answer.
    pub icmp_first: Duration,
    /// ICMP and ICMPv6 queries with an answer.
    pub icmp_reply: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_syn_sent: Duration::from_secs(30),
            tcp_syn_recv: Duration::from_secs(30),
            tcp_established: Duration::from_secs(86_400),
            tcp_fin_wait: Duration::from_secs(900),
            tcp_time_wait: Duration::from_secs(45),
            tcp_close: Duration::from_secs(30),
            sctp_closed: Duration::from_secs(10),
            sctp_cookie_wait: Duration::from_secs(3),
            sctp_cookie_echoed: Duration::from_secs(3),
            sctp_established: Duration::from_secs(210),
            sctp_shutdown_sent: Duration::from_secs(3),
            sctp_shutdown_recd: Duration::from_secs(3),
            sctp_shutdown_ack_sent: Duration::from_secs(3),
            sctp_heartbeat_sent: Duration::from_secs(30),
            udp_first: Duration::from_secs(60),
            udp_single: Duration::from_secs(60),
            udp_multiple: Duration::from_secs(120),
            icmp_first: Duration::from_secs(60),
            icmp_reply: Duration::from_secs(30),
        }
    }
}

/// The new limit needs more memory than was taken at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("max_connections {wanted} is above the {sized} that memory was taken for at start")]
pub struct TableTooSmall {
    /// The limit asked for.
    pub wanted: u32,
    /// The highest limit possible without a restart.
    pub sized: u32,
}
