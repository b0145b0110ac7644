use proptest::prelude::*;

use super::*;

fn range(first: &str, last: &str, ports: Option<(u16, u16)>) -> Result<NatRange, BadRange> {
    NatRange::new(first.parse().unwrap(), last.parse().unwrap(), ports)
}

#[test]
fn ends_must_fit_together() {
    assert_eq!(range("10.0.0.1", "::1", None), Err(BadRange::Families));
    assert_eq!(
        range("10.0.0.2", "10.0.0.1", None),
        Err(BadRange::Addresses)
    );
    assert_eq!(
        range("10.0.0.1", "10.0.0.1", Some((2, 1))),
        Err(BadRange::Ports)
    );
    assert_eq!(
        range("10.0.0.1", "10.0.0.1", Some((0, 1))),
        Err(BadRange::PortZero)
    );
}

#[test]
fn families_do_not_mix() {
    let all = range("0.0.0.0", "255.255.255.255", None).unwrap();
    assert_eq!(all.len(), 1 << 32);
    assert!(all.contains("10.0.0.1".parse().unwrap()));
    assert!(!all.contains("::a00:1".parse().unwrap()));
    let all = range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None).unwrap();
    assert_eq!(all.len(), u128::MAX);
    assert!(!all.contains("10.0.0.1".parse().unwrap()));
}

#[test]
fn without_ports_every_port_belongs_to_it() {
    assert!(range("::1", "::1", None).unwrap().contains_port(0));
    let ported = range("::1", "::1", Some((5, 6))).unwrap();
    assert_eq!(
        [4, 5, 6, 7].map(|port| ported.contains_port(port)),
        [false, true, true, false]
    );
}

proptest! {
    #[test]
    fn every_index_is_an_address_of_the_range(
        first in any::<u32>(), size in 0u32..1000, index in any::<u128>(), v6 in any::<bool>(),
    ) {
        let last = first.saturating_add(size);
        let address = |bits: u32| match v6 {
            false => IpAddr::V4(Ipv4Addr::from_bits(bits)),
            true => IpAddr::V6(Ipv6Addr::from_bits(u128::from(bits) << 90)),
        };
        let range = NatRange::new(address(first), address(last), None).unwrap();
        prop_assert!(range.contains(range.nth(index)));
        prop_assert_eq!(range.nth(0), range.first);
        prop_assert_eq!(range.nth(range.len() - 1), range.last);
        prop_assert_eq!(range.nth(range.len()), range.first);
    }
}
