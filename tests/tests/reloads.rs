//! Very many reloads, each of which changes something: versions of the policy, ports, lcores and settings that
//! are gone leave no memory behind.
//!
//! `WEIR_RELOADS` says how many, 1,000 if it is not set. As `namespaces.rs`, it needs root, `ip` and the
//! binary, and two CPUs.

use std::fmt::Write;

use weir_config::control::{Frame, Verb};
use weir_tests::namespaces::{Lab, two_cpus, weir_binary};

/// Flows that are always there.
const FLOWS: u32 = 300;
/// Flows that change with each reload.
const CHANGING: u32 = 30;
/// How much resident memory may be above that after the first tenth, in percent.
const GROWTH: u64 = 1;

/// The configuration before reload `number`: other lcores, another port, another limit, each changing half as often
/// as the one before.
fn config([one, other]: [usize; 2], number: u32) -> String {
    let is = |bit: u32| number >> bit & 1 == 1;
    let lcores = match is(1) {
        true => format!("{one}, {other}"),
        false => one.to_string(),
    };
    let mut text = format!("[eal]\nlcores = [{lcores}]\nshards = 2\nidle_sleep_us = 50\n");
    // A `net_null` leaves a buffer of DPDK's for each of its queues behind when it is closed, so one is not closed.
    let guest = ("guest", 3, "net_tap3,iface=guest");
    let ports = [
        ("inside", 1, "net_null1,no-rx=1"),
        ("outside", 2, "net_null2,no-rx=1"),
    ];
    for (name, id, device) in ports.into_iter().chain(is(2).then_some(guest)) {
        write!(
            text,
            "[[port]]\nname = \"{name}\"\nid = {id}\nqueues = 2\nvdev = \"{device}\"\n"
        )
        .expect("text");
    }
    let limit = if is(3) { 9_000 } else { 5_000 };
    text + &format!(
        "[bridge]\nflows = [\"flows.txt\"]\n[cache]\ntrajectories = 4096\nmegaflows = 1024\n\
         [conntrack]\nmax_connections = 20000\n[[zone]]\nid = 2\nlimit = {limit}\n"
    )
}

/// The flows before reload `number`: most as ever, some with other actions, others elsewhere.
fn flows(number: u32) -> String {
    let mut text = "priority=10,in_port=1,ip actions=ct(zone=1,nat,table=1)\n".to_owned();
    for flow in 1..=FLOWS {
        let priority = 10 + flow % 7;
        writeln!(
            text,
            "table=1,priority={priority},tcp,tp_dst={flow} actions=output:2"
        )
        .expect("text");
    }
    for flow in 1..=CHANGING {
        let (out, host) = (1 + number % 2, number % 3);
        writeln!(
            text,
            "table=1,priority=5,udp,tp_dst={flow} actions=output:{out}\n\
             table=2,priority=5,udp,nw_dst=10.0.{host}.{flow} actions=output:2"
        )
        .expect("text");
    }
    text
}

#[test]
fn reloads_leave_no_memory_behind() {
    let Some(binary) = weir_binary() else { return };
    let reloads: u32 = std::env::var("WEIR_RELOADS").map_or(1_000, |reloads| {
        reloads.parse().expect("WEIR_RELOADS is a number")
    });
    let cpus = two_cpus();
    let files = [
        ("switch.toml", &*config(cpus, 0)),
        ("flows.txt", &*flows(0)),
    ];
    let lab = Lab::start(binary, "reloads", &files, &[]);
    let mut warm = 0;
    for number in 1..=reloads {
        lab.write("switch.toml", &config(cpus, number));
        lab.write("flows.txt", &flows(number));
        let told = lab.ask(Verb::Reload {
            files: None,
            dry_run: false,
            exact: false,
            confirm: None,
        });
        let [Frame::Reloaded(report)] = &told[..] else {
            panic!("{told:?}\n{}", lab.log());
        };
        let changed = report.added.len() + report.modified.len() + report.deleted.len();
        assert!(changed >= CHANGING as usize, "{number}: {report:?}");
        if number == reloads / 10 {
            warm = lab.resident();
        }
    }
    let resident = lab.resident();
    println!(
        "{warm} KiB after {} reloads, {resident} after {reloads}",
        reloads / 10
    );
    let shown = lab.weir_json(&["show"]);
    assert_eq!(shown["publications"]["waiting"], 0, "{shown:#}");
    assert!(
        resident * 100 <= warm * (100 + GROWTH),
        "{warm} KiB after a tenth of {reloads} reloads, then {resident}"
    );
    lab.stop(&[]);
}
