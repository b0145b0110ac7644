//! `ct(alg=)`: what FTP and TFTP announce is expected, what is expected is related, and a payload
//! that is translated keeps its connection whole.

use std::fmt::Write as _;

use weir_ct::DumpStyle;
use weir_tests::switch::Switch;

mod rewritten;
mod tftp;

/// The first line is that of a control connection; a data connection has to be related.
const FIREWALL: &str = "
    ip actions=ct(table=1)
    ipv6 actions=ct(table=1)
    table=1,in_port=1,ct_state=+new-rel,tcp,tp_dst=21 actions=ct(commit,alg=ftp,exec(set_field:7->ct_mark)),2
    table=1,in_port=1,ct_state=+new-rel,tcp6,tp_dst=21 actions=ct(commit,alg=ftp),2
    table=1,in_port=1,ct_state=+new+rel,ip actions=ct(commit),2
    table=1,in_port=2,ct_state=+new+rel,ip actions=ct(commit),1
    table=1,in_port=2,ct_state=+new+rel,ipv6 actions=ct(commit),1
    table=1,in_port=1,ct_state=+est actions=2
    table=1,in_port=2,ct_state=+est actions=1
    table=1,in_port=1,ct_state=+rel-new actions=2
    table=1,in_port=2,ct_state=+rel-new actions=1
    table=1,priority=1 actions=drop";

/// A control connection, whose ends say what they want.
pub(crate) struct Control {
    client: String,
    /// As which the server knows the client.
    public: String,
    server: String,
    /// Octets said so far, by end.
    said: [u32; 2],
}

impl Control {
    /// The handshake between these, the client on port 1 and the server on port 2.
    pub(crate) fn open(sw: &mut Switch, client: &str, server: &str) -> Self {
        Self::open_as(sw, client, client, server)
    }

    /// The same; the server knows the client as `public`.
    pub(crate) fn open_as(sw: &mut Switch, client: &str, public: &str, server: &str) -> Self {
        sw.inject(1, &format!("tcp {client} > {server} S seq=99"));
        sw.inject(2, &format!("tcp {server} > {public} SA seq=499 ack=100"));
        sw.inject(1, &format!("tcp {client} > {server} A seq=100 ack=500"));
        assert_eq!(sw.sent_anywhere().len(), 3);
        Self {
            client: client.into(),
            public: public.into(),
            server: server.into(),
            said: [0; 2],
        }
    }

    /// What the client says next.
    pub(crate) fn command(&mut self, text: &str) -> String {
        let [commands, replies] = self.said;
        self.said[0] += text.len() as u32;
        let (seq, ack) = (100 + commands, 500 + replies);
        let (from, to) = (&self.client, &self.server);
        format!(
            "tcp {from} > {to} PA seq={seq} ack={ack} data={}",
            hex(text)
        )
    }

    /// What the server says next.
    pub(crate) fn reply(&mut self, text: &str) -> String {
        let [commands, replies] = self.said;
        self.said[1] += text.len() as u32;
        let (seq, ack) = (500 + replies, 100 + commands);
        let (from, to) = (&self.server, &self.public);
        format!(
            "tcp {from} > {to} PA seq={seq} ack={ack} data={}",
            hex(text)
        )
    }
}

pub(crate) fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string grows");
        hex
    })
}

const CLIENT: &str = "10.0.0.5:4000";
const SERVER: &str = "192.0.2.9:21";

#[test]
fn an_active_data_connection_is_related_once() {
    let mut sw = Switch::with_flows(FIREWALL);
    let data = "tcp 192.0.2.9:20 > 10.0.0.5:40000 S seq=1";
    let mut control = Control::open(&mut sw, CLIENT, SERVER);
    sw.inject(2, data);
    assert_eq!(sw.sent_anywhere(), [""; 0], "not announced yet");
    let port = control.command("PORT 10,0,0,5,156,64\r\n");
    sw.inject(1, &port);
    assert_eq!(sw.sent(2), [port]);
    assert_eq!(
        sw.expected(),
        [
            "tcp,orig=(src=192.0.2.9,dst=10.0.0.5,sport=0,dport=40000),mark=7,\
          parent=(src=10.0.0.5,dst=192.0.2.9,sport=4000,dport=21)"
        ]
    );
    // Another host, another port.
    sw.inject(2, "tcp 192.0.2.8:20 > 10.0.0.5:40000 S");
    sw.inject(2, "tcp 192.0.2.9:20 > 10.0.0.5:40001 S");
    assert_eq!(sw.sent_anywhere(), [""; 0]);
    sw.inject(2, data);
    sw.inject(1, "tcp 10.0.0.5:40000 > 192.0.2.9:20 SA seq=8 ack=2");
    sw.inject(2, "tcp 192.0.2.9:20 > 10.0.0.5:40000 A seq=2 ack=9");
    sw.inject(2, "tcp 192.0.2.9:20 > 10.0.0.5:40000 PA seq=2 ack=9 len=9");
    assert_eq!((sw.sent(1).len(), sw.sent(2).len()), (3, 1));
    assert_eq!(sw.expected(), [""; 0], "it was met");
    let more = DumpStyle {
        more: true,
        ..DumpStyle::default()
    };
    let dump = sw.conntrack_in(more);
    let master = dump[0].contains("sport=4000,dport=21,") && dump[0].ends_with(",helper=ftp");
    assert!(master, "{}", dump[0]);
    assert!(dump[1].contains(",mark=7,"), "{}", dump[1]);
    let parent = ",parent=(src=10.0.0.5,dst=192.0.2.9,sport=4000,dport=21)";
    assert!(dump[1].ends_with(parent), "{}", dump[1]);
    // The next data connection has to be announced again.
    sw.inject(2, "tcp 192.0.2.9:21020 > 10.0.0.5:40000 S seq=1");
    sw.assert_state("ct: replied=2 expectations=1 related=1; drops: action_drop=4");
}

#[test]
fn a_passive_data_connection_is_related() {
    let mut sw = Switch::with_flows(FIREWALL);
    let mut control = Control::open(&mut sw, CLIENT, SERVER);
    let data = "tcp 10.0.0.5:5555 > 192.0.2.9:50000 S seq=1";
    sw.inject(1, data);
    let pasv = control.command("PASV\r\n");
    let reply = control.reply("227 Entering Passive Mode (192,0,2,9,195,80).\r\n");
    sw.inject(1, &pasv);
    sw.inject(2, &reply);
    sw.inject(1, data);
    assert_eq!(
        (sw.sent(2), sw.sent(1)),
        (vec![pasv, data.into()], vec![reply])
    );
    // RFC 2428.
    let reply = control.reply("229 Entering Extended Passive Mode (|||50001|)\r\n");
    sw.inject(2, &reply);
    sw.inject(1, "tcp 10.0.0.5:5556 > 192.0.2.9:50001 S seq=1");
    let command = control.command("EPRT |1|10.0.0.5|40000|\r\n");
    sw.inject(1, &command);
    sw.inject(2, "tcp 192.0.2.9:20 > 10.0.0.5:40000 S");
    assert_eq!((sw.sent(1).len(), sw.sent(2).len()), (2, 2));
    sw.assert_state("ct: new=3 replied=1 expectations=3 related=3; drops: action_drop=1");
}

#[test]
fn ipv6_is_as_ipv4() {
    let mut sw = Switch::with_flows(FIREWALL);
    let mut control = Control::open(&mut sw, "[2001:db8::5]:4000", "[2001:db8:9::9]:21");
    let command = control.command("EPRT |2|2001:db8::5|40000|\r\n");
    sw.inject(1, &command);
    sw.inject(2, "tcp [2001:db8:9::9]:20 > [2001:db8::5]:40000 S");
    assert_eq!((sw.sent(2).len(), sw.sent(1).len()), (1, 1));
    sw.assert_state("ct: new=1 replied=1 expectations=1 related=1; drops: none");
}

/// The original tuple, mark and label that rules see of a data connection are its master's.
#[test]
fn rules_see_the_master_of_a_data_connection() {
    let mut sw = Switch::with_flows(
        "tcp actions=ct(table=1)
         table=1,in_port=1,ct_state=+new-rel,tcp actions=ct(commit,alg=ftp,exec(set_field:5->ct_mark)),2
         table=1,ct_state=+est-rel,tcp,in_port=1 actions=2
         table=1,ct_state=+est-rel,tcp,in_port=2 actions=1
         table=1,ct_state=+rel,tcp,ct_mark=5,ct_nw_src=10.0.0.5,ct_nw_proto=6,ct_tp_dst=21,in_port=2 actions=ct(commit),3
         table=1,ct_state=+rel+est+rpl,tcp,ct_mark=5,ct_nw_dst=192.0.2.9,ct_nw_proto=6,ct_tp_src=4000 actions=4",
    );
    let mut control = Control::open(&mut sw, CLIENT, SERVER);
    let command = control.command("PORT 10,0,0,5,156,64\r\n");
    sw.inject(1, &command);
    sw.inject(2, "tcp 192.0.2.9:20 > 10.0.0.5:40000 S seq=1");
    for _ in 0..3 {
        sw.inject(1, "tcp 10.0.0.5:40000 > 192.0.2.9:20 SA seq=8 ack=2");
    }
    assert_eq!(
        (sw.sent(3).len(), sw.sent(4).len(), sw.sent(2).len()),
        (1, 3, 1)
    );
    sw.assert_state("ct: replied=2 expectations=1 related=1; drops: none");
}

/// RFC 2577: an end speaks for itself only, and not for services.
#[test]
fn nobody_opens_a_way_to_others() {
    let mut sw = Switch::with_flows(FIREWALL);
    let mut control = Control::open(&mut sw, CLIENT, SERVER);
    for said in [
        "PORT 10,0,0,6,156,64\r\n",
        "PORT 192,0,2,9,156,64\r\n",
        "PORT 10,0,0,5,0,22\r\n",
        "EPRT |1|10.0.0.6|40000|\r\n",
    ] {
        let command = control.command(said);
        sw.inject(1, &command);
        assert_eq!(sw.sent(2), [command]);
    }
    for said in [
        "227 (10,0,0,5,156,64)\r\n",
        "227 (192,0,2,9,3,255)\r\n",
        "229 (|||80|)\r\n",
    ] {
        let reply = control.reply(said);
        sw.inject(2, &reply);
        assert_eq!(sw.sent(1), [reply]);
    }
    // A server's commands and a client's replies say nothing.
    let reply = control.reply("PORT 192,0,2,9,156,64\r\n");
    sw.inject(2, &reply);
    let command = control.command("227 (10,0,0,5,156,64)\r\n");
    sw.inject(1, &command);
    assert_eq!(sw.sent_anywhere().len(), 2);
    assert_eq!(sw.expected(), [""; 0]);
    sw.assert_state("ct: replied=1 expectations_refused=7; drops: none");
}

#[test]
fn expectations_end_with_their_time_with_their_master_and_are_few() {
    let mut sw = Switch::with_flows(FIREWALL);
    let mut control = Control::open(&mut sw, CLIENT, SERVER);
    for port in 0..6 {
        let command = control.command(&format!("PORT 10,0,0,5,156,{port}\r\n"));
        sw.inject(1, &command);
    }
    assert_eq!(sw.sent(2).len(), 6);
    let ports = |sw: &mut Switch| -> Vec<String> {
        let port = |line: &String| line.split(['=', ')']).nth(5).unwrap_or_default().to_owned();
        sw.expected().iter().map(port).collect()
    };
    assert_eq!(ports(&mut sw), ["39938", "39939", "39940", "39941"]);
    sw.advance(299);
    let again = control.command("PORT 10,0,0,5,156,3\r\n");
    sw.inject(1, &again);
    sw.advance(1);
    assert_eq!(ports(&mut sw), ["39939"], "it was said again");
    for (port, reached) in [(39_938, 0), (39_939, 1)] {
        sw.inject(2, &format!("tcp 192.0.2.9:20 > 10.0.0.5:{port} S"));
        assert_eq!(sw.sent(1).len(), reached);
    }
    let last = control.command("PORT 10,0,0,5,160,0\r\n");
    sw.inject(1, &last);
    assert_eq!(sw.sent(2), [again, last]);
    assert_eq!(ports(&mut sw), ["40960"]);
    assert_eq!(sw.flush_conntrack(&["ct_nw_src=10.0.0.5"]), 1);
    assert_eq!(ports(&mut sw), [""; 0]);
    sw.inject(2, "tcp 192.0.2.9:20 > 10.0.0.5:40960 S");
    sw.assert_state("ct: new=1 created=2 flushed=1 expectations=8 related=1; drops: action_drop=2");
}

#[test]
fn a_command_may_come_in_pieces() {
    let mut sw = Switch::with_flows(FIREWALL);
    let mut control = Control::open(&mut sw, CLIENT, SERVER);
    for piece in ["NOOP\r\nPO", "RT", " 10,0,0,5,", "156,6", "4\r\n"] {
        let command = control.command(piece);
        sw.inject(1, &command);
        assert_eq!(
            sw.sent(2),
            [command],
            "nothing is translated, and nothing held"
        );
    }
    assert_eq!(sw.expected().len(), 1);
    sw.assert_state("ct: replied=1 expectations=1; drops: none");
}

/// Without `alg=`, on whichever port, nobody looks; with it the port does not matter.
#[test]
fn only_connections_with_a_helper_are_looked_into() {
    let mut sw = Switch::with_flows(
        "tcp actions=ct(table=1)
         table=1,ct_state=+new,tcp,tp_dst=2121,in_port=1 actions=ct(commit,alg=ftp),2
         table=1,ct_state=+new,tcp,tp_dst=21,in_port=1 actions=ct(commit),2
         table=1,ct_state=+est,tcp,in_port=1 actions=2
         table=1,ct_state=+est,tcp,in_port=2 actions=1",
    );
    for (server, found) in [("192.0.2.9:2121", 1), ("192.0.2.9:21", 1)] {
        let mut control = Control::open(&mut sw, CLIENT, server);
        let command = control.command("PORT 10,0,0,5,156,64\r\n");
        sw.inject(1, &command);
        assert_eq!(sw.sent(2), [command]);
        assert_eq!(sw.expected().len(), found, "{server}");
    }
    sw.assert_state("ct: replied=2 expectations=1; drops: none");
}

/// Of a control connection each packet is looked into; a data connection is as any other.
#[test]
fn caches_remember_data_connections_and_no_control_connections() {
    let mut sw = Switch::with_flows(FIREWALL);
    let mut control = Control::open(&mut sw, CLIENT, SERVER);
    for said in ["NOOP\r\n", "NOOP\r\n", "PORT 10,0,0,5,156,64\r\n"] {
        let command = control.command(said);
        sw.inject(1, &command);
    }
    assert_eq!(sw.trajectory_stats().hits, 0);
    let (there, back) = (
        "192.0.2.9:20 > 10.0.0.5:40000",
        "10.0.0.5:40000 > 192.0.2.9:20",
    );
    sw.inject(2, &format!("tcp {there} S seq=1"));
    sw.inject(1, &format!("tcp {back} SA seq=8 ack=2"));
    for number in 0..5 {
        sw.inject(
            2,
            &format!("tcp {there} A seq={} ack=9 len=9", 2 + 9 * number),
        );
    }
    assert!(sw.trajectory_stats().hits >= 3);
    assert_eq!((sw.sent(1).len(), sw.sent(2).len()), (6, 4));
    sw.assert_state("ct: replied=2 expectations=1 related=1; drops: none");
}
