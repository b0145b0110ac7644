use super::*;
use crate::action::TableId;
use crate::field::Field;
use crate::port::PortNo;

fn set(value: u128) -> Action {
    Action::SetField {
        field: Field::REG0,
        value,
        mask: u128::MAX,
    }
}

fn resubmit(table: u8) -> Action {
    Action::Resubmit {
        port: None,
        table: Some(TableId(table)),
        ct: false,
    }
}

#[test]
fn tags_come_first_writes_next_and_one_final_action_last() {
    let set = [
        Action::Output(PortNo(1)),
        set(1),
        Action::DecTtl(vec![]),
        set(2),
        Action::PushVlan(0x8100),
        Action::Output(PortNo(2)),
        Action::PushVlan(0x88a8),
        Action::PopVlan,
        resubmit(3),
    ];
    assert_eq!(
        in_order(&set),
        [&set[7], &set[6], &set[2], &set[1], &set[3], &set[5]]
    );
}

#[test]
fn a_group_comes_before_an_output_and_that_before_all_others() {
    let set = [
        Action::Group(7),
        Action::Output(PortNo(1)),
        resubmit(1),
        Action::CtClear,
        Action::Ct(Box::default()),
    ];
    for (highest, rest) in (0..).zip(1..set.len()) {
        assert_eq!(in_order(&set[highest..]), [&set[highest]], "{rest}");
    }
}

#[test]
fn a_set_that_sends_nowhere_does_nothing() {
    assert!(in_order(&[set(1), Action::DecTtl(vec![])]).is_empty());
    assert!(in_order(&[]).is_empty());
    assert!(in_order(&[set(1), Action::Exit]).is_empty());
}
