use std::path::PathBuf;

use super::*;

#[test]
fn what_comes_goes() {
    for rules in [Rules::Apart, Rules::Passed] {
        let (Verb::AddFlow { flow }, Verb::DelFlows { strict, matching }) =
            (verb(rules, 6), verb(rules, 7))
        else {
            panic!("a rule comes, then goes");
        };
        let rule = matching.expect("a rule");
        assert!(strict);
        assert_eq!(flow, format!("cookie=1,{rule},actions=drop"));
        assert_ne!(verb(rules, 6), verb(rules, 8));
    }
}

#[test]
fn too_few_changes_are_found() {
    let changes = |made| Changes {
        made,
        span: Duration::from_secs(2),
    };
    assert!(changes(1_900).enough().is_ok());
    assert!(changes(1_899).enough().is_err());
    assert!(Changes::default().enough().is_err());
}

#[test]
fn nobody_there_is_a_complaint() {
    let socket = PathBuf::from("/nonexistent/weir.sock");
    assert!(churn(&socket, Rules::Apart, &AtomicBool::new(false)).is_err());
    // One that is stopped before it begins changes nothing.
    let mut changed = Err(Failure::Program(String::new()));
    let begun = Beside::start(0, &mut changed, move |stop| {
        churn(&socket, Rules::Apart, stop)
    });
    drop(begun);
    assert!(changed.is_err() || changed.is_ok_and(|changes| changes.made == 0));
}
