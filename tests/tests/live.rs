//! Live configuration, for real: ports that come and go while connections flow, what nobody confirms, and
//! devices that disappear. As `namespaces.rs`, it needs root, `ip`, `ping` and the binary.

use std::net::SocketAddr;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_tests::namespaces::{Lab, ip, play, text, two_cpus, weir_binary};

const LEFT: &str = "192.168.0.1";
const RIGHT: &str = "192.168.0.2";
const THIRD: &str = "192.168.0.3";
const LEFT_MAC: &str = "02:00:00:00:00:02";
const PORT: u16 = 5001;
/// Sent while ports come and go, at a time.
const TRANSFER: u64 = 20_000_000;
/// How often a port comes and goes.
const ROUNDS: usize = 8;
/// How long the switch may take to notice something.
const PATIENCE: Duration = Duration::from_secs(10);

const TWO: &str = "[eal]\nidle_sleep_us = 50\n\
    [[port]]\nname = \"weir0\"\nid = 2\nvdev = \"net_tap0,iface=weir0\"\n\
    [[port]]\nname = \"weir1\"\nid = 3\nvdev = \"net_tap1,iface=weir1\"\n\
    [bridge]\nflows = [\"flows.txt\"]\n";
const MORE: &str = "[[port]]\nname = \"weir2\"\nid = 4\nvdev = \"net_tap2,iface=weir2\"\n";
/// Everybody may open connections; what is for the third goes to whatever has port 4.
const FLOWS: &str = "arp actions=NORMAL\n\
    ip,nw_dst=192.168.0.3 actions=ct(commit),output:4\n\
    ip actions=ct(table=1)\n\
    table=1,ct_state=+new actions=ct(commit),NORMAL\n\
    table=1,ct_state=+est actions=NORMAL\n\
    table=1,ct_state=+inv actions=drop\n";

fn at(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), PORT)
}

fn lab(name: &str) -> Option<Lab> {
    let binary = weir_binary()?;
    let files = [("switch.toml", TWO), ("flows.txt", FLOWS)];
    let lab = Lab::start(binary, name, &files, &["left", "right", "third"]);
    lab.place("weir0", "left", LEFT_MAC, &format!("{LEFT}/24"));
    lab.place(
        "weir1",
        "right",
        "02:00:00:00:00:03",
        &format!("{RIGHT}/24"),
    );
    let pinged = lab.ping("left", RIGHT);
    assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());
    Some(lab)
}

/// The port of this name, as `show` tells it; `None`: there is none.
fn port(lab: &Lab, name: &str) -> Option<Value> {
    let shown = lab.weir_json(&["show"]);
    let mut ports = shown["ports"].as_array().expect("ports").iter();
    ports.find(|port| port["name"] == name).cloned()
}

fn wait_until(lab: &Lab, what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not {what}: {}", lab.log());
        sleep(Duration::from_millis(20));
    }
}

fn exists(lab: &Lab, host: &str, device: &str) -> bool {
    let shown = lab.at(host, &["ip", "link", "show", device]);
    shown.status.success()
}

#[test]
fn connections_flow_while_ports_come_and_go() {
    let Some(lab) = lab("ports") else { return };
    let _listening = lab.play(
        "right",
        &format!("listen {}", SocketAddr::new(at(RIGHT).ip(), 5005)),
    );
    let held = lab.play(
        "left",
        &format!("hold {}", SocketAddr::new(at(RIGHT).ip(), 5005)),
    );
    let connection = || {
        let all = lab.weir(&["dump-conntrack"]);
        let line = all.lines().find(|line| line.contains("dport=5005"));
        line.unwrap_or_else(|| panic!("{all}")).to_owned()
    };
    let before = connection();
    scope(|scope| {
        let reloading = scope.spawn(|| {
            for round in 0..ROUNDS {
                lab.write("switch.toml", &format!("{TWO}{MORE}"));
                let planned = lab.weir(&["reload", "--dry-run"]);
                assert!(
                    planned.contains("+port 4(weir2): net_tap2,iface=weir2"),
                    "{planned}"
                );
                lab.weir(&["reload"]);
                lab.place(
                    "weir2",
                    "third",
                    "02:00:00:00:00:04",
                    &format!("{THIRD}/24"),
                );
                let pinged = lab.ping("left", THIRD);
                assert!(
                    pinged.status.success(),
                    "{round}: {}\n{}",
                    text(&pinged),
                    lab.log()
                );
                lab.write("switch.toml", TWO);
                lab.weir(&["reload"]);
                assert!(!exists(&lab, "third", "weir2"), "its device is closed");
            }
        });
        let mut transfers = 0;
        while !reloading.is_finished() || transfers == 0 {
            lab.transfer("left", "right", at(RIGHT), TRANSFER);
            transfers += 1;
        }
        reloading.join().expect("ports come and go");
    });
    assert_eq!(connection(), before, "it was left alone");
    drop(held);
    // What goes nowhere has a name.
    let unheard = lab.at("left", &["ping", "-c", "1", "-W", "1", THIRD]);
    assert!(!unheard.status.success());
    assert!(port(&lab, "weir2").is_none());
    let shown = lab.weir_json(&["show"]);
    assert_eq!(shown["publications"]["waiting"], 0, "{shown:#}");
    let measured = shown["publications"]["grace_count"]
        .as_u64()
        .expect("a number");
    assert!(measured >= 2 * ROUNDS as u64, "{shown:#}");
    lab.stop(&[("left", "weir0"), ("right", "weir1")]);
}

/// Both queues of both ports go from one lcore to the other and back while one connection holds, others
/// come and go, and each byte of a transfer is compared.
#[test]
fn connections_flow_while_queues_go_from_lcore_to_lcore() {
    let Some(binary) = weir_binary() else { return };
    let [one, other] = two_cpus();
    let with = |maps: [[usize; 2]; 2]| {
        let given = maps.map(|[a, b]| format!("rxq_affinity = {{ 0 = {a}, 1 = {b} }}\n"));
        let eal = format!("lcores = [{one}, {other}]\nidle_sleep_us");
        let two = TWO.replace("idle_sleep_us", &eal);
        let (first, rest) = two
            .split_once("[[port]]\nname = \"weir1\"")
            .expect("two ports");
        let (second, rest) = rest.split_once("[bridge]").expect("a bridge");
        let [of_first, of_second] = given;
        format!("{first}{of_first}[[port]]\nname = \"weir1\"{second}{of_second}[bridge]{rest}")
    };
    let maps = [
        [[one, other], [one, other]],
        [[other, one], [one, other]],
        [[other, other], [one, one]],
        [[other, one], [other, one]],
    ];
    let files = [("switch.toml", &*with(maps[0])), ("flows.txt", FLOWS)];
    let lab = Lab::start(binary, "queues", &files, &["left", "right"]);
    lab.place("weir0", "left", LEFT_MAC, &format!("{LEFT}/24"));
    let right_mac = "02:00:00:00:00:03";
    lab.place("weir1", "right", right_mac, &format!("{RIGHT}/24"));
    let polled = || {
        let rows = lab.weir_json(&["pmd-rxq-show"]);
        let of = |lcore: &Value| {
            assert_eq!(lcore["isolated"], true, "{rows:#}");
            let queues = lcore["queues"].as_array().expect("queues").iter();
            let queues = queues.map(|queue| {
                let port = usize::from(queue["port"] == "weir1");
                let number = queue["queue"].as_u64().expect("a number") as usize;
                (
                    port,
                    number,
                    lcore["lcore"].as_u64().expect("a number") as usize,
                )
            });
            queues.collect::<Vec<_>>()
        };
        let mut map = [[usize::MAX; 2]; 2];
        for (port, queue, lcore) in rows.as_array().expect("rows").iter().flat_map(of) {
            map[port][queue] = lcore;
        }
        map
    };
    assert_eq!(polled(), maps[0]);
    let (listening, echoing) = (SocketAddr::new(at(RIGHT).ip(), 5005), at(RIGHT));
    let _listening = lab.play("right", &format!("listen {listening}"));
    let held = lab.play("left", &format!("hold {listening}"));
    let before = lab.weir(&["dump-conntrack"]);
    let before = before.lines().find(|line| line.contains("dport=5005"));
    let before = before.expect("it is held").to_owned();
    let _echoing = lab.play("right", &format!("echo {echoing}"));
    scope(|scope| {
        let reloading = scope.spawn(|| {
            for map in maps.iter().cycle().skip(1).take(3 * maps.len()) {
                lab.write("switch.toml", &with(*map));
                let told = lab.weir(&["reload"]);
                assert!(told.contains("rxq_affinity"), "{told}");
                assert_eq!(polled(), *map);
                let asked = lab.play("left", &format!("ask {echoing}")).told();
                assert!(asked.contains("answered"), "{asked}\n{}", lab.log());
            }
        });
        let mut transfers = 0;
        while !reloading.is_finished() || transfers == 0 {
            lab.transfer(
                "left",
                "right",
                SocketAddr::new(at(RIGHT).ip(), 5006),
                TRANSFER,
            );
            transfers += 1;
        }
        reloading.join().expect("queues go to and fro");
    });
    let after = lab.weir(&["dump-conntrack"]);
    assert!(after.contains(&before), "{after}\nwithout\n{before}");
    drop(held);
    // A queue that is not there changes nothing.
    lab.write("switch.toml", &with(maps[0]).replace("1 = ", "2 = "));
    let refused = lab.verb(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused);
    assert!(told.contains("there is no queue 2"), "{told}");
    lab.stop(&[("left", "weir0"), ("right", "weir1")]);
}

#[test]
fn what_nobody_confirms_is_undone() {
    let Some(lab) = lab("confirm") else { return };
    // Rules of one priority are told by their age.
    let flows = || {
        let dump = lab.weir(&["dump-flows", "--no-stats"]);
        let mut lines: Vec<_> = dump.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let before = flows();
    lab.write("switch.toml", &format!("{TWO}{MORE}"));
    // A policy that shuts its author out.
    lab.write("flows.txt", "actions=drop\n");
    let told = lab.weir(&["reload", "--confirm", "2"]);
    assert!(told.contains("weir confirm"), "{told}");
    let unheard = lab.at("left", &["ping", "-c", "1", "-W", "1", RIGHT]);
    assert!(!unheard.status.success());
    let refused = lab.verb(&["add-flow", "tcp actions=drop"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    wait_until(&lab, "undone", || port(&lab, "weir2").is_none());
    assert_eq!(flows(), before);
    assert!(!exists(&lab, "switch", "weir2"));
    let pinged = lab.ping("left", RIGHT);
    assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());

    lab.write(
        "flows.txt",
        &FLOWS.replace("+inv actions=drop", "+inv actions=NORMAL"),
    );
    lab.weir(&["reload", "--confirm", "60"]);
    lab.weir(&["confirm"]);
    assert!(port(&lab, "weir2").is_some());
    let kept = flows().concat();
    assert!(kept.contains("+inv actions=NORMAL"), "{kept}");
    lab.stop(&[("left", "weir0"), ("right", "weir1"), ("switch", "weir2")]);
}

#[test]
fn what_cannot_change_is_shown_where_it_stands() {
    let Some(lab) = lab("fixed") else { return };
    lab.write(
        "switch.toml",
        &format!("{TWO}{MORE}[cache]\nmegaflows = 77\n"),
    );
    let refused = lab.verb(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused);
    assert!(
        told.contains("switch.toml:18:13: [cache] megaflows cannot be changed without a restart"),
        "{told}"
    );
    assert!(port(&lab, "weir2").is_none());
    assert!(!exists(&lab, "switch", "weir2"));
    lab.stop(&[("left", "weir0"), ("right", "weir1")]);
}

#[test]
fn a_port_is_opened_anew_where_it_must_be() {
    let Some(lab) = lab("anew") else { return };
    let smaller = TWO.replace("id = 3\n", "id = 3\nmtu = 1400\n");
    lab.write("switch.toml", &smaller);
    let told = lab.weir(&["reload"]);
    assert!(
        told.contains("~port 3(weir1): net_tap1,iface=weir1 mtu 1400, opened anew"),
        "{told}"
    );
    lab.place(
        "weir1",
        "right",
        "02:00:00:00:00:03",
        &format!("{RIGHT}/24"),
    );
    let pinged = lab.ping("left", RIGHT);
    assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());
    assert_eq!(port(&lab, "weir1").expect("it is there")["mtu"], 1400);
    // A device that cannot be opened so: all stays as it was, the port among it.
    let wrong = smaller.replace("iface=weir1", "iface=weir1,speed=7");
    lab.write("switch.toml", &wrong);
    let refused = lab.verb(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("speed"), "{}", text(&refused));
    lab.place(
        "weir1",
        "right",
        "02:00:00:00:00:03",
        &format!("{RIGHT}/24"),
    );
    let pinged = lab.ping("left", RIGHT);
    assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());
    lab.stop(&[("left", "weir0"), ("right", "weir1")]);
}

#[test]
fn a_port_comes_back_when_its_device_does() {
    let Some(lab) = lab("gone") else { return };
    let name = lab.name("left");
    for losses in 1..=2 {
        ip(&["-n", &name, "link", "del", "weir0"]);
        wait_until(&lab, "noticed", || {
            port(&lab, "weir0").is_some_and(|port| port["device_losses"] == losses)
        });
        assert_eq!(port(&lab, "weir1").expect("it is there")["link"], "up");
        // It is there before the switch has opened it.
        wait_until(&lab, "back", || {
            exists(&lab, "switch", "weir0")
                && port(&lab, "weir0").is_some_and(|port| port["present"] == true)
        });
        lab.place("weir0", "left", LEFT_MAC, &format!("{LEFT}/24"));
        wait_until(&lab, "up", || {
            port(&lab, "weir0").is_some_and(|port| port["link"] == "up")
        });
        let pinged = lab.ping("left", RIGHT);
        assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());
    }
    let log = lab.log();
    assert_eq!(
        log.matches("port weir0: its device is gone").count(),
        2,
        "{log}"
    );
    assert_eq!(
        log.matches("port weir0: its device is back").count(),
        2,
        "{log}"
    );
    lab.stop(&[("left", "weir0"), ("right", "weir1")]);
}

/// Lcores come and go while one connection waits and others carry what they can, all translated; the switch
/// has two shards, which one lcore runs, or two do, or another one.
#[test]
fn connections_outlive_lcores() {
    let Some(binary) = weir_binary() else { return };
    let [one, other] = two_cpus();
    let on = |lcores: &str| {
        format!(
            "[eal]\nlcores = [{lcores}]\nshards = 2\nidle_sleep_us = 50\n\
             [[port]]\nname = \"weir0\"\nid = 2\nvdev = \"net_tap0,iface=weir0\"\n\
             [[port]]\nname = \"weir1\"\nid = 3\nvdev = \"net_tap1,iface=weir1\"\n\
             [bridge]\nflows = [\"flows.txt\"]\n"
        )
    };
    // Right sees who asks as 192.168.0.9.
    let flows = "arp actions=NORMAL\n\
                 in_port=2,ip actions=ct(nat,table=1)\n\
                 table=1,ip,ct_state=+new actions=ct(commit,nat(src=192.168.0.9)),output:3\n\
                 table=1,ip,ct_state=+est actions=output:3\n\
                 in_port=3,ip actions=ct(nat,table=2)\n\
                 table=2,ip,ct_state=+est actions=output:2\n";
    let alone = on(&one.to_string());
    let files = [("switch.toml", alone.as_str()), ("flows.txt", flows)];
    let lab = Lab::start(binary, "crews", &files, &["left", "right"]);
    let right = "02:00:00:00:00:03";
    lab.place("weir0", "left", LEFT_MAC, &format!("{LEFT}/24"));
    lab.place("weir1", "right", right, &format!("{RIGHT}/24"));
    lab.neighbour("right", "weir1", "192.168.0.9", LEFT_MAC);
    let waiting = SocketAddr::new(at(RIGHT).ip(), 5005);
    let _listening = lab.play("right", &format!("listen {waiting}"));
    let held = lab.play("left", &format!("hold {waiting}"));
    let connection = || {
        let all = lab.weir(&["dump-conntrack"]);
        let line = all.lines().find(|line| line.contains("dport=5005"));
        line.unwrap_or_else(|| panic!("{all}")).to_owned()
    };
    let lcores = || {
        let shown = lab.weir_json(&["pmd-stats-show"]);
        let rows = shown.as_array().expect("rows").iter();
        let mut lcores: Vec<_> = rows.map(|row| row["lcore"].as_u64()).collect();
        lcores.sort_unstable();
        lcores
    };
    let before = connection();
    assert!(before.contains("dst=192.168.0.9"), "{before}");
    let both = format!("{one}, {other}");
    let places = [
        (both.clone(), vec![one, other]),
        (other.to_string(), vec![other]),
        (both, vec![one, other]),
        (one.to_string(), vec![one]),
    ];
    scope(|scope| {
        let reloading = scope.spawn(|| {
            for (named, cpus) in places.iter().cycle().take(ROUNDS) {
                lab.write("switch.toml", &on(named));
                let line = format!("~[eal] lcores = [{named}]");
                let planned = lab.weir(&["reload", "--dry-run"]);
                assert!(planned.contains(&line), "{planned}");
                let told = lab.weir(&["reload"]);
                assert!(told.contains(&line), "{told}");
                let cpus: Vec<_> = cpus.iter().map(|cpu| Some(*cpu as u64)).collect();
                assert_eq!(lcores(), cpus);
                sleep(Duration::from_millis(300));
            }
        });
        let mut transfers = 0;
        while !reloading.is_finished() || transfers == 0 {
            lab.transfer("left", "right", at(RIGHT), TRANSFER);
            transfers += 1;
        }
        reloading.join().expect("lcores come and go");
    });
    assert_eq!(connection(), before, "it was left alone");
    drop(held);
    let log = lab.log();
    let pauses: Vec<u64> = log
        .lines()
        .filter_map(|line| {
            line.split_once("a shard stood still for ")?
                .1
                .split(' ')
                .next()
        })
        .map(|pause| pause.parse().expect("a number of microseconds"))
        .collect();
    assert_eq!(pauses.len(), ROUNDS, "{log}");
    // One message, on machines that do other things as well.
    assert!(pauses.iter().all(|pause| *pause < 200_000), "{pauses:?}");

    lab.write("switch.toml", &on("0, 1, 2").replace("shards = 2\n", ""));
    let refused = lab.verb(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused);
    let complaint = "switch.toml:2:10: [eal] lcores, to more than the 2 shards there are";
    assert!(told.contains(complaint), "{told}");
    lab.write("switch.toml", &on("1023"));
    let refused = lab.verb(&["reload", "--dry-run"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused);
    assert!(
        told.contains("[eal] lcores: CPU 1023 is not available"),
        "{told}"
    );
    assert_eq!(lcores(), [Some(one as u64)]);
    lab.stop(&[("left", "weir0"), ("right", "weir1")]);
}

/// What hosts do in the tests above.
#[test]
#[ignore = "a part of the other test, run by it"]
fn part() {
    play();
}
