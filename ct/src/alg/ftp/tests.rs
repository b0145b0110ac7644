use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::{command, is_begun, reply};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5));

/// Address, port, and what of the line says so.
fn said(line: &str) -> Option<(Option<IpAddr>, u16, &str)> {
    let bytes = line.as_bytes();
    let announced = if line.starts_with(|c: char| c.is_ascii_digit()) {
        reply(bytes)
    } else {
        command(bytes)
    }?;
    Some((announced.address, announced.port, &line[announced.at]))
}

#[test]
fn commands_and_replies_announce() {
    let numbers = Some((Some(CLIENT), 40_000, "10,0,0,5,156,64"));
    for line in [
        "PORT 10,0,0,5,156,64\r\n",
        "port  10,0,0,5,156,64 \r\n",
        "PoRt 10,0,0,5,156,64\n",
        "227 Entering Passive Mode (10,0,0,5,156,64).\r\n",
        // RFC 1123 4.1.2.6: no parentheses.
        "227 Entering Passive Mode 10,0,0,5,156,64\r\n",
        "227 =10,0,0,5,156,64\r\n",
        "227 1,2 or (10,0,0,5,156,64)\r\n",
    ] {
        assert_eq!(said(line), numbers, "{line}");
    }
    let extended = Some((Some(CLIENT), 40_000, "10.0.0.5|40000"));
    assert_eq!(said("EPRT |1|10.0.0.5|40000|\r\n"), extended);
    assert_eq!(said("eprt |1|10.0.0.5|40000|\r\n"), extended);
    assert_eq!(
        said("EPRT !2!2001:db8::5!4000!\r\n"),
        Some((Some(V6), 4000, "2001:db8::5!4000"))
    );
    assert_eq!(
        said("229 Entering Extended Passive Mode (|||40000|)\r\n"),
        Some((None, 40_000, "40000"))
    );
    assert_eq!(said("229 ok ($$$7$)\r\n"), Some((None, 7, "7")));
}

#[test]
fn what_is_not_written_so_announces_nothing() {
    for line in [
        "",
        "PORT",
        "PORT \r\n",
        "PORT 10,0,0,5,156\r\n",
        "PORT 10,0,0,5,156,\r\n",
        "PORT 10,0,0,5,156,256\r\n",
        "PORT 10,0,0,5,156,0064\r\n",
        "PORT 10,0,0,5,156,64,1\r\n",
        "PORT 10,0,0,5,156,64 NOOP\r\n",
        "PORT -10,0,0,5,156,64\r\n",
        "PORT10,0,0,5,156,64\r\n",
        " PORT 10,0,0,5,156,64\r\n",
        "XPORT 10,0,0,5,156,64\r\n",
        "EPRT |1|10.0.0.5|40000\r\n",
        "EPRT |1|10.0.0.5|65536|\r\n",
        "EPRT |1|10.0.0.5||\r\n",
        "EPRT |1|10.0.0|4000|\r\n",
        "EPRT |2|10.0.0.5|4000|\r\n",
        "EPRT |1|2001:db8::5|4000|\r\n",
        "EPRT |3|10.0.0.5|4000|\r\n",
        "EPRT |1!10.0.0.5!4000!\r\n",
        "EPRT 111110.0.0.5140001\r\n",
        "EPRT |1|10.0.0.5|4000|x\r\n",
        "227 \r\n",
        "227-(10,0,0,5,156,64)\r\n",
        "226 (10,0,0,5,156,64)\r\n",
        "227 (10,0,0,5,156,640)\r\n",
        "229 |||40000|\r\n",
        "229 (|||40000)\r\n",
        "229 (||40000|)\r\n",
        "229 (|1|10.0.0.5|40000|)\r\n",
        "229 (|||400000|)\r\n",
    ] {
        assert_eq!(said(line), None, "{line}");
    }
    // A client says no replies, and a server no commands.
    assert_eq!(command(b"227 (10,0,0,5,156,64)\r\n"), None);
    assert_eq!(reply(b"PORT 10,0,0,5,156,64\r\n"), None);
}

#[test]
fn a_line_is_begun_with_its_argument() {
    let begun = ["PORT 1", "eprt |", "PORT  10,0"];
    let not = ["", "P", "PORT", "PORT ", "USER x", "PORTS 1"];
    assert!(begun.iter().all(|line| is_begun(line.as_bytes(), true)));
    assert!(!not.iter().any(|line| is_begun(line.as_bytes(), true)));
    assert!(is_begun(b"227 E", false) && is_begun(b"229 (", false));
    assert!(!is_begun(b"227 ", false) && !is_begun(b"220 hello", false));
    assert!(!is_begun(b"227 x", true) && !is_begun(b"PORT 1", false));
}

proptest! {
    /// What stands in the place of an announcement announces what it is to.
    #[test]
    fn what_is_written_reads_as_meant(
        v6: bool,
        passive: bool,
        extended: bool,
        old: (u128, u16),
        new: (u128, u16),
    ) {
        let address = |bits: u128| if v6 {
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(bits as u32))
        };
        let numbers = |(bits, port): (u128, u16)| {
            let octets = Ipv4Addr::from_bits(bits as u32).octets();
            let [high, low] = port.to_be_bytes();
            format!("{},{high},{low}", octets.map(|octet| octet.to_string()).join(","))
        };
        let line = match (passive, extended || v6) {
            (false, false) => format!("PORT {}\r\n", numbers(old)),
            (true, false) => format!("227 Entering Passive Mode ({})\r\n", numbers(old)),
            (false, true) => {
                let family = if v6 { 2 } else { 1 };
                format!("EPRT |{family}|{}|{}|\r\n", address(old.0), old.1)
            }
            (true, true) => format!("229 Entering (|||{}|)\r\n", old.1),
        };
        let read = |line: &[u8]| if passive { reply(line) } else { command(line) };
        let announced = read(line.as_bytes()).expect("it announces");
        let silent = passive && (extended || v6);
        prop_assert_eq!(announced.address, (!silent).then(|| address(old.0)));
        prop_assert_eq!(announced.port, old.1);

        let text = announced.text(address(new.0), new.1);
        let mut line = line.into_bytes();
        line.splice(announced.at.clone(), text.bytes().iter().copied());
        let again = read(&line).expect("it announces still");
        prop_assert_eq!(again.address, (!silent).then(|| address(new.0)));
        prop_assert_eq!(again.port, new.1);
        prop_assert_eq!(again.at, announced.at.start..announced.at.start + text.bytes().len());
    }

    /// Nothing that bytes say makes it fail, and what is found lies in the line.
    #[test]
    fn any_bytes_are_read(
        start in prop::sample::select(vec!["", "PORT ", "EPRT ", "227 ", "229 ", "EPRT |1|", "229 ("]),
        rest in prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(&b"0123456789,|.:()\r\n "[..])],
            0..80,
        ),
    ) {
        let line = [start.as_bytes(), &rest].concat();
        for announced in [command(&line), reply(&line)].into_iter().flatten() {
            let at = announced.at.clone();
            prop_assert!(at.start >= 4 && at.end <= line.len() && at.start < at.end);
            let text = announced.text(announced.address.unwrap_or(CLIENT), announced.port);
            prop_assert!(!text.bytes().is_empty());
        }
        is_begun(&line, true);
        is_begun(&line, false);
    }
}
