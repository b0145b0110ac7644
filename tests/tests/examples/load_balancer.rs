//! Three back ends behind one address: clients get one each and keep it, whatever becomes of the group.

use std::collections::BTreeSet;

use weir_tests::namespaces::{Lab, weir_binary};

/// Port and host, MAC address, addresses.
const BACK_ENDS: [(&str, &str, [&str; 2]); 3] = [
    ("be1", "02:00:00:00:00:11", ["10.0.0.11", "fd00:a::11"]),
    ("be2", "02:00:00:00:00:12", ["10.0.0.12", "fd00:a::12"]),
    ("be3", "02:00:00:00:00:13", ["10.0.0.13", "fd00:a::13"]),
];
const GATEWAYS: [&str; 2] = ["10.0.0.1", "fd00:a::1"];
const CLIENT: [&str; 2] = ["192.0.2.1", "2001:db8:2::1"];
const SERVICE: [&str; 2] = ["192.0.2.80:80", "[2001:db8:2::80]:80"];
const BITS: [u8; 2] = [24, 64];
/// How many connections are made to meet everybody.
const CONNECTIONS: u32 = 40;

#[test]
fn connections_keep_their_back_end_and_new_ones_follow_the_group() {
    let Some(binary) = weir_binary() else {
        return;
    };
    let hosts = ["client", "be1", "be2", "be3"];
    let lab = Lab::start_example(binary, "load-balancer", &hosts);
    lab.plug("upstream", "client", "02:00:00:00:00:01");
    for (host, mac, _) in BACK_ENDS {
        lab.plug(host, host, mac);
    }
    let mut parts = Vec::new();
    for version in 0..2 {
        let with_bits = |address| format!("{address}/{}", BITS[version]);
        lab.address("client", "upstream", &with_bits(CLIENT[version]));
        for (host, _, own) in BACK_ENDS {
            lab.address(host, host, &with_bits(own[version]));
            let flag = ["-4", "-6"][version];
            let route = ["route", "add", "default", "via", GATEWAYS[version]];
            lab.route(host, &[&[flag], &route[..]].concat());
            let at = [format!("{}:80", own[0]), format!("[{}]:80", own[1])];
            parts.push(lab.play(host, &format!("introduce {host} {}", at[version])));
        }
    }
    for (version, group) in [1, 2].into_iter().enumerate() {
        everybody_serves(&lab, version);
        the_second_is_ill_for_a_while(&lab, version, group);
    }
}

/// Clients meet every back end; so do back ends, themselves included, which are not seen as what they are.
fn everybody_serves(lab: &Lab, version: usize) {
    let (service, _) = SERVICE[version].rsplit_once(':').expect("a port");
    let service = service.trim_matches(['[', ']']);
    for (host, seen) in [
        ("client", CLIENT[version]),
        ("be1", service),
        ("be3", service),
    ] {
        let met = lab.play(host, &meet("meet", version)).told();
        let all = ["be1", "be2", "be3"].map(|name| format!("met {name}, who sees {seen}"));
        assert_eq!(names(&met), all.into(), "{host}: {met}\n{}", lab.log());
        assert_eq!(count(&met), CONNECTIONS, "{met}");
    }
}

/// Its connections live on, no new one goes there; until it is well again.
fn the_second_is_ill_for_a_while(lab: &Lab, version: usize, group: u32) {
    let living = lab.play("client", &meet("meet-again", version));
    let number = format!("group_id={group}");
    lab.weir(&["remove-buckets", &format!("{number},command_bucket_id=2")]);
    let met = lab.play("client", &meet("meet", version)).told();
    let well = ["be1", "be3"].map(|name| format!("met {name}, who sees {}", CLIENT[version]));
    assert_eq!(names(&met), well.into(), "{met}\n{}", lab.log());
    assert_eq!(count(&met), CONNECTIONS, "{met}");

    // The second half was said when it went on.
    let met = living.goes_on();
    let lines: Vec<&str> = met
        .lines()
        .filter(|line| line.starts_with("met "))
        .collect();
    let (before, after) = lines.split_at(CONNECTIONS as usize);
    assert_eq!(before, after, "{met}\n{}", lab.log());
    assert!(names(&met).len() == 3, "{met}");

    // Those of the second are told by the address that answers.
    let address = BACK_ENDS[1].2[version];
    let tracked = || lab.weir(&["dump-conntrack", "zone=1"]);
    let its_own = format!("reply=(src={address},");
    let before = tracked();
    assert!(before.contains(&its_own), "{before}");
    let field = ["ct_nw_src", "ct_ipv6_src"][version];
    let reply = format!("{field}={address}");
    lab.weir(&["flush-conntrack", "zone=1", "", &reply]);
    let after = tracked();
    assert!(!after.contains(&its_own), "{after}");
    let another = format!("reply=(src={},", BACK_ENDS[0].2[version]);
    assert!(after.contains(&another), "{after}");

    let bucket = format!("bucket_id=2,actions=ct(commit,zone=1,nat(dst={address}),table=3)");
    let all = format!("{number},command_bucket_id=last,bucket={bucket}");
    lab.weir(&["insert-buckets", &all]);
    let met = lab.play("client", &meet("meet", version)).told();
    assert_eq!(names(&met).len(), 3, "{met}");
}

fn meet(part: &str, version: usize) -> String {
    format!("{part} {} {CONNECTIONS}", SERVICE[version])
}

/// Who was met.
fn names(told: &str) -> BTreeSet<String> {
    let lines = told.lines().filter(|line| line.starts_with("met "));
    lines.map(str::to_owned).collect()
}

/// How often somebody was.
fn count(told: &str) -> u32 {
    let lines = told.lines().filter(|line| line.starts_with("met "));
    lines.map(|_| 1).sum()
}
