//! Frames of one size, one behind the other.

use weir_packet::{Frame, VecFrame};

use crate::captures::{Direction, Traffic};

/// Frames in a burst, as lcores take them.
pub const BURST: usize = 32;

/// One turn of a capture in memory.
#[derive(Debug)]
pub struct Store {
    bytes: Vec<u8>,
    frame_size: usize,
}

impl Store {
    /// The frames of `traffic` in `direction`.
    ///
    /// # Panics
    /// If they are not all of one size.
    pub fn new(traffic: &Traffic, direction: Direction) -> Self {
        let mut bytes = Vec::new();
        let mut frame_size = 0;
        for frame in traffic.frames(direction) {
            assert!(
                frame_size == 0 || frame_size == frame.len(),
                "frames differ in size"
            );
            frame_size = frame.len();
            bytes.extend_from_slice(&frame);
        }
        Self { bytes, frame_size }
    }

    /// How many frames there are.
    pub fn len(&self) -> u64 {
        (self.bytes.len() / self.frame_size) as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The size of each frame in bytes.
    pub const fn frame_size(&self) -> usize {
        self.frame_size
    }

    /// The frames in bursts of [`BURST`]; the last may be shorter.
    pub fn chunks(&self) -> impl Iterator<Item = std::slice::ChunksExact<'_, u8>> {
        self.first(usize::MAX)
    }

    /// The first `frames` in bursts of [`BURST`], or all there are; the last may be shorter.
    pub fn first(&self, frames: usize) -> impl Iterator<Item = std::slice::ChunksExact<'_, u8>> {
        let size = frames.saturating_mul(self.frame_size).min(self.bytes.len());
        self.bytes[..size]
            .chunks(BURST * self.frame_size)
            .map(|chunk| chunk.chunks_exact(self.frame_size))
    }

    /// Buffers for a burst, each as large as a frame.
    pub fn burst(&self) -> Vec<VecFrame> {
        (0..BURST)
            .map(|_| VecFrame::from(vec![0; self.frame_size]))
            .collect()
    }
}

/// Copies the frames of `chunk` into the first buffers of `burst`; returns how many there are.
#[inline]
pub fn load(burst: &mut [VecFrame], chunk: std::slice::ChunksExact<'_, u8>) -> usize {
    let len = chunk.len();
    for (frame, bytes) in burst.iter_mut().zip(chunk) {
        frame.head_mut().copy_from_slice(bytes);
    }
    len
}
