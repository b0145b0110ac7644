use proptest::collection::vec;
use proptest::prelude::{prop_assert_eq, proptest};

use super::{Expected, Side};

proptest! {
    #[test]
    fn merged_expectations_are_those_of_each_side(
        ovs in vec(0..4_u8, 0..8),
        weir in vec(0..4_u8, 0..8),
    ) {
        let merged = Expected::merge(&ovs, &weir);
        prop_assert_eq!(merged.of(Side::Ovs), ovs.clone());
        prop_assert_eq!(merged.of(Side::Weir), weir.clone());
        prop_assert_eq!(merged.is_split(), ovs != weir);
    }
}

#[test]
fn a_line_names_its_side() {
    assert_eq!(Side::split("weir -> 2"), (Side::Weir, "-> 2"));
    assert_eq!(Side::split("ovs tcp,orig=()"), (Side::Ovs, "tcp,orig=()"));
    assert_eq!(Side::split("-> 2"), (Side::Both, "-> 2"));
    let expected = Expected(vec![(Side::Both, "a"), (Side::Weir, "b")]);
    assert_eq!(expected.render("  "), "  a\n  weir b\n");
}
