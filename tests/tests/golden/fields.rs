//! Every header field that actions write: the new value arrives, nothing else changes, and the
//! checksums fit. (A wrong checksum would print as `bad-csum` or `bad-ip-csum`.)

use weir_tests::switch::Switch;

/// Lines of `MATCH | ACTIONS | PACKET | PACKET AFTERWARDS`.
fn check(cases: &str) {
    for case in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let parts: Vec<&str> = case.split('|').map(str::trim).collect();
        let [matches, actions, before, after] = parts[..] else {
            panic!("four parts: {case}");
        };
        let mut sw = Switch::with_flows(&format!("{matches} actions={actions},output:2"));
        sw.inject(1, before);
        assert_eq!(sw.sent(2), [after], "{case}");
        sw.assert_state("ct: none; drops: none");
    }
}

#[test]
fn ethernet() {
    check(
        "in_port=1 | set_field:02:00:00:00:00:0a->eth_src | udp 10.0.0.1:1 > 10.0.0.2:2 | eth 02:00:00:00:00:0a > 02:00:00:00:00:02 udp 10.0.0.1:1 > 10.0.0.2:2
         in_port=1 | mod_dl_src:02:00:00:00:00:0a | ether type=0x88cc len=46 | eth 02:00:00:00:00:0a > 02:00:00:00:00:02 ether type=0x88cc len=46
         in_port=1 | set_field:ff:ff:ff:ff:ff:ff->eth_dst | udp 10.0.0.1:1 > 10.0.0.2:2 | eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff udp 10.0.0.1:1 > 10.0.0.2:2
         in_port=1 | mod_dl_dst:02:00:00:00:00:0b | vlan 5 vlan 6 udp [::1]:1 > [::2]:2 | eth 02:00:00:00:00:01 > 02:00:00:00:00:0b vlan 5 vlan 6 udp [::1]:1 > [::2]:2
         in_port=1 | set_field:00:00:00:00:0b:00/00:00:00:00:ff:00->eth_dst | udp 10.0.0.1:1 > 10.0.0.2:2 | eth 02:00:00:00:00:01 > 02:00:00:00:0b:02 udp 10.0.0.1:1 > 10.0.0.2:2
         in_port=1 | move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[] | udp 10.0.0.1:1 > 10.0.0.2:2 | eth 02:00:00:00:00:01 > 02:00:00:00:00:01 udp 10.0.0.1:1 > 10.0.0.2:2
         in_port=1 | load:0xaa->NXM_OF_ETH_DST[0..7] | udp 10.0.0.1:1 > 10.0.0.2:2 | eth 02:00:00:00:00:01 > 02:00:00:00:00:aa udp 10.0.0.1:1 > 10.0.0.2:2",
    );
}

#[test]
fn ipv4_addresses_under_every_protocol() {
    for packet in [
        "udp FROM:1 > TO:2 len=3",
        "udp FROM:1 > TO:2 no-csum len=3",
        "tcp FROM:1 > TO:2 PA seq=7 ack=9 len=100",
        "icmp FROM > TO echo-request id=7 seq=1 len=56",
        "sctp FROM:1 > TO:2 vtag=0x5 chunk=data:3:0011223344",
        "ip proto=47 FROM > TO data=00000800",
        "udp FROM:1 > TO:2 ipopt=94040000 len=9",
        "udp FROM:1 > TO:2 frag id=7 off=0 mf len=8",
        "ip proto=17 FROM > TO frag id=7 off=1480 len=200",
        "vlan 5 udp FROM:1 > TO:2 len=4 pad=30",
    ] {
        let with = |src: &str, dst: &str| {
            let with_ports = |address: &str| address.to_owned();
            packet
                .replace("FROM", &with_ports(src))
                .replace("TO", &with_ports(dst))
        };
        for (actions, src, dst) in [
            ("mod_nw_src:192.168.255.255", "192.168.255.255", "10.0.0.2"),
            ("set_field:0.0.0.0->ip_dst", "10.0.0.1", "0.0.0.0"),
            ("set_field:172.16.0.0/12->ip_src", "172.16.0.1", "10.0.0.2"),
            (
                "move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],move:NXM_OF_IP_DST[]->NXM_OF_IP_SRC[],\
                 move:NXM_NX_REG0[]->NXM_OF_IP_DST[]",
                "10.0.0.2",
                "10.0.0.1",
            ),
            (
                "load:1->NXM_OF_IP_SRC[31],load:7->NXM_OF_IP_DST[8..15]",
                "138.0.0.1",
                "10.0.7.2",
            ),
        ] {
            let before = with("10.0.0.1", "10.0.0.2");
            check(&format!("ip | {actions} | {before} | {}", with(src, dst)));
        }
    }
}

#[test]
fn ipv6_addresses_under_every_protocol() {
    for packet in [
        "udp [FROM]:1 > [TO]:2 len=3",
        "tcp [FROM]:1 > [TO]:2 PA seq=7 ack=9 len=101",
        "icmp6 FROM > TO echo-request id=7 seq=1 len=56",
        "sctp [FROM]:1 > [TO]:2 vtag=0x5 chunk=data:3:0011223344",
        "ip proto=47 FROM > TO data=00000800",
        "udp [FROM]:1 > [TO]:2 ext=60:010400000000 len=9",
        "udp [FROM]:1 > [TO]:2 frag id=7 off=0 mf len=8",
        "ip proto=17 FROM > TO frag id=7 off=1480 len=200",
        "vlan 5 vlan 6 udp [FROM]:1 > [TO]:2 len=4",
    ] {
        let with = |src: &str, dst: &str| packet.replace("FROM", src).replace("TO", dst);
        for (actions, src, dst) in [
            (
                "set_field:2001:db8::99->ipv6_src",
                "2001:db8::99",
                "2001:db8::2",
            ),
            ("set_field:::->ipv6_dst", "2001:db8::1", "::"),
            (
                "load:0xffff->NXM_NX_IPV6_DST[112..127]",
                "2001:db8::1",
                "ffff:db8::2",
            ),
            (
                "move:NXM_NX_IPV6_SRC[0..63]->NXM_NX_IPV6_DST[64..127]",
                "2001:db8::1",
                "::1:0:0:0:2",
            ),
        ] {
            let before = with("2001:db8::1", "2001:db8::2");
            check(&format!("ipv6 | {actions} | {before} | {}", with(src, dst)));
        }
    }
}

#[test]
fn ip_header() {
    check(
        "ip | mod_nw_tos:184 | udp 10.0.0.1:1 > 10.0.0.2:2 tos=0x3 | udp 10.0.0.1:1 > 10.0.0.2:2 tos=0xbb
         ipv6 | mod_nw_tos:184 | udp [::1]:1 > [::2]:2 tos=0x3 label=0x12345 | udp [::1]:1 > [::2]:2 tos=0xbb label=0x12345
         ip | set_field:46->ip_dscp | udp 10.0.0.1:1 > 10.0.0.2:2 tos=0x2 | udp 10.0.0.1:1 > 10.0.0.2:2 tos=0xba
         ip | mod_nw_ecn:1 | udp 10.0.0.1:1 > 10.0.0.2:2 tos=0xff | udp 10.0.0.1:1 > 10.0.0.2:2 tos=0xfd
         ipv6 | set_field:2->nw_ecn | udp [::1]:1 > [::2]:2 | udp [::1]:1 > [::2]:2 tos=0x2
         ip | mod_nw_ttl:9 | tcp 10.0.0.1:1 > 10.0.0.2:2 S | tcp 10.0.0.1:1 > 10.0.0.2:2 S ttl=9
         ipv6 | set_field:255->nw_ttl | tcp [::1]:1 > [::2]:2 S | tcp [::1]:1 > [::2]:2 S ttl=255
         ip | dec_ttl | udp 10.0.0.1:1 > 10.0.0.2:2 ttl=2 | udp 10.0.0.1:1 > 10.0.0.2:2 ttl=1
         ip | dec_ttl,dec_ttl | icmp 10.0.0.1 > 10.0.0.2 echo-request id=1 seq=1 ttl=255 | icmp 10.0.0.1 > 10.0.0.2 echo-request id=1 seq=1 ttl=253
         ipv6 | dec_ttl | udp [::1]:1 > [::2]:2 ttl=2 | udp [::1]:1 > [::2]:2 ttl=1
         ip | dec_ttl | ip proto=17 10.0.0.1 > 10.0.0.2 frag id=7 off=1480 len=200 | ip proto=17 10.0.0.1 > 10.0.0.2 ttl=63 frag id=7 off=1480 len=200
         ipv6 | set_field:0xabcde->ipv6_label | tcp [::1]:1 > [::2]:2 SA tos=0x4 | tcp [::1]:1 > [::2]:2 SA tos=0x4 label=0xabcde
         ipv6 | load:0->NXM_NX_IPV6_LABEL[] | udp [::1]:1 > [::2]:2 label=0xfffff | udp [::1]:1 > [::2]:2
         ipv6 | set_field:0xf0000/0xf0000->ipv6_label | udp [::1]:1 > [::2]:2 label=0x1 | udp [::1]:1 > [::2]:2 label=0xf0001",
    );
}

#[test]
fn the_type_of_service_keeps_its_ecn() {
    check(
        "ip | load:0xff->NXM_OF_IP_TOS[] | udp 10.0.0.1:1 > 10.0.0.2:2 tos=0x1 | udp 10.0.0.1:1 > 10.0.0.2:2 tos=0xfd
         ip | load:0x2b->reg0[],move:NXM_NX_REG0[0..7]->NXM_OF_IP_TOS[] | udp 10.0.0.1:1 > 10.0.0.2:2 tos=0x2 | udp 10.0.0.1:1 > 10.0.0.2:2 tos=0x2a
         ip | mod_nw_tos:40 | udp 10.0.0.1:1 > 10.0.0.2:2 tos=0x3 | udp 10.0.0.1:1 > 10.0.0.2:2 tos=0x2b",
    );
}

#[test]
fn ports() {
    check(
        "tcp | mod_tp_src:65535 | tcp 10.0.0.1:1 > 10.0.0.2:2 PA len=5 | tcp 10.0.0.1:65535 > 10.0.0.2:2 PA len=5
         tcp | set_field:0->tcp_dst | tcp 10.0.0.1:1 > 10.0.0.2:2 PA len=5 | tcp 10.0.0.1:1 > 10.0.0.2:0 PA len=5
         tcp6 | set_field:443->tcp_dst | tcp [::1]:1 > [::2]:2 PA len=5 | tcp [::1]:1 > [::2]:443 PA len=5
         udp | mod_tp_dst:53 | udp 10.0.0.1:1 > 10.0.0.2:2 len=7 | udp 10.0.0.1:1 > 10.0.0.2:53 len=7
         udp | set_field:53->udp_src | udp 10.0.0.1:1 > 10.0.0.2:2 no-csum | udp 10.0.0.1:53 > 10.0.0.2:2 no-csum
         udp6 | set_field:53->udp_src | udp [::1]:1 > [::2]:2 len=9 | udp [::1]:53 > [::2]:2 len=9
         sctp | set_field:4000->sctp_src | sctp 10.0.0.1:1 > 10.0.0.2:2 vtag=0x5 chunk=data:3:0011223344 | sctp 10.0.0.1:4000 > 10.0.0.2:2 vtag=0x5 chunk=data:3:0011223344
         sctp6 | mod_tp_dst:4001 | sctp [::1]:1 > [::2]:2 vtag=0x5 chunk=init:0:00 | sctp [::1]:1 > [::2]:4001 vtag=0x5 chunk=init:0:00
         udp | move:NXM_OF_UDP_SRC[]->NXM_OF_UDP_DST[] | udp 10.0.0.1:1 > 10.0.0.2:2 len=7 | udp 10.0.0.1:1 > 10.0.0.2:1 len=7
         tcp | set_field:0x100/0xff00->tcp_src | tcp 10.0.0.1:7 > 10.0.0.2:2 S | tcp 10.0.0.1:263 > 10.0.0.2:2 S
         udp | mod_nw_src:1.2.3.4,mod_nw_dst:4.3.2.1,mod_tp_src:5,mod_tp_dst:6,mod_nw_tos:8,dec_ttl,mod_dl_src:02:00:00:00:00:0c | udp 10.0.0.1:1 > 10.0.0.2:2 len=77 | eth 02:00:00:00:00:0c > 02:00:00:00:00:02 udp 1.2.3.4:5 > 4.3.2.1:6 ttl=63 tos=0x8 len=77",
    );
}

#[test]
fn icmp() {
    check(
        "icmp | set_field:0->icmp_type | icmp 10.0.0.1 > 10.0.0.2 echo-request id=7 seq=1 len=56 | icmp 10.0.0.1 > 10.0.0.2 echo-reply id=7 seq=1 len=56
         icmp | set_field:3->icmp_code | icmp 10.0.0.1 > 10.0.0.2 type=200 len=5 | icmp 10.0.0.1 > 10.0.0.2 type=200 code=3 len=5
         icmp6 | set_field:129->icmpv6_type | icmp6 ::1 > ::2 echo-request id=7 seq=1 len=56 | icmp6 ::1 > ::2 echo-reply id=7 seq=1 len=56
         icmp6 | set_field:1->icmpv6_code | icmp6 ::1 > ::2 type=200 | icmp6 ::1 > ::2 type=200 code=1",
    );
}

#[test]
fn arp() {
    check(
        "arp | set_field:2->arp_op | arp request 10.0.0.1 > 10.0.0.2 | arp reply 10.0.0.1 > 10.0.0.2 tha=00:00:00:00:00:00
         arp | set_field:10.0.0.9->arp_spa | arp request 10.0.0.1 > 10.0.0.2 | arp request 10.0.0.9 > 10.0.0.2
         arp | set_field:10.0.0.9->arp_tpa | arp request 10.0.0.1 > 10.0.0.2 | arp request 10.0.0.1 > 10.0.0.9
         arp | set_field:02:00:00:00:00:0a->arp_sha | arp request 10.0.0.1 > 10.0.0.2 | arp request 10.0.0.1 > 10.0.0.2 sha=02:00:00:00:00:0a
         arp | set_field:02:00:00:00:00:0a->arp_tha | vlan 7 arp reply 10.0.0.1 > 10.0.0.2 | vlan 7 arp reply 10.0.0.1 > 10.0.0.2 tha=02:00:00:00:00:0a
         rarp | set_field:10.0.0.9->arp_tpa | rarp op=3 10.0.0.1 > 10.0.0.2 | rarp op=3 10.0.0.1 > 10.0.0.9",
    );
}

/// The responder that Neutron and others install.
#[test]
fn an_arp_responder_answers_out_of_the_port_the_question_came_from() {
    let mut sw = Switch::with_flows(
        "arp,arp_tpa=10.0.0.254,arp_op=1 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],\
         set_field:fa:16:3e:00:00:01->eth_src,set_field:2->arp_op,\
         move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],set_field:fa:16:3e:00:00:01->arp_sha,\
         move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],set_field:10.0.0.254->arp_spa,IN_PORT",
    );
    sw.inject(
        3,
        "eth 02:00:00:00:00:07 > ff:ff:ff:ff:ff:ff arp request 10.0.0.7 > 10.0.0.254 pad=18",
    );
    assert_eq!(
        sw.sent(3),
        ["eth fa:16:3e:00:00:01 > 02:00:00:00:00:07 arp reply 10.0.0.254 > 10.0.0.7 pad=18"]
    );
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn a_wrong_checksum_stays_wrong() {
    check(
        "udp | mod_nw_src:1.2.3.4,mod_tp_dst:99 | udp 10.0.0.1:1 > 10.0.0.2:2 bad-csum len=9 | udp 1.2.3.4:1 > 10.0.0.2:99 bad-csum len=9
         tcp | mod_nw_dst:1.2.3.4 | tcp 10.0.0.1:1 > 10.0.0.2:2 S bad-csum | tcp 10.0.0.1:1 > 1.2.3.4:2 S bad-csum
         ip | dec_ttl | udp 10.0.0.1:1 > 10.0.0.2:2 bad-ip-csum | udp 10.0.0.1:1 > 10.0.0.2:2 ttl=63 bad-ip-csum
         sctp | mod_tp_dst:99 | sctp 10.0.0.1:1 > 10.0.0.2:2 vtag=0x5 bad-csum | sctp 10.0.0.1:1 > 10.0.0.2:99 vtag=0x5 bad-csum",
    );
}

#[test]
fn a_value_that_is_there_already_changes_nothing() {
    check(
        "udp | mod_nw_src:10.0.0.1,mod_tp_dst:2,mod_dl_dst:02:00:00:00:00:02 | udp 10.0.0.1:1 > 10.0.0.2:2 len=9 | udp 10.0.0.1:1 > 10.0.0.2:2 len=9
         udp | mod_nw_src:1.2.3.4,mod_nw_src:10.0.0.1 | udp 10.0.0.1:1 > 10.0.0.2:2 len=9 | udp 10.0.0.1:1 > 10.0.0.2:2 len=9",
    );
}

#[test]
fn rules_see_what_actions_wrote() {
    let mut sw = Switch::with_flows(
        "udp actions=mod_nw_dst:10.9.9.9,mod_tp_src:7,mod_nw_ttl:3,resubmit(,1)
         table=1,udp,nw_dst=10.9.0.0/16,tp_src=7,nw_ttl=3 actions=dec_ttl,resubmit(,2)
         table=2,ip,nw_ttl=2 actions=output:2",
    );
    sw.inject(1, "udp 10.0.0.1:1 > 10.0.0.2:2");
    assert_eq!(sw.sent(2), ["udp 10.0.0.1:7 > 10.9.9.9:2 ttl=2"]);
    sw.assert_state("ct: none; drops: none");
}

#[test]
fn ports_of_fragments_are_not_there_to_write() {
    let mut sw = Switch::with_flows(
        "udp,ip_frag=first actions=mod_tp_dst:99,output:2
         udp,ip_frag=no actions=mod_tp_dst:99,output:2",
    );
    let first = "udp 10.0.0.1:1 > 10.0.0.2:2 frag id=7 off=0 mf len=8";
    sw.inject(1, first);
    assert_eq!(sw.sent(2), [first]);
    sw.inject(1, "udp 10.0.0.1:1 > 10.0.0.2:2 len=8");
    assert_eq!(sw.sent(2), ["udp 10.0.0.1:1 > 10.0.0.2:99 len=8"]);
    sw.assert_state("ct: none; drops: none");
}
