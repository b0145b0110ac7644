//! Two tenants' machines with one inside address, each reached and seen under its own outside address.

use weir_tests::namespaces::{Lab, text, weir_binary};

/// Port and host, MAC address, outside addresses.
const MACHINES: [(&str, &str, [&str; 2]); 2] = [
    (
        "one",
        "02:00:00:00:01:05",
        ["203.0.113.5", "2001:db8:113::5"],
    ),
    (
        "two",
        "02:00:00:00:02:05",
        ["203.0.113.6", "2001:db8:113::6"],
    ),
];
const INSIDE: [&str; 2] = ["10.0.0.5", "fd00:a::5"];
const GATEWAYS: [&str; 2] = ["10.0.0.1", "fd00:a::1"];
/// The provider's router.
const ROUTER: [&str; 2] = ["203.0.113.1", "2001:db8:113::1"];
const BITS: [u8; 2] = [24, 64];

#[test]
fn machines_with_one_address_have_outside_addresses_of_their_own() {
    let Some(binary) = weir_binary() else {
        return;
    };
    let lab = Lab::start_example(binary, "floating-ips", &["one", "two", "outside"]);
    lab.plug("outside", "outside", "02:00:00:00:00:01");
    for (host, mac, _) in MACHINES {
        lab.plug(host, host, mac);
    }
    for version in 0..2 {
        let with_bits = |address| format!("{address}/{}", BITS[version]);
        lab.address("outside", "outside", &with_bits(ROUTER[version]));
        for (host, _, _) in MACHINES {
            lab.address(host, host, &with_bits(INSIDE[version]));
            let flag = ["-4", "-6"][version];
            let route = ["route", "add", "default", "via", GATEWAYS[version]];
            lab.route(host, &[&[flag], &route[..]].concat());
        }
    }
    let hosts = MACHINES.map(|(host, _, outside)| (host, INSIDE, outside));
    let all = [hosts[0], hosts[1], ("outside", ROUTER, ROUTER)];
    let _parts: Vec<_> = all
        .iter()
        .flat_map(|(host, own, _)| own.map(|own| lab.play(host, &introduce(host, own))))
        .collect();
    for version in 0..2 {
        for (from, _, seen) in all {
            // The other tenant, itself, and who is outside, too.
            for (to, _, outside) in all {
                if (from, to) != ("outside", "outside") {
                    meets(&lab, (from, seen[version]), (to, outside[version]));
                }
            }
        }
    }
    // weir has answered for the gateways and for outside addresses.
    for version in 0..2 {
        let gateway = GATEWAYS[version];
        let outside = MACHINES.map(|(_, _, outside)| ("outside", outside[version]));
        for (host, address) in [[("one", gateway), ("two", gateway)], outside].concat() {
            let known = text(&lab.at(host, &["ip", "neigh", "show", address]));
            assert!(known.contains("02:00:00:00:00:fe"), "{host}: {known}");
        }
    }
    // Nobody has a way to an inside address but the machine itself.
    lab.route(
        "outside",
        &["route", "add", INSIDE[0], "via", "203.0.113.5"],
    );
    let refused = lab.at("outside", &["ping", "-c", "1", "-W", "1", INSIDE[0]]);
    assert!(!refused.status.success(), "{}", text(&refused));
    errors_come_back(&lab);
}

fn introduce(host: &str, address: &str) -> String {
    format!("introduce {host} {}", at(address))
}

fn at(address: &str) -> String {
    let port = 5003;
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

/// `from` reaches `to` by echo, UDP and TCP, and is seen under its outside address.
fn meets(lab: &Lab, (from, seen): (&str, &str), (to, outside): (&str, &str)) {
    let pinged = lab.at(from, &["ping", "-c", "2", "-i", "0.2", "-W", "2", outside]);
    assert!(
        pinged.status.success(),
        "{from} to {to}: {}\n{}",
        text(&pinged),
        lab.log()
    );
    let expected = format!("met {to}, who sees {seen}\n");
    for part in ["hail {}", "meet {} 1"] {
        let told = lab.play(from, &part.replace("{}", &at(outside))).told();
        assert!(
            told.contains(&expected),
            "{from}: {expected}{told}\n{}",
            lab.log()
        );
    }
}

/// A machine says that nobody is at a port, under its outside address and to whom it does not know.
fn errors_come_back(lab: &Lab) {
    for (from, to) in [
        ("outside", "203.0.113.5:5009"),
        ("two", "203.0.113.5:5009"),
        ("one", "203.0.113.1:5009"),
        ("outside", "[2001:db8:113::5]:5009"),
        ("two", "[2001:db8:113::5]:5009"),
        ("one", "[2001:db8:113::1]:5009"),
    ] {
        let told = lab.play(from, &format!("ask {to}")).told();
        assert!(
            told.contains("refused"),
            "{from}, {to}: {told}\n{}",
            lab.log()
        );
    }
}
