//! What the rules of a subtable have in front of L4: their *heads*.
//!
//! A packet whose head no rule has matches none of them, whatever its ports. So its ports were not
//! consulted, and the megaflow that comes of it serves packets of every port. Without this, one
//! rule for DHCP (`tp_src=68`) would give each connection a megaflow of its own.

use super::HashSecret;
use super::shape::MaskShape;
use super::shard::{Bucket, Trie};
use crate::key::FlowKey;

/// The heads of the rules with one mask, which has bits in L4.
#[derive(Clone, Debug)]
pub(super) struct Heads {
    shape: MaskShape,
    counts: Trie<Count>,
}

/// How many rules have heads with this hash. If two heads have one hash, ports are consulted
/// where they need not be.
#[derive(Clone, Debug)]
struct Count {
    hash: u64,
    rules: u32,
}

impl Bucket for Count {
    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl Heads {
    /// Of no rules; `None` if rules of this shape are all head.
    pub(super) fn new(shape: &MaskShape) -> Option<Self> {
        Some(Self {
            shape: shape.head()?,
            counts: Trie::default(),
        })
    }

    /// A rule with these values, of the `shape` that this is for, is there.
    pub(super) fn insert(&mut self, secret: HashSecret, shape: &MaskShape, values: &[u64]) {
        let hash = shape.hash_head(secret, values);
        self.counts.change(
            hash,
            |_| true,
            |count| {
                let rules = count.map_or(0, |count| count.rules) + 1;
                (Some(Count { hash, rules }), ())
            },
        );
    }

    /// The same is gone.
    pub(super) fn remove(&mut self, secret: HashSecret, shape: &MaskShape, values: &[u64]) {
        let hash = shape.hash_head(secret, values);
        self.counts.change(
            hash,
            |_| true,
            |count| {
                let rules = count.map_or(0, |count| count.rules.saturating_sub(1));
                ((rules > 0).then_some(Count { hash, rules }), ())
            },
        );
    }

    /// Whether a rule may have the head of `key`; adds the head's bits to `consulted`.
    pub(super) fn consult(
        &self,
        secret: HashSecret,
        key: &FlowKey,
        consulted: &mut FlowKey,
    ) -> bool {
        self.shape.add_to(consulted);
        let hash = self.shape.hash_key(secret, key);
        self.counts.find(hash, |_| true).is_some()
    }
}
