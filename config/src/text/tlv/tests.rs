use super::*;

fn map(text: &str) -> Result<Vec<(u16, u8, u8, u8)>, String> {
    let mappings = parse_tlv_map("map", text).map_err(|error| error.to_string())?;
    let row = |one: TlvMapping| (one.class, one.option_type, one.size, one.index);
    Ok(mappings.into_iter().map(row).collect())
}

#[test]
fn several_options_are_read_in_one_go() {
    let both = Ok(vec![(0xffff, 0, 4, 0), (1, 0x82, 124, 63)]);
    for text in [
        "{class=0xffff,type=0,len=4}->tun_metadata0,{class=1,type=0x82,len=124}->tun_metadata63",
        "{class=0xffff,type=0,len=4}->tun_metadata0{class=1,type=130,len=124}->tun_metadata63",
        " {type=0, class=65535, len=4}->tun_metadata0, {class=1,type=0x82,len=0x7c}->tun_metadata63",
    ] {
        assert_eq!(map(text), both, "{text}");
    }
}

#[test]
fn what_is_no_option_is_pointed_at() {
    for (text, place, what) in [
        ("", "map:1:1:", "no option is named"),
        ("junk", "map:1:1:", "not an option and its field"),
        (
            "{class=1,type=1}->tun_metadata0",
            "map:1:1:",
            "not an option",
        ),
        ("{class=1,type=1,len=4}", "map:1:1:", "not an option"),
        (
            "{class=1,type=1,len=4}->reg0",
            "map:1:25:",
            "no field for options",
        ),
        (
            "{class=1,type=1,len=4}->tun_metadata64",
            "map:1:25:",
            "no field for options",
        ),
        (
            "{class=1,type=1,len=6}->tun_metadata0",
            "map:1:21:",
            "BAD_OPT_LEN",
        ),
        (
            "{class=1,type=1,len=0}->tun_metadata0",
            "map:1:21:",
            "BAD_OPT_LEN",
        ),
        (
            "{class=1,type=256,len=4}->tun_metadata0",
            "map:1:15:",
            "type out of range",
        ),
        (
            "{class=0x10000,type=1,len=4}->tun_metadata0",
            "map:1:8:",
            "class out of range",
        ),
        (
            "{class=1,typ=1,len=4}->tun_metadata0",
            "map:1:10:",
            "unknown key",
        ),
    ] {
        let error = map(text).expect_err(text);
        assert!(
            error.starts_with(place) && error.contains(what),
            "{text}: {error}"
        );
    }
}
