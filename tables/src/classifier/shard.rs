//! A hash trie whose leaves, the *shards*, hold up to a few hundred rules each.
//!
//! A change copies one shard and the branches above it, at most [`MAX_DEPTH`] of
//! [`FANOUT`] references; everything else is shared with the version before. Nodes that only
//! the changing side holds are changed in place.

use std::sync::Arc;

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::rule::Rule;

/// Buckets in a shard before it is split.
const SHARD_BUCKETS: usize = 256;
/// Children of a branch.
const FANOUT: usize = 16;
/// Levels of branches; a shard at the bottom is never split.
const MAX_DEPTH: u32 = 8;
/// The lowest hash bit a branch looks at. The shard's own table uses those below and the top
/// seven.
const FIRST_BIT: u32 = 16;

/// Rules by the hash of their masked words.
#[derive(Clone, Debug)]
pub(super) struct Trie(Node);

#[derive(Clone, Debug)]
enum Node {
    Shard(Arc<Shard>),
    Branch(Arc<[Node; FANOUT]>),
}

#[derive(Clone, Debug, Default)]
struct Shard(HashTable<Bucket>);

/// The rules with the same masked values, by descending priority.
#[derive(Clone, Debug)]
struct Bucket {
    hash: u64,
    rules: SmallVec<[Arc<Rule>; 1]>,
}

impl Default for Trie {
    fn default() -> Self {
        Self(Node::Shard(Arc::default()))
    }
}

impl Trie {
    /// The rules whose values satisfy `matches`, by descending priority; at least one.
    #[inline]
    pub(super) fn find(&self, hash: u64, matches: impl Fn(&[u64]) -> bool) -> Option<&[Arc<Rule>]> {
        self.bucket(hash, matches).map(|bucket| &*bucket.rules)
    }

    /// The rule with these values and this priority.
    pub(super) fn get(&self, hash: u64, priority: u16, values: &[u64]) -> Option<&Arc<Rule>> {
        let bucket = self.bucket(hash, |candidate| candidate == values)?;
        bucket.rules.iter().find(|rule| rule.priority == priority)
    }

    /// Puts `rule` in; returns the one with the same values and priority that it replaces.
    pub(super) fn insert(&mut self, hash: u64, rule: Arc<Rule>) -> Option<Arc<Rule>> {
        Self::at_shard(&mut self.0, hash, 0, |node, depth| {
            let Node::Shard(shard) = node else {
                unreachable!("at_shard ends at a shard")
            };
            let table = &mut Arc::make_mut(shard).0;
            if let Some(bucket) = table.find_mut(hash, |bucket| bucket.has(hash, &rule.values)) {
                return bucket.insert(rule);
            }
            let bucket = Bucket {
                hash,
                rules: SmallVec::from_buf([rule]),
            };
            table.insert_unique(hash, bucket, |bucket| bucket.hash);
            if table.len() > SHARD_BUCKETS && depth < MAX_DEPTH {
                Self::split(node, depth);
            }
            None
        })
    }

    /// Takes out the rule with these values and this priority.
    pub(super) fn remove(&mut self, hash: u64, priority: u16, values: &[u64]) -> Option<Arc<Rule>> {
        // Look before copying anything.
        self.get(hash, priority, values)?;
        Self::at_shard(&mut self.0, hash, 0, |node, _| {
            let Node::Shard(shard) = node else {
                unreachable!("at_shard ends at a shard")
            };
            let table = &mut Arc::make_mut(shard).0;
            let mut entry = table
                .find_entry(hash, |bucket| bucket.has(hash, values))
                .ok()?;
            let rules = &mut entry.get_mut().rules;
            let at = rules.iter().position(|rule| rule.priority == priority)?;
            let removed = rules.remove(at);
            if rules.is_empty() {
                entry.remove();
            }
            Some(removed)
        })
    }

    /// All rules, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Rule>> {
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
        .flat_map(|bucket| bucket.rules.iter())
    }

    fn bucket(&self, hash: u64, matches: impl Fn(&[u64]) -> bool) -> Option<&Bucket> {
        let mut node = &self.0;
        let mut depth = 0;
        while let Node::Branch(children) = node {
            node = &children[child(hash, depth)];
            depth += 1;
        }
        let Node::Shard(shard) = node else {
            unreachable!("branches end at a shard")
        };
        shard.0.find(hash, |bucket| {
            bucket.hash == hash && matches(&bucket.rules[0].values)
        })
    }

    /// Hands `change` the shard where `hash` belongs and its depth; branches on the way become
    /// our own.
    fn at_shard<R>(
        node: &mut Node,
        hash: u64,
        depth: u32,
        change: impl FnOnce(&mut Node, u32) -> R,
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
    fn split(node: &mut Node, depth: u32) {
        let Node::Shard(shard) = node else { return };
        let mut parts: [Shard; FANOUT] = Default::default();
        for bucket in std::mem::take(&mut Arc::make_mut(shard).0) {
            let part = &mut parts[child(bucket.hash, depth)].0;
            part.insert_unique(bucket.hash, bucket, |bucket| bucket.hash);
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

impl Bucket {
    fn insert(&mut self, rule: Arc<Rule>) -> Option<Arc<Rule>> {
        let at = self
            .rules
            .partition_point(|other| other.priority > rule.priority);
        match self.rules.get_mut(at) {
            Some(other) if other.priority == rule.priority => Some(std::mem::replace(other, rule)),
            _ => {
                self.rules.insert(at, rule);
                None
            }
        }
    }

    fn has(&self, hash: u64, values: &[u64]) -> bool {
        self.hash == hash && *self.rules[0].values == *values
    }
}

/// Which child of a branch at `depth` leads to `hash`.
fn child(hash: u64, depth: u32) -> usize {
    (hash >> (FIRST_BIT + depth * FANOUT.ilog2())) as usize % FANOUT
}
