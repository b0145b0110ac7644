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
#[expect(clippy::len_without_is_empty, reason = "an empty frame is never made")]
pub trait Frame: Sized {
    /// The first segment.
    fn head(&self) -> &[u8];

    /// The first segment, writable.
    fn head_mut(&mut self) -> &mut [u8];

    /// Length in bytes over all segments.
    fn len(&self) -> usize;

    /// Asks for the memory of the frame and of its headers before they are read. Reads neither.
    #[inline]
    fn prefetch(&self) {}

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

    /// Puts `with` in the place of `size` bytes from `at` on, which lie in the head. What lies in
    /// front of them moves, as when headers are put on or taken off.
    ///
    /// Cost: copies what lies in front.
    ///
    /// # Errors
    /// [`NoHeadroom`] if there is no room for more bytes; the frame is then unchanged.
    ///
    /// # Panics
    /// If the head ends before those bytes do.
    fn replace(&mut self, at: usize, size: usize, with: &[u8]) -> Result<(), NoHeadroom> {
        assert!(
            at + size <= self.head().len(),
            "what is replaced lies in the head"
        );
        if let Some(more) = with.len().checked_sub(size) {
            self.push_front(more)?;
            self.head_mut().copy_within(more..more + at, 0);
        } else {
            let less = size - with.len();
            self.head_mut().copy_within(..at, less);
            self.pull_front(less);
        }
        self.head_mut()[at..at + with.len()].copy_from_slice(with);
        Ok(())
    }

    /// Keeps the first `size` bytes; what lies behind them is given back. Does nothing to a frame
    /// that is not longer.
    ///
    /// # Panics
    /// If `size` is 0.
    fn truncate(&mut self, size: usize);

    /// Makes the head hold `bytes` bytes, or the whole frame if it is shorter. For a frame whose
    /// outer headers were taken off. Returns whether it does; what the frame says is the same
    /// either way.
    fn gather_head(&mut self, bytes: u16) -> bool;

    /// Forgets what the receiving device said of checksums: it was about headers that are gone.
    fn forget_checksums(&mut self) {}

    /// A copy with memory of its own, or `None` if the pool it comes from is empty.
    fn duplicate(&self) -> Option<Self>;

    /// Puts `behind` after the last byte; its head becomes a segment of the tail, or part of one.
    /// Nothing is copied where frames are chains.
    ///
    /// # Panics
    /// If the frame comes to more than 65535 segments.
    fn append(&mut self, behind: Self);

    /// A copy of the `size` bytes from byte `from` on, with memory of its own, or `None` if the
    /// pool it comes from is empty or the frame ends before.
    fn copy_part(&self, from: usize, size: usize) -> Option<Self>;

    /// What the receiving device says about the IPv4 header checksum.
    fn ip_checksum_status(&self) -> ChecksumStatus {
        ChecksumStatus::Unknown
    }

    /// What the receiving device says about the L4 checksum.
    fn l4_checksum_status(&self) -> ChecksumStatus {
        ChecksumStatus::Unknown
    }

    /// Whether software has to look at both checksums. False may also mean that the statuses
    /// have to be asked one by one.
    #[inline]
    fn checksums_unknown(&self) -> bool {
        self.ip_checksum_status() == ChecksumStatus::Unknown
            && self.l4_checksum_status() == ChecksumStatus::Unknown
    }
}

/// `N` bytes of a frame from `at` on, in whichever segments they lie; `None` if it ends before.
///
/// Cost: one copy if they lie in the head, else a walk over the segments.
pub fn bytes_at<F: Frame, const N: usize>(frame: &F, at: usize) -> Option<[u8; N]> {
    let end = at.checked_add(N)?;
    if let Some(bytes) = frame.head().get(at..end) {
        return bytes.try_into().ok();
    }
    let mut bytes = [0; N];
    let (mut before, mut copied) = (0, 0);
    for segment in std::iter::once(frame.head()).chain(frame.tail()) {
        let from = (at + copied).saturating_sub(before).min(segment.len());
        let piece = &segment[from..];
        let piece = &piece[..piece.len().min(N - copied)];
        bytes[copied..copied + piece.len()].copy_from_slice(piece);
        copied += piece.len();
        before += segment.len();
        if copied == N {
            return Some(bytes);
        }
    }
    None
}

/// A frame in ordinary memory, for tests, `weir replay` and packets made by hand.
///
/// Two are equal if their bytes are; the room in front does not count.
#[derive(Clone, Debug)]
pub struct VecFrame {
    bytes: Vec<u8>,
    start: usize,
}

impl VecFrame {
    /// Room in front of a new frame, in bytes: for the headers of a tunnel over IPv6 with all the
    /// options that Geneve has room for (322), and two tags.
    pub const HEADROOM: usize = 384;

    /// A frame of these bytes, with [`Self::HEADROOM`] in front.
    pub fn new(frame: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(Self::HEADROOM + frame.len());
        bytes.resize(Self::HEADROOM, 0);
        bytes.extend_from_slice(frame);
        Self {
            bytes,
            start: Self::HEADROOM,
        }
    }

    /// The whole frame.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

impl From<&[u8]> for VecFrame {
    fn from(frame: &[u8]) -> Self {
        Self::new(frame)
    }
}

impl From<Vec<u8>> for VecFrame {
    fn from(frame: Vec<u8>) -> Self {
        Self::new(&frame)
    }
}

impl PartialEq for VecFrame {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for VecFrame {}

impl Frame for VecFrame {
    #[inline]
    fn head(&self) -> &[u8] {
        self.bytes()
    }

    #[inline]
    fn head_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    #[inline]
    fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    fn tail(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::empty()
    }

    fn push_front(&mut self, count: usize) -> Result<(), NoHeadroom> {
        self.start = self.start.checked_sub(count).ok_or(NoHeadroom)?;
        Ok(())
    }

    fn pull_front(&mut self, count: usize) {
        assert!(count <= self.len(), "more bytes pulled than the frame has");
        self.start += count;
    }

    fn truncate(&mut self, size: usize) {
        assert!(size > 0, "a part of the frame is kept");
        self.bytes.truncate(self.start + size);
    }

    fn gather_head(&mut self, _bytes: u16) -> bool {
        true
    }

    fn duplicate(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn append(&mut self, behind: Self) {
        self.bytes.extend_from_slice(behind.bytes());
    }

    fn copy_part(&self, from: usize, size: usize) -> Option<Self> {
        let part = self.bytes().get(from..)?.get(..size)?;
        Some(Self::new(part))
    }
}

/// A frame in several pieces of ordinary memory, as an mbuf chain is; for tests of all that
/// walks over segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentedFrame {
    head: VecFrame,
    tail: Vec<Vec<u8>>,
}

impl SegmentedFrame {
    /// Cuts `frame` into a head of at most `head_size` bytes and segments of the sizes given
    /// (in turn, over and over; a size of 0 makes an empty segment once per turn). Without
    /// sizes the rest is one segment.
    pub fn new(frame: &[u8], head_size: usize, segment_sizes: &[usize]) -> Self {
        let (head, mut rest) = frame.split_at(head_size.min(frame.len()));
        let mut tail = Vec::new();
        if segment_sizes.iter().all(|&size| size == 0) {
            tail.push(rest.to_vec());
            rest = &[];
        }
        for &size in segment_sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (segment, behind) = rest.split_at(size.min(rest.len()));
            tail.push(segment.to_vec());
            rest = behind;
        }
        Self {
            head: VecFrame::new(head),
            tail,
        }
    }

    /// The whole frame in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = self.head.bytes().to_vec();
        self.tail
            .iter()
            .for_each(|segment| bytes.extend_from_slice(segment));
        bytes
    }
}

impl Frame for SegmentedFrame {
    fn head(&self) -> &[u8] {
        self.head.head()
    }

    fn head_mut(&mut self) -> &mut [u8] {
        self.head.head_mut()
    }

    fn len(&self) -> usize {
        self.head.len() + self.tail.iter().map(Vec::len).sum::<usize>()
    }

    fn tail(&self) -> impl Iterator<Item = &[u8]> {
        self.tail.iter().map(Vec::as_slice)
    }

    fn push_front(&mut self, count: usize) -> Result<(), NoHeadroom> {
        self.head.push_front(count)
    }

    fn pull_front(&mut self, count: usize) {
        self.head.pull_front(count);
    }

    fn truncate(&mut self, size: usize) {
        assert!(size > 0, "a part of the frame is kept");
        let Some(mut left) = size.checked_sub(self.head.len()) else {
            self.tail.clear();
            return self.head.truncate(size);
        };
        for segment in &mut self.tail {
            segment.truncate(left);
            left -= segment.len();
        }
        while self.tail.last().is_some_and(Vec::is_empty) {
            self.tail.pop();
        }
    }

    fn gather_head(&mut self, bytes: u16) -> bool {
        let bytes = usize::from(bytes);
        while self.head.len() < bytes && !self.tail.is_empty() {
            let missing = bytes - self.head.len();
            let segment = &mut self.tail[0];
            let take = missing.min(segment.len());
            self.head.bytes.extend(segment.drain(..take));
            if segment.is_empty() {
                self.tail.remove(0);
            }
        }
        true
    }

    fn duplicate(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn append(&mut self, behind: Self) {
        self.tail.push(behind.head.bytes().to_vec());
        self.tail.extend(behind.tail);
    }

    fn copy_part(&self, from: usize, size: usize) -> Option<Self> {
        // Cut otherwise than the frame was, as a pool with larger buffers would.
        let bytes = self.to_vec();
        let part = bytes.get(from..)?.get(..size)?;
        Some(Self::new(part, 256, &[512]))
    }
}

#[cfg(test)]
mod tests;
