//! What is known of packets that wait, each under a number.

/// Places for what is known of packets that wait; as many as at the start.
pub(super) struct Shelf<T> {
    places: Box<[Option<T>]>,
    free: Vec<u16>,
}

impl<T> Shelf<T> {
    /// So many places. Takes all memory.
    pub(super) fn new(most: usize) -> Self {
        Self {
            places: (0..most).map(|_| None).collect(),
            free: (0..most as u16).rev().collect(),
        }
    }

    /// Keeps it if there is a place; returns its number.
    pub(super) fn keep(&mut self, known: T) -> Option<u16> {
        let id = self.free.pop()?;
        self.places[usize::from(id)] = Some(known);
        Some(id)
    }

    /// What was kept under this number, and is no more.
    pub(super) fn take(&mut self, id: u16) -> Option<T> {
        self.free.push(id);
        self.places[usize::from(id)].take()
    }
}
