use super::*;
use crate::action::CtAction;
use crate::tunnel::options::TlvMapping;

/// `tun_metadata0` has 4 bytes, `tun_metadata1` 124.
fn map() -> TlvMap {
    let mapping = |index, size| TlvMapping {
        class: 1,
        option_type: index,
        size,
        index,
    };
    TlvMap::new(&[mapping(0, 4), mapping(1, 124)]).expect("a map")
}

fn bits(number: u8, start: u16, width: u16) -> Subfield {
    Subfield {
        field: Field::tun_metadata(number),
        start,
        width,
    }
}

fn set(number: u8, value: &str, mask: Wide) -> Action {
    Action::SetOption {
        field: Field::tun_metadata(number),
        value: Box::new(Wide::from_hex(value).expect("hexadecimal")),
        mask: Box::new(mask),
    }
}

fn said(mut actions: Vec<Action>) -> Result<Vec<Action>, String> {
    match resolve(&mut actions, &map()) {
        Ok(()) => Ok(actions),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_mask_with_all_bits_of_the_option_is_none() {
    let all = Wide::ones(992);
    let whole = vec![set(0, "12345678", all)];
    assert_eq!(said(whole.clone()), Ok(whole.clone()));
    assert_eq!(said(vec![set(0, "12345678", Wide::ones(32))]), Ok(whole));
    let part = vec![set(1, "ff", Wide::ones(32))];
    assert_eq!(said(part.clone()), Ok(part));
}

#[test]
fn what_does_not_fit_the_option_is_refused_by_name() {
    let too_short = |bit| {
        let sentence = "its option has 32 bits (OFPBAC_BAD_SET_LEN)";
        Err(format!("tun_metadata0 has no bit {bit}: {sentence}"))
    };
    let all = Wide::ones(992);
    let reg = Subfield::whole(Field::REG0);
    assert_eq!(said(vec![set(0, "123456789", all)]), too_short(32));
    assert_eq!(said(vec![set(0, "0", Wide::ones(40))]), too_short(39));
    assert_eq!(said(vec![Action::Push(bits(0, 31, 2))]), too_short(32));
    let moves = Action::Move {
        src: bits(0, 32, 32),
        dst: reg,
    };
    assert_eq!(said(vec![Action::Clone(vec![moves])]), too_short(63));
    let unmapped = "tun_metadata2 stands for no option: see add-tlv-map (NXFMFC_INVALID_TLV_FIELD)";
    for action in [
        Action::DeleteField(Field::tun_metadata(2)),
        set(2, "1", all),
        Action::Pop(bits(2, 0, 1)),
    ] {
        assert_eq!(said(vec![action]), Err(unmapped.to_owned()));
    }
}

#[test]
fn every_place_where_a_field_is_used_is_found() {
    let ct = CtAction {
        zone: crate::action::ZoneSource::Field(bits(5, 0, 16)),
        exec: vec![Action::Move {
            src: bits(6, 0, 32),
            dst: Subfield::whole(Field::CT_MARK),
        }],
        ..CtAction::default()
    };
    let actions = [
        Action::OutputField(bits(0, 0, 16)),
        Action::Clone(vec![Action::DeleteField(Field::tun_metadata(1))]),
        set(2, "1", Wide::ones(1)),
        Action::CheckPktLarger {
            size: 9,
            dst: bits(3, 0, 1),
        },
        Action::Pop(bits(4, 0, 1)),
        Action::Ct(Box::new(ct)),
        Action::Push(Subfield::whole(Field::REG3)),
    ];
    assert_eq!(fields_of(&actions), 0b0111_1111);
}
