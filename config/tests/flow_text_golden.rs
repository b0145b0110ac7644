//! Flow text against what Open vSwitch prints, and against the errors that a user reads.

use std::fmt::Write as _;
use std::path::Path;

use weir_config::diagnostic::Diagnostic;
use weir_config::text::{self, Options, Strictness};
use weir_tables::port::PortNo;

fn options() -> Options<'static> {
    Options {
        ports: &|name: &str| (name == "p1").then_some(PortNo(1)),
        ..Options::default()
    }
}

/// One flow of `golden/flows.txt`.
#[derive(Default)]
struct Case<'a> {
    input: &'a str,
    ovs: &'a str,
    weir: Option<&'a str>,
    why: Option<&'a str>,
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (key, value) = line.split_at(5.min(line.len()));
        match (key.trim_end(), cases.last_mut()) {
            ("in", _) => cases.push(Case {
                input: value,
                ..Case::default()
            }),
            ("ovs", Some(case)) => case.ovs = value,
            ("weir", Some(case)) => case.weir = Some(value),
            ("why", Some(case)) => case.why = Some(value),
            _ => panic!("golden/flows.txt: {line}"),
        }
    }
    cases
}

fn ours(input: &str) -> String {
    match text::parse_flow(input, &options()) {
        Ok(flow) => text::flow_text(&flow).to_string(),
        Err(_) => "!".to_owned(),
    }
}

#[test]
fn flows_print_as_open_vswitch_prints_them() {
    let cases = cases(include_str!("golden/flows.txt"));
    assert!(cases.len() >= 150, "only {} cases", cases.len());
    let mut wrong = String::new();
    for case in &cases {
        let got = ours(case.input);
        let refused = got == "!";
        let same = got == case.ovs || refused && case.ovs.starts_with('!');
        let agrees = match case.weir {
            Some(weir) => got == weir && case.why.is_some() && !same,
            None => same,
        };
        if !agrees {
            let (input, ovs) = (case.input, case.ovs);
            let want = case.weir.unwrap_or("(the same)");
            let _ = writeln!(wrong, "in   {input}\novs  {ovs}\nwant {want}\ngot  {got}\n");
        }
        if let Ok(flow) = text::parse_flow(case.input, &options()) {
            assert_eq!(
                text::parse_flow(&got, &options()).as_ref(),
                Ok(&flow),
                "{got}"
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The policies of real deployments, as their owners printed them.
const SEEDS: [(&str, &str); 6] = [
    (
        "firewall-over-tunnel",
        include_str!("seeds/firewall-over-tunnel.flows"),
    ),
    (
        "nat-same-address-tenants",
        include_str!("seeds/nat-same-address-tenants.flows"),
    ),
    (
        "stateful-inspection",
        include_str!("seeds/stateful-inspection.flows"),
    ),
    ("vpc-compute1", include_str!("seeds/vpc-compute1.flows")),
    ("vpc-compute2", include_str!("seeds/vpc-compute2.flows")),
    ("vpc-computeA", include_str!("seeds/vpc-computeA.flows")),
];

#[test]
fn deployed_policies_print_canonically_and_read_back() {
    let mut got = String::new();
    for (name, text) in SEEDS {
        let options = Options { name, ..options() };
        let flows = text::parse_flow_file(text, &options).expect(name);
        let _ = writeln!(got, "# {name}");
        let printed: String = flows
            .iter()
            .map(|flow| format!(" {}\n", text::flow_text(&flow.value)))
            .collect();
        let dump = format!("OFPST_FLOW reply (OF1.3) (xid=0x2):\n{printed}");
        let again = text::parse_flow_file(&dump, &options).expect(name);
        assert!(
            flows
                .iter()
                .map(|flow| &flow.value)
                .eq(again.iter().map(|flow| &flow.value))
        );
        got += &printed;
    }
    compare("seeds.txt", include_str!("golden/seeds.txt"), &got);
}

/// Compares with a golden file; with `WEIR_BLESS` in the environment writes it instead.
fn compare(name: &str, golden: &str, got: &str) {
    if std::env::var_os("WEIR_BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(name);
        std::fs::write(path, got).expect("the file can be written");
        return;
    }
    for (want, got) in golden.lines().zip(got.lines()) {
        assert_eq!(got, want, "golden/{name}");
    }
    assert_eq!(got, golden);
}

/// Reads `input` as its first word says, which must fail.
fn error(input: &str) -> Diagnostic {
    let (how, text) = input.split_once(' ').expect("a word and a text");
    let result = match how {
        "flow" => text::parse_flow(text, &options()),
        "filter" => text::parse_filter(text, Strictness::Loose, &options()),
        "strict" => text::parse_filter(text, Strictness::Strict, &options()),
        _ => panic!("golden/errors.txt: {input}"),
    };
    result.expect_err(input)
}

/// `golden/errors.txt` holds inputs, each followed by the error as it is shown.
#[test]
fn errors_say_where_and_what_would_do() {
    let golden = include_str!("golden/errors.txt");
    let is_input = |line: &&str| {
        ["flow ", "filter ", "strict "]
            .iter()
            .any(|how| line.starts_with(how))
    };
    let mut got = String::new();
    for input in golden.lines().filter(is_input) {
        let _ = writeln!(got, "{input}\n{}\n", error(input));
    }
    compare("errors.txt", golden, &got);
}
