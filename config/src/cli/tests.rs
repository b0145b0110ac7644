use std::path::PathBuf;

use clap::{CommandFactory, Parser};

use super::{CacheLevel, Cli, Command, ReplayInput};

fn parse(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
}

#[test]
fn definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in Cli::command().get_subcommands_mut() {
        let name = command.get_name().to_owned();
        let help = command.render_help().to_string();
        assert!(
            help.contains("Example") && help.contains(&format!("weir {name}")),
            "{help}"
        );
    }
}

/// The verbs that the manual promises; those of other parts of it come with these parts.
const VERBS: [&str; 43] = [
    "run",
    "check",
    "parse-flows",
    "replay",
    "dump-flows",
    "dump-aggregate",
    "dump-tables",
    "add-flow",
    "add-flows",
    "mod-flows",
    "del-flows",
    "replace-flows",
    "diff-flows",
    "bundle",
    "dump-groups",
    "dump-group-stats",
    "add-group",
    "add-groups",
    "mod-group",
    "del-groups",
    "insert-buckets",
    "remove-buckets",
    "show",
    "dump-ports",
    "mod-port",
    "fdb-show",
    "fdb-flush",
    "neigh-show",
    "packet-out",
    "monitor",
    "dump-conntrack",
    "dump-conntrack-exp",
    "flush-conntrack",
    "ct-get-limits",
    "nat-show",
    "ct-stats-show",
    "ct-set-limits",
    "ct-del-limits",
    "pmd-rxq-show",
    "pmd-stats-show",
    "dump-drops",
    "top",
    "reload",
];

#[test]
fn every_promised_verb_has_help_with_an_example() {
    for verb in VERBS {
        let asked = Cli::try_parse_from(["weir", verb, "--help"]);
        let help = asked.expect_err("help is asked for").to_string();
        assert!(
            help.contains("Example") && help.contains(&format!("weir {verb}")),
            "{verb}: {help}"
        );
    }
}

/// Verbs that print state print it as JSON, too, and each verb about the bridge takes its name.
#[test]
fn state_is_also_json_and_the_bridge_may_be_named() {
    for verb in VERBS {
        let options: Vec<&str> = match verb {
            "dump-flows" | "dump-aggregate" | "dump-tables" | "dump-groups"
            | "dump-group-stats" | "show" | "dump-ports" | "fdb-show" | "neigh-show"
            | "monitor" | "nat-show" | "dump-conntrack" | "dump-conntrack-exp"
            | "ct-get-limits" | "ct-stats-show" | "pmd-rxq-show" | "pmd-stats-show"
            | "dump-drops" | "top" => {
                vec!["--json", "br0"]
            }
            "add-flow" | "add-flows" | "mod-flows" | "replace-flows" | "bundle" | "add-group"
            | "add-groups" | "mod-group" | "del-groups" | "insert-buckets" | "remove-buckets"
            | "del-flows" | "packet-out" | "ct-set-limits" | "ct-del-limits" => vec!["br0", "x"],
            "mod-port" => vec!["br0", "x", "up"],
            "fdb-flush" | "flush-conntrack" => vec!["br0"],
            "diff-flows" => vec!["br0", "x"],
            // These have no bridge: it is in the file they name.
            "run" | "check" | "parse-flows" | "replay" | "reload" => continue,
            other => panic!("{other} is in no row of this table"),
        };
        let line = [&["weir", verb], &options[..]].concat();
        Cli::try_parse_from(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
    }
}

#[test]
fn every_example_parses() {
    for command in Cli::command().get_subcommands() {
        let help = command.get_after_help().expect("it has one").to_string();
        let (_, examples) = help.split_once("Example").expect("it has one");
        for line in examples.lines().filter_map(|line| line.strip_prefix("  ")) {
            let line = line.rsplit("| ").next().unwrap_or(line);
            let line = line.split(" > ").next().unwrap_or(line);
            let mut words = Vec::new();
            for (at, part) in line.split('\'').enumerate() {
                if at % 2 == 1 {
                    words.push(part);
                } else {
                    words.extend(part.split_whitespace());
                }
            }
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for line in [
        "weir",
        "weir fly",
        "weir check",
        "weir show --jason",
        "weir add-flow",
        "weir replay x.toml --out d",
        "weir replay x.toml --in weir0 --out d",
        "weir replay x.toml --in weir0=a.pcap",
        "weir dump-flows a b c",
        "weir run a b",
        "weir run --no-cache=tables",
        "weir run --no-cache=",
    ] {
        assert_eq!(parse(line).expect_err(line).exit_code(), 2, "{line}");
    }
}

#[test]
fn inputs_keep_their_order() {
    let line = "weir replay x.toml --in 3=b=c.pcap --in weir0=a.pcap --out d --seed 5";
    let Ok(Command::Replay(replay)) = parse(line) else {
        panic!("not a replay")
    };
    let input = |port: &str, file: &str| ReplayInput {
        port: port.into(),
        file: file.into(),
    };
    assert_eq!(
        replay.inputs,
        [input("3", "b=c.pcap"), input("weir0", "a.pcap")]
    );
    assert_eq!(replay.seed, 5);
}

#[test]
fn caches_run_unless_switched_off() {
    let lines = [
        ("weir run", None, None),
        ("weir run --no-cache", Some(CacheLevel::All), None),
        (
            "weir run --no-cache=trajectory",
            Some(CacheLevel::Trajectory),
            None,
        ),
        (
            "weir run --no-cache=megaflow",
            Some(CacheLevel::Megaflow),
            None,
        ),
        // What follows without = is the configuration, not a cache.
        (
            "weir run --no-cache a.toml",
            Some(CacheLevel::All),
            Some("a.toml"),
        ),
    ];
    for (line, no_cache, config) in lines {
        let Ok(Command::Run(run)) = parse(line) else {
            panic!("{line}")
        };
        assert_eq!(run.no_cache, no_cache, "{line}");
        assert_eq!(run.config, config.map(PathBuf::from), "{line}");
    }
}

#[test]
fn a_bridge_may_come_before_what_is_required() {
    let Ok(Command::AddFlows(args)) = parse("weir add-flows br0 -") else {
        panic!("refused")
    };
    assert_eq!(
        (args.bridge.as_deref(), args.file),
        (Some("br0"), PathBuf::from("-"))
    );
    let Ok(Command::AddFlows(args)) = parse("weir add-flows x.flows") else {
        panic!("refused")
    };
    assert_eq!((args.bridge, args.file), (None, PathBuf::from("x.flows")));
}

/// Each command that the list of filters gives as an example is one, and its filter is parsed.
#[test]
fn commands_of_the_list_of_filters_are_right() {
    let text = include_str!("../../../docs/connections.md");
    let commands = text
        .lines()
        .filter_map(|line| line.strip_prefix("    weir "));
    let mut verbs = std::collections::BTreeSet::new();
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        let parsed = Cli::try_parse_from(std::iter::once("weir").chain(words.iter().copied()));
        parsed.unwrap_or_else(|error| panic!("{command}: {error}"));
        let filter = words[1..].iter().copied();
        let filter = filter.filter(|word| word.contains('='));
        let filter: Vec<_> = filter.collect();
        let parsed = weir_ct::Filter::parse(&filter);
        parsed.unwrap_or_else(|error| panic!("{command}: {error}"));
        verbs.insert(words[0]);
    }
    let all = [
        "ct-stats-show",
        "dump-conntrack",
        "flush-conntrack",
        "monitor",
    ];
    assert_eq!(verbs.into_iter().collect::<Vec<_>>(), all);
}
