//! Every sequence of `tests/differential/commands` through Open vSwitch and through weir.
//!
//! `WEIR_CASE=WORD` runs those whose name holds WORD; `WEIR_BLESS=1` writes what both answer.
//! Where Open vSwitch is not installed weir is held against the recorded answers only; with
//! `CI=true` that is a failure.

use std::fs;
use std::path::PathBuf;

use weir_tests::differential::{CommandCase, Ovs, OvsError, Side};

#[test]
fn commands_answer_as_those_of_open_vswitch() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("differential/commands");
    let mut cases = CommandCase::read_all(&folder).unwrap_or_else(|error| panic!("{error}"));
    if let Ok(word) = std::env::var("WEIR_CASE") {
        cases.retain(|case| case.name.contains(&word));
    }
    assert!(!cases.is_empty(), "no case to run");
    let mut ovs = match Ovs::start() {
        Ok(ovs) => Some(ovs),
        Err(error @ OvsError::Absent(_)) if std::env::var("CI").as_deref() != Ok("true") => {
            eprintln!("SKIPPED: {error}: weir is held against recorded answers only");
            None
        }
        Err(error) => panic!("{error}"),
    };
    let mut failures = String::new();
    for case in &cases {
        let weir = case.run_weir();
        let ovs = ovs.as_mut().map(|ovs| {
            let answers = ovs.run_commands(case);
            answers.unwrap_or_else(|error| panic!("{}: {error}", case.name))
        });
        if std::env::var_os("WEIR_BLESS").is_some() {
            let ovs = ovs.expect("nothing to bless without Open vSwitch");
            fs::write(&case.path, case.with_answers(&ovs, &weir)).expect("a file");
            continue;
        }
        let told_apart = case.is_split();
        assert_eq!(
            told_apart,
            !case.differs.is_empty(),
            "{}: differs",
            case.name
        );
        for (side, answers) in [(Side::Weir, Some(weir)), (Side::Ovs, ovs)] {
            for (step, answer) in case.steps.iter().zip(answers.into_iter().flatten()) {
                let expected = step.expected.of(side);
                if expected != answer {
                    failures += &format!(
                        "{}: {side:?}: {} {:?}\n  expected {expected:#?}\n  answered {answer:#?}\n",
                        case.name,
                        step.verb.join(" "),
                        step.input
                    );
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
