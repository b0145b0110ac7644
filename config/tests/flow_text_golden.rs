//! Flow text against what Open vSwitch prints, and against the errors that a user reads.

use weir_config::text::{self, Options};
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
        Err(error) => format!("! {}", error.message),
    }
}

#[test]
fn flows_print_as_open_vswitch_prints_them() {
    let cases = cases(include_str!("golden/flows.txt"));
    assert!(cases.len() >= 150, "only {} cases", cases.len());
    let mut wrong = String::new();
    for case in &cases {
        let got = ours(case.input);
        let both_refuse = case.ovs.starts_with('!') && got.starts_with('!');
        let agrees = match case.weir {
            Some(weir) => got == weir && case.why.is_some() && got != case.ovs && !both_refuse,
            None => got == case.ovs || both_refuse,
        };
        if !agrees {
            let want = case.weir.unwrap_or("(the same)");
            let ovs = case.ovs;
            wrong += &format!(
                "in   {}\novs  {ovs}\nwant {want}\ngot  {got}\n\n",
                case.input
            );
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
