//! Every input that a fuzz target once found something with, by name.

use std::fs;
use std::path::Path;

use weir_tests::fuzz::{TARGETS, replayed, seeds};

#[test]
fn what_was_found_once_is_not_found_again() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/regressions")
            .join(name);
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let mut paths: Vec<_> = entries
            .map(|entry| entry.expect("a readable folder").path())
            .collect();
        paths.sort();
        for path in paths {
            let input = fs::read(&path).expect("a readable file");
            println!("{}", path.display());
            target(&input);
        }
    }
}

/// The targets themselves, on what everybody tries first.
#[test]
fn nothing_in_particular_is_no_finding() {
    for (_, target) in TARGETS {
        for input in [
            &b""[..],
            b"\0",
            b"\0\0\0\0",
            b"\xff",
            b"\n\n",
            &[b'('; 5000],
            &[0; 5000],
        ] {
            target(input);
        }
    }
}

/// What the fuzzer begins with reaches what it is meant to reach.
#[test]
fn seeds_are_no_findings() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(seeds.len() > 20, "{name}");
        for seed in seeds {
            target(&seed);
        }
    }
    let packets: u64 = seeds("replay")
        .iter()
        .filter_map(|seed| replayed(seed))
        .sum();
    assert!(packets > 200, "{packets} packets replayed");
}
