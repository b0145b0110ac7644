//! The registry against itself, the flow key and its documentation.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::key::{FlowKey, WORDS};
use crate::program::is_executed;

/// Fields that share bits of the key because Open vSwitch lets them.
const OVERLAYS: [&[Field]; 11] = [
    &[Field::IN_PORT, Field::IN_PORT_OXM],
    &[
        Field::VLAN_TCI,
        Field::VLAN_VID,
        Field::DL_VLAN,
        Field::VLAN_PCP,
        Field::DL_VLAN_PCP,
    ],
    &[Field::IP_SRC, Field::ARP_SPA],
    &[Field::IP_DST, Field::ARP_TPA],
    // These lie where an IPv6 packet, or one of ICMPv6, has nothing else.
    &[Field::IP_DST, Field::ARP_TPA, Field::ND_RESERVED],
    &[Field::TCP_FLAGS, Field::ND_OPTIONS_TYPE],
    &[Field::NW_TOS, Field::IP_DSCP, Field::NW_ECN],
    &[Field::ARP_SHA, Field::ND_SLL],
    &[Field::ARP_THA, Field::ND_TLL],
    &[
        Field::TCP_SRC,
        Field::UDP_SRC,
        Field::SCTP_SRC,
        Field::ICMP_TYPE,
        Field::ICMPV6_TYPE,
    ],
    &[
        Field::TCP_DST,
        Field::UDP_DST,
        Field::SCTP_DST,
        Field::ICMP_CODE,
        Field::ICMPV6_CODE,
    ],
];

/// The bits of the key that a field occupies.
fn bits(field: Field) -> FlowKey {
    let mut key = FlowKey::ZERO;
    if let Some(slot) = field.info().slot {
        key.write(slot, slot.ones());
    }
    key
}

fn share_bits(one: Field, other: Field) -> bool {
    let (one, other) = (bits(one), bits(other));
    one.words()
        .iter()
        .zip(other.words())
        .any(|(one, other)| one & other != 0)
}

fn is_register(field: Field) -> bool {
    field.name().trim_start_matches('x').starts_with("reg")
}

fn names(field: Field) -> impl Iterator<Item = &'static str> {
    let info = field.info();
    std::iter::once(info.name).chain(info.aliases.iter().copied())
}

#[test]
fn each_name_is_that_of_one_field() {
    let mut seen = HashMap::new();
    for field in Field::all() {
        for name in names(field) {
            assert_eq!(seen.insert(name, field), None, "{name}");
            assert_eq!(Field::by_name(name), Some(field), "{name}");
            assert_eq!(Field::by_name(&name.to_uppercase()), Some(field), "{name}");
        }
        for name in field.info().wire_names {
            assert_eq!(seen.insert(name, field), None, "{name}");
            assert_eq!(Field::by_wire_name(name), Some(field), "{name}");
            assert_eq!(
                Field::by_wire_name(&name.to_lowercase()),
                Some(field),
                "{name}"
            );
        }
    }
    assert_eq!(Field::by_name("reg32"), None);
    assert_eq!(Field::by_wire_name("reg0"), None);
}

#[test]
fn registers_are_numbered() {
    for number in 0..32 {
        assert_eq!(Field::reg(number).name(), format!("reg{number}"));
    }
}

#[test]
#[should_panic(expected = "32 registers")]
fn there_is_no_register_32() {
    Field::reg(32);
}

#[test]
fn a_field_lies_in_the_key_with_all_its_bits() {
    for field in Field::all() {
        let info = field.info();
        let Some(slot) = info.slot else { continue };
        assert!(
            slot.word() + usize::from(slot.width() > 64) < WORDS,
            "{field:?}"
        );
        // With the bit that says that a tag is there.
        let flag = u16::from(field == Field::VLAN_VID);
        assert_eq!(u16::from(slot.width()), info.width + flag, "{field:?}");
    }
}

#[test]
fn fields_share_bits_only_where_open_vswitch_lets_them() {
    let together = |one: Field, other: Field| {
        (is_register(one) && is_register(other))
            || OVERLAYS
                .iter()
                .any(|group| group.contains(&one) && group.contains(&other))
    };
    for one in Field::all() {
        for other in Field::all().filter(|&other| other != one) {
            if share_bits(one, other) {
                assert!(together(one, other), "{one:?} and {other:?} share bits");
            }
        }
    }
}

#[test]
fn longer_registers_are_made_of_shorter_ones() {
    for (name, parts) in [("xreg", 2_u8), ("xxreg", 4)] {
        for number in 0..32 / parts {
            let long = Field::by_name(&format!("{name}{number}")).expect("it is in the registry");
            let mut key = FlowKey::ZERO;
            let mut expected = 0_u128;
            for part in 0..parts {
                let register = number * parts + part;
                key.set_field(Field::reg(register), u128::from(register) + 1);
                expected = expected << 32 | (u128::from(register) + 1);
            }
            assert_eq!(key.field(long), expected, "{long:?}");
        }
    }
}

#[test]
fn read_and_written_fields_have_wire_names() {
    let nameless: Vec<_> = Field::all()
        .filter(|field| field.info().wire_names.is_empty())
        .map(Field::name)
        .collect();
    let expected = [
        "tun_ttl",
        "tun_tos",
        "skb_priority",
        "dl_vlan",
        "dl_vlan_pcp",
    ];
    assert_eq!(nameless, expected);
}

proptest! {
    #[test]
    fn writing_a_field_changes_it_and_what_shares_its_bits(
        field in prop::sample::select(Field::all().collect::<Vec<_>>()),
        words in prop::array::uniform32(any::<u64>()),
        value in any::<u128>(),
    ) {
        prop_assume!(field.info().slot.is_some());
        let mut key = FlowKey::ZERO;
        for (at, word) in key.words_mut().iter_mut().enumerate() {
            *word = words[at % 32].rotate_left(u32::try_from(at).expect("few words"));
        }
        let before = key;
        key.set_field(field, value);
        let mask = field.info().slot.map_or(0, Slot::ones);
        prop_assert_eq!(key.field(field), value & mask);
        for other in Field::all().filter(|&other| !share_bits(field, other)) {
            prop_assert_eq!(key.field(other), before.field(other), "{:?}", other);
        }
    }
}

/// `docs/fields.md` is written from the registry. With `WEIR_BLESS` in the environment this test
/// writes it; without, it compares.
#[test]
fn the_documentation_is_that_of_the_registry() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fields.md");
    let got = documentation();
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(path, got).expect("the file can be written");
        return;
    }
    let golden = std::fs::read_to_string(path).expect("docs/fields.md is there");
    for (want, got) in golden.lines().zip(got.lines()) {
        assert_eq!(got, want, "run this test with WEIR_BLESS=1");
    }
    assert_eq!(got, golden, "run this test with WEIR_BLESS=1");
}

fn documentation() -> String {
    let mut out = String::from(
        "# Match fields\n\n\
         Written from the registry in `tables/src/field/rows.rs` by its test; do not edit.\n\n\
         Names and aliases are interchangeable in flow text. A *mask* is `any` bits of the field \
         or all of them (`exact`). The *prerequisite* must be in the same match. *Access* says \
         what `set_field`, `load` and `move` may do to the field. `load` and `move` print the \
         first of the *wire names* (NXM or OXM). Fields that are not *executed* are read and \
         printed, but a policy that uses one is refused when it is loaded. All of \
         `tun_metadata0` to `tun_metadata63` are as the first: each has the bits of the Geneve option \
         that it is mapped to, at most those named here.\n\n\
         | name | aliases | bits | mask | written as | prerequisite | access | wire names \
         | executed |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let is_shown = |field: &Field| field.option().is_none_or(|number| number == 0);
    for field in Field::all().filter(is_shown) {
        let FieldInfo {
            name,
            aliases,
            width,
            masking,
            format,
            prerequisite,
            access,
            wire_names,
            slot: _,
        } = field.info();
        let code = |names: &[&str]| {
            names
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let _ = writeln!(
            out,
            "| `{name}` | {} | {width} | {} | {} | {} | {} | {} | {} |",
            code(aliases),
            mask_text(*masking),
            format_text(*format),
            prerequisite_text(*prerequisite),
            access_text(*access),
            code(wire_names),
            if is_executed(field) { "yes" } else { "no" },
        );
    }
    out
}

const fn mask_text(masking: Masking) -> &'static str {
    match masking {
        Masking::Exact => "exact",
        Masking::Bitwise => "any",
    }
}

const fn format_text(format: Format) -> &'static str {
    match format {
        Format::Dec => "decimal",
        Format::Hex => "hexadecimal",
        Format::Ethernet => "`aa:bb:cc:dd:ee:ff`",
        Format::Ipv4 => "`a.b.c.d`",
        Format::Ipv6 => "RFC 5952",
        Format::CtState => "`+trk-new`, `est\\|trk`",
        Format::TcpFlags => "`+syn-ack`, `syn\\|ack`",
        Format::Fragment => "`no`, `yes`, `first`, `later`, `not_later`",
        Format::Port => "port",
        Format::TunnelFlags => "`+oam`",
        Format::PacketType => "`(namespace,type)`",
        Format::Bytes => "hexadecimal of any length",
    }
}

const fn prerequisite_text(prerequisite: Prerequisite) -> &'static str {
    use Prerequisite as P;
    match prerequisite {
        P::None | P::Ethernet => "",
        P::VlanVid => "VLAN tag",
        P::Mpls => "`mpls` or `mplsm`",
        P::Ipv4 => "`ip`",
        P::Ipv6 => "`ipv6`",
        P::Ip => "`ip` or `ipv6`",
        P::Arp => "`arp` or `rarp`",
        P::Tcp => "`tcp` or `tcp6`",
        P::Udp => "`udp` or `udp6`",
        P::Sctp => "`sctp` or `sctp6`",
        P::Icmpv4 => "`icmp`",
        P::Icmpv6 => "`icmp6`",
        P::Nd => "`icmp6`, type 135 or 136",
        P::NdSolicit => "`icmp6`, type 135",
        P::NdAdvert => "`icmp6`, type 136",
        P::Nsh => "`dl_type=0x894f`",
        P::Ct => "`ip` or `ipv6`, connection",
        P::CtIpv4 => "`ip`, connection",
        P::CtIpv6 => "`ipv6`, connection",
        P::CtPorts => "`ip` or `ipv6`, connection, `ct_nw_proto`",
    }
}

const fn access_text(access: Access) -> &'static str {
    match access {
        Access::ReadOnly => "read",
        Access::ReadWrite => "read, write",
        Access::CtExec => "read; write in `ct(exec(...))`",
    }
}
