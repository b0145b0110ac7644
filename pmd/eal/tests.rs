use super::*;

#[test]
fn management_keeps_off_the_workers_cpus() {
    assert_eq!(management_cpus(&[0, 1, 2, 3], &[1, 3]), Ok(vec![0, 2]));
    assert_eq!(management_cpus(&[0, 1], &[]), Ok(vec![0, 1]));
}

#[test]
fn management_shares_if_workers_have_every_cpu() {
    assert_eq!(management_cpus(&[0, 1], &[1, 0]), Ok(vec![0, 1]));
}

#[test]
fn a_cpu_that_is_not_there_is_named() {
    let error = management_cpus(&[0, 1, 2, 5], &[1, 7]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "CPU 7 is not available to this process (available: 0-2,5)"
    );
    assert_eq!(
        management_cpus(&[0, 1], &[1, 1]),
        Err(EalError::CpuTwice(1))
    );
}

#[test]
fn arguments_without_huge_pages_and_pci() {
    let args = EalArgs {
        memory_mb: 512,
        extra: vec!["--log-level=tap:debug".to_owned()],
        ..EalArgs::default()
    };
    let prefix = format!("weir-{}", process::id());
    assert_eq!(
        eal_arguments(&args, &[0, 2, 3]),
        [
            "weir",
            "--lcores",
            "0@(0,2-3)",
            "--no-huge",
            "--no-shconf",
            "-m",
            "512",
            "--no-pci",
            "--no-telemetry",
            "--log-level",
            "notice",
            "--file-prefix",
            prefix.as_str(),
            "--log-level=tap:debug",
        ]
    );
}

#[test]
fn arguments_with_huge_pages_and_pci() {
    let args = EalArgs {
        hugepages: true,
        pci: true,
        ..EalArgs::default()
    };
    let line = eal_arguments(&args, &[0]).join(" ");
    assert!(line.contains(" --in-memory -a 0000:00:00.0 "), "{line}");
    assert!(
        !line.contains("--no-huge") && !line.contains(" -m "),
        "{line}"
    );
}

#[test]
fn nul_in_an_argument_is_refused() {
    let bad = "a\0b".to_owned();
    assert_eq!(
        c_arguments(std::slice::from_ref(&bad)),
        Err(EalError::Argument(bad))
    );
}

#[test]
fn the_node_of_a_cpu_is_where_the_kernel_has_it() {
    let cpus = std::env::temp_dir().join(format!("weir-cpus-{}", process::id()));
    for directory in ["cpu3/node1", "cpu3/power", "cpu30/node0", "cpu4/nodes"] {
        fs::create_dir_all(cpus.join(directory)).expect("a directory");
    }
    assert_eq!(node_in(&cpus, 3), Some(1));
    assert_eq!(node_in(&cpus, 30), Some(0));
    assert_eq!(node_in(&cpus, 4), None);
    assert_eq!(node_in(&cpus, 5), None);
    fs::remove_dir_all(&cpus).expect("ours");
}
