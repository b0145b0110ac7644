//! Words that flow text knows, and the nearest to one that it does not know.

use weir_tables::field::Field;

use super::error::Fault;
use super::scan::Tok;
use crate::diagnostic;

/// Keys of a flow beside its match.
pub(super) const FLOW_KEYS: [&str; 22] = [
    "actions",
    "table",
    "priority",
    "cookie",
    "idle_timeout",
    "hard_timeout",
    "importance",
    "send_flow_rem",
    "check_overlap",
    "reset_counts",
    "no_packet_counts",
    "no_byte_counts",
    "out_port",
    "out_group",
    "duration",
    "n_packets",
    "n_bytes",
    "idle_age",
    "hard_age",
    "no_readonly_table",
    "allow_hidden_fields",
    "eth",
];

/// Shorthands for an `eth_type` and perhaps an `nw_proto`.
pub(super) const PROTOCOLS: [(&str, u16, Option<u8>); 17] = [
    ("ip", 0x0800, None),
    ("ipv4", 0x0800, None),
    ("ip4", 0x0800, None),
    ("arp", 0x0806, None),
    ("icmp", 0x0800, Some(1)),
    ("tcp", 0x0800, Some(6)),
    ("udp", 0x0800, Some(17)),
    ("sctp", 0x0800, Some(132)),
    ("ipv6", 0x86dd, None),
    ("ip6", 0x86dd, None),
    ("icmp6", 0x86dd, Some(58)),
    ("tcp6", 0x86dd, Some(6)),
    ("udp6", 0x86dd, Some(17)),
    ("sctp6", 0x86dd, Some(132)),
    ("rarp", 0x8035, None),
    ("mpls", 0x8847, None),
    ("mplsm", 0x8848, None),
];

/// Actions.
pub(super) const ACTIONS: [&str; 63] = [
    "output",
    "drop",
    "normal",
    "flood",
    "all",
    "local",
    "in_port",
    "controller",
    "table",
    "group",
    "resubmit",
    "set_field",
    "load",
    "move",
    "mod_dl_src",
    "mod_dl_dst",
    "mod_nw_src",
    "mod_nw_dst",
    "mod_nw_tos",
    "mod_nw_ecn",
    "mod_nw_ttl",
    "set_nw_ttl",
    "mod_tp_src",
    "mod_tp_dst",
    "mod_vlan_vid",
    "mod_vlan_pcp",
    "set_vlan_vid",
    "set_vlan_pcp",
    "strip_vlan",
    "pop_vlan",
    "push_vlan",
    "dec_ttl",
    "set_tunnel",
    "set_tunnel64",
    "ct",
    "ct_clear",
    "conjunction",
    "note",
    "exit",
    "clone",
    "push",
    "pop",
    "check_pkt_larger",
    "fin_timeout",
    "learn",
    "meter",
    "bundle",
    "bundle_load",
    "multipath",
    "sample",
    "enqueue",
    "set_queue",
    "pop_queue",
    "push_mpls",
    "pop_mpls",
    "set_mpls_label",
    "set_mpls_tc",
    "set_mpls_ttl",
    "dec_mpls_ttl",
    "encap",
    "decap",
    "dec_nsh_ttl",
    "delete_field",
];

/// Instructions, which stand behind all actions.
pub(super) const INSTRUCTIONS: [&str; 4] = [
    "clear_actions",
    "write_actions",
    "write_metadata",
    "goto_table",
];

pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    diagnostic::nearest(word, known)
}

/// `tok` names no field.
pub(super) fn unknown_field(tok: Tok<'_>) -> Fault {
    let fault = tok.fault(format!("unknown field {}", tok.text));
    suggest(fault, tok.text, field_names())
}

/// `tok` names neither a field nor anything else that may stand in a flow.
pub(super) fn unknown_keyword(tok: Tok<'_>) -> Fault {
    let fault = tok.fault(format!("unknown keyword {}", tok.text));
    if let Some(field) = Field::by_wire_name(tok.text) {
        return fault.hint(format!("in a match the field is called {}", field.name()));
    }
    let known = field_names()
        .chain(FLOW_KEYS)
        .chain(PROTOCOLS.iter().map(|row| row.0));
    suggest(fault, tok.text, known)
}

/// `tok` names no action.
pub(super) fn unknown_action(tok: Tok<'_>) -> Fault {
    let fault = tok.fault(format!("unknown action {}", tok.text));
    suggest(
        fault,
        &tok.text.to_ascii_lowercase(),
        ACTIONS.into_iter().chain(INSTRUCTIONS),
    )
}

fn suggest<'a>(fault: Fault, word: &str, known: impl IntoIterator<Item = &'a str>) -> Fault {
    match nearest(word, known) {
        Some(near) => fault.hint(format!("did you mean {near}?")),
        None => fault,
    }
}

fn field_names() -> impl Iterator<Item = &'static str> {
    Field::all().flat_map(|field| {
        let info = field.info();
        std::iter::once(info.name).chain(info.aliases.iter().copied())
    })
}
