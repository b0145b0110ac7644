//! A flood of SYNs at a limit: what is established goes on, and so do honest newcomers.

use weir_tests::switch::{Builder, Switch};

/// Two zones, so that one may be flooded beside the other: port 1 is in zone 1, port 3 in zone 3;
/// servers are behind port 2.
const POLICY: &str = "
    in_port=1,ip actions=set_field:1->reg0,ct(zone=1,table=1)
    in_port=3,ip actions=set_field:3->reg0,ct(zone=3,table=1)
    in_port=2,ip,nw_dst=10.1.0.0/16 actions=set_field:1->reg0,ct(zone=1,table=1)
    in_port=2,ip,nw_dst=10.3.0.0/16 actions=set_field:3->reg0,ct(zone=3,table=1)
    table=1,priority=9,ct_state=+inv+trk actions=drop
    table=1,ct_state=+new+trk,in_port=1,ip actions=ct(commit,zone=1),output:2
    table=1,ct_state=+new+trk,in_port=3,ip actions=ct(commit,zone=3),output:2
    table=1,ct_state=+est-rpl+trk actions=output:2
    table=1,ct_state=+est+rpl+trk,reg0=1 actions=output:1
    table=1,ct_state=+est+rpl+trk,reg0=3 actions=output:3";

/// How many connections were established before.
const ESTABLISHED: u32 = 40;
/// The limit under which the flood is.
const LIMIT: u32 = 256;
/// SYNs while an honest newcomer waits for its answer: far fewer than have room.
const MEANWHILE: u32 = 20;
/// Honest newcomers; their connections and the established ones leave the flood some room.
const HONEST: u32 = 30;

/// How often a client sends its SYN.
const MOST_TRIES: u32 = 3;

/// A client's connection, by the zone that it is in.
#[derive(Clone, Copy)]
struct Client {
    zone: u32,
    port: u32,
}

impl Client {
    fn says(self, what: &str) -> String {
        let Self { zone, port } = self;
        format!("tcp 10.{zone}.0.5:{port} > 192.0.2.9:80 {what}")
    }

    fn hears(self, what: &str) -> String {
        let Self { zone, port } = self;
        format!("tcp 192.0.2.9:80 > 10.{zone}.0.5:{port} {what}")
    }

    /// Sends its SYN, again if that is lost: a search for a connection to give up looks at a bounded number, and
    /// the next one at others. Returns how many were lost.
    fn opens(self, sw: &mut Switch) -> u32 {
        for lost in 0..MOST_TRIES {
            self.sends(sw, "S seq=100");
            let sent = sw.sent(2);
            if !sent.is_empty() {
                assert_eq!(sent, [self.says("S seq=100")]);
                return lost;
            }
        }
        panic!("{} never gets through", self.port);
    }

    fn sends(self, sw: &mut Switch, what: &str) {
        sw.inject(self.zone, &self.says(what));
    }

    /// The rest of the handshake, and one segment each way.
    fn goes_on(self, sw: &mut Switch) {
        self.is_answered(sw, "SA seq=500 ack=101");
        self.sends(sw, "A seq=101 ack=501");
        assert_eq!(sw.sent(2), [self.says("A seq=101 ack=501")]);
        self.works(sw);
    }

    fn is_answered(self, sw: &mut Switch, what: &str) {
        sw.inject(2, &self.hears(what));
        assert_eq!(sw.sent(self.zone), [self.hears(what)], "to {}", self.port);
    }

    fn works(self, sw: &mut Switch) {
        self.sends(sw, "PA seq=101 ack=501 len=4");
        assert_eq!(sw.sent(2), [self.says("PA seq=101 ack=501 len=4")]);
        self.is_answered(sw, "A seq=501 ack=105");
    }
}

/// From how many addresses the flood comes.
#[derive(Clone, Copy)]
enum Sources {
    One,
    Many,
}

impl Sources {
    /// The SYN number `n` of the flood in a zone.
    fn syn(self, zone: u32, n: u32) -> String {
        let (host, port) = match self {
            Self::One => (1, 1 + n % 60_000),
            Self::Many => (n % 65_000, 1_000 + n / 65_000),
        };
        let (high, low) = (1 + host / 256 % 250, host % 256);
        format!("tcp 10.{zone}.{high}.{low}:{port} > 192.0.2.9:80 S seq=7")
    }
}

/// What became of all SYNs.
#[derive(Clone, Copy, Debug, Default)]
struct Books {
    made: u32,
    lost: u32,
}

/// Floods `sw` in `zone`: established connections of all zones work, and newcomers of that zone
/// shake hands.
fn flood(sw: &mut Switch, zone: u32, sources: Sources) -> Books {
    let mut books = Books::default();
    let mut old = Vec::new();
    for port in 0..ESTABLISHED {
        for zone in [1, 3] {
            let client = Client {
                zone,
                port: 10_000 + port,
            };
            assert_eq!(client.opens(sw), 0);
            client.goes_on(sw);
            books.made += 1;
            old.push(client);
        }
    }
    let mut syns = 0;
    let mut more = |sw: &mut Switch, books: &mut Books, count: u32| {
        for _ in 0..count {
            sw.inject(zone, &sources.syn(zone, syns));
            syns += 1;
        }
        let passed = u32::try_from(sw.sent(2).len()).expect("few");
        books.made += passed;
        books.lost += count - passed;
    };
    more(sw, &mut books, 2 * LIMIT);
    for n in 0..HONEST {
        let client = Client {
            zone,
            port: 20_000 + n,
        };
        books.lost += client.opens(sw);
        books.made += 1;
        more(sw, &mut books, MEANWHILE);
        client.goes_on(sw);
        old[n as usize % old.len()].works(sw);
    }
    for client in old {
        client.works(sw);
    }
    books
}

fn builder() -> Builder {
    Switch::builder().ports(3)
}

#[test]
fn at_the_global_limit() {
    for sources in [Sources::One, Sources::Many] {
        let mut sw = builder().max_connections(LIMIT).flows(POLICY);
        let Books { made, lost } = flood(&mut sw, 1, sources);
        let replied = 2 * ESTABLISHED + HONEST;
        assert_eq!(lost, 0, "one without a reply is always found");
        sw.assert_state(&format!(
            "ct: new={} replied={replied} created={made} evicted={}; drops: none",
            LIMIT - replied,
            made - LIMIT,
        ));
    }
}

#[test]
fn at_the_limit_of_a_zone_beside_another_zone() {
    for sources in [Sources::One, Sources::Many] {
        let mut sw = builder()
            .max_connections(4 * LIMIT)
            .limits(3, Some(LIMIT), None)
            .flows(POLICY);
        let Books { made, lost } = flood(&mut sw, 3, sources);
        let replied = 2 * ESTABLISHED + HONEST;
        assert_eq!(lost, 0, "one without a reply is always found");
        sw.assert_state(&format!(
            "ct: new={} replied={replied} created={made} evicted={}; drops: none",
            LIMIT - ESTABLISHED - HONEST,
            made - LIMIT - ESTABLISHED,
        ));
    }
}

/// Where nothing may be given up, SYNs are dropped by name; what is there goes on.
#[test]
fn a_table_full_of_established_connections_drops_newcomers_by_name() {
    let clients: Vec<_> = (0..LIMIT)
        .map(|port| Client {
            zone: 1,
            port: 1 + port,
        })
        .collect();
    for (limits, reason, drop) in [
        (
            builder().max_connections(LIMIT),
            "refused_table_full",
            "ct_full",
        ),
        (
            builder()
                .max_connections(2 * LIMIT)
                .limits(1, Some(LIMIT), None),
            "refused_zone_full",
            "ct_zone_full",
        ),
        (
            builder()
                .max_connections(2 * LIMIT)
                .limits(1, None, Some(LIMIT)),
            "refused_source_limit",
            "ct_source_limit",
        ),
    ] {
        let mut sw = limits.flows(POLICY);
        for client in &clients {
            assert_eq!(client.opens(&mut sw), 0);
            client.goes_on(&mut sw);
        }
        for port in 0..200 {
            let late = Client {
                zone: 1,
                port: 30_000 + port,
            };
            late.sends(&mut sw, "S seq=100");
        }
        for client in &clients {
            client.works(&mut sw);
        }
        sw.assert_state(&format!(
            "ct: replied={LIMIT} {reason}=200; drops: {drop}=200"
        ));
        // One ends, and there is room for one.
        clients[0].sends(&mut sw, "R seq=105");
        assert_eq!(sw.sent(2).len(), 1);
        sw.advance(31);
        let late = Client {
            zone: 1,
            port: 40_000,
        };
        assert_eq!(late.opens(&mut sw), 0);
        late.goes_on(&mut sw);
    }
}

/// One address that floods reaches its own limit, and nobody else's.
#[test]
fn a_source_that_floods_hurts_itself() {
    let mut sw = builder()
        .max_connections(4 * LIMIT)
        .limits(1, None, Some(50))
        .flows(POLICY);
    for n in 0..1_000 {
        sw.inject(1, &Sources::One.syn(1, n));
    }
    assert_eq!(sw.sent(2).len(), 50);
    for port in 0..50 {
        let client = Client {
            zone: 1,
            port: 1 + port,
        };
        assert_eq!(client.opens(&mut sw), 0);
        client.goes_on(&mut sw);
    }
    sw.assert_state("ct: new=50 replied=50 refused_source_limit=950; drops: ct_source_limit=950");
}
