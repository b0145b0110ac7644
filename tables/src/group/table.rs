//! All groups by number: copy-on-write shards, so that a group-mod copies one of them and the
//! list of shards.

use std::sync::Arc;

use super::Group;

/// How many shards.
const SHARDS: usize = 256;

/// The groups of a snapshot.
#[derive(Clone, Debug)]
pub struct GroupTable(Arc<[Arc<Shard>; SHARDS]>);

/// Some groups, by ascending number.
type Shard = Vec<Arc<Group>>;

impl Default for GroupTable {
    fn default() -> Self {
        let empty = Arc::new(Shard::new());
        Self(Arc::new(std::array::from_fn(|_| Arc::clone(&empty))))
    }
}

impl GroupTable {
    /// The group with this number.
    #[inline]
    pub fn get(&self, id: u32) -> Option<&Arc<Group>> {
        let shard = &self.0[shard_of(id)];
        let at = position(shard, id).ok()?;
        shard.get(at)
    }

    /// Puts `group` in; returns the one that it replaces.
    pub(crate) fn insert(&mut self, group: Arc<Group>) -> Option<Arc<Group>> {
        let id = group.spec.id;
        let shard = Arc::make_mut(&mut Arc::make_mut(&mut self.0)[shard_of(id)]);
        match position(shard, id) {
            Ok(at) => Some(std::mem::replace(&mut shard[at], group)),
            Err(at) => {
                shard.insert(at, group);
                None
            }
        }
    }

    /// Takes out the group with this number.
    pub(crate) fn remove(&mut self, id: u32) -> Option<Arc<Group>> {
        // Look before copying anything.
        let at = position(&self.0[shard_of(id)], id).ok()?;
        let shard = Arc::make_mut(&mut Arc::make_mut(&mut self.0)[shard_of(id)]);
        Some(shard.remove(at))
    }

    /// All groups, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.0.iter().flat_map(|shard| shard.iter())
    }

    /// The shards, for tests of what versions share.
    #[cfg(test)]
    pub(super) fn shards(&self) -> Vec<*const Shard> {
        self.0.iter().map(Arc::as_ptr).collect()
    }
}

const fn shard_of(id: u32) -> usize {
    id as usize % SHARDS
}

fn position(shard: &Shard, id: u32) -> Result<usize, usize> {
    shard.binary_search_by_key(&id, |group| group.spec.id)
}
