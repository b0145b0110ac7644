//! The command line: what a user may type. What it does is in [`crate::verbs`].
//!
//! Verbs are those of `ovs-ofctl` and `ovs-appctl` where they have one, and take a bridge's
//! name before their other arguments, as those do. A wrong command line ends with exit code 2
//! (that is clap's own).

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use weir_tables::cache::CacheSettings;

use crate::file::DEFAULT_SOCKET;
use crate::management::LONGEST_S;

mod flows;
mod ports;
#[cfg(test)]
mod tests;
mod top;

pub use flows::{DiffFlows, DumpAggregate, DumpFlows, ModFlows};
pub use ports::ModPort;
pub use top::Top;

/// What selects connections.
macro_rules! filter_help {
    () => {
        "[zone=N] [mark=X[/M]] [labels=Y[/N]] [state=STATE] ['ORIGINAL' ['REPLY']], in this order. \
        STATE is that of TCP or SCTP as a dump shows it, or replied, or unreplied. A tuple has any of \
        ct_nw_src, ct_nw_dst, ct_ipv6_src, ct_ipv6_dst (ADDRESS[/BITS]), ct_nw_proto, and behind \
        that ct_tp_src, ct_tp_dst or icmp_id, icmp_type, icmp_code or gre_key."
    };
}

/// DPDK poll-mode stateful packet processor with OpenFlow tables, connection tracking and NAT.
#[derive(Debug, Parser)]
#[command(name = "weir", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the switch in the foreground until SIGINT or SIGTERM.
    #[command(
        after_help = "Without CONFIG: two TAP ports, weir0 and weir1, with a stateful \
        firewall between them.\n\nExample:\n  weir run examples/stateful-firewall.toml"
    )]
    Run(Run),

    /// Validate a configuration and all it names, print what would run, start nothing.
    #[command(after_help = "Example:\n  weir check examples/complete.toml")]
    Check(Check),

    /// Print each flow of a file in canonical form.
    #[command(
        after_help = "Errors read FILE:LINE:COLUMN: MESSAGE, with the line and a caret.\n\n\
        Examples:\n  weir parse-flows policy.flows\n  \
        ovs-ofctl dump-flows br0 | weir parse-flows -"
    )]
    ParseFlows(ParseFlows),

    /// Feed captures into the pipeline, offline: no DPDK, no device.
    #[command(
        after_help = "Writes DIR/PORTNAME.pcap for each port that sent something, and \
        DIR/flows.txt, DIR/conntrack.txt and DIR/drops.txt, and DIR/groups.txt if there are groups. The clock is that of the captures; \
        the same input gives the same bytes.\n\nExample:\n  \
        weir replay examples/stateful-firewall.toml --in weir0=inside.pcap --in 3=outside.pcap \
        --out result"
    )]
    Replay(Replay),

    /// Explain what would become of a packet: tables, rules, actions, connections, caches.
    #[command(
        after_help = "FLOW is a packet as ovs-appctl ofproto/trace takes it. What it does not say is \
        zero, but TTL 64, TCP flags SYN, ports 32768 and 9, an ICMP echo request. Nothing is \
        changed: no connection, no counter, no cache.\n\nWith CONFIG (a file, or a name that \
        ends in .toml) no switch need run, and there are no connections yet. Else a running switch \
        is asked, which sees its connections, groups, MAC addresses and caches.\n\nExamples:\n  \
        weir trace examples/stateful-firewall.toml 'in_port=2,tcp,nw_src=10.0.0.1,tp_dst=80'\n  \
        weir trace br0 'in_port=2,udp,nw_dst=192.0.2.9,tp_dst=53' --ct-next trk,est\n  \
        weir trace 'in_port=2,reg0=7' --packet ffffffffffff0200000000010806 --json"
    )]
    Trace(Trace),

    /// Show the switch and its ports.
    #[command(after_help = "Example:\n  weir show --json")]
    Show(Plain),

    /// Show flows with their statistics.
    #[command(
        after_help = "A match may also hold cookie=V/M, out_port=PORT and out_group=GROUP.\n\n\
        Examples:\n  weir dump-flows\n  weir dump-flows br0 table=1,tcp\n  \
        weir dump-flows --no-stats > policy.flows\n  \
        weir dump-flows --names --rsort=nw_src br0 out_port=2"
    )]
    DumpFlows(DumpFlows),

    /// Show how many flows there are, and what they counted in all.
    #[command(after_help = "Example:\n  weir dump-aggregate br0 table=1,tcp")]
    DumpAggregate(DumpAggregate),

    /// Show how many flows each table holds.
    #[command(after_help = "Example:\n  weir dump-tables br0")]
    DumpTables(Plain),

    /// Change the actions of flows; add the flow if there is none.
    #[command(
        allow_missing_positional = true,
        after_help = "With cookie=V/M only flows whose cookie agrees are changed, and none is \
            added.\n\nExamples:\n  weir mod-flows br0 'table=1,tcp actions=drop'\n  \
            weir mod-flows --strict 'priority=5,arp actions=NORMAL'"
    )]
    ModFlows(ModFlows),

    /// Compare the flows of files and of the switch.
    #[command(
        after_help = "A and B are each a file, or the bridge. Prints what only A has behind -, \
            what only B has behind +. Exit code 2: they differ.\n\n\
            Examples:\n  weir diff-flows br0 policy.flows\n  weir diff-flows old.flows new.flows"
    )]
    DiffFlows(DiffFlows),

    /// Add one flow.
    #[command(
        allow_missing_positional = true,
        after_help = "Example:\n  weir add-flow br0 'table=1,priority=5,arp actions=NORMAL'"
    )]
    AddFlow(AddFlow),

    /// Add, modify or delete the flows of a file, all at once or not at all.
    #[command(
        allow_missing_positional = true,
        after_help = "A line may begin with add (the default), modify, modify_strict, delete or \
            delete_strict.\n\nExample:\n  weir add-flows br0 policy.flows"
    )]
    AddFlows(FlowFile),

    /// Execute a file of flow and group lines, all at once or not at all.
    #[command(
        allow_missing_positional = true,
        after_help = "Each line begins with flow or group; what follows is a line of a file of \
            flows or of groups.\n\nExample:\n  weir bundle br0 policy.bundle"
    )]
    Bundle(FlowFile),

    /// Show groups.
    #[command(after_help = "Examples:\n  weir dump-groups\n  weir dump-groups br0 7")]
    DumpGroups(DumpGroups),

    /// Let tun_metadata fields stand for Geneve options.
    #[command(
        allow_missing_positional = true,
        after_help = "Example:\n  weir add-tlv-map br0 \
            '{class=0xffff,type=0,len=4}->tun_metadata0'"
    )]
    AddTlvMap(AddTlvMap),

    /// Let tun_metadata fields that no flow and no group uses stand for no option any more.
    #[command(
        after_help = "Examples:\n  weir del-tlv-map br0\n  weir del-tlv-map br0 \
        '{class=0xffff,type=0,len=4}->tun_metadata0'"
    )]
    DelTlvMap(DelTlvMap),

    /// Show which Geneve options are which tun_metadata fields.
    #[command(after_help = "Example:\n  weir dump-tlv-map br0")]
    DumpTlvMap(DumpTlvMap),

    /// Show what groups and their buckets counted.
    #[command(after_help = "Example:\n  weir dump-group-stats br0 group_id=7")]
    DumpGroupStats(DumpGroups),

    /// Add one group.
    #[command(
        allow_missing_positional = true,
        after_help = "Example:\n  weir add-group br0 \
            'group_id=7,type=select,bucket=weight=2,actions=output:1,bucket=actions=output:2'"
    )]
    AddGroup(ChangeGroup),

    /// Add, modify or delete the groups of a file, all at once or not at all.
    #[command(
        allow_missing_positional = true,
        after_help = "A line may begin with add (the default), modify, add_or_mod, delete, \
            insert_bucket or remove_bucket.\n\nExample:\n  weir add-groups br0 policy.groups"
    )]
    AddGroups(FlowFile),

    /// Replace a group; its counters begin anew.
    #[command(
        allow_missing_positional = true,
        after_help = "Example:\n  weir mod-group br0 'group_id=7,type=all,bucket=actions=output:1'"
    )]
    ModGroup(ModGroup),

    /// Delete groups, and the flows that send to them.
    #[command(after_help = "Examples:\n  weir del-groups br0 group_id=7\n  weir del-groups")]
    DelGroups(DelGroups),

    /// Insert buckets into a group; its counters begin anew.
    #[command(
        allow_missing_positional = true,
        after_help = "command_bucket_id is first, last, or the bucket behind which they come.\n\n\
            Example:\n  weir insert-buckets br0 \
            'group_id=7,command_bucket_id=last,bucket=actions=output:3'"
    )]
    InsertBuckets(ChangeGroup),

    /// Remove buckets from a group; its counters begin anew.
    #[command(
        allow_missing_positional = true,
        after_help = "command_bucket_id is first, last, all, or the bucket.\n\n\
            Example:\n  weir remove-buckets br0 group_id=7,command_bucket_id=0"
    )]
    RemoveBuckets(ChangeGroup),

    /// Delete flows.
    #[command(
        after_help = "Examples:\n  weir del-flows br0 table=1,tcp\n  weir del-flows br0 -\n  \
        weir del-flows --strict 'priority=5,arp'\n  weir del-flows"
    )]
    DelFlows(DelFlows),

    /// Make the flow tables hold exactly the flows of a file; flows in both keep their statistics.
    #[command(
        allow_missing_positional = true,
        after_help = "Example:\n  weir replace-flows br0 policy.flows"
    )]
    ReplaceFlows(FlowFile),

    /// Show the statistics of ports.
    #[command(after_help = "PORT is a name or a number.\n\nExample:\n  weir dump-ports br0 weir0")]
    DumpPorts(DumpPorts),

    /// Switch something on or off at a port.
    #[command(
        override_usage = "weir mod-port [OPTIONS] [BRIDGE] <PORT> <ACTION>",
        after_help = "PORT is a name or a number. ACTION is one of\n  \
            up, down                 a port that is down neither receives nor sends, and its other end sees it\n  \
            receive, no-receive      whether what comes in is looked at or dropped\n  \
            forward, no-forward      whether what is to go out is sent or dropped\n  \
            flood, no-flood          whether FLOOD, and NORMAL where it floods, send there\n\n\
            Example:\n  weir mod-port br0 weir0 down"
    )]
    ModPort(ModPort),

    /// Show the tracked connections.
    #[command(
        after_help = concat!("FILTER is ", filter_help!(), "\n\nExamples:\n  \
        weir dump-conntrack -s zone=7\n  \
        weir dump-conntrack -m state=ESTABLISHED ct_nw_src=10.0.0.0/8,ct_nw_proto=6,ct_tp_dst=443")
    )]
    DumpConntrack(DumpConntrack),

    /// Show the connections that are expected, because another one has announced them (alg=).
    #[command(after_help = "Example:\n  weir dump-conntrack-exp zone=7")]
    DumpConntrackExp(DumpConntrackExp),

    /// Forget tracked connections.
    #[command(
        after_help = concat!("FILTER is ", filter_help!(), "\n\nExamples:\n  \
        weir flush-conntrack\n  weir flush-conntrack zone=7\n  \
        weir flush-conntrack zone=7 mark=1/1 state=unreplied")
    )]
    FlushConntrack(FlushConntrack),

    /// Show how many connections there are of each kind.
    #[command(
        after_help = concat!("verbose, or -m, also shows the states of TCP connections and what zones \
        counted. FILTER is ", filter_help!(), "\n\nExamples:\n  \
        weir ct-stats-show\n  weir ct-stats-show zone=7 verbose")
    )]
    CtStatsShow(CtStatsShow),

    /// Show how many connections zones may have, and have.
    #[command(
        after_help = "Without zones: those that have a limit of their own. A default limit of 0 is \
        none.\n\nExamples:\n  weir ct-get-limits\n  weir ct-get-limits br0 zone=1,2"
    )]
    CtGetLimits(CtGetLimits),

    /// Limit how many connections zones may have.
    #[command(
        after_help = "Holds until the switch ends or a changed configuration says otherwise. \
        default=0 takes the default limit away; a zone's limit of 0 allows none.\n\nExample:\n  \
        weir ct-set-limits default=10000 zone=7,limit=100"
    )]
    CtSetLimits(CtLimits),

    /// Take limits of zones away.
    #[command(
        after_help = "Examples:\n  weir ct-del-limits zone=1,2\n  weir ct-del-limits default"
    )]
    CtDelLimits(CtLimits),

    /// Print packets that are sent to the controller, and flows that are gone, as they come; or
    /// what becomes of connections.
    #[command(
        after_help = concat!("Flows that are to be heard of have send_flow_rem. With ct: \
        connections that are new, updated or destroyed; FILTER is ", filter_help!(),
        "\n\nExamples:\n  \
        weir monitor\n  weir monitor br0 65535 invalid_ttl\n  weir monitor --pcap packets.pcap\n  \
        weir monitor ct\n  weir monitor --json ct zone=7 ct_nw_src=10.0.0.0/8")
    )]
    Monitor(Monitor),

    /// Send packets through the switch.
    #[command(after_help = "Example:\n  weir packet-out br0 \
        'in_port=1,packet=ffffffffffff0200000000010806,actions=TABLE'")]
    PacketOut(PacketOut),

    /// Show how many packets were dropped, by reason.
    #[command(after_help = "Example:\n  weir dump-drops")]
    DumpDrops(Plain),

    /// Show how busy each lcore is.
    #[command(after_help = "Example:\n  weir pmd-stats-show")]
    PmdStatsShow(Plain),

    /// Show which lcore polls which receive queues, and what they take of it.
    #[command(
        after_help = "Shares are estimated from one pass in eight. Overhead is what busy polls took and no \
            queue's packets did; an lcore that is isolated polls only what rxq_affinity gives it.\n\n\
            Examples:\n  weir pmd-rxq-show\n  weir pmd-rxq-show br0 --pmd 1 --secs 10"
    )]
    PmdRxqShow(PmdRxqShow),

    /// Show the MAC addresses that NORMAL has learned.
    #[command(after_help = "Example:\n  weir fdb-show br0")]
    FdbShow(Plain),

    /// Forget the MAC addresses that NORMAL has learned.
    #[command(after_help = "Example:\n  weir fdb-flush br0")]
    FdbFlush(OnlySwitch),

    /// Show how the switch fares, again and again.
    #[command(
        after_help = "Rates are those between two looks. Into a pipe or a file, one look is \
            printed behind the other.\n\nExamples:\n  weir top\n  \
            weir top br0 --interval 5 --count 12 > evening.txt\n  weir top --once --json"
    )]
    Top(Top),

    /// Show the ranges that translations choose from: connections, searches, refusals.
    #[command(after_help = "Example:\n  weir nat-show br0")]
    NatShow(Plain),

    /// Show the next hops of tunnels: those that answered, were asked for, or are configured.
    #[command(after_help = "Example:\n  weir neigh-show br0")]
    NeighShow(Plain),

    /// Load the configuration, its flows and its groups again: only what differs is changed.
    #[command(
        after_help = "Compares the files with what was last loaded from files: flows \
        changed by hand stay, and go only with --exact. Ports come and go while others, caches and \
        connections are left alone; what cannot change without a restart is an error before anything \
        is touched.\n\nExamples:\n  weir reload --dry-run\n  weir reload new.toml --exact\n  \
        weir reload --confirm 60"
    )]
    Reload(Reload),

    /// Keep what was loaded with reload --confirm.
    #[command(after_help = "Example:\n  weir reload --confirm 60\n  weir confirm")]
    Confirm(Bare),

    /// Undo at once what was loaded with reload --confirm and is not confirmed.
    #[command(
        after_help = "Flows, groups, ports and settings are again what they were; what was \
        counted by flows that were away is not.\n\nExample:\n  weir rollback"
    )]
    Rollback(Bare),
}

/// `weir run`
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration; without it, an embedded one runs.
    pub config: Option<PathBuf>,
    /// The control socket, instead of that of the configuration.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Run without any cache, or without the one named, whatever the configuration says. Without
    /// any, every packet walks the tables.
    #[arg(long, value_name = "CACHE", num_args = 0..=1, require_equals = true,
        default_missing_value = "all")]
    pub no_cache: Option<CacheLevel>,
    /// Seed all hashes with this number instead of one that nobody can guess, so that it is known
    /// which lcore owns which connection. Whoever knows it can prepare collisions: for measurements.
    #[arg(long, value_name = "NUMBER")]
    pub secret: Option<u64>,
}

/// A cache that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CacheLevel {
    /// What a pass through the tables does.
    Megaflow,
    /// What a whole journey comes to.
    Trajectory,
    /// Both.
    All,
}

impl CacheLevel {
    /// What is left of `settings` without this.
    pub const fn off(self, settings: CacheSettings) -> CacheSettings {
        let CacheSettings {
            trajectories,
            megaflows,
        } = settings;
        match self {
            Self::Megaflow => CacheSettings {
                trajectories,
                megaflows: None,
            },
            Self::Trajectory => CacheSettings {
                trajectories: None,
                megaflows,
            },
            Self::All => CacheSettings::NONE,
        }
    }
}

/// `weir check`
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration.
    pub config: PathBuf,
}

/// `weir parse-flows`
#[derive(Debug, Args)]
pub struct ParseFlows {
    /// The flows; `-` for standard input.
    pub file: PathBuf,
}

/// `weir replay`
#[derive(Debug, Args)]
pub struct Replay {
    /// The configuration; its ports need no devices.
    pub config: PathBuf,
    /// Packets that arrive at a port (a name or a number): pcap or pcapng.
    #[arg(long = "in", value_name = "PORT=FILE", required = true, value_parser = input)]
    pub inputs: Vec<ReplayInput>,
    /// Where to write; made if missing.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Feeds every random choice.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// One `--in PORT=FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayInput {
    /// The port's name or number.
    pub port: String,
    /// The capture.
    pub file: PathBuf,
}

/// `weir trace`
#[derive(Debug, Args)]
pub struct Trace {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// What the next recirculation is told that ct() said, such as trk,est; each is used once, in
    /// order. Without: what the tracker says.
    #[arg(long, value_name = "STATE")]
    pub(crate) ct_next: Vec<String>,
    /// The frame in hexadecimal; FLOW then names in_port and metadata only.
    #[arg(long, value_name = "HEX")]
    pub(crate) packet: Option<String>,
    /// A configuration or the bridge, and the packet.
    #[arg(required = true, num_args = 1..=2, value_name = "CONFIG|BRIDGE] [FLOW")]
    pub(crate) words: Vec<String>,
}

impl Trace {
    /// The configuration, if the first word names one, and the packet.
    pub(crate) fn file(&self) -> Option<(&Path, Option<&str>)> {
        let [first, rest @ ..] = &self.words[..] else {
            return None;
        };
        let path = Path::new(first);
        let is_file = path.extension().is_some_and(|end| end == "toml") || path.is_file();
        is_file.then(|| (path, rest.first().map(String::as_str)))
    }

    /// The bridge, if it is named, and the packet.
    pub(crate) fn of_switch(&self) -> (Option<String>, String) {
        match &self.words[..] {
            [bridge, flow, ..] => (Some(bridge.clone()), flow.clone()),
            words => (None, words.concat()),
        }
    }
}

/// Where the switch is.
#[derive(Debug, Args)]
pub struct Switch {
    /// The switch's control socket.
    #[arg(long, value_name = "PATH", env = "WEIR_SOCKET", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

/// A verb without arguments of its own that prints state.
#[derive(Debug, Args)]
pub struct Plain {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The bridge.
    pub(crate) bridge: Option<String>,
}

/// How to print.
#[derive(Debug, Args)]
pub struct Output {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A verb without arguments of its own that prints no state.
#[derive(Debug, Args)]
pub struct OnlySwitch {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// The bridge.
    pub(crate) bridge: Option<String>,
}

/// `weir add-flow`
#[derive(Debug, Args)]
pub struct AddFlow {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// The bridge.
    pub(crate) bridge: Option<String>,
    /// The flow, as `ovs-ofctl` takes it; `-`: the lines of standard input.
    #[arg(required = true)]
    pub(crate) flow: String,
}

/// `weir monitor`
#[derive(Debug, Args)]
pub struct Monitor {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Also write the packets to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,
    /// The bridge; a number of bytes, which changes nothing: packets come whole; invalid_ttl, to
    /// get packets whose TTL has run out; ct and which connections, to hear of these instead.
    #[arg(value_name = "BRIDGE|BYTES|invalid_ttl|ct FILTER")]
    pub(crate) words: Vec<String>,
}

/// `weir packet-out`
#[derive(Debug, Args)]
pub struct PacketOut {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// The bridge, and packets as `ovs-ofctl` takes them.
    #[arg(required = true, value_name = "PACKET-OUT")]
    pub(crate) words: Vec<String>,
}

/// `weir add-flows`, `weir replace-flows`
#[derive(Debug, Args)]
pub struct FlowFile {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// The bridge.
    pub(crate) bridge: Option<String>,
    /// The flows; `-` for standard input.
    #[arg(required = true)]
    pub(crate) file: PathBuf,
}

/// `weir del-flows`
#[derive(Debug, Args)]
pub struct DelFlows {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// Only the flow with exactly this match and priority.
    #[arg(long)]
    pub(crate) strict: bool,
    /// The bridge.
    pub(crate) bridge: Option<String>,
    /// Only flows that this match covers; without it, all; `-`: the lines of standard input.
    #[arg(value_name = "MATCH")]
    pub(crate) matching: Option<String>,
}

/// `weir del-groups`
#[derive(Debug, Args)]
pub struct DelGroups {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// The bridge.
    pub(crate) bridge: Option<String>,
    /// Only this group: group_id=NUMBER; without it, all.
    pub(crate) group: Option<String>,
}

/// `weir dump-groups`, `weir dump-group-stats`
#[derive(Debug, Args)]
pub struct DumpGroups {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The bridge.
    pub(crate) bridge: Option<String>,
    /// Only this group: a number, or group_id=NUMBER.
    pub(crate) group: Option<String>,
}

/// `weir add-tlv-map`
#[derive(Debug, Args)]
pub struct AddTlvMap {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// The bridge.
    pub(crate) bridge: Option<String>,
    /// Options and their fields: {class=CLASS,type=TYPE,len=BYTES}->tun_metadataN,...
    pub(crate) map: String,
}

/// `weir del-tlv-map`
#[derive(Debug, Args)]
pub struct DelTlvMap {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// The bridge.
    pub(crate) bridge: Option<String>,
    /// Which fields, as add-tlv-map has them; without it, all.
    pub(crate) map: Option<String>,
}

/// `weir dump-tlv-map`
#[derive(Debug, Args)]
pub struct DumpTlvMap {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The bridge.
    pub(crate) bridge: Option<String>,
}

/// `weir add-group`, `weir insert-buckets`, `weir remove-buckets`
#[derive(Debug, Args)]
pub struct ChangeGroup {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// The bridge.
    pub(crate) bridge: Option<String>,
    /// The group, as `ovs-ofctl` takes it.
    #[arg(required = true)]
    pub(crate) group: String,
}

/// `weir mod-group`
#[derive(Debug, Args)]
pub struct ModGroup {
    /// Add the group if there is none.
    #[arg(long)]
    pub(crate) may_create: bool,
    #[command(flatten)]
    pub(crate) change: ChangeGroup,
}

/// `weir dump-ports`
#[derive(Debug, Args)]
pub struct DumpPorts {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The bridge.
    pub(crate) bridge: Option<String>,
    /// Only this port.
    pub(crate) port: Option<String>,
}

/// `weir dump-conntrack`
#[derive(Debug, Args)]
pub struct DumpConntrack {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Show since when each connection is there, what it carried, and the seconds until it is
    /// forgotten.
    #[arg(short = 's', long)]
    pub(crate) statistics: bool,
    /// Show all that is known of each connection.
    #[arg(short = 'm', long)]
    pub(crate) more: bool,
    /// The bridge, and which connections, as dpctl takes them.
    #[arg(value_name = "BRIDGE] [FILTER")]
    pub(crate) words: Vec<String>,
}

/// `weir dump-conntrack-exp`
#[derive(Debug, Args)]
pub struct DumpConntrackExp {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The bridge, and which: zone=N.
    #[arg(value_name = "BRIDGE] [FILTER")]
    pub(crate) words: Vec<String>,
}

/// `weir ct-stats-show`
#[derive(Debug, Args)]
pub struct CtStatsShow {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Show states and zones, too.
    #[arg(short = 'm', long)]
    pub(crate) more: bool,
    /// The bridge, and which connections, as dpctl takes them; and verbose.
    #[arg(value_name = "BRIDGE] [FILTER] [verbose")]
    pub(crate) words: Vec<String>,
}

/// `weir flush-conntrack`
#[derive(Debug, Args)]
pub struct FlushConntrack {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// The bridge, and which connections, as dpctl takes them.
    #[arg(value_name = "BRIDGE] [FILTER")]
    pub(crate) words: Vec<String>,
}

/// `weir pmd-rxq-show`
#[derive(Debug, Args)]
pub struct PmdRxqShow {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Only the lcore on this core.
    #[arg(long, value_name = "CORE")]
    pub(crate) pmd: Option<u32>,
    /// Over so many seconds, 1 to 60.
    #[arg(long, value_name = "N", default_value_t = LONGEST_S,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(LONGEST_S)))]
    pub(crate) secs: u32,
    /// The bridge.
    pub(crate) bridge: Option<String>,
}

/// `weir ct-get-limits`
#[derive(Debug, Args)]
pub struct CtGetLimits {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The bridge, and which zones, as dpctl takes it: zone=N[,N]...
    #[arg(value_name = "BRIDGE] [ZONES")]
    pub(crate) words: Vec<String>,
}

/// `weir ct-set-limits`, `weir ct-del-limits`
#[derive(Debug, Args)]
pub struct CtLimits {
    #[command(flatten)]
    pub(crate) switch: Switch,
    /// The bridge, and limits, as dpctl takes them: [default=N] [zone=N,limit=N]... to set, [default]
    /// [zone=N[,N]...] to delete.
    #[arg(required = true, value_name = "BRIDGE] [LIMITS")]
    pub(crate) words: Vec<String>,
}

/// `weir confirm`, `weir rollback`
#[derive(Debug, Args)]
pub struct Bare {
    #[command(flatten)]
    pub(crate) switch: Switch,
}

/// `weir reload`
#[derive(Debug, Args)]
pub struct Reload {
    #[command(flatten)]
    pub(crate) switch: Switch,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Say what would change and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Also remove flows that were added by hand, and restore those that were changed.
    #[arg(long)]
    pub(crate) exact: bool,
    /// Undo it all after so many seconds, unless weir confirm comes before. Until then nothing else
    /// changes the policy.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) confirm: Option<u32>,
    /// Another configuration file than the one the switch runs.
    pub(crate) config: Option<PathBuf>,
}

/// `PORT=FILE`
fn input(text: &str) -> Result<ReplayInput, String> {
    match text.split_once('=') {
        Some((port, file)) if !port.is_empty() && !file.is_empty() => Ok(ReplayInput {
            port: port.to_owned(),
            file: file.into(),
        }),
        _ => Err("expected PORT=FILE".to_owned()),
    }
}
