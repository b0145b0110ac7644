//! End to end: configurations of `examples/`, each started as it is, with hosts at its TAPs.
//!
//! Needs what `namespaces.rs` needs, `python3`, `traceroute`, `tracepath` and libusrsctp; where a switch
//! cannot be started they are skipped as that is.

use std::path::Path;

use weir_tests::namespaces::{Lab, play, weir_binary};

mod floating_ips;
mod load_balancer;
mod routers;

/// Every one starts, and has the ports that it names.
#[test]
fn every_example_starts() {
    let Some(binary) = weir_binary() else {
        return;
    };
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut names: Vec<String> = examples
        .read_dir()
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "toml"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let lab = Lab::start_example(binary.clone(), &name, &[]);
        let config = weir_tests::switch::example(&name);
        let shown = lab.weir(&["show"]);
        for port in &config.ports {
            let line = format!("({}): addr:", port.name);
            assert!(shown.contains(&line), "{name}: {line}: {shown}");
        }
        // Nor does it write for a terminal where there is none.
        let log = lab.log();
        assert!(!log.contains('\x1b'), "{log}");
        lab.stop(&[]);
    }
}

/// What hosts do in these tests.
#[test]
#[ignore = "a part of the other tests, run by them"]
fn part() {
    play();
}
