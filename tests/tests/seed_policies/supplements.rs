//! What the examples add to a dump.

use std::path::{Path, PathBuf};

use weir_tests::switch::{Switch, example};

/// The examples that are a dump and its supplement.
const EXAMPLES: [&str; 3] = ["firewall-over-tunnel", "vpc-compute1", "vpc-compute2"];

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

#[test]
fn every_line_says_which_gap_of_the_dump_it_closes() {
    for name in EXAMPLES {
        for kind in ["flows", "groups"] {
            let path = examples().join(format!("{name}-supplement.{kind}"));
            if kind == "groups" && example(name).bridge.groups.is_empty() {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("it is there");
            // A comment may take several lines; a line of policy ends it.
            let mut says_why = false;
            let mut lines = 0;
            for line in text.lines() {
                match line.strip_prefix('#') {
                    Some(comment) => says_why |= comment.starts_with(" Gap: "),
                    None if line.is_empty() => says_why = false,
                    None => {
                        assert!(says_why, "{}: {line}", path.display());
                        says_why = false;
                        lines += 1;
                    }
                }
            }
            assert!(lines > 0, "{}", path.display());
        }
    }
}

/// The dump is the owner's file, not a copy; nothing of it is replaced.
#[test]
fn the_dump_is_loaded_unchanged() {
    for name in EXAMPLES {
        let texts = example(name).flow_texts().expect("they are there");
        let [dump, supplement] = &texts[..] else {
            panic!("{name}: a dump and its supplement");
        };
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../config/tests/seeds/{name}.flows"));
        assert_eq!(dump.text, std::fs::read_to_string(path).expect("a dump"));
        let flows = |text: &str| {
            text.lines()
                .filter(|line| line.contains("actions="))
                .count()
        };
        let all = Switch::of_example(name).flows().len();
        assert_eq!(all, flows(&dump.text) + flows(&supplement.text), "{name}");
    }
}

#[test]
fn the_examples_run_as_they_are() {
    for name in EXAMPLES {
        example(name).require_devices().expect("each port has one");
    }
}
