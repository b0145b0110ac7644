//! A field of a frame that counts.

/// A number of up to eight bytes in a frame, or some of its bits, that goes from one value to
/// another and begins again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counter {
    place: Place,
    first: u64,
    last: u64,
    step: u64,
    now: u64,
}

/// Where a number lies in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its first byte.
    pub(super) offset: usize,
    /// How many bytes it has, 1 to 8.
    pub(super) size: usize,
    /// How many of its low bits belong to the field.
    pub(super) bits: u32,
}

impl Place {
    /// A number of whole bytes.
    pub(super) const fn bytes(offset: usize, size: usize) -> Self {
        Self {
            offset,
            size,
            bits: size as u32 * 8,
        }
    }

    /// The greatest value.
    pub(super) const fn greatest(&self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    fn read(&self, frame: &[u8]) -> u64 {
        let bytes = &frame[self.offset..self.offset + self.size];
        bytes
            .iter()
            .fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    fn write(&self, frame: &mut [u8], value: u64) {
        let number = self.read(frame) & !self.greatest() | value;
        let bytes = number.to_be_bytes();
        frame[self.offset..self.offset + self.size].copy_from_slice(&bytes[8 - self.size..]);
    }
}

impl Counter {
    /// A counter from `first` to `last`, both included; `None` if they are in the wrong order or
    /// do not fit, or the step is 0.
    pub(super) fn new(place: Place, first: u64, last: u64, step: u64) -> Option<Self> {
        let possible = first <= last && last <= place.greatest() && step > 0;
        possible.then_some(Self {
            place,
            first,
            last,
            step,
            now: first,
        })
    }

    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// Writes the value into `frame`.
    pub(super) fn write(&self, frame: &mut [u8]) {
        self.place.write(frame, self.now);
    }

    /// Goes on to the next value; returns whether it began again.
    pub(super) fn advance(&mut self) -> bool {
        let wraps = self.last - self.now < self.step;
        self.now = if wraps {
            self.first
        } else {
            self.now + self.step
        };
        wraps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_and_begins_again() {
        let mut counter = Counter::new(Place::bytes(1, 2), 0x00ff, 0x0103, 2).expect("a counter");
        let mut frame = [0xaa; 4];
        let values: Vec<(u8, u8, bool)> = (0..4)
            .map(|_| {
                counter.write(&mut frame);
                (frame[1], frame[2], counter.advance())
            })
            .collect();
        assert_eq!(
            values,
            [
                (0x00, 0xff, false),
                (0x01, 0x01, false),
                (0x01, 0x03, true),
                (0x00, 0xff, false),
            ]
        );
        assert_eq!((frame[0], frame[3]), (0xaa, 0xaa));
    }

    #[test]
    fn bits_beside_the_field_stay() {
        let place = Place {
            offset: 0,
            size: 2,
            bits: 13,
        };
        let counter = Counter::new(place, 5, 5, 1).expect("a counter");
        let mut frame = [0x20, 0];
        counter.write(&mut frame);
        assert_eq!(frame, [0x20, 5]);
        assert_eq!(Counter::new(place, 0, 0x2000, 1), None);
        assert_eq!(Counter::new(place, 2, 1, 1), None);
        assert_eq!(Counter::new(place, 1, 2, 0), None);
        let whole = Counter::new(Place::bytes(0, 8), 0, u64::MAX, 1);
        assert!(whole.is_some_and(|mut counter| !counter.advance()));
    }
}
