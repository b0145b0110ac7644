use super::*;

const VM1: &str = "[[port]]\nname = \"vm1\"\nid = 2\nvdev = \"net_tap0\"\n";
const VM2: &str = "[[port]]\nname = \"vm2\"\nid = 3\nvdev = \"net_tap1\"\n";

fn config(text: &str) -> Config {
    Config::parse("a.toml", text).expect("valid")
}

/// What is said of a change, as the user reads it.
fn complaints(old: &str, new: &str) -> Vec<String> {
    let source = NamedText {
        name: "a.toml".to_owned(),
        text: new.to_owned(),
    };
    let (old, mut new) = (config(old), config(new));
    new.keep_shards(&old);
    let complaints = old.needs_restart(&new, &source, false);
    complaints.iter().map(ToString::to_string).collect()
}

fn names(ports: &[Port]) -> Vec<&str> {
    ports.iter().map(|port| port.name.as_str()).collect()
}

#[test]
fn what_can_change_while_it_runs_is_no_complaint() {
    let other = format!(
        "{VM2}[bridge]\nname = \"br1\"\nflows = [\"x.flows\"]\nfail_mode = \"standalone\"\n\
         [conntrack]\nzone_limit = 5\ntcp_loose = false\n[conntrack.timeouts]\nudp_single = 7\n\
         [[zone]]\nid = 1\nlimit = 0\n[metrics]\nlisten = \"127.0.0.1:1\"\n"
    );
    assert_eq!(complaints(VM1, &other), [""; 0]);
    let spelt_out = format!("{VM1}mtu = 1500\n[cache]\nmasks_per_port = 64\n");
    assert_eq!(complaints(VM1, &spelt_out), [""; 0], "the defaults");
}

#[test]
fn who_polls_changes_while_a_port_goes_on() {
    let (two, given) = ("[eal]\nlcores = [1, 2]\n", "rxq_affinity = { 1 = 1 }\n");
    let before = format!("{two}{VM1}{VM2}");
    let after = format!("{two}{VM1}{given}{VM2}tag = 3\n{given}");
    assert_eq!(complaints(&before, &after), [""; 0]);
    let changes = config(&before).port_changes(&config(&after));
    assert_eq!(names(&changes.polled_otherwise), ["vm1"]);
    assert_eq!(names(&changes.modified), ["vm2"]);
    assert!(changes.added.is_empty() && changes.removed.is_empty());
    assert!(config(&before).deals_otherwise(&config(&after)));
    assert!(config(&after).deals_otherwise(&config(&before)));
    // What has no word about it may go and come.
    let one = config(&format!("{two}{VM1}{given}"));
    assert!(!one.deals_otherwise(&config(&format!("{two}{VM2}{VM1}{given}"))));
}

#[test]
fn a_queue_that_a_running_port_does_not_have_is_shown() {
    let two = "[eal]\nlcores = [1, 2]\n";
    let before = config(&format!("{two}{VM1}{VM2}"));
    let text = format!("{two}{VM1}{VM2}rxq_affinity = {{ 0 = 2, 1 = 1 }}\n");
    let source = NamedText {
        name: "a.toml".to_owned(),
        text: text.clone(),
    };
    let missing = |counts: [Option<usize>; 2]| {
        let count = |no: PortNo| counts[no.0 as usize - 2];
        let all = before.missing_queues(&config(&text), &source, count);
        all.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(missing([Some(1), Some(2)]), [""; 0]);
    assert_eq!(missing([Some(1), None]), [""; 0], "its device is away");
    assert_eq!(
        missing([Some(2), Some(1)]),
        ["a.toml:11:29: port vm2: there is no queue 1\n  \
          rxq_affinity = { 0 = 2, 1 = 1 }\n                              \
          ^ its device has 1, counted from 0"]
    );
}

#[test]
fn what_is_fixed_is_complained_of_where_it_stands() {
    let other = format!("{VM1}\n[eal]\nmemory_mb = 600\n[conntrack]\n  accounting = true\n");
    assert_eq!(
        complaints(VM1, &other),
        [
            "a.toml:7:13: [eal] memory_mb cannot be changed without a restart\n  \
             memory_mb = 600\n              ^^^",
            "a.toml:9:16: [conntrack] accounting cannot be changed without a restart\n    \
             accounting = true\n                 ^^^^",
        ]
    );
    // Of what is no longer there the section is shown, or the file.
    let before = format!("{VM1}[fragments]\nwaiting = 200\n[cache]\nmegaflows = 0\n");
    let after = format!("{VM1}[fragments]\n");
    assert_eq!(
        complaints(&before, &after),
        [
            "a.toml: [cache] megaflows cannot be changed without a restart",
            "a.toml: [cache] masks_per_port cannot be changed without a restart",
            "a.toml:5:1: [fragments] waiting cannot be changed without a restart\n  \
             [fragments]\n  ^^^^^^^^^^^",
        ]
    );
}

#[test]
fn there_are_as_many_lcores_as_there_are_shards_at_most() {
    let on = |eal: &str| format!("[eal]\n{eal}\n{VM1}");
    for (before, after) in [
        ("lcores = [1, 2, 3]", "lcores = [5]"),
        ("lcores = [1]\nshards = 3", "lcores = [4, 5, 6]"),
        ("lcores = [1]\nshards = 3", "lcores = [4]\nshards = 3"),
        ("lcores = [1, 2]", "lcores = [1]\nshards = 2"),
    ] {
        assert_eq!(complaints(&on(before), &on(after)), [""; 0], "{after}");
    }
    assert_eq!(
        complaints(&on("shards = 2"), &on("lcores = [4, 5, 6]")),
        [
            "a.toml:2:10: [eal] lcores, to more than the 2 shards there are, cannot be changed \
             without a restart\n  lcores = [4, 5, 6]\n           \
             ^^^^^^^^^ [eal] shards says how many there can be without a restart"
        ]
    );
    assert_eq!(
        complaints(&on("shards = 2"), &on("shards = 3")),
        [
            "a.toml:2:10: [eal] shards cannot be changed without a restart\n  \
             shards = 3\n           ^"
        ]
    );
}

#[test]
fn tunnels_and_what_they_ride_on_stay() {
    let tunnel = "[[port]]\nname = \"tun\"\nid = 9\nkind = \"vxlan\"\nover = \"vm1\"\n\
                  local_ip = \"192.0.2.1\"\nremote_ip = \"flow\"\nkey = \"flow\"\n";
    let both = format!("{VM1}{tunnel}");
    assert_eq!(complaints(&both, &format!("{both}{VM2}")), [""; 0]);
    assert_eq!(
        complaints(VM1, &both),
        ["a.toml:5:1: the tunnel tun cannot be changed without a restart\n  [[port]]\n  ^^^^^^^^"]
    );
    assert_eq!(
        complaints(&both, VM1),
        ["a.toml:1:1: the tunnel tun cannot be changed without a restart\n  [[port]]\n  ^^^^^^^^"]
    );
    let larger = format!("{VM1}mtu = 9000\n{tunnel}");
    let complaint = &complaints(&both, &larger)[0];
    assert!(
        complaint.contains("port vm1, which tun rides on,"),
        "{complaint}"
    );
}

#[test]
fn a_pci_device_cannot_come_where_none_was_looked_for() {
    let pci = format!("{VM1}[[port]]\nname = \"up\"\nid = 1\npci = \"0000:3b:00.0\"\n");
    let complaint = &complaints(VM1, &pci)[0];
    assert!(
        complaint.contains("a.toml:5:1:") && complaint.contains("PCI"),
        "{complaint}"
    );
}

#[test]
fn ports_that_are_the_same_go_on() {
    let old = config(&format!("{VM1}{VM2}"));
    let new = config(&format!(
        "{VM2}tag = 7\n{VM1}[[port]]\nname = \"c\"\nid = 4\nvdev = \"net_tap2\"\n"
    ));
    let changes = old.port_changes(&new);
    assert_eq!(names(&changes.added), ["c"]);
    assert_eq!(names(&changes.modified), ["vm2"]);
    assert_eq!(names(&changes.removed), [""; 0]);
    assert!(!changes.takes_over(&changes.added[0]));
    let back = new.port_changes(&old);
    assert_eq!(
        (names(&back.removed), names(&back.modified)),
        (vec!["c"], vec!["vm2"])
    );
}

#[test]
fn a_device_that_is_started_otherwise_is_closed_before() {
    let old = config(VM1);
    for change in ["mtu = 9000\n", "queues = 1\n"] {
        let changes = old.port_changes(&config(&format!("{VM1}{change}")));
        assert_eq!(
            (names(&changes.removed), names(&changes.added)),
            (vec!["vm1"], vec!["vm1"])
        );
        assert!(changes.takes_over(&changes.added[0]), "the same device");
    }
    let renamed = VM1
        .replace("vm1", "x")
        .replace("net_tap0", "net_tap0,iface=y");
    let changes = old.port_changes(&config(&renamed));
    assert!(
        changes.takes_over(&changes.added[0]),
        "the arguments do not make another device"
    );
}
