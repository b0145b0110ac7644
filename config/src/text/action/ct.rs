//! Reads `ct(...)` and `nat(...)`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use weir_ct::ZoneDir;
use weir_nat::{NatFlags, NatKind, NatRange, NatSpec, PortChoice};
use weir_tables::action::{Action, Alg, CtAction, ZoneSource};

use super::{ActionReader, Within, lacks};
use crate::text::address;
use crate::text::error::Fault;
use crate::text::number;
use crate::text::scan::{Pair, Pairs, Tok};
use crate::text::value;

impl ActionReader<'_> {
    /// `ct`, `ct(...)`
    ///
    /// Unlike Open vSwitch, a match without `ip` may use it.
    pub(super) fn ct(&mut self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let mut ct = CtAction::default();
        let (mut needs_commit, mut one_way) = (None, None);
        let mut pairs = Pairs::new(pair.value);
        while let Some(option) = pairs.next()? {
            match option.key.text {
                "commit" => {
                    option.bare()?;
                    ct.commit = true;
                }
                "force" => {
                    option.bare()?;
                    ct.force = true;
                    needs_commit = needs_commit.or(Some((option.whole, "force")));
                }
                "table" => ct.table = Some(value::table(option.required("a table")?)?),
                "zone" => ct.zone = self.zone(option.required("a zone")?)?,
                "zone_dir" => {
                    let tok = option.required("original or reply")?;
                    ct.zone_dir = Some(match tok.text {
                        "original" => ZoneDir::Original,
                        "reply" => ZoneDir::Reply,
                        _ => {
                            let fault = tok.fault(format!("unknown direction {}", tok.text));
                            return Err(fault.hint("expected original or reply"));
                        }
                    });
                    needs_commit = needs_commit.or(Some((option.whole, "zone_dir")));
                    one_way = Some(option.whole);
                }
                "alg" => ct.alg = Some(self.alg(option.required("ftp or tftp")?)?),
                "nat" => {
                    if ct.nat.is_some() {
                        return Err(option.whole.fault("one nat only in a ct"));
                    }
                    let nat = self.nat(&option)?;
                    if nat != NatSpec::Existing {
                        needs_commit = needs_commit.or(Some((option.whole, "nat with arguments")));
                    }
                    ct.nat = Some(nat);
                }
                "exec" => {
                    let actions = self.actions(option.value, Within::CtExec)?;
                    if !actions.is_empty() {
                        needs_commit = needs_commit.or(Some((option.whole, "exec")));
                    }
                    ct.exec.extend(actions);
                }
                _ => {
                    let fault = option
                        .key
                        .fault(format!("unknown option {}", option.key.text));
                    return Err(fault
                        .hint("expected commit, force, table, zone, zone_dir, nat, exec or alg"));
                }
            }
        }
        match needs_commit {
            Some((tok, what)) if !ct.commit => {
                return Err(tok.fault(format!("{what} needs commit")).hint("add commit"));
            }
            _ => {}
        }
        if let (Some(tok), ZoneSource::Number(0)) = (one_way, ct.zone) {
            // Both directions would be in zone 0.
            let fault = tok.fault("zone_dir needs a zone other than 0");
            return Err(fault.hint("add zone="));
        }
        if ct.commit && self.context.invalid() {
            let fault = pair.whole.fault("an invalid packet cannot be committed");
            return Err(fault.hint("the match has ct_state=+inv"));
        }
        Ok(Action::Ct(Box::new(ct)))
    }

    fn zone(&self, tok: Tok<'_>) -> Result<ZoneSource, Fault> {
        if tok.text.starts_with(|letter: char| letter.is_ascii_digit()) {
            return Ok(ZoneSource::Number(number::narrow(tok, "zone")?));
        }
        let source = value::subfield(tok)?;
        if source.width != 16 {
            let fault = tok.fault(format!("a zone has 16 bits, this field {}", source.width));
            return Err(fault.hint(format!("such as {}[0..15]", source.field.name())));
        }
        self.readable(tok, source.field)?;
        Ok(ZoneSource::Field(source))
    }

    fn alg(&self, tok: Tok<'_>) -> Result<Alg, Fault> {
        let (alg, protocol, name) = match tok.text {
            "ftp" => (Alg::Ftp, 6, "tcp"),
            "tftp" => (Alg::Tftp, 17, "udp"),
            _ => {
                let fault = tok.fault(format!("unknown gateway {}", tok.text));
                return Err(fault.hint("expected ftp or tftp"));
            }
        };
        if self.context.is_anything() || self.context.ip_protocol() == Some(protocol) {
            Ok(alg)
        } else {
            Err(lacks(tok, &format!("alg={}", tok.text), name))
        }
    }

    fn nat(&self, pair: &Pair<'_>) -> Result<NatSpec, Fault> {
        let mut kind = None;
        let mut flags = NatFlags::default();
        let mut first_flag = None;
        let mut pairs = Pairs::new(pair.value);
        while let Some(option) = pairs.next()? {
            let key = option.key.text;
            match key {
                "src" | "dst" => {
                    if kind.is_some() {
                        return Err(option.whole.fault("expected one src or one dst"));
                    }
                    let range = if option.value.is_empty() {
                        None
                    } else {
                        let range = range(option.value)?;
                        self.family(option.value, &range)?;
                        // All zero: the address stays as it is.
                        Some(range).filter(|range| !range.last.is_unspecified())
                    };
                    let end = if key == "src" {
                        NatKind::Src
                    } else {
                        NatKind::Dst
                    };
                    kind = Some((end, range));
                    continue;
                }
                "persistent" => flags.persistent = true,
                "hash" | "random" => {
                    let choice = if key == "hash" {
                        PortChoice::Hash
                    } else {
                        PortChoice::Random
                    };
                    if flags.choice != PortChoice::Default && flags.choice != choice {
                        return Err(option.whole.fault("hash and random exclude each other"));
                    }
                    flags.choice = choice;
                }
                _ => {
                    let fault = option.key.fault(format!("unknown option {key}"));
                    return Err(fault.hint("expected src, dst, persistent, hash or random"));
                }
            }
            option.bare()?;
            first_flag = first_flag.or(Some(option.whole));
        }
        match (kind, first_flag) {
            (Some((kind, range)), _) => Ok(NatSpec::Allocate { kind, range, flags }),
            (None, Some(tok)) => Err(tok.fault(format!("{} needs src or dst", tok.text))),
            (None, None) => Ok(NatSpec::Existing),
        }
    }

    /// The addresses must be of the match's family.
    fn family(&self, tok: Tok<'_>, range: &NatRange) -> Result<(), Fault> {
        let (wanted, name) = match range.first {
            IpAddr::V4(_) => (0x0800, "ip"),
            IpAddr::V6(_) => (0x86dd, "ipv6"),
        };
        match self.context.eth_type() {
            None => Ok(()),
            Some(eth_type) if eth_type == wanted => Ok(()),
            Some(_) => Err(tok
                .fault("the addresses are of another family than the match")
                .hint(format!("the match must have {name}"))),
        }
    }
}

/// `A[-B][:P[-Q]]`; IPv6 addresses are in brackets if ports follow.
fn range(tok: Tok<'_>) -> Result<NatRange, Fault> {
    let bad = || {
        tok.fault("bad address range")
            .hint("expected A, A-B, A:P, A-B:P-Q, with IPv6 in brackets before ports")
    };
    let (first, rest) = address(tok).ok_or_else(bad)?;
    let (last, rest) = match rest.text.strip_prefix('-') {
        Some(_) => address(rest.from(1)).ok_or_else(bad)?,
        None => (first, rest),
    };
    if first.is_ipv4() != last.is_ipv4() {
        return Err(bad());
    }
    if last < first {
        return Err(tok.fault("the range ends before it begins"));
    }
    let ports = match rest.text.strip_prefix(':') {
        Some(_) => ports(rest.from(1))?,
        None if rest.is_empty() => None,
        None => return Err(bad()),
    };
    if last.is_unspecified() && ports.is_some() {
        return Err(tok
            .fault("ports need an address")
            .hint("expected one that is not all zero"));
    }
    Ok(NatRange { first, last, ports })
}

/// The address that `tok` begins with, and what follows.
fn address(tok: Tok<'_>) -> Option<(IpAddr, Tok<'_>)> {
    if let Some(inner) = tok.text.strip_prefix('[') {
        let end = inner.find(']')?;
        let address: Ipv6Addr = inner[..end].parse().ok()?;
        return Some((IpAddr::V6(address), tok.from(end + 2)));
    }
    let end = tok
        .text
        .find(|letter: char| letter != '.' && !letter.is_ascii_digit());
    let end = end.unwrap_or(tok.text.len());
    if let Some(address) = address::parse_ipv4(&tok.text[..end]) {
        return Some((IpAddr::V4(Ipv4Addr::from_bits(address)), tok.from(end)));
    }
    let end = tok.text.find('-').unwrap_or(tok.text.len());
    let address: Ipv6Addr = tok.text[..end].parse().ok()?;
    Some((IpAddr::V6(address), tok.from(end)))
}

/// `P[-Q]`; 0 alone is none.
fn ports(tok: Tok<'_>) -> Result<Option<(u16, u16)>, Fault> {
    let decimal = |tok: Tok<'_>| {
        let digits = !tok.is_empty() && tok.text.bytes().all(|byte| byte.is_ascii_digit());
        tok.text
            .parse::<u16>()
            .ok()
            .filter(|_| digits)
            .ok_or_else(|| tok.fault("bad port").hint("expected 1 to 65535"))
    };
    match tok.split_once("-") {
        None => Ok(Some(decimal(tok)?)
            .filter(|&port| port != 0)
            .map(|port| (port, port))),
        Some((first, last)) => {
            let (first_port, last_port) = (decimal(first)?, decimal(last)?);
            if first_port == 0 {
                return Err(first.fault("port 0 in a range").hint("expected 1 to 65535"));
            }
            if last_port < first_port {
                return Err(tok.fault("the range ends before it begins"));
            }
            Ok(Some((first_port, last_port)))
        }
    }
}
