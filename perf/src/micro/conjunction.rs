//! Look-ups that complete a conjunction of two clauses, a source and a destination.

use std::fmt::Write;
use std::net::Ipv4Addr;

use weir_tables::key::FlowKey;

use super::{Cost, Meter, ip_key, look_up, table};

/// How the addresses belong to conjunctions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Groups {
    /// Ten to each: five sources and five destinations.
    OfTen,
    /// All to one.
    One,
    /// Each destination to its own, and one source to all.
    OneSourceInAll,
}

/// Sources and destinations of a group of ten.
const SIDE: u32 = 5;
const SOURCES: u32 = 0x0a00_0000;
const DESTINATIONS: u32 = 0xac10_0000;

impl Groups {
    pub(super) const ALL: &[Self] = &[Self::OfTen, Self::One, Self::OneSourceInAll];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OfTen => "groups of ten",
            Self::One => "one group",
            Self::OneSourceInAll => "a source in all groups",
        }
    }

    /// The conjunction of source and destination `number`, from 1.
    const fn id(self, number: u32) -> u32 {
        match self {
            Self::OfTen => 1 + number / SIDE,
            Self::One => 1,
            Self::OneSourceInAll => 1 + number,
        }
    }
}

/// A look-up among `clauses` clauses, half of them of either kind.
pub(super) fn classify(meter: &Meter, groups: Groups, clauses: u32) -> Cost {
    let half = clauses / 2;
    let mut text = String::new();
    let mut line = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a String");
    let (mut source, mut all) = (String::new(), String::new());
    for number in 0..half {
        let id = groups.id(number);
        let (src, dst) = (SOURCES + number, DESTINATIONS + number);
        let [src, dst] = [src, dst].map(Ipv4Addr::from_bits);
        line(format_args!(
            "ip,nw_dst={dst},actions=conjunction({id},2/2)"
        ));
        line(format_args!("conj_id={id},ip,actions=output:1"));
        match groups {
            Groups::OneSourceInAll => {
                write!(all, "conjunction({id},1/2),").expect("a String");
                source = format!("ip,nw_src={},actions=", Ipv4Addr::from_bits(SOURCES));
            }
            Groups::OfTen | Groups::One => {
                line(format_args!(
                    "ip,nw_src={src},actions=conjunction({id},1/2)"
                ));
            }
        }
    }
    if !source.is_empty() {
        line(format_args!("{source}{}", all.trim_end_matches(',')));
    }
    let table = table(&text);
    let mut draws = fastrand::Rng::with_seed(1);
    let keys: Vec<FlowKey> = (0..1_000)
        .map(|_| {
            let number = draws.u32(..half);
            let src = match groups {
                Groups::OfTen => number / SIDE * SIDE + draws.u32(..SIDE),
                Groups::One => draws.u32(..half),
                Groups::OneSourceInAll => 0,
            };
            ip_key(SOURCES + src, DESTINATIONS + number)
        })
        .collect();
    look_up(meter, &table, &keys)
}
