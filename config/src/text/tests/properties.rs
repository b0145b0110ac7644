//! Properties over generated flows and over damaged text.

use proptest::prelude::*;

use super::generate::flow_mods;
use crate::text::{
    Options, Strictness, flow_text, parse_actions, parse_filter, parse_flow, parse_flow_file,
    parse_match,
};
use weir_tables::action::Action;
use weir_tables::flow_mod::{Command, FlowMod};
use weir_tables::matching::Match;

fn with_word() -> Options<'static> {
    Options {
        command_word: true,
        ..Options::default()
    }
}

/// Reads `text` in every way there is; whatever is accepted must print and read back.
fn read(text: &str) {
    let options = with_word();
    if let Ok(flow) = parse_flow(text, &options) {
        let printed = flow_text(&flow).to_string();
        assert_eq!(
            parse_flow(&printed, &options).as_ref(),
            Ok(&flow),
            "{text}\n{printed}"
        );
    }
    for strictness in [Strictness::Loose, Strictness::Strict] {
        match parse_filter(text, strictness, &options) {
            Ok(filter) => assert!(filter.instructions.apply.is_empty(), "{text}"),
            Err(error) => assert_ne!(error.to_string(), ""),
        }
    }
    let _ = parse_match(text, &options);
    let _ = parse_actions(text, &Match::ANY, &options);
    match parse_flow_file(text, &options) {
        Ok(flows) => {
            assert!(flows.len() <= text.lines().count());
            for flow in &flows {
                assert!(flow.error("x").to_string().contains(":1:") || flow.line > 1);
            }
        }
        Err(errors) => {
            for error in errors {
                assert!(
                    (1..=text.lines().count()).contains(&error.line),
                    "{error:?}"
                );
                assert!(
                    error.column <= error.source_line.chars().count() + 1,
                    "{error:?}"
                );
            }
        }
    }
}

/// Valid lines to damage: the inputs of the golden file.
fn lines() -> Vec<&'static str> {
    let golden = include_str!("../../../tests/golden/flows.txt");
    golden
        .lines()
        .filter_map(|line| line.strip_prefix("in   "))
        .collect()
}

#[derive(Clone, Debug)]
enum Damage {
    Delete(prop::sample::Index, usize),
    Insert(prop::sample::Index, String),
    Replace(prop::sample::Index, String),
    Repeat(prop::sample::Index, usize),
}

fn damages() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    let piece = prop_oneof![
        8 => "[-()=:,>\\[\\]/#\"*.|+ x0-9a-f]",
        1 => Just("->".to_owned()),
        1 => Just("actions=".to_owned()),
        1 => Just("18446744073709551616".to_owned()),
        1 => Just("0xffffffffffffffffffffffffffffffffff".to_owned()),
        1 => "\\PC",
    ];
    prop_oneof![
        (at(), 1..6_usize).prop_map(|(at, len)| Damage::Delete(at, len)),
        (at(), piece.clone()).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        (at(), piece).prop_map(|(at, piece)| Damage::Replace(at, piece)),
        (at(), 1..20_usize).prop_map(|(at, len)| Damage::Repeat(at, len)),
    ]
}

fn damaged(line: &str, damages: &[Damage]) -> String {
    let mut letters: Vec<char> = line.chars().collect();
    for damage in damages {
        if letters.is_empty() {
            break;
        }
        let count = letters.len();
        match damage {
            Damage::Delete(at, len) => {
                let at = at.index(count);
                letters.drain(at..(at + len).min(count));
            }
            Damage::Insert(at, piece) => {
                let at = at.index(count);
                letters.splice(at..at, piece.chars());
            }
            Damage::Replace(at, piece) => {
                let at = at.index(count);
                letters.splice(at..=at, piece.chars());
            }
            Damage::Repeat(at, len) => {
                let at = at.index(count);
                let piece = letters[at..(at + len).min(count)].to_vec();
                letters.splice(at..at, piece);
            }
        }
    }
    letters.into_iter().collect()
}

proptest! {
    #[test]
    fn printed_flows_parse_to_themselves(flow in flow_mods()) {
        let text = flow_text(&flow).to_string();
        prop_assert_eq!(parse_flow(&text, &with_word()), Ok(flow), "{}", text);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "(\\PC|[\n\t]){0,200}") {
        read(&text);
    }

    #[test]
    fn damaged_flows_never_panic_and_what_is_accepted_reads_back(
        line in prop::sample::select(lines()),
        damages in prop::collection::vec(damages(), 1..4),
    ) {
        read(&damaged(line, &damages));
    }

    #[test]
    fn crossed_flows_never_panic_and_what_is_accepted_reads_back(
        one in flow_mods(), other in flow_mods(), cut in any::<prop::sample::Index>(),
    ) {
        let (one, other) = (flow_text(&one).to_string(), flow_text(&other).to_string());
        let cut = cut.index(one.len() + 1);
        let from = other.len().min(cut);
        let text: String = one.chars().take(cut).chain(other.chars().skip(from)).collect();
        read(&text);
    }
}

/// The generator must reach what the properties are about.
#[test]
fn generated_flows_are_diverse() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let flows: Vec<FlowMod> = (0..4000)
        .map(|_| {
            flow_mods()
                .new_tree(&mut runner)
                .expect("the strategy is total")
                .current()
        })
        .collect();
    let acts = |wanted: fn(&Action) -> bool| {
        let of = |flow: &&FlowMod| {
            flow.instructions
                .apply
                .iter()
                .chain(&flow.instructions.write_actions)
                .any(wanted)
        };
        flows.iter().filter(of).count()
    };
    let counts = [
        acts(|action| matches!(action, Action::Output(_))),
        acts(|action| matches!(action, Action::OutputField(_))),
        acts(|action| matches!(action, Action::Controller { .. })),
        acts(|action| matches!(action, Action::Group(_))),
        acts(|action| matches!(action, Action::SetField { .. })),
        acts(|action| matches!(action, Action::Load { .. })),
        acts(|action| matches!(action, Action::Move { .. })),
        acts(|action| matches!(action, Action::PushVlan(_))),
        acts(|action| matches!(action, Action::PopVlan)),
        acts(|action| matches!(action, Action::DecTtl(_))),
        acts(|action| matches!(action, Action::OutputCut { .. })),
        acts(|action| matches!(action, Action::Clone(_))),
        acts(|action| matches!(action, Action::Push(_))),
        acts(|action| matches!(action, Action::Pop(_))),
        acts(|action| matches!(action, Action::CheckPktLarger { .. })),
        acts(|action| matches!(action, Action::FinTimeout { .. })),
        acts(|action| matches!(action, Action::Unexecuted { .. })),
        acts(|action| matches!(action, Action::Resubmit { .. })),
        acts(|action| matches!(action, Action::Ct(_))),
        acts(|action| matches!(action, Action::Ct(ct) if ct.nat.is_some())),
        acts(|action| matches!(action, Action::Ct(ct) if !ct.exec.is_empty())),
        acts(|action| matches!(action, Action::Ct(ct) if ct.alg.is_some())),
        acts(|action| matches!(action, Action::CtClear)),
        acts(|action| matches!(action, Action::Conjunction { .. })),
        acts(|action| matches!(action, Action::Note(_))),
        acts(|action| matches!(action, Action::Exit)),
    ];
    assert!(counts.iter().all(|&count| count > 10), "{counts:?}");
    let commands = [
        Command::Modify,
        Command::ModifyStrict,
        Command::Delete,
        Command::DeleteStrict,
    ];
    for command in commands {
        assert!(
            flows.iter().any(|flow| flow.command == command),
            "no {command:?}"
        );
    }
    for field in weir_tables::field::Field::all() {
        let matched = flows
            .iter()
            .filter(|flow| {
                let mut options = flow.matches.options().iter();
                flow.matches.term(field).1 != 0 || options.any(|term| term.field == field)
            })
            .count();
        assert!(matched > 0, "{field:?} is never matched");
    }
}
