//! The switch and its ports.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use weir_tables::port::PortNo;

use super::{Milliseconds, PublicationsRow};

/// The switch, as `show` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchRow {
    /// The bridge.
    pub bridge: String,
    /// weir's version.
    pub version: String,
    /// Whether DPDK's memory lies in hugepages.
    pub hugepages: bool,
    /// Its ports, by number.
    pub ports: Vec<PortRow>,
    /// How changes of the policy reach the lcores.
    pub publications: PublicationsRow,
}

/// Whether a link is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// It is not.
    Down,
    /// It is.
    Up,
}

/// One port with its statistics since start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRow {
    /// OpenFlow port number.
    pub id: u32,
    /// Name.
    pub name: String,
    /// MAC address.
    pub mac: String,
    /// Link; of a port that `mod-port` took down it is down.
    pub link: LinkState,
    /// What `mod-port` switched off, by OpenFlow's names.
    pub config: Vec<String>,
    /// Link speed in Mb/s; 0: unknown.
    pub speed_mbps: u32,
    /// Longest IP packet in bytes.
    pub mtu: u16,
    /// The device, as the configuration names it.
    pub device: String,
    /// Its driver.
    pub driver: String,
    /// Whether the device is there.
    pub present: bool,
    /// How often it has disappeared.
    pub device_losses: u64,
    /// Milliseconds since it was started.
    pub duration_ms: u64,
    /// Frames received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames that the device had no room for.
    pub rx_dropped: u64,
    /// Frames that arrived damaged.
    pub rx_errors: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames that the queue had no room for.
    pub tx_dropped: u64,
    /// Frames that the device failed to send.
    pub tx_errors: u64,
    /// Polls of a receive queue that were put off because it had more than its share of its lcore's cycles
    /// while other queues had frames waiting.
    pub polls_put_off: u64,
    /// Passes of its packets for which no cache had an answer, so that the tables were asked: what first
    /// packets cost.
    pub walks: u64,
}

/// Prints the switch as `ovs-ofctl -O OpenFlow13 show` does, with MTU and device added.
///
/// # Errors
/// Those of `out`.
pub fn write_switch(out: &mut dyn Write, switch: &SwitchRow) -> io::Result<()> {
    // As Open vSwitch: the datapath's identity is the lowest address of its ports.
    let address = switch
        .ports
        .iter()
        .map(|port| port.mac.replace(':', ""))
        .min();
    let address = address.unwrap_or_default();
    writeln!(
        out,
        "OFPT_FEATURES_REPLY (OF1.3) (xid=0x2): dpid:{address:0>16}"
    )?;
    writeln!(out, "n_tables:254, n_buffers:0")?;
    writeln!(out, "capabilities: FLOW_STATS TABLE_STATS PORT_STATS")?;
    writeln!(out, "OFPST_PORT_DESC reply (OF1.3) (xid=0x3):")?;
    for port in &switch.ports {
        let PortRow {
            id,
            name,
            mac,
            speed_mbps,
            mtu,
            device,
            driver,
            ..
        } = port;
        let state = match port.link {
            LinkState::Down => "LINK_DOWN",
            LinkState::Up => "LIVE",
        };
        let id = PortNo(*id);
        writeln!(out, " {id}({name}): addr:{mac}")?;
        let config = match &port.config[..] {
            [] => "0".to_owned(),
            names => names.join(" "),
        };
        writeln!(out, "     config:     {config}")?;
        writeln!(out, "     state:      {state}")?;
        writeln!(out, "     speed: {speed_mbps} Mbps now, 0 Mbps max")?;
        writeln!(out, "     mtu: {mtu}")?;
        writeln!(out, "     device: {device} ({driver})")?;
        if port.walks > 0 || port.polls_put_off > 0 {
            writeln!(
                out,
                "     tables asked for {} passes, {} polls put off",
                port.walks, port.polls_put_off
            )?;
        }
    }
    writeln!(
        out,
        "OFPT_GET_CONFIG_REPLY (OF1.3) (xid=0x4): frags=normal miss_send_len=0"
    )?;
    let memory = if switch.hugepages {
        "hugepages"
    } else {
        "ordinary pages"
    };
    writeln!(
        out,
        "weir {}: bridge {}, memory in {memory}",
        switch.version, switch.bridge
    )?;
    writeln!(out, "{}", switch.publications)
}

/// Prints statistics as `ovs-ofctl -O OpenFlow13 dump-ports` does.
///
/// # Errors
/// Those of `out`.
pub fn write_ports(out: &mut dyn Write, ports: &[PortRow]) -> io::Result<()> {
    writeln!(
        out,
        "OFPST_PORT reply (OF1.3) (xid=0x2): {} ports",
        ports.len()
    )?;
    for port in ports {
        writeln!(
            out,
            "  port {:>2}: rx pkts={}, bytes={}, drop={}, errs={}, frame=?, over=?, crc=?",
            PortNo(port.id).to_string(),
            port.rx_packets,
            port.rx_bytes,
            port.rx_dropped,
            port.rx_errors
        )?;
        writeln!(
            out,
            "           tx pkts={}, bytes={}, drop={}, errs={}, coll=?",
            port.tx_packets, port.tx_bytes, port.tx_dropped, port.tx_errors
        )?;
        writeln!(
            out,
            "           duration={}",
            Milliseconds(port.duration_ms)
        )?;
    }
    Ok(())
}
