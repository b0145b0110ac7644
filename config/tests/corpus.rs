//! Thousands of flow lines, over every field and every action, against what Open vSwitch makes of
//! them.
//!
//! `golden/corpus.txt` holds each line and the answer of Open vSwitch 3.1, so that this runs
//! without it. With `WEIR_OVS=compare` in the environment Open vSwitch is asked anew
//! (`golden/ask-ovs.sh`) and held against the file; with `WEIR_OVS=bless` the file is written.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use weir_config::text::{self, Options};
use weir_tables::field::{Access, Field, Format, Masking, Prerequisite};
use weir_tables::port::PortNo;

/// Random numbers that are the same every time (Steele, Lea, Flood: "Fast Splittable Pseudorandom
/// Number Generators").
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    }

    fn bits(&mut self, width: u16) -> u128 {
        let number = u128::from(self.next()) << 64 | u128::from(self.next());
        number & u128::MAX >> (128 - width)
    }

    fn below(&mut self, end: u16) -> u16 {
        u16::try_from(self.next() % u64::from(end)).expect("it is below a u16")
    }
}

/// What a match must say for a field to exist.
fn prerequisite(prerequisite: Prerequisite) -> &'static str {
    use Prerequisite as P;
    match prerequisite {
        P::None | P::Ethernet => "",
        P::VlanVid => "dl_vlan=5,",
        P::Mpls => "mpls,",
        P::Ipv4 | P::Ip => "ip,",
        P::Ipv6 => "ipv6,",
        P::Arp => "arp,",
        P::Tcp => "tcp,",
        P::Udp => "udp,",
        P::Sctp => "sctp,",
        P::Icmpv4 => "icmp,",
        P::Icmpv6 => "icmp6,",
        P::Nd | P::NdSolicit => "icmp6,icmp_type=135,icmp_code=0,",
        P::NdAdvert => "icmp6,icmp_type=136,icmp_code=0,",
        P::Nsh => "dl_type=0x894f,",
        P::Ct | P::CtIpv4 => "ct_state=+trk+est,ip,",
        P::CtIpv6 => "ct_state=+trk+est,ipv6,",
        P::CtPorts => "ct_state=+trk+est,ct_nw_proto=6,ip,",
    }
}

/// A value of `field`, and one with a mask if it may have one.
fn values(field: Field, draw: &mut Draw) -> Vec<String> {
    let info = field.info();
    let number = |draw: &mut Draw| match field {
        Field::NW_TOS => draw.bits(8) & 0xfc,
        Field::ARP_OP => draw.bits(8),
        Field::NSH_TTL => draw.bits(6),
        Field::NSH_MDTYPE => draw.bits(1) + 1,
        Field::VLAN_TCI | Field::VLAN_VID => draw.bits(12) | 0x1000,
        _ => draw.bits(info.width),
    };
    let mac = |draw: &mut Draw| {
        let bytes = u64::try_from(draw.bits(48)).expect("48 bits").to_be_bytes();
        bytes[2..]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(":")
    };
    let v4 = |draw: &mut Draw| std::net::Ipv4Addr::from_bits(draw.next() as u32).to_string();
    let v6 = |draw: &mut Draw| std::net::Ipv6Addr::from_bits(draw.bits(128)).to_string();
    let mut values: Vec<String> = match info.format {
        Format::Dec | Format::Hex => {
            let (first, second) = (number(draw), number(draw));
            let mut values = vec![format!("{first}"), format!("{second:#x}")];
            if info.masking == Masking::Bitwise {
                values.push(format!("{second:#x}/{:#x}", number(draw)));
            }
            values
        }
        Format::Ethernet => vec![mac(draw), format!("{}/ff:ff:00:00:00:00", mac(draw))],
        Format::Ipv4 => vec![
            v4(draw),
            format!("{}/{}", v4(draw), draw.below(33)),
            format!("{}/255.0.255.0", v4(draw)),
        ],
        Format::Ipv6 => vec![
            v6(draw),
            format!("{}/{}", v6(draw), draw.below(129)),
            format!("{}/ffff::ffff", v6(draw)),
        ],
        Format::CtState => ["+trk+est", "-trk", "+trk-new+rpl", "est|trk", "0x22/0x23"]
            .map(str::to_owned)
            .to_vec(),
        Format::TcpFlags => ["+syn-ack", "syn|ack", "0x12", "0x2/0x7"]
            .map(str::to_owned)
            .to_vec(),
        Format::Fragment => ["no", "yes", "first", "later", "not_later"]
            .map(str::to_owned)
            .to_vec(),
        Format::Port => ["1", "p1", "LOCAL", "controller", "7000"]
            .map(str::to_owned)
            .to_vec(),
        Format::TunnelFlags => ["+oam", "-oam", "1"].map(str::to_owned).to_vec(),
        Format::PacketType => ["(0,0)", "(1,0x800)"].map(str::to_owned).to_vec(),
        // Options have lines of their own.
        Format::Bytes => Vec::new(),
    };
    values.push("*".to_owned());
    values
}

/// All lines about one field.
fn field_lines(field: Field, draw: &mut Draw, lines: &mut Vec<String>) {
    let info = field.info();
    let before = prerequisite(info.prerequisite);
    let names = std::iter::once(info.name).chain(info.aliases.iter().copied());
    for name in names {
        for value in values(field, draw) {
            lines.push(format!("{before}{name}={value},actions=output:1"));
        }
        // Without what it needs.
        let value = values(field, draw).swap_remove(0);
        lines.push(format!("{name}={value},actions=output:1"));
    }
    let width = info.width;
    let part = (draw.below(width), draw.below(width));
    let (first, last) = (part.0.min(part.1), part.0.max(part.1));
    let value = draw.bits(last - first + 1);
    let name = info.name;
    lines.push(format!(
        "{before}{name}[{first}..{last}]={value},actions=output:1"
    ));
    for value in values(field, draw) {
        lines.push(format!("{before}actions=set_field:{value}->{name}"));
    }
    let value = values(field, draw).swap_remove(0);
    lines.push(format!("actions=set_field:{value}->{name}"));
    let value = draw.bits(last - first + 1);
    let wires = info.wire_names.iter().copied().chain([name]);
    for wire in wires {
        lines.push(format!(
            "{before}actions=load:{value}->{wire}[{first}..{last}]"
        ));
        if width <= 32 {
            let end = width - 1;
            lines.push(format!(
                "{before}actions=move:{wire}[]->NXM_NX_REG3[0..{end}]"
            ));
        }
    }
    lines.push(format!(
        "{before}actions=move:NXM_NX_XXREG1[{first}..{last}]->{name}[{first}..{last}]"
    ));
    lines.push(format!(
        "{before}actions=push:{name}[{first}..{last}],pop:{name}[{first}..{last}]"
    ));
    lines.push(format!("{before}actions=output:{name}[{first}..{last}]"));
    if info.access == Access::CtExec {
        for value in values(field, draw) {
            lines.push(format!(
                "ip,actions=ct(commit,exec(set_field:{value}->{name}))"
            ));
        }
    }
    if width >= 16 {
        let end = first.min(width - 16) + 15;
        let start = end - 15;
        lines.push(format!(
            "{before}ip,actions=ct(zone={name}[{start}..{end}])"
        ));
    }
}

/// The options that the recorded switch had in its map: field and bytes.
const OPTIONS: [(&str, u16); 3] = [
    ("tun_metadata0", 4),
    ("tun_metadata1", 12),
    ("tun_metadata63", 124),
];

/// All lines about one option.
fn option_lines((name, size): (&str, u16), draw: &mut Draw, lines: &mut Vec<String>) {
    let width = size * 8;
    let mut digits = |width: u16| -> String {
        let mut digits = String::new();
        for start in (0..width).step_by(4) {
            let bits = u8::try_from(draw.bits(4.min(width - start))).expect("a digit");
            digits.insert(0, char::from_digit(bits.into(), 16).expect("a digit"));
        }
        digits
    };
    let value = digits(width);
    let masked = format!("0x{value}/0x{}", digits(width));
    let short = digits(20);
    let values = [
        format!("0x{value}"),
        masked,
        format!("0x{value}/0x{}", "f".repeat(value.len())),
        format!("0x{short}"),
        format!("0x{short}/0xff00f"),
        format!("0x{}{value}", "0".repeat(9)),
        "0".to_owned(),
        "0/0xff".to_owned(),
        "77".to_owned(),
        "0x77/0".to_owned(),
        "nonsense".to_owned(),
    ];
    for value in &values {
        lines.push(format!("{name}={value},actions=output:1"));
        lines.push(format!("actions=set_field:{value}->{name}"));
        lines.push(format!("ip,actions=ct(exec(set_field:{value}->{name}))"));
    }
    let wire = name.to_ascii_uppercase();
    for (start, end) in [
        (0, 15),
        (7, 7),
        (width - 9, width - 1),
        (3, 18),
        (0, width - 1),
    ] {
        let part = format!("[{start}..{end}]");
        let long = end - start + 1;
        let value = digits(long.min(64));
        lines.push(format!("{name}{part}=0x{value},actions=output:1"));
        for name in [name, &format!("NXM_NX_{wire}")] {
            lines.push(format!("actions=load:0x{value}->{name}{part}"));
        }
        if long <= 16 {
            let target = long - 1;
            lines.push(format!(
                "actions=move:{name}{part}->NXM_NX_REG3[0..{target}]"
            ));
            lines.push(format!(
                "actions=move:NXM_NX_XXREG1[0..{target}]->{name}{part}"
            ));
            lines.push(format!("actions=output:{name}{part}"));
            lines.push(format!("actions=output:NXM_NX_{wire}{part}"));
        }
        lines.push(format!("actions=push:{name}{part},pop:{name}{part}"));
        lines.push(format!("ip,actions=ct(zone={name}{part})"));
        lines.push(format!(
            "ip,actions=ct(commit,exec(move:{name}{part}->ct_label{part}))"
        ));
    }
    for matches in ["", "ip,", "tun_id=5,", "reg0=7,in_port=1,"] {
        lines.push(format!("{matches}{name},actions=output:1"));
        lines.push(format!("{matches}actions=delete_field:{name}"));
        lines.push(format!(
            "{matches}{name}=1,tun_src=10.0.0.1,actions=delete_field:{name},output:1"
        ));
        lines.push(format!(
            "{matches}actions=clone(set_field:0x5->{name},output:1)"
        ));
        lines.push(format!(
            "{matches}actions=write_actions(set_field:0x5->{name})"
        ));
    }
    lines.push(format!("actions=learn(table=3,{name}[0..7]=5)"));
    lines.push(format!("actions=delete_field:{name}[0..7]"));
    lines.push(format!(
        "actions=multipath(symmetric_l4,0,hrw,4,0,{name}[0..7])"
    ));
    lines.push(format!("{name}=1,{name}=2,actions=drop"));
}

/// What else is said of options.
const OPTION_FLOWS: &[&str] = &[
    "tun_metadata0=1,tun_metadata1=2,tun_metadata63,actions=drop",
    "tun_metadata63=1,tun_metadata0=2,actions=drop",
    "tun_metadata64=1,actions=drop",
    "actions=set_field:1->tun_metadata64",
    "actions=delete_field:tun_metadata64",
    "actions=delete_field:reg0",
    "actions=delete_field",
    "actions=delete_field:",
    "actions=move:tun_metadata1[0..31]->tun_metadata0",
    "actions=move:tun_metadata1[0..31]->tun_metadata0[0..31]",
];

/// Each with each of [`MATCHES`].
const ACTIONS: &[&str] = &[
    "drop",
    "1",
    "output:1",
    "output:p1",
    "normal",
    "flood",
    "all",
    "local",
    "in_port",
    "table",
    "none",
    "controller",
    "controller:100",
    "controller(max_len=64,reason=no_match,id=7)",
    "controller(userdata=00.11.ff,pause)",
    "controller(meter_id=3)",
    "controller(foo=3)",
    "output(port=1,max_len=100)",
    "output(port=flood,max_len=100)",
    "output(port=1,max_len=3)",
    "enqueue:1:7",
    "set_queue:3,output:1,pop_queue",
    "group:5",
    "group:77",
    "resubmit:1",
    "resubmit(,3)",
    "resubmit(1,3)",
    "resubmit(,3,ct)",
    "resubmit(in_port,3)",
    "clone(output:1,dec_ttl)",
    "clone()",
    "push:reg0[3..9],pop:xreg1[0..6]",
    "exit,output:1",
    "note:01.23.45",
    "note:1",
    "learn(table=3,hard_timeout=9,NXM_OF_VLAN_TCI[0..11])",
    "learn(eth_type=0x800,nw_proto=17,udp_dst=5,load:1->reg4[2])",
    "learn(ip)",
    "fin_timeout(idle_timeout=3,hard_timeout=4)",
    "conjunction(7,2/3)",
    "conjunction(7,4/3)",
    "conjunction(7,1/2),output:1",
    "multipath(symmetric_l4,0,hrw,4,0,reg2[0..7])",
    "multipath(symmetric_l4,0,hrw,400,0,reg2[0..7])",
    "bundle(eth_src,7,active_backup,ofport,members:1)",
    "bundle_load(nw_dst,7,hrw,ofport,reg2[0..15],members:1)",
    "sample(probability=5,obs_point_id=9)",
    "sample(collector_set_id=9)",
    "ct",
    "ct()",
    "ct(commit)",
    "ct(commit,zone=5,table=3)",
    "ct(force)",
    "ct(zone=70000)",
    "ct(table=255)",
    "ct(nat)",
    "ct(commit,nat(src=10.0.0.1-10.0.0.9:1000-2000,random))",
    "ct(commit,nat(dst=[fe80::1]:80))",
    "ct(nat(src=10.0.0.1))",
    "ct(commit,nat(src,dst))",
    "ct(commit,exec(set_field:5/0xf->ct_mark,set_field:9->ct_label))",
    "ct(commit,exec(set_field:5->reg0))",
    "ct(commit,alg=ftp)",
    "ct(commit,alg=tftp)",
    "ct(commit,alg=sip)",
    "ct_clear",
    "check_pkt_larger(1500)->reg0[7]",
    "check_pkt_larger(1500)->reg0[7..8]",
    "mod_dl_src:00:11:22:33:44:55",
    "mod_dl_dst:00:11:22:33:44:55",
    "mod_nw_src:10.1.2.3",
    "mod_nw_dst:10.1.2.3",
    "mod_nw_tos:16",
    "mod_nw_tos:17",
    "mod_nw_ecn:2",
    "mod_nw_ecn:4",
    "mod_tp_src:80",
    "mod_tp_dst:80",
    "dec_ttl",
    "dec_ttl(3,4)",
    "mod_vlan_vid:7",
    "mod_vlan_pcp:3",
    "mod_vlan_vid:4096",
    "strip_vlan",
    "push_vlan:0x8100",
    "push_vlan:0x88a8,push_vlan:0x8100,pop_vlan,pop_vlan",
    "push_vlan:0x800",
    "push_mpls:0x8847,set_mpls_label:7,set_mpls_tc:1,pop_mpls:0x0800",
    "dec_mpls_ttl",
    "set_mpls_ttl:3",
    "encap(nsh(md_type=1)),dec_nsh_ttl",
    "encap(mpls),decap()",
    "dec_nsh_ttl",
    "decap(packet_type(ns=1,type=0x894f))",
    "set_tunnel:7",
    "set_tunnel64:0x123456789",
    "write_metadata:7",
    "write_metadata:0x70/0xf0,goto_table:9",
    "clear_actions",
    "write_actions(output:1,dec_ttl,push_vlan:0x8100)",
    "write_actions(exit)",
    "write_actions(group:5),goto_table:3",
    "goto_table:0",
    "goto_table:3,output:1",
    "apply_actions(output:1)",
    "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
    "move:NXM_OF_ETH_SRC[0..3]->NXM_NX_REG0[0..4]",
    "load:0x123456789->NXM_NX_REG0[]",
];

const MATCHES: &[&str] = &[
    "",
    "ip,",
    "tcp,",
    "udp6,",
    "arp,",
    "icmp,",
    "dl_vlan=5,",
    "mpls,",
    "ct_state=+trk+est,tcp,",
];

/// What else may stand in a flow.
const FLOWS: &[&str] = &[
    "table=7,priority=9,cookie=0x1234,actions=drop",
    "table=255,actions=drop",
    "table=254,actions=drop",
    "table=256,actions=drop",
    "priority=65536,actions=drop",
    "priority=0,actions=drop",
    "priority=037,actions=drop",
    "priority=0x1f,actions=drop",
    "idle_timeout=5,hard_timeout=6,actions=drop",
    "idle_timeout=70000,actions=drop",
    "importance=4,actions=drop",
    "send_flow_rem,check_overlap,reset_counts,actions=drop",
    "no_packet_counts,no_byte_counts,actions=drop",
    "out_port=1,actions=drop",
    "cookie=1/2,actions=drop",
    "duration=5s,n_packets=4,n_bytes=9,idle_age=3,hard_age=2,actions=drop",
    "allow_hidden_fields,no_readonly_table,actions=drop",
    "foo=1,actions=drop",
    "actions=",
    "in_port=1",
    "in_port=1 tcp\tactions=drop",
    "actions:drop",
    "action=drop",
    "tcp,actions=drop,output:1",
    "tcp6,tp_dst=80/0xfff0,actions=drop",
    "sctp6,tp_src=9,actions=drop",
    "rarp,arp_op=3,actions=drop",
    "ip4,nw_proto=47,actions=drop",
    "ipv4,actions=drop",
    "ip6,actions=drop",
    "mplsm,actions=drop",
    "eth,actions=drop",
    "icmp,icmp_type=8,icmp_code=0,actions=drop",
    "icmp,tp_src=8,actions=drop",
    "icmp6,icmpv6_type=128,actions=drop",
    "dl_vlan=0xffff,actions=drop",
    "dl_vlan=4095,actions=drop",
    "vlan_tci=0,actions=drop",
    "vlan_tci=0x1000/0x1000,actions=drop",
    "vlan_vid=0x1000/0x1000,actions=drop",
    "dl_vlan=5,dl_vlan_pcp=3,actions=drop",
    "dl_vlan_pcp=3,actions=drop",
    "dl_type=0x800,nw_src=1.2.3.4,actions=drop",
    "dl_type=0x806,nw_src=1.2.3.4,actions=drop",
    "arp,nw_proto=1,actions=drop",
    "xreg0=5,reg1=7,actions=drop",
    "reg0[0..3]=5,reg0[8..11]=2,actions=drop",
    "in_port=65534,actions=drop",
    "in_port=65535,actions=drop",
];

/// The lines: always the same ones.
fn lines() -> Vec<String> {
    let mut draw = Draw(1);
    let mut lines = Vec::new();
    for field in Field::all().filter(|field| field.option().is_none()) {
        field_lines(field, &mut draw, &mut lines);
    }
    for action in ACTIONS {
        for matches in MATCHES {
            lines.push(format!("{matches}actions={action}"));
        }
    }
    lines.extend(FLOWS.iter().map(|&flow| flow.to_owned()));
    for option in OPTIONS {
        option_lines(option, &mut draw, &mut lines);
    }
    lines.extend(OPTION_FLOWS.iter().map(|&flow| flow.to_owned()));
    let mut seen = std::collections::HashSet::new();
    lines.retain(|line| seen.insert(line.clone()));
    lines
}

/// Line and answer; an answer that begins with `!` is an error.
fn golden() -> Vec<(&'static str, &'static str)> {
    let text = include_str!("golden/corpus.txt");
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut pairs = Vec::new();
    while let (Some(input), Some(ovs)) = (lines.next(), lines.next()) {
        let input = input
            .strip_prefix("in   ")
            .expect("a line and an answer take turns");
        let ovs = ovs
            .strip_prefix("ovs  ")
            .expect("a line and an answer take turns");
        pairs.push((input, ovs));
    }
    pairs
}

fn ours(input: &str) -> String {
    let options = Options {
        ports: &|name: &str| (name == "p1").then_some(PortNo(1)),
        ..Options::default()
    };
    match text::parse_flow(input, &options) {
        Ok(flow) => text::flow_text(&flow).to_string(),
        Err(error) => format!("! {}", error.message),
    }
}

/// Why weir is meant to say something else; `None`: it is not.
fn difference(input: &str, ovs: &str, weir: &str) -> Option<&'static str> {
    DIFFERENCES
        .iter()
        .find(|(_, applies)| applies(input, ovs, weir))
        .map(|(why, _)| *why)
}

type Applies = fn(&str, &str, &str) -> bool;

/// The differences that are meant.
const DIFFERENCES: &[(&str, Applies)] = &[
    ("Open vSwitch 3.1 has 16 registers", |input, ovs, _| {
        ovs.starts_with('!') && has_newer_register(input)
    }),
    (
        "a field without its prerequisite is an error, not a wildcard",
        |_, ovs, weir| !ovs.starts_with('!') && weir.contains(" needs "),
    ),
    ("ct() may be used without ip", |input, ovs, _| {
        ovs.contains("OFPBAC_MATCH_INCONSISTENT") && input.contains("actions=ct")
    }),
    (
        "Open vSwitch reads longer numbers than 64 bits only in some places",
        |_, ovs, _| ovs.contains("value too large") || ovs.contains("cannot parse integer value"),
    ),
    (
        "groups are looked for when a policy is loaded",
        |_, ovs, _| ovs.contains("OFPBAC_BAD_OUT_GROUP"),
    ),
    (
        "what only the datapath of Open vSwitch knows is refused when a policy is loaded",
        |input, ovs, _| {
            ovs.contains("OFPBRC_EPERM")
                || ["tun_ttl", "tun_tos", "skb_priority"]
                    .iter()
                    .any(|name| input.starts_with(name) && ovs.starts_with('!'))
        },
    ),
    (
        "Open vSwitch loses bits of a port's field that is longer than 64 bits",
        |input, ovs, _| {
            input.contains("actions=output:") && !ovs.starts_with('!') && input.contains("..")
        },
    ),
    (
        "Open vSwitch forgets masks, bits or whole fields of ERSPAN, GTP-U, NSH and GBP",
        |input, _, _| {
            ["tun_erspan", "ERSPAN", "gtpu", "nsh", "NSH", "gbp_flags"]
                .iter()
                .any(|name| input.contains(name))
        },
    ),
    (
        "OpenFlow has no such field; Open vSwitch writes or reads another one",
        |_, _, weir| weir.contains("cannot be written") || weir.contains("cannot be read"),
    ),
    (
        "ct_mark and ct_label are written by ct() only",
        |input, _, weir| input.contains("pop:") && weir.contains("can be written only by ct"),
    ),
    ("importance is kept", |input, _, _| {
        input.contains("importance")
    }),
    ("+oam and -oam are values", |input, _, _| {
        input.contains("oam->tun_flags")
    }),
    ("a zone may come from actset_output", |input, _, _| {
        input.contains("ct(zone=actset_output")
    }),
    (
        "bits of a value outside of its mask do not count, in options as in other fields",
        |input, ovs, _| ovs.contains("OFPBMC_BAD_WILDCARDS") && input.contains("->tun_metadata"),
    ),
    (
        "how long an option is, is known when a policy is loaded; then a mask of all its bits goes",
        |input, ovs, weir| {
            let sizes = OPTIONS
                .iter()
                .map(|(_, size)| "ff".repeat(usize::from(*size)));
            input.to_ascii_lowercase().contains("tun_metadata")
                && sizes
                    .into_iter()
                    .any(|ones| weir.replace(&format!("/0x{ones}"), "") == ovs)
        },
    ),
    (
        "a match of some bits of an option is printed with its mask",
        |_, ovs, weir| {
            let matches = weir.split_once(" actions=").map(|(matches, _)| matches);
            matches.is_some_and(|matches| {
                matches.starts_with("tun_metadata")
                    && matches.split_once('/').is_some_and(|(plain, mask)| {
                        weir.replace(&format!("{plain}/{mask}"), plain) == ovs
                    })
            })
        },
    ),
    ("all bits of a field are the field", |input, ovs, _| {
        ovs.contains("OFPBAC_MATCH_INCONSISTENT")
            && ["dl_vlan_pcp[0..2]", "mpls_bos[0..0]"]
                .iter()
                .any(|whole| input.contains(whole))
    }),
];

/// Whether a line names a register of Open vSwitch 3.7.
fn has_newer_register(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    // The longest name first: each is the end of the one before.
    let kinds = [("xxreg", 3), ("xreg", 7), ("pkt_reg", 7), ("reg", 15)];
    lower.match_indices("reg").any(|(at, _)| {
        let digits = &lower[at + 3..];
        let end = digits.find(|letter: char| !letter.is_ascii_digit());
        let Ok(number) = digits[..end.unwrap_or(digits.len())].parse::<u8>() else {
            return false;
        };
        let kind = kinds
            .iter()
            .find(|(name, _)| lower[..at + 3].ends_with(name));
        kind.is_some_and(|(_, last)| number > *last)
    })
}

#[test]
fn the_corpus_is_that_of_the_generator() {
    let lines = lines();
    assert!(lines.len() >= 2_000, "{} lines", lines.len());
    let golden = golden();
    for (line, (input, _)) in lines.iter().zip(&golden) {
        assert_eq!(line, input);
    }
    assert_eq!(lines.len(), golden.len());
}

#[test]
fn weir_reads_and_prints_as_open_vswitch_does() {
    let mut used = vec![0; DIFFERENCES.len()];
    let mut wrong = String::new();
    let mut count = 0;
    for (input, ovs) in golden() {
        let weir = ours(input);
        if weir == ovs || weir.starts_with('!') && ovs.starts_with('!') {
            continue;
        }
        let why = difference(input, ovs, &weir);
        let at = why.and_then(|why| DIFFERENCES.iter().position(|known| known.0 == why));
        match at {
            Some(at) => used[at] += 1,
            None => {
                count += 1;
                // Writing to a String cannot fail.
                let _ = writeln!(wrong, "in   {input}\novs  {ovs}\nweir {weir}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "{count} lines\n\n{wrong}");
    for ((why, _), used) in DIFFERENCES.iter().zip(used) {
        assert!(used > 0, "no line shows that {why}");
    }
}

/// Without Open vSwitch, or without the wish to ask it, there is nothing to do.
#[test]
fn open_vswitch_answers_as_recorded() {
    let Ok(wish) = std::env::var("WEIR_OVS") else {
        return;
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let answers = ask(&folder.join("ask-ovs.sh"), &lines());
    if wish == "bless" {
        let head = "# Written by corpus.rs with WEIR_OVS=bless. in: a flow; ovs: its line in\n\
                    # `ovs-ofctl -O OpenFlow13 dump-flows --no-stats` of Open vSwitch 3.1, or !\n\
                    # and why it is refused.\n";
        std::fs::write(folder.join("corpus.txt"), head.to_owned() + &answers)
            .expect("the file can be written");
        return;
    }
    let recorded: String = golden()
        .iter()
        .map(|(input, ovs)| format!("in   {input}\novs  {ovs}\n"))
        .collect();
    for (now, before) in answers.lines().zip(recorded.lines()) {
        assert_eq!(now, before);
    }
    assert_eq!(answers.len(), recorded.len());
}

fn ask(script: &PathBuf, lines: &[String]) -> String {
    let mut child = Command::new("sh")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("there is a shell");
    let mut stdin = child.stdin.take().expect("it is piped");
    let text = lines.join("\n") + "\n";
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads all");
    String::from_utf8(output.stdout).expect("it is text")
}
