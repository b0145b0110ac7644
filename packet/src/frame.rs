//! One frame in memory, whoever owns the memory.

/// What the receiving device says about a checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumStatus {
    /// The device did not look; software has to.
    #[default]
    Unknown,
    /// The device found it right.
    Good,
    /// The device found it wrong.
    Bad,
}

/// There is no room in front of the frame for the bytes to be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no headroom left in front of the frame")]
pub struct NoHeadroom;

/// An Ethernet frame, without preamble and FCS, owned by its holder.
///
/// A frame may be a chain of segments (jumbo frames on DPDK). All headers up to and
/// including L4 lie in the first segment, the *head*; whoever makes a frame sees to that.
pub trait Frame: Sized {
    /// The first segment.
    fn head(&self) -> &[u8];

    /// The first segment, writable.
    fn head_mut(&mut self) -> &mut [u8];

    /// Length in bytes over all segments.
    #[expect(clippy::len_without_is_empty, reason = "an empty frame is never made")]
    fn len(&self) -> usize;

    /// The segments behind the first, in order; none for a linear frame.
    fn tail(&self) -> impl Iterator<Item = &[u8]>;

    /// Opens `count` bytes in front of the head. Their content is undefined until written.
    ///
    /// # Errors
    /// [`NoHeadroom`] if there is no room; the frame is then unchanged.
    fn push_front(&mut self, count: usize) -> Result<(), NoHeadroom>;

    /// Removes `count` bytes from the front of the head.
    ///
    /// # Panics
    /// If the head is shorter than `count`.
    fn pull_front(&mut self, count: usize);

    /// A copy with memory of its own, or `None` if the pool it comes from is empty.
    fn duplicate(&self) -> Option<Self>;

    /// What the receiving device says about the IPv4 header checksum.
    fn ip_checksum_status(&self) -> ChecksumStatus {
        ChecksumStatus::Unknown
    }

    /// What the receiving device says about the L4 checksum.
    fn l4_checksum_status(&self) -> ChecksumStatus {
        ChecksumStatus::Unknown
    }
}

/// A frame in ordinary memory, for tests, `weir replay` and packets made by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VecFrame {
    bytes: Vec<u8>,
    start: usize,
}
