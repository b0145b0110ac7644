//! Reload of the configuration: what is done to devices and in which order, what is refused, and how it
//! is undone; and ports that lose their devices.

use super::*;
use crate::control::PolicyFiles;
use crate::show::ReloadReport;

const PORTS: &str = "[[port]]\nname = \"weir0\"\nid = 2\nvdev = \"net_tap0,iface=weir0\"\n\
                     [[port]]\nname = \"weir1\"\nid = 3\nvdev = \"net_tap1,iface=weir1\"\n";
const THIRD: &str = "[[port]]\nname = \"c\"\nid = 4\nvdev = \"net_tap2\"\n";
const FLOWS: &str = "udp actions=output:4";

impl Management<OneLcore> {
    /// Loads these ports, with the rest as it is, and these flows.
    fn load(
        &mut self,
        ports: &str,
        flows: &str,
        confirm: Option<u32>,
    ) -> Result<ReloadReport, Failure> {
        let printed = self.config.to_string();
        let rest = printed.find("[bridge]").expect("a section");
        let eal = &printed[..printed.find("[[port]]").expect("a port")];
        let rest = printed[rest..]
            .lines()
            .filter(|line| !line.starts_with("flows = "));
        let rest: Vec<_> = rest.collect();
        self.load_text(
            &format!("{eal}{ports}{}\n", rest.join("\n")),
            flows,
            confirm,
        )
    }

    fn load_text(
        &mut self,
        text: &str,
        flows: &str,
        confirm: Option<u32>,
    ) -> Result<ReloadReport, Failure> {
        let named = |name: &str, text: &str| NamedText {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let files = PolicyFiles {
            config: named("new.toml", text),
            flows: vec![named("new.flows", flows)],
            groups: Vec::new(),
        };
        let frames = self.ask(Verb::Reload {
            files: Some(files),
            dry_run: false,
            exact: false,
            confirm,
        })?;
        match &frames[..] {
            [Frame::Reloaded(report)] => Ok(report.clone()),
            other => panic!("one report, not {other:?}"),
        }
    }

    fn done_to_devices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.datapath.devices)
    }

    fn wait_ms(&mut self, millis: u64) {
        self.datapath.now = self.datapath.now + Duration::from_millis(millis);
        self.look_after();
    }

    fn port_row(&self, name: &str) -> crate::show::PortRow {
        let rows = self.port_rows();
        let row = rows.into_iter().find(|row| row.name == name);
        row.unwrap_or_else(|| panic!("no port {name}"))
    }
}

#[test]
fn a_port_comes_with_the_flows_that_name_it_and_goes() {
    let mut management = management("udp actions=output:3");
    let added = management.load(&format!("{PORTS}{THIRD}"), "udp actions=output:c", None);
    let report = added.unwrap();
    assert_eq!(report.added, ["port 4(c): net_tap2 mtu 1500"]);
    assert_eq!(report.modified, ["udp actions=output:4"]);
    // Opened before the policy speaks of it, polled when the lcore knows it.
    assert_eq!(
        management.done_to_devices(),
        ["open 2 net_tap2 mtu 1500", "attach 2"]
    );
    assert_eq!(management.inject(0, A_TO_B), [2]);

    let report = management.load(PORTS, FLOWS, None).unwrap();
    assert_eq!(report.deleted, ["port 4(c): net_tap2 mtu 1500"]);
    assert_eq!(management.done_to_devices(), ["close 2"]);
    assert!(
        management.inject(0, A_TO_B).is_empty(),
        "the flow stays and sends nowhere"
    );
    assert_eq!(management.flow_lines(), ["udp actions=output:4"]);

    // What has the number sends again.
    management
        .load(&format!("{PORTS}{THIRD}"), FLOWS, None)
        .unwrap();
    assert_eq!(management.inject(0, A_TO_B), [2]);
}

#[test]
fn a_port_that_goes_on_is_left_alone() {
    let mut management = management(FLOWS);
    let tagged = PORTS.replace("id = 3\n", "id = 3\ntag = 7\n");
    let report = management.load(&tagged, FLOWS, None).unwrap();
    assert_eq!(
        report.modified,
        ["port 3(weir1): net_tap1,iface=weir1 mtu 1500"]
    );
    assert!(management.done_to_devices().is_empty());
    let port = management.policy.ports.port(PortIndex(1)).clone();
    assert_eq!(port.vlan, weir_tables::port::VlanMode::Access(7));
}

/// Nothing else is done, and what caches remember stays right.
#[test]
fn queues_are_dealt_out_anew_when_the_configuration_gives_them_otherwise() {
    let mut management = management("udp actions=output:3");
    let given = PORTS.replace("id = 3\n", "id = 3\nrxq_affinity = { 0 = 1 }\n");
    let report = management.load(&given, "udp actions=output:3", None);
    assert_eq!(
        report.unwrap().modified,
        ["port 3(weir1): net_tap1,iface=weir1 mtu 1500 rxq_affinity { 0 = 1 }"]
    );
    assert_eq!(management.done_to_devices(), ["deal 0 [] 1 [(0, 1)]"]);
    management
        .load(&given, "udp actions=output:3", None)
        .unwrap();
    assert!(management.done_to_devices().is_empty());
    // A port that comes with a word of it, or goes, changes it for all.
    let third = format!("{PORTS}{THIRD}rxq_affinity = {{ 0 = 1 }}\n");
    management
        .load(&third, "udp actions=output:3", Some(60))
        .unwrap();
    assert_eq!(
        management.done_to_devices(),
        [
            "open 2 net_tap2 mtu 1500",
            "attach 2",
            "deal 0 [] 1 [] 2 [(0, 1)]"
        ]
    );
    management.ask(Verb::Rollback).unwrap();
    assert_eq!(
        management.done_to_devices(),
        ["close 2", "deal 0 [] 1 [(0, 1)]"]
    );
    // And whose lcore is given one, polls no others.
    let rows = management.ask(Verb::PmdRxqShow {
        lcore: None,
        seconds: 60,
    });
    let [Frame::Polled(rows)] = &rows.unwrap()[..] else {
        panic!("not rows")
    };
    assert!(rows[0].isolated);
}

#[test]
fn a_device_that_is_opened_anew_is_closed_before_and_stays_switched_off() {
    let mut management = management(FLOWS);
    let change = PortChange::Down;
    let port = "weir1".to_owned();
    management.ask(Verb::ModPort { port, change }).unwrap();
    let larger = PORTS.replace("id = 3\n", "id = 3\nmtu = 9000\n");
    let report = management.load(&larger, FLOWS, None).unwrap();
    assert_eq!(
        report.modified,
        ["port 3(weir1): net_tap1,iface=weir1 mtu 9000, opened anew"]
    );
    assert_eq!(
        management.done_to_devices(),
        [
            "close 1",
            "open 1 net_tap1,iface=weir1 mtu 9000",
            "attach 1"
        ]
    );
    assert_eq!(management.port_row("weir1").config, ["PORT_DOWN"]);
    assert_eq!(management.datapath.shown, [(PortNo(3), false); 2]);
}

#[test]
fn what_cannot_be_changed_is_refused_before_anything_is_touched() {
    let mut management = management("arp actions=drop");
    let text = format!("{PORTS}{THIRD}[cache]\nmegaflows = 77\n");
    let failure = management.load_text(&text, FLOWS, None).unwrap_err();
    let message = failure.message;
    assert!(
        message.contains("new.toml:14:13: [cache] megaflows cannot be changed without a restart"),
        "{message}"
    );
    assert!(management.done_to_devices().is_empty());
    assert_eq!(management.flow_lines(), ["arp actions=drop"]);
}

#[test]
fn a_device_that_does_not_open_changes_nothing() {
    let mut management = management("arp actions=drop");
    management.datapath.broken = Some("net_tap3");
    let fourth = "[[port]]\nname = \"d\"\nid = 5\nvdev = \"net_tap3\"\n";
    let ports = format!("{PORTS}{THIRD}{fourth}");
    let failure = management.load(&ports, FLOWS, None).unwrap_err();
    assert_eq!(failure.message, "net_tap3 is broken");
    assert_eq!(
        management.done_to_devices(),
        ["open 2 net_tap2 mtu 1500", "close 2"],
        "the one before it is closed again"
    );
    assert_eq!(management.flow_lines(), ["arp actions=drop"]);
    assert_eq!(management.policy.ports.index_of(PortNo(4)), None);
}

/// Lcores change behind devices that open and before the policy does, and go back if that fails, or
/// if nobody confirms.
#[test]
fn lcores_come_and_go() {
    let mut management = management("arp actions=drop");
    let on = |management: &Management<OneLcore>, lcores: &str| {
        let said = format!("lcores = [{lcores}]\n");
        let text = management
            .config
            .to_string()
            .replace("lcores = [1]\n", &said);
        text.replace("[bridge]", &format!("{THIRD}[bridge]"))
    };
    let two = on(&management, "4, 5");
    let failure = management.load_text(&two, FLOWS, None).unwrap_err();
    assert!(
        failure.message.contains("more than the 1 shards there are"),
        "{failure:?}"
    );
    management.config.eal.shards = Some(2);
    let absent = on(&management, "1, 99");
    let failure = management.load_text(&absent, FLOWS, None).unwrap_err();
    assert_eq!(failure.message, "[eal] lcores: CPU 99 is not there");
    assert_eq!(management.done_to_devices(), [""; 0]);

    let failure = management.load_text(&two, "table=1 actions=group:7", None);
    assert!(failure.is_err(), "there is no such group");
    let report = management
        .load_text(&two, FLOWS, Some(1))
        .expect("it is possible");
    assert!(
        report
            .modified
            .contains(&"[eal] lcores = [4, 5]".to_owned()),
        "{report:?}"
    );
    assert_eq!(
        management.done_to_devices(),
        ["open 2 net_tap2 mtu 1500", "lcores [4, 5]", "attach 2"]
    );
    management.wait_ms(1_500);
    assert_eq!(management.done_to_devices(), ["lcores [1]", "close 2"]);
    assert_eq!(management.config.eal.lcores, [1]);
}

#[test]
fn a_device_that_does_not_open_anew_is_opened_as_it_was() {
    let mut management = management("arp actions=drop");
    management.datapath.broken = Some("net_tap1,iface=other");
    let renamed = PORTS.replace("net_tap1,iface=weir1", "net_tap1,iface=other");
    let failure = management.load(&renamed, FLOWS, None).unwrap_err();
    assert_eq!(failure.message, "net_tap1,iface=other is broken");
    assert_eq!(
        management.done_to_devices(),
        [
            "close 1",
            "close 1",
            "open 1 net_tap1,iface=weir1 mtu 1500",
            "attach 1"
        ]
    );
    assert_eq!(management.flow_lines(), ["arp actions=drop"]);
    let device = &management.port_row("weir1").device;
    assert_eq!(device, "net_tap1,iface=weir1");
}

#[test]
fn there_are_places_for_so_many_ports() {
    let mut management = management(FLOWS);
    let more = |count: u32| {
        let port = |n| format!("[[port]]\nname = \"p{n}\"\nid = {n}\nvdev = \"net_tap{n}\"\n");
        let ports = (10..10 + count).map(port);
        format!("{PORTS}{}", ports.collect::<String>())
    };
    let failure = management.load(&more(3), FLOWS, None).unwrap_err();
    assert_eq!(
        failure.message,
        "port p12: there is no place for another port"
    );
    assert!(management.done_to_devices().is_empty());
    // Those that went make room for others.
    for _ in 0..3 {
        management.load(&more(2), FLOWS, None).unwrap();
        management.load(&more(0), FLOWS, None).unwrap();
        management
            .load(&more(1).replace("p10", "q"), FLOWS, None)
            .unwrap();
        management.load(PORTS, FLOWS, None).unwrap();
    }
    assert!(management.policy.ports.len() <= 4);
}

#[test]
fn what_nobody_confirms_is_undone() {
    let mut management = management("arp actions=drop");
    management.ask(add("icmp actions=output:3")).unwrap();
    let limits = vec!["zone=5,limit=7".to_owned()];
    management.ask(Verb::CtSetLimits { limits }).unwrap();
    let (port, change) = ("weir1".to_owned(), PortChange::NoFlood);
    management.ask(Verb::ModPort { port, change }).unwrap();
    let settings = management.policy.conntrack.clone();

    // Weir1 goes, another comes, a limit is another; what was added by hand stays.
    let ports = format!("{}{THIRD}", &PORTS[..PORTS.rfind("[[port]]").expect("two")]);
    let zone = "[[zone]]\nid = 5\nlimit = 9\n";
    let report = management
        .load(&format!("{ports}{zone}"), FLOWS, Some(30))
        .unwrap();
    assert_eq!((report.confirm_s, report.kept.len()), (Some(30), 1));
    assert_eq!(
        management.flow_lines(),
        ["icmp actions=output:3", "udp actions=output:4"]
    );
    assert_eq!(management.policy.conntrack.zones[&5].limit, Some(9));

    management.wait_ms(10_000);
    let refused = management.ask(add("tcp actions=drop")).unwrap_err();
    assert!(refused.message.contains("in 20 s"), "{}", refused.message);
    let again = management.load(PORTS, FLOWS, None).unwrap_err();
    assert!(again.message.contains("weir confirm"), "{}", again.message);
    management.ask(Verb::FdbFlush).expect("that is not policy");

    management.done_to_devices();
    management.wait_ms(20_000);
    assert_eq!(
        management.flow_lines(),
        ["icmp actions=output:3", "arp actions=drop"]
    );
    assert_eq!(management.policy.conntrack, settings);
    assert_eq!(
        management.done_to_devices(),
        [
            "open 1 net_tap1,iface=weir1 mtu 1500",
            "attach 1",
            "close 2"
        ]
    );
    assert_eq!(management.port_row("weir1").config, ["NO_FLOOD"]);
    // It is also what files are compared with again.
    let report = management.load(PORTS, "arp actions=drop", None).unwrap();
    assert_eq!(
        report.kept,
        ["ct-limit zone=5,limit=7", "icmp actions=output:3"]
    );
    assert!(
        report.added.is_empty() && report.deleted.is_empty(),
        "{report:?}"
    );
}

#[test]
fn what_is_confirmed_stays() {
    let mut management = management("arp actions=drop");
    management.load(PORTS, FLOWS, Some(30)).unwrap();
    management.ask(Verb::Confirm).unwrap();
    management.wait_ms(60_000);
    assert_eq!(management.flow_lines(), [FLOWS]);
    management.ask(add("tcp actions=drop")).unwrap();
    let nothing = management.ask(Verb::Confirm).unwrap_err();
    assert_eq!(nothing.message, "there is nothing to confirm");
    let nothing = management.ask(Verb::Rollback).unwrap_err();
    assert!(nothing.message.starts_with("there is nothing to roll back"));
}

#[test]
fn a_rollback_does_not_wait() {
    let mut management = management("arp actions=drop");
    management
        .load(&format!("{PORTS}{THIRD}"), FLOWS, Some(30))
        .unwrap();
    management.done_to_devices();
    management.ask(Verb::Rollback).unwrap();
    assert_eq!(management.flow_lines(), ["arp actions=drop"]);
    assert_eq!(management.done_to_devices(), ["close 2"]);
    management.ask(add("tcp actions=drop")).unwrap();
}

#[test]
fn a_port_whose_device_is_gone_has_no_link_until_it_is_back() {
    let mut management = management("udp actions=output:3");
    management.datapath.links = vec![(PortNo(2), true), (PortNo(3), true)];
    management.wait_ms(100);
    management.datapath.broken = Some("net_tap1,iface=weir1");
    management.datapath.lost = vec![PortIndex(1)];
    management.wait_ms(100);
    assert_eq!(management.done_to_devices(), ["close 1"]);
    let row = management.port_row("weir1");
    assert_eq!(
        (row.present, row.device_losses, row.link),
        (false, 1, crate::show::LinkState::Down)
    );
    assert!(!management.policy.ports.has_link(PortIndex(1)));
    assert_eq!(
        management.port_row("weir0").link,
        crate::show::LinkState::Up
    );

    // It is tried again every second, and not more often.
    management.wait_ms(500);
    management.wait_ms(500);
    assert!(
        management.done_to_devices().is_empty(),
        "it does not open yet"
    );
    management.datapath.broken = None;
    management.wait_ms(900);
    assert!(management.done_to_devices().is_empty(), "it is not time");
    management.wait_ms(100);
    assert_eq!(
        management.done_to_devices(),
        ["open 1 net_tap1,iface=weir1 mtu 1500", "attach 1"]
    );
    let row = management.port_row("weir1");
    assert_eq!((row.present, row.device_losses), (true, 1));
    assert!(management.policy.ports.has_link(PortIndex(1)));
}

#[test]
fn a_port_without_device_can_be_removed() {
    let mut management = management(FLOWS);
    management.datapath.lost = vec![PortIndex(1)];
    management.wait_ms(100);
    management
        .load(&PORTS[..PORTS.rfind("[[port]]").expect("two")], FLOWS, None)
        .unwrap();
    management.done_to_devices();
    management.wait_ms(5_000);
    assert!(
        management.done_to_devices().is_empty(),
        "nobody wants it any more"
    );
}
