//! End to end: the real binary with its embedded default on DPDK's TAP devices, between two
//! network namespaces, with the host's own TCP/IP on both sides.
//!
//! Needs root, `ip`, `ping` and the binary (`WEIR_BIN`, or `weir` beside the tests). Without
//! them it says so and passes; with `CI=true` that is a failure.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use weir_tests::namespaces::{Lab, ip, play, text, two_cpus, weir_binary};

/// How much the transfer is, in bytes.
const TRANSFER: u64 = 100_000_000;
const LEFT: &str = "192.168.0.1";
const RIGHT: &str = "192.168.0.2";
/// Where somebody listens, and where nobody does.
const PORT: u16 = 5001;
const CLOSED_PORT: u16 = 5009;

#[test]
fn a_stateful_firewall_between_two_namespaces() {
    let Some(binary) = weir_binary() else {
        return;
    };
    let lab = Lab::start_default(binary, "default", &["left", "right"]);
    lab.place("weir0", "left", "02:00:00:00:00:02", &format!("{LEFT}/24"));
    lab.place(
        "weir1",
        "right",
        "02:00:00:00:00:03",
        &format!("{RIGHT}/24"),
    );

    let pinged = lab.ping("left", RIGHT);
    assert!(pinged.status.success(), "{}", text(&pinged));
    let refused = lab.at("right", &["ping", "-c", "1", "-W", "1", LEFT]);
    assert!(!refused.status.success(), "{}", text(&refused));
    is_tracked(&lab, "icmp");

    // Left answers nobody who was not asked, though somebody listens there.
    let listening = lab.play("left", &format!("listen {}", at(LEFT)));
    let knocked = lab.play("right", &format!("knock {}", at(LEFT))).told();
    assert!(knocked.contains("nobody answers"), "{knocked}");
    drop(listening);
    lab.transfer("left", "right", at(RIGHT), TRANSFER);
    is_tracked(&lab, "tcp");

    a_connection_is_traced_and_left_alone(&lab);
    datagrams_go_out_and_their_answers_in(&lab);
    errors_about_connections_are_told_from_others(&lab);

    silence(&lab);
    counts_agree(&lab);
    caches_answered(&lab);
    lab.stop(&[("left", "weir0"), ("right", "weir1")]);
}

fn at(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), PORT)
}

/// Left has a connection to right.
fn is_tracked(lab: &Lab, protocol: &str) {
    let connections = lab.weir(&["dump-conntrack"]);
    let connection = format!("{protocol},orig=(src={LEFT},dst={RIGHT},");
    assert!(connections.contains(&connection), "{connections}");
}

/// What would become of segments of a connection that both ends hold: `ct()` knows it, whichever way
/// they go, and knows it as before when it has been asked.
fn a_connection_is_traced_and_left_alone(lab: &Lab) {
    const HELD_PORT: u16 = 5005;
    let held = SocketAddr::new(at(RIGHT).ip(), HELD_PORT);
    let _listening = lab.play("right", &format!("listen {held}"));
    let _holding = lab.play("left", &format!("hold {held}"));
    let connection = || {
        let filter = ["dump-conntrack", "-m", "-s"];
        let all = lab.weir(&filter);
        let line = all
            .lines()
            .find(|line| line.contains(&format!("dport={HELD_PORT}")));
        let line = line.unwrap_or_else(|| panic!("{all}"));
        // How long it has yet to live is another number every second.
        let words = line.split(',').filter(|word| !word.starts_with("timeout="));
        words.collect::<Vec<_>>().join(",")
    };
    let before = connection();
    let (_, port) = before.split_once("sport=").expect("a port");
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let tracked = packets(lab, 100);
    let (left, right) = ("02:00:00:00:00:02", "02:00:00:00:00:03");
    for (flow, state, to) in [
        (
            format!(
                "in_port=2,tcp,dl_src={left},dl_dst={right},nw_src={LEFT},nw_dst={RIGHT},\
                 tp_src={port},tp_dst={HELD_PORT}"
            ),
            "est|trk",
            "3 (weir1)",
        ),
        (
            format!(
                "in_port=3,tcp,dl_src={right},dl_dst={left},nw_src={RIGHT},nw_dst={LEFT},\
                 tp_src={HELD_PORT},tp_dst={port}"
            ),
            "est|rpl|trk",
            "2 (weir0)",
        ),
    ] {
        let told = lab.weir(&["trace", &flow]);
        assert!(
            told.contains(&format!("ct_state={state}; connection tcp,orig=")),
            "{told}"
        );
        assert!(
            told.contains(&format!("\n    sent to {to}, 54 bytes: ")),
            "{told}"
        );
    }
    assert_eq!(connection(), before);
    assert_eq!(packets(lab, 100), tracked);
}

fn datagrams_go_out_and_their_answers_in(lab: &Lab) {
    let echoing = lab.play("right", &format!("echo {}", at(RIGHT)));
    let asked = lab.play("left", &format!("ask {}", at(RIGHT))).told();
    assert!(asked.contains("answered"), "{asked}\n{}", lab.log());
    drop(echoing);
    is_tracked(lab, "udp");

    let echoing = lab.play("left", &format!("echo {}", at(LEFT)));
    let asked = lab.play("right", &format!("ask {}", at(LEFT))).told();
    assert!(asked.contains("nobody answers"), "{asked}");
    drop(echoing);
}

/// Nobody listens at right's port, so right says that it is unreachable. The seven lines of the
/// policy let nothing pass that is only related; one more does, and of an error about what was
/// never tracked it still says that it is invalid.
fn errors_about_connections_are_told_from_others(lab: &Lab) {
    let closed = format!("ask {}", SocketAddr::new(at(RIGHT).ip(), CLOSED_PORT));
    let unheard = lab.play("left", &closed).told();
    assert!(unheard.contains("nobody answers"), "{unheard}");

    let related = "table=1,priority=7,in_port=3,ct_state=+rel+rpl-est-new actions=normal";
    lab.weir(&["add-flow", related]);
    let heard = lab.play("left", &closed).told();
    assert!(heard.contains("refused"), "{heard}\n{}", lab.log());
    assert_eq!(packets(lab, 7), 1);

    let past = format!("priority=200,in_port=2,udp,tp_dst={CLOSED_PORT} actions=normal");
    lab.weir(&["add-flow", &past]);
    let invalid = "table=1,priority=8,in_port=3,icmp,ct_state=+inv-rel actions=drop";
    lab.weir(&["add-flow", invalid]);
    let unheard = lab.play("left", &closed).told();
    assert!(unheard.contains("nobody answers"), "{unheard}");
    assert_eq!(
        (packets(lab, 200), packets(lab, 8), packets(lab, 7)),
        (1, 1, 1)
    );
}

/// How many packets the flow of this priority has counted.
fn packets(lab: &Lab, priority: u64) -> u64 {
    let flows = lab.weir_json(&["dump-flows"]);
    let mut rows = flows.as_array().expect("rows").iter();
    let row = rows.find(|row| row["priority"] == priority);
    let packets = row.and_then(|row| row["n_packets"].as_u64());
    packets.unwrap_or_else(|| panic!("priority {priority}: {flows:#}"))
}

/// Nearly every packet of the transfer went the way of those before it.
fn caches_answered(lab: &Lab) {
    let lcores = lab.weir_json(&["pmd-stats-show"]);
    let told = format!("{lcores:#}");
    let count = |pointer: &str| {
        let value = lcores.pointer(pointer).and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("{pointer} of {told}"))
    };
    let (hits, misses) = (
        count("/0/trajectories/hits"),
        count("/0/trajectories/misses"),
    );
    assert!(hits > 20 * misses, "{told}");
    assert!(hits + misses <= count("/0/packets"), "{told}");
    // Passes that no trajectory was for: other classes, and the beginnings of connections.
    assert!(count("/0/megaflows/hits") > 0, "{told}");
}

/// Every packet received was counted by one flow of table 0, and left or was dropped.
fn counts_agree(lab: &Lab) {
    let flows = lab.weir_json(&["dump-flows"]);
    let ports = lab.weir_json(&["dump-ports"]);
    let drops = lab.weir_json(&["dump-drops"]);
    let sum = |rows: &Value, field: &str, wanted: &dyn Fn(&Value) -> bool| -> u64 {
        let rows = rows.as_array().expect("an array of rows");
        let wanted = rows.iter().filter(|row| wanted(row));
        wanted
            .map(|row| {
                row[field]
                    .as_u64()
                    .unwrap_or_else(|| panic!("{field} of {row}"))
            })
            .sum()
    };
    let all = |_: &Value| true;
    let received = sum(&ports, "rx_packets", &all);
    let sent = sum(&ports, "tx_packets", &all);
    let dropped = sum(&drops, "packets", &all);
    let told = format!("{flows:#}\n{ports:#}\n{drops:#}");
    assert!(received > TRANSFER / 65_536, "{told}");

    let table = |number: u64| move |row: &Value| row["table"] == number;
    assert_eq!(sum(&flows, "n_packets", &table(0)), received, "{told}");
    assert_eq!(
        sum(&flows, "n_bytes", &table(0)),
        sum(&ports, "rx_bytes", &all),
        "{told}"
    );
    // With two ports each packet goes to the other one or nowhere.
    assert_eq!(sent + dropped, received, "{told}");

    let reason = |name: &'static str| move |row: &Value| row["reason"] == name;
    let tracked = sum(&flows, "n_packets", &|row| {
        row["table"] == 0 && row["priority"] == 100
    });
    let missed = sum(&drops, "packets", &reason("table_miss"));
    assert_eq!(
        sum(&flows, "n_packets", &table(1)) + missed,
        tracked,
        "{told}"
    );
    let for_nobody = sum(&flows, "n_packets", &|row| row["actions"] == "drop");
    assert_eq!(
        sum(&drops, "packets", &reason("action_drop")),
        for_nobody,
        "{told}"
    );
    assert!(
        for_nobody > 0,
        "the pings and knocks of right were dropped: {told}"
    );
}

/// Takes the links down and waits until no counter moves.
fn silence(lab: &Lab) {
    for (host, device) in [("left", "weir0"), ("right", "weir1")] {
        ip(&["-n", &lab.name(host), "link", "set", device, "down"]);
    }
    let counters = || {
        let ports = lab.weir_json(&["dump-ports"]);
        let rows = ports.as_array().expect("an array of rows").clone();
        rows.into_iter()
            .map(|row| (row["rx_packets"].clone(), row["tx_packets"].clone()))
            .collect::<Vec<_>>()
    };
    let mut last = counters();
    for _ in 0..50 {
        sleep(Duration::from_millis(200));
        let now = counters();
        if now == last {
            return;
        }
        last = now;
    }
    panic!("the counters still move: {last:?}");
}

/// Two lcores, each with a queue of each port, and addresses translated between them: what one polls
/// and the other owns is handed over, whichever way it goes.
#[test]
fn two_lcores_translate_between_two_namespaces() {
    const CLIENTS: u16 = 24;
    let Some(binary) = weir_binary() else {
        return;
    };
    let [one, other] = two_cpus();
    let config = format!(
        "[eal]\nlcores = [{one}, {other}]\nidle_sleep_us = 50\n\
         [[port]]\nname = \"weir0\"\nid = 2\nvdev = \"net_tap0,iface=weir0\"\n\
         [[port]]\nname = \"weir1\"\nid = 3\nvdev = \"net_tap1,iface=weir1\"\n\
         [metrics]\nlisten = \"127.0.0.1:9101\"\n\
         [bridge]\nflows = [\"flows.txt\"]\n"
    );
    // Right sees who asks as 192.168.0.9, and left asks right by the name of 192.168.0.8.
    let flows = "arp actions=NORMAL\n\
                 in_port=2,ip actions=ct(zone=1,nat,table=1)\n\
                 in_port=3,ip actions=ct(zone=2,nat,table=3)\n\
                 table=1,ip,ct_state=+new actions=ct(commit,zone=1,nat(dst=192.168.0.2),table=2)\n\
                 table=1,ip,ct_state=+est actions=ct(zone=2,nat,table=2)\n\
                 table=2,ip,ct_state=+new actions=ct(commit,zone=2,nat(src=192.168.0.9)),output:3\n\
                 table=2,ip,ct_state=+est actions=output:3\n\
                 table=3,ip,ct_state=+est actions=ct(zone=1,nat,table=4)\n\
                 table=4,ip,ct_state=+est actions=output:2\n";
    let files = [("switch.toml", config.as_str()), ("flows.txt", flows)];
    let lab = Lab::start(binary, "lcores", &files, &["left", "right"]);
    let (left, right) = ("02:00:00:00:00:02", "02:00:00:00:00:03");
    lab.place("weir0", "left", left, &format!("{LEFT}/24"));
    lab.place("weir1", "right", right, &format!("{RIGHT}/24"));
    let (client, server) = ("192.168.0.9", "192.168.0.8");
    lab.neighbour("left", "weir0", server, right);
    lab.neighbour("right", "weir1", client, left);

    let pinged = lab.ping("left", server);
    assert!(pinged.status.success(), "{}\n{}", text(&pinged), lab.log());
    lab.transfer_by("left", "right", at(server), at(RIGHT), TRANSFER / 4);
    let echoing = lab.play("right", &format!("echo {}", at(RIGHT)));
    for _ in 0..CLIENTS {
        let asked = lab.play("left", &format!("ask {}", at(server))).told();
        assert!(asked.contains("answered"), "{asked}\n{}", lab.log());
    }
    drop(echoing);

    let lcores = lab.weir_json(&["pmd-stats-show"]);
    let rows = lcores.as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{lcores:#}");
    let packets = |row: &Value| row["packets"].as_u64().expect("packets");
    assert!(rows.iter().all(|row| packets(row) > 0), "{lcores:#}");
    ip(&["-n", &lab.name("switch"), "link", "set", "lo", "up"]);
    let scrape =
        "exec 3<>/dev/tcp/127.0.0.1/9101; printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";
    let metrics = text(&lab.at("switch", &["bash", "-c", scrape]));
    let count = |name: &str| {
        let series = format!("weir_conntrack_between_lcores_{name}_total ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
        let count = line.and_then(|count| count.trim().parse::<u64>().ok());
        count.unwrap_or_else(|| panic!("{name} of {metrics}"))
    };
    assert!(count("passed_on") > 0, "{metrics}");
    // Of so many connections some had to ask for their translated tuple.
    assert!(
        count("granted") > 0 && count("granted") == count("asked") - count("refused"),
        "{metrics}"
    );
    assert_eq!(count("dropped_waiting_full"), 0, "{metrics}");
    let connections = lab.weir(&["dump-conntrack"]);
    assert!(
        connections.lines().count() >= 2 * usize::from(CLIENTS),
        "{connections}"
    );
    lab.weir(&["flush-conntrack"]);
    assert_eq!(lab.weir(&["dump-conntrack"]).trim(), "");
    lab.stop(&[("left", "weir0"), ("right", "weir1")]);
}

/// What hosts do in the tests above.
#[test]
#[ignore = "a part of the other test, run by it"]
fn part() {
    play();
}
