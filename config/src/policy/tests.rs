use super::*;

fn config(flows: &str) -> Config {
    let mut config = Config::embedded();
    let text = NamedText {
        name: "test.flows".to_owned(),
        text: flows.to_owned(),
    };
    config.bridge.flows = vec![crate::file::FlowSource::Embedded(text)];
    config
}

fn load(flows: &str) -> Result<Policy, Vec<Diagnostic>> {
    Policy::load(&config(flows), 1, HashSecret(1), Tick::ZERO)
}

fn set(flows: &str) -> FlowSet {
    load(flows).expect("the test's flows are right").loaded
}

fn texts(flows: &[FlowMod]) -> Vec<String> {
    flows
        .iter()
        .map(|flow| crate::text::flow_text(flow).to_string())
        .collect()
}

#[test]
fn the_embedded_policy_loads() {
    let policy = Policy::load(&Config::embedded(), 1, HashSecret(1), Tick::ZERO).unwrap();
    assert_eq!(policy.loaded.len(), 7);
    assert_eq!(policy.ports.iter().count(), 2);
}

#[test]
fn standalone_starts_with_a_normal_that_everybody_sees() {
    let mut config = config("priority=5,arp actions=drop");
    config.bridge.fail_mode = FailMode::Standalone;
    let policy = Policy::load(&config, 1, HashSecret(1), Tick::ZERO).unwrap();
    let flows: Vec<_> = policy.loaded.values().cloned().collect();
    assert_eq!(
        texts(&flows),
        ["priority=5,arp actions=drop", "priority=0 actions=NORMAL"]
    );
}

#[test]
fn what_cannot_be_executed_is_refused_with_its_place() {
    let errors =
        load("arp actions=drop\n\nip actions=group:7\n  in_port=1 actions=bogus").unwrap_err();
    let message = errors[0].to_string();
    assert!(message.starts_with("test.flows:"), "{message}");
    let errors = load("arp actions=drop\n\n ip actions=group:7\n").unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "test.flows:3:2: there is no group 7 (OFPBAC_BAD_OUT_GROUP)\n   ip actions=group:7\n   ^^^^^^^^^^^^^^^^^^"
    );
}

#[test]
fn reload_changes_only_what_changed_in_the_files() {
    let loaded = set("in_port=2 actions=output:3
        in_port=3 actions=output:2
        arp actions=NORMAL
        priority=7,ip actions=drop");
    // By hand: port 3 goes to NORMAL, ARP is gone, IPv6 is new.
    let current = set("in_port=2 actions=output:3
        in_port=3 actions=NORMAL
        ipv6 actions=drop
        priority=7,ip actions=drop");
    // In the file: port 2 is dropped, IP is gone, UDP is new; the rest as before.
    let wanted = set("in_port=2 actions=drop
        in_port=3 actions=output:2
        arp actions=NORMAL
        udp actions=drop");
    let difference = Difference::of_files(&current, &loaded, &wanted);
    assert_eq!(texts(&difference.added), ["udp actions=drop"]);
    assert_eq!(texts(&difference.modified), ["in_port=2 actions=drop"]);
    assert_eq!(texts(&difference.deleted), ["priority=7,ip actions=drop"]);
    assert_eq!(
        texts(&difference.kept),
        ["in_port=3 actions=NORMAL", "ipv6 actions=drop"]
    );
}

#[test]
fn exact_leads_to_what_is_wanted_whatever_there_is() {
    let current = set("in_port=2 actions=output:3\nipv6 actions=drop");
    let wanted = set("in_port=2 actions=output:2\narp actions=NORMAL");
    let difference = Difference::exact(&current, &wanted);
    let mut tables = FlowTables::new(1, HashSecret(1));
    let start: Vec<_> = current.values().cloned().collect();
    tables.apply(&start, Tick::ZERO).unwrap();
    tables
        .apply(&difference.bundle(&current), Tick::ZERO)
        .unwrap();
    assert_eq!(flow_set(&tables), wanted);
    assert!(difference.kept.is_empty());
}

#[test]
fn a_flow_that_only_acts_differently_keeps_its_statistics() {
    let current = set("in_port=2 actions=output:3\nin_port=3 actions=output:2");
    let wanted = set("in_port=2 actions=drop\nin_port=3,importance=4 actions=output:2");
    let bundle = Difference::exact(&current, &wanted).bundle(&current);
    let commands: Vec<_> = bundle.iter().map(|flow| flow.command).collect();
    assert_eq!(commands, [Command::ModifyStrict, Command::Add]);
}
