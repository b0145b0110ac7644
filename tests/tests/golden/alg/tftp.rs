//! TFTP: the server answers from a port of its own.

use weir_tests::switch::Switch;

use super::hex;

fn flows(nat: &str) -> String {
    format!(
        "ip actions=ct(nat,table=1)
         ipv6 actions=ct(nat,table=1)
         table=1,in_port=1,ct_state=+new-rel,udp,tp_dst=69 actions=ct(commit,alg=tftp{nat}),2
         table=1,in_port=1,ct_state=+new-rel,udp6,tp_dst=69 actions=ct(commit,alg=tftp),2
         table=1,in_port=2,ct_state=+new+rel,udp actions=ct(commit,nat),1
         table=1,in_port=2,ct_state=+new+rel,udp6 actions=ct(commit,nat),1
         table=1,in_port=1,ct_state=+rel,ip actions=ct(commit,nat),2
         table=1,in_port=1,ct_state=+rel+est actions=2
         table=1,in_port=2,ct_state=+rel-new actions=1"
    )
}

#[test]
fn an_answer_from_another_port_is_related_once() {
    let mut sw = Switch::with_flows(&flows(""));
    let request = hex("\0\u{1}boot/grub.cfg\0octet\0");
    sw.inject(
        1,
        &format!("udp 10.0.0.5:4000 > 192.0.2.9:69 data={request}"),
    );
    assert_eq!(
        sw.expected(),
        ["udp,orig=(src=192.0.2.9,dst=10.0.0.5,sport=0,dport=4000),\
          parent=(src=10.0.0.5,dst=192.0.2.9,sport=4000,dport=69)"]
    );
    let data = format!(
        "udp 192.0.2.9:33000 > 10.0.0.5:4000 data={}",
        hex("\0\u{3}\0\u{1}x")
    );
    let ack = format!(
        "udp 10.0.0.5:4000 > 192.0.2.9:33000 data={}",
        hex("\0\u{4}\0\u{1}")
    );
    sw.inject(2, "udp 192.0.2.8:33000 > 10.0.0.5:4000 len=4");
    sw.inject(2, &data);
    sw.inject(1, &ack);
    sw.inject(2, &data);
    assert_eq!(sw.sent(1), [data.clone(), data]);
    assert_eq!(sw.sent(2)[1..], [ack]);
    // RFC 1350 4: one transfer is one pair of ports.
    sw.inject(2, "udp 192.0.2.9:33001 > 10.0.0.5:4000 len=4");
    sw.assert_state("ct: new=1 replied=1 expectations=1 related=1; drops: table_miss=2");
}

#[test]
fn an_answer_to_a_translated_request_is_translated() {
    let mut sw = Switch::with_flows(&flows(",nat(src=198.51.100.7:7000)"));
    let request = hex("\0\u{2}upload\0octet\0");
    sw.inject(
        1,
        &format!("udp 10.0.0.5:4000 > 192.0.2.9:69 data={request}"),
    );
    assert!(sw.sent(2)[0].starts_with("udp 198.51.100.7:7000 > 192.0.2.9:69 "));
    sw.inject(2, "udp 192.0.2.9:33000 > 198.51.100.7:7000 len=4");
    assert_eq!(sw.sent(1), ["udp 192.0.2.9:33000 > 10.0.0.5:4000 len=4"]);
    sw.inject(1, "udp 10.0.0.5:4000 > 192.0.2.9:33000 len=4");
    assert_eq!(
        sw.sent(2),
        ["udp 198.51.100.7:7000 > 192.0.2.9:33000 len=4"]
    );
    sw.assert_state("ct: new=1 replied=1 expectations=1 related=1; drops: none");
}

#[test]
fn ipv6_is_as_ipv4_and_what_is_no_request_expects_nothing() {
    let mut sw = Switch::with_flows(&flows(""));
    let data = hex("\0\u{3}\0\u{1}x\0octet\0");
    sw.inject(
        1,
        &format!("udp [2001:db8::5]:4000 > [2001:db8:9::9]:69 data={data}"),
    );
    assert_eq!(sw.expected(), [""; 0]);
    let request = hex("\0\u{1}x\0octet\0");
    sw.inject(
        1,
        &format!("udp [2001:db8::5]:4001 > [2001:db8:9::9]:69 data={request}"),
    );
    for port in [4000, 4001] {
        sw.inject(
            2,
            &format!("udp [2001:db8:9::9]:33000 > [2001:db8::5]:{port} len=4"),
        );
    }
    assert_eq!((sw.sent(1).len(), sw.sent(2).len()), (1, 2));
    sw.assert_state("ct: new=3 expectations=1 related=1; drops: table_miss=1");
}
