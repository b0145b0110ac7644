//! What becomes of one packet of a translated connection.

use std::net::IpAddr;

use weir_packet::{Layout, Tuple};

use crate::rewrite;

/// What a packet's headers are to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// The packet of a connection becomes one of this tuple; its ICMP type stays.
    Packet(Tuple),
    /// An ICMP or ICMPv6 error about a packet of a connection.
    Error {
        /// The error's own source, if it changes.
        src: Option<IpAddr>,
        /// The error's own destination, if it changes.
        dst: Option<IpAddr>,
        /// The packet that it quotes becomes one of this tuple.
        quoted: Tuple,
    },
}

impl Translation {
    /// Rewrites the packet; checksums stay as right as they were. `layout` must be that of the
    /// same bytes, and stays true.
    ///
    /// Cost: constant; no payload is read.
    #[inline]
    pub fn apply(&self, head: &mut [u8], layout: &Layout) {
        match self {
            Self::Packet(tuple) => rewrite::set_tuple(head, layout, tuple),
            Self::Error { src, dst, quoted } => {
                rewrite::set_quoted_tuple(head, layout, quoted);
                if let Some(src) = src {
                    rewrite::set_src(head, layout, *src);
                }
                if let Some(dst) = dst {
                    rewrite::set_dst(head, layout, *dst);
                }
            }
        }
    }
}
