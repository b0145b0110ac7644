use super::*;

fn spec(kind: NatKind, ends: Option<(&str, &str)>, ports: Option<(u16, u16)>) -> NatSpec {
    let range = ends.map(|(first, last)| {
        NatRange::new(first.parse().unwrap(), last.parse().unwrap(), ports).unwrap()
    });
    NatSpec::Allocate {
        kind,
        range,
        flags: NatFlags::default(),
    }
}

/// The forms of ovs-actions(7) and of Open vSwitch's own tests (`tests/ofp-actions.at`).
#[test]
fn prints_as_open_vswitch_does() {
    assert_eq!(NatSpec::Existing.to_string(), "nat");
    for (kind, ends, ports, wanted) in [
        (NatKind::Src, None, None, "nat(src)"),
        (NatKind::Dst, None, None, "nat(dst)"),
        (
            NatKind::Src,
            Some(("10.0.0.240", "10.0.0.240")),
            None,
            "nat(src=10.0.0.240)",
        ),
        (
            NatKind::Src,
            Some(("10.0.0.240", "10.0.0.241")),
            Some((32_768, 65_535)),
            "nat(src=10.0.0.240-10.0.0.241:32768-65535)",
        ),
        (
            NatKind::Dst,
            Some(("10.0.0.240", "10.0.0.240")),
            Some((80, 80)),
            "nat(dst=10.0.0.240:80)",
        ),
        (
            NatKind::Src,
            Some(("fe80::20c", "fe80::20d")),
            None,
            "nat(src=fe80::20c-fe80::20d)",
        ),
        (
            NatKind::Src,
            Some(("fe80::20c", "fe80::20d")),
            Some((255, 1023)),
            "nat(src=[fe80::20c]-[fe80::20d]:255-1023)",
        ),
    ] {
        assert_eq!(spec(kind, ends, ports).to_string(), wanted);
    }
}

#[test]
fn flags_follow_the_range() {
    let NatSpec::Allocate { kind, range, .. } = spec(
        NatKind::Src,
        Some(("10.1.1.240", "10.1.1.241")),
        Some((34_567, 34_568)),
    ) else {
        panic!("it allocates");
    };
    let flagged = |persistent, choice| {
        let flags = NatFlags { persistent, choice };
        NatSpec::Allocate { kind, range, flags }.to_string()
    };
    let plain = "nat(src=10.1.1.240-10.1.1.241:34567-34568";
    assert_eq!(
        flagged(true, PortChoice::Default),
        format!("{plain},persistent)")
    );
    assert_eq!(
        flagged(false, PortChoice::Random),
        format!("{plain},random)")
    );
    assert_eq!(
        flagged(true, PortChoice::Hash),
        format!("{plain},persistent,hash)")
    );
}
