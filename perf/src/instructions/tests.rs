use super::*;

#[test]
fn profiles_are_read() {
    let profile = "version: 1\nevents: Ir\n\nfn=(1) main\n3 7\n\nsummary: 123456\ntotals: 123450\n";
    assert_eq!(total(profile), Some(123_456));
    assert_eq!(total("events: Ir\ntotals: 99 3\n"), Some(99));
    assert_eq!(total("events: Ir\n"), None);
}

#[test]
fn what_is_driven_is_sent() {
    for (name, caches, expected) in [
        ("firewall-100", Caches::Megaflows, [200, 400]),
        ("snat-100-tcp", Caches::None, [200, 400]),
        ("firewall-1k-new", Caches::Megaflows, [500, 1_000]),
    ] {
        let scenario = Scenario::named(name).expect("a scenario");
        let sent = [FEW, MANY].map(|far| drive(&scenario, caches, far).expect("it is sent"));
        assert_eq!(sent, expected, "{name}");
    }
}
