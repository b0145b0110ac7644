//! The generator with a device that gives back what it is sent.

use std::time::Duration;

use nix::sched::sched_getaffinity;
use nix::unistd::Pid;
use weir_perf::generator::{Limits, read, run};

const TEMPLATES: &str = "\
1: udp 10.0.0.1:1 > 10.0.0.2:2 len=18 | sport=1..500 dst=10.0.0.2..10.0.0.9
1: tcp 10.0.0.1:1 > 10.0.0.2:80 S | sport=1..65535,seq=0..4294967295/1000
";

#[test]
fn what_comes_back_is_counted() {
    let cpus = sched_getaffinity(Pid::from_raw(0)).expect("the process has an affinity");
    let cpu = (0..1024_u16).find(|&cpu| cpus.is_set(usize::from(cpu)) == Ok(true));
    let templates = read("templates", TEMPLATES, 1).expect("templates");
    let limits = Limits {
        rate: None,
        count: Some(10_000),
        time: Duration::from_secs(60),
        linger: Duration::from_millis(100),
    };
    let devices = ["net_ring0".to_owned()];
    let cpu = cpu.expect("the process has a CPU");
    let outcome = run(&devices, templates, cpu, limits, |_| {}).expect("it runs");
    let port = outcome.ports[0];
    assert_eq!((port.sent, port.refused), (10_000, 0));
    assert_eq!(port.received, 10_000);
    assert_eq!(port.received_bytes, 5_000 * 60 + 5_000 * 54);
    assert!(outcome.time < limits.time);
}
