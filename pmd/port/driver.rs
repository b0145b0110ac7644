//! What drivers do not say about themselves, or say and do not mean.
//!
//! Each row is about the behaviour of DPDK 22.11's driver; newer ones that declare the truth
//! agree with it.

/// Corrections to what a driver declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Driver {
    /// It carries chains of buffers in both directions, declared or not.
    pub(super) carries_chains: bool,
    /// Its declared receive checksum offload is a loop over the payload on the polling CPU. weir
    /// does that itself, only for frames that need it.
    pub(super) checksums_in_software: bool,
    /// It asks the kernel for its link by a name that may belong to another namespace by now.
    pub(super) is_tap: bool,
    /// Its receive queue holds as many buffers as it has descriptors and hands all of them to
    /// the kernel with each frame: it wants as many as a frame has segments.
    pub(super) one_frame_ring: bool,
    /// It has as many receive as transmit queues.
    pub(super) pairs_queues: bool,
    /// It has RSS when it declares so, by the hash and the key that are configured.
    pub(super) rss: bool,
}

impl Driver {
    const AS_DECLARED: Self = Self {
        carries_chains: false,
        checksums_in_software: false,
        is_tap: false,
        one_frame_ring: false,
        pairs_queues: false,
        rss: true,
    };

    /// The row of the driver called `name`.
    pub(super) fn named(name: &str) -> Self {
        match name {
            // Copies whatever chain it is given; chains what does not fit one buffer.
            "net_pcap" => Self {
                carries_chains: true,
                ..Self::AS_DECLARED
            },
            // Makes frames of a fixed size, frees what it is sent. It takes a configuration of RSS,
            // which is nothing to its frames: these have no addresses.
            "net_null" => Self {
                carries_chains: true,
                ..Self::AS_DECLARED
            },
            // RSS exists as a traffic-control program that rte_flow installs; the kernel spreads
            // over the queues in its own way.
            "net_tap" => Self {
                checksums_in_software: true,
                is_tap: true,
                one_frame_ring: true,
                pairs_queues: true,
                rss: false,
                ..Self::AS_DECLARED
            },
            _ => Self::AS_DECLARED,
        }
    }
}

/// For a virtual device whose driver ignores arguments it does not know: its name and those it
/// knows.
pub(super) fn known_arguments(vdev: &str) -> Option<(&'static str, &'static [&'static str])> {
    vdev.starts_with("net_tap")
        .then_some(("net_tap", &["iface", "mac", "persist", "remote"]))
}
