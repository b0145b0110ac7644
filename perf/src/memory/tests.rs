use super::*;

#[test]
fn huge_pages_count() {
    let status = "Name:\tweir\nVmRSS:\t    2048 kB\nHugetlbPages:\t    4096 kB\nThreads:\t3\n";
    assert_eq!(resident_kb(status), Some(6144));
    assert_eq!(resident_kb("VmRSS:\t 5 kB\n"), Some(5));
    assert_eq!(resident_kb("Name: weir\n"), None);
    assert!(resident_mb(std::process::id()).expect("this process has memory") > 0.0);
}

#[test]
fn the_parts_add_up() {
    let memory = Memory {
        connections: 500.0,
        caches: 300.5,
        parts: vec![("timers".to_owned(), 12.4)],
        rest: 4000.0,
    };
    let scenario = Scenario::named("firewall-1M").expect("a scenario");
    assert_eq!(memory.verdict(&scenario).reached(), Some(false));
    let table = memory.table();
    assert!(
        table.contains("300") && table.contains("room for timers"),
        "{table}"
    );
}
