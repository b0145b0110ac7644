//! Strategies for matches.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use weir_tables::field::{Field, Masking, Prerequisite};
use weir_tables::matching::Match;
use weir_tables::wide::Wide;

use super::{IPV4, IPV6, Kind, ones, whole_value};

/// Fields of a match that are not set through the kind of packet, or in another form.
fn matchable(kind: &Kind) -> Vec<Field> {
    Field::all()
        .filter(|&field| kind.holds(field.info().prerequisite) && field.option().is_none())
        .filter(|field| {
            !matches!(
                *field,
                Field::IN_PORT
                    | Field::ETH_TYPE
                    | Field::NW_PROTO
                    | Field::CT_NW_PROTO
                    | Field::CT_STATE
                    | Field::VLAN_TCI
                    | Field::VLAN_VID
                    | Field::VLAN_PCP
                    | Field::DL_VLAN
                    | Field::DL_VLAN_PCP
                    | Field::NW_TOS
                    | Field::IP_FRAG
            )
        })
        // The type of Neighbour Discovery is set through the kind, and its code is 0.
        .filter(|&field| {
            kind.nd.is_none() || !matches!(field, Field::ICMPV6_TYPE | Field::ICMPV6_CODE)
        })
        .collect()
}

/// A number of as many bits as some option has.
pub(super) fn wide() -> impl Strategy<Value = Wide> {
    let parts = prop::array::uniform16(any::<u64>());
    (parts, 0..=992_u16).prop_map(|(parts, width)| {
        let mut number = Wide::ZERO;
        for (at, part) in (0..).zip(parts) {
            number.add_part(64 * at, part);
        }
        number & Wide::ones(width)
    })
}

/// A field for an option.
pub(super) fn option_field() -> impl Strategy<Value = Field> {
    (0..64_u8).prop_map(Field::tun_metadata)
}

/// Few flows ask for options: whole, in part, or only whether they are there.
fn options() -> impl Strategy<Value = Vec<(Field, Wide, Wide)>> {
    let mask = prop_oneof![Just(Wide::ones(992)), Just(Wide::ZERO), wide()];
    let one = (option_field(), wide(), mask);
    prop_oneof![3 => Just(Vec::new()), 1 => vec(one, 1..4)]
}

pub(super) fn matches(kind: Kind) -> impl Strategy<Value = Match> {
    let (general, special): (Vec<_>, Vec<_>) = matchable(&kind).into_iter().partition(|field| {
        matches!(
            field.info().prerequisite,
            Prerequisite::None | Prerequisite::Ethernet
        )
    });
    // Fields of a protocol are few, and their protocol is one of many.
    let fields = match special.is_empty() {
        true => select(general).boxed(),
        false => prop_oneof![select(general), select(special)].boxed(),
    };
    let terms = vec((fields, any::<u128>(), any::<u128>()), 0..6);
    let ct_state = (any::<u8>(), any::<u8>());
    let vlan = (0..8_u8, any::<u16>(), any::<u16>());
    let fragment = select(vec![(0_u128, 0_u128), (0, 3), (1, 1), (1, 3), (0, 2)]);
    let all = (terms, ct_state, vlan, fragment, options());
    all.prop_map(move |(terms, ct_state, vlan, fragment, options)| {
        let mut matches = Match::ANY;
        for (field, value, mask) in options {
            matches.set_option(field, &value, &mask);
        }
        if let Some(eth_type) = kind.eth_type {
            matches.set_exact(Field::ETH_TYPE, eth_type.into());
        }
        if let Some(protocol) = kind.protocol {
            matches.set_exact(Field::NW_PROTO, protocol.into());
        }
        if let Some(nd) = kind.nd {
            matches.set_exact(Field::ICMPV6_TYPE, nd.into());
        }
        if let Some(protocol) = kind.connection_protocol {
            matches.set_exact(Field::CT_NW_PROTO, protocol.into());
        }
        let (mut value, mut mask) = ct_state;
        value &= !0x10;
        if kind.connection {
            // +trk-inv
            (value, mask) = (value | 0x20, mask | 0x30);
        }
        if kind.invalid {
            (value, mask) = (value | 0x10, mask | 0x10);
        }
        if mask != 0 {
            matches.set(Field::CT_STATE, value.into(), mask.into());
        }
        for (field, value, mask) in terms {
            let mask = match field.info().masking {
                Masking::Exact => ones(field),
                Masking::Bitwise if mask & 3 == 0 => ones(field),
                Masking::Bitwise => mask & ones(field),
            };
            if mask != 0 {
                matches.clear(field);
                matches.set(field, whole_value(field, value), mask);
            }
        }
        let (choice, value, mask) = vlan;
        match (kind.tagged, choice) {
            (true, 0) => matches.set(Field::VLAN_TCI, 0x1000, 0x1000),
            (true, 1 | 2) => matches.set(Field::VLAN_TCI, (value | 0x1000).into(), 0x1fff),
            (true, 3) => matches.set(Field::VLAN_TCI, (value | 0x1000).into(), 0xffff),
            (true, 4) => matches.set(Field::VLAN_TCI, (value | 0x1000).into(), 0xf000),
            (true, _) => {
                let mask = (mask | 0x1000).into();
                matches.set(Field::VLAN_TCI, (value | 0x1000).into(), mask);
            }
            (false, 0) => matches.set(Field::VLAN_TCI, 0, 0x1fff),
            (false, 1) if mask & 0x0fff != 0 => {
                matches.set(Field::VLAN_TCI, value.into(), (mask & !0x1000).into());
            }
            (false, _) => {}
        }
        if matches!(kind.eth_type, IPV4 | IPV6) && fragment.1 != 0 {
            matches.set(Field::IP_FRAG, fragment.0, fragment.1);
        }
        matches
    })
}
