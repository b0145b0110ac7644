//! A hash trie whose leaves, the *shards*, hold up to a few hundred buckets each.
//!
//! A change copies one shard and the branches above it, at most [`MAX_DEPTH`] of
//! [`FANOUT`] references; everything else is shared with the version before. Nodes that only
//! the changing side holds are changed in place.

use std::sync::Arc;

use hashbrown::HashTable;

/// Buckets in a shard before it is split.
const SHARD_BUCKETS: usize = 256;
/// Children of a branch.
const FANOUT: usize = 16;
/// Levels of branches; a shard at the bottom is never split.
const MAX_DEPTH: u32 = 8;
/// The lowest hash bit a branch looks at. The shard's own table uses those below and the top
/// seven.
const FIRST_BIT: u32 = 16;

/// What lies in a shard.
pub(super) trait Bucket: Clone {
    /// Decides where it lies.
    fn hash(&self) -> u64;
}

/// Buckets by their hash.
#[derive(Clone, Debug)]
pub(super) struct Trie<B>(Node<B>);

#[derive(Clone, Debug)]
enum Node<B> {
    Shard(Arc<Shard<B>>),
    Branch(Arc<[Node<B>; FANOUT]>),
}

#[derive(Clone, Debug)]
struct Shard<B>(HashTable<B>);

impl<B> Default for Shard<B> {
    fn default() -> Self {
        Self(HashTable::new())
    }
}

impl<B> Default for Trie<B> {
    fn default() -> Self {
        Self(Node::Shard(Arc::default()))
    }
}

impl<B: Bucket> Trie<B> {
    /// The bucket with this hash that `matches`.
    #[inline]
    pub(super) fn find(&self, hash: u64, matches: impl Fn(&B) -> bool) -> Option<&B> {
        let mut node = &self.0;
        let mut depth = 0;
        while let Node::Branch(children) = node {
            node = &children[child(hash, depth)];
            depth += 1;
        }
        let Node::Shard(shard) = node else {
            unreachable!("branches end at a shard")
        };
        shard
            .0
            .find(hash, |bucket| bucket.hash() == hash && matches(bucket))
    }

    /// Changes the bucket with this hash that `matches`, or a new one: `change` gets it if it is
    /// there, and returns what is to be there.
    pub(super) fn change<R>(
        &mut self,
        hash: u64,
        matches: impl Fn(&B) -> bool,
        change: impl FnOnce(Option<B>) -> (Option<B>, R),
    ) -> R {
        Self::at_shard(&mut self.0, hash, 0, |node, depth| {
            let Node::Shard(shard) = node else {
                unreachable!("at_shard ends at a shard")
            };
            let table = &mut Arc::make_mut(shard).0;
            let found = table.find_entry(hash, |bucket| bucket.hash() == hash && matches(bucket));
            let before = found.ok().map(|entry| entry.remove().0);
            let (after, result) = change(before);
            if let Some(bucket) = after {
                table.insert_unique(hash, bucket, B::hash);
            }
            if table.len() > SHARD_BUCKETS && depth < MAX_DEPTH {
                Self::split(node, depth);
            }
            result
        })
    }

    /// All buckets, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &B> {
        let mut pending = vec![&self.0];
        std::iter::from_fn(move || {
            loop {
                match pending.pop()? {
                    Node::Branch(children) => pending.extend(children.iter()),
                    Node::Shard(shard) => return Some(shard),
                }
            }
        })
        .flat_map(|shard| shard.0.iter())
    }

    /// Hands `change` the shard where `hash` belongs and its depth; branches on the way become
    /// our own.
    fn at_shard<R>(
        node: &mut Node<B>,
        hash: u64,
        depth: u32,
        change: impl FnOnce(&mut Node<B>, u32) -> R,
    ) -> R {
        match node {
            Node::Branch(children) => {
                let next = &mut Arc::make_mut(children)[child(hash, depth)];
                Self::at_shard(next, hash, depth + 1, change)
            }
            Node::Shard(_) => change(node, depth),
        }
    }

    /// Turns a shard at `depth` into a branch of smaller shards.
    fn split(node: &mut Node<B>, depth: u32) {
        let Node::Shard(shard) = node else { return };
        let mut parts: [Shard<B>; FANOUT] = Default::default();
        for bucket in std::mem::take(&mut Arc::make_mut(shard).0) {
            let part = &mut parts[child(bucket.hash(), depth)].0;
            part.insert_unique(bucket.hash(), bucket, B::hash);
        }
        *node = Node::Branch(Arc::new(parts.map(|part| Node::Shard(Arc::new(part)))));
    }

    /// The shards, for tests of what versions share.
    #[cfg(test)]
    pub(super) fn shards(&self) -> Vec<*const ()> {
        let mut pending = vec![&self.0];
        let mut shards = Vec::new();
        while let Some(node) = pending.pop() {
            match node {
                Node::Branch(children) => pending.extend(children.iter()),
                Node::Shard(shard) => shards.push(Arc::as_ptr(shard).cast()),
            }
        }
        shards
    }
}

/// Which child of a branch at `depth` leads to `hash`.
fn child(hash: u64, depth: u32) -> usize {
    (hash >> (FIRST_BIT + depth * FANOUT.ilog2())) as usize % FANOUT
}
