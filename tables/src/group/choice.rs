//! How a select group chooses: weighted rendezvous hashing (Thaler and Ravishankar, "Using
//! name-based mappings to increase hit rates"; Schindelhauer and Schomaker, "Weighted distributed
//! hash tables").
//!
//! Each bucket draws a number for the packet, from both hashed together, and the best draw wins.
//! A bucket that comes takes only the packets that it wins, one that goes gives back only its
//! own: nothing else moves. Shares are as the weights.
//!
//! The hash has no secret: which bucket a connection goes to is the same on every lcore, in both
//! directions and after a restart.
//!
//! Cost: one multiplication chain per bucket; a logarithm more if weights differ.

use super::{Group, GroupTable, Selection, is_live};
use crate::field::Field;
use crate::key::FlowKey;
use crate::port::PortTable;

impl Group {
    /// The bucket for a packet with `key`, of those that are live.
    pub(crate) fn choose(
        &self,
        key: &FlowKey,
        groups: &GroupTable,
        ports: &PortTable,
    ) -> Option<usize> {
        let hash = hash(&self.spec.selection, key);
        let hash = self.options.iter().fold(hash, |hash, place| {
            place
                .words_of(key)
                .fold(hash, |hash, bits| mix(hash ^ bits))
        });
        let buckets = self.spec.buckets.iter().enumerate();
        let live = buckets.filter(|(_, bucket)| is_live(bucket, groups, ports));
        let mut best: Option<(usize, f64)> = None;
        for (at, bucket) in live {
            let draw = mix(hash ^ mix(u64::from(bucket.id.unwrap_or_default()) + 1));
            // Exponentially distributed, with the weight as its rate.
            let wait = match bucket.weight.unwrap_or(1) {
                0 => f64::INFINITY,
                weight => -ln(draw) / f64::from(weight),
            };
            if best.is_none_or(|(_, least)| wait < least) {
                best = Some((at, wait));
            }
        }
        best.map(|(at, _)| at)
    }
}

/// The hash of what counts of a packet.
fn hash(selection: &Selection, key: &FlowKey) -> u64 {
    let mut hash = mix(selection.param ^ 0x9e37_79b9_7f4a_7c15);
    let mut add = |value: u128| {
        hash = mix(hash ^ value as u64);
        hash = mix(hash ^ (value >> 64) as u64);
    };
    if selection.fields.is_empty() {
        connection(key).into_iter().for_each(&mut add);
    }
    // What options hold is for the caller, who knows where that lies.
    let fields = selection.fields.iter();
    for term in fields.filter(|term| term.field.option().is_none()) {
        // A field that the packet does not have does not count, as in Open vSwitch.
        if key.satisfies(term.field.info().prerequisite) {
            add(key.field(term.field) & term.mask);
        }
    }
    hash
}

/// What packets of one connection have in common, in both directions. Pieces of a datagram, of
/// which only the first has ports, go one way.
fn connection(key: &FlowKey) -> [u128; 5] {
    const ETH_IPV4: u128 = 0x0800;
    const ETH_IPV6: u128 = 0x86dd;
    const WITH_PORTS: [u128; 3] = [6, 17, 132];
    let field = |field| key.field(field);
    let (eth_type, protocol) = (field(Field::ETH_TYPE), field(Field::NW_PROTO));
    let (src, dst) = match eth_type {
        ETH_IPV4 => (field(Field::IP_SRC), field(Field::IP_DST)),
        ETH_IPV6 => (field(Field::IPV6_SRC), field(Field::IPV6_DST)),
        _ => {
            let ends = (field(Field::ETH_SRC), field(Field::ETH_DST));
            let (low, high) = (ends.0.min(ends.1), ends.0.max(ends.1));
            return [eth_type, low, high, field(Field::VLAN_TCI) & 0x1fff, 0];
        }
    };
    let whole = field(Field::IP_FRAG) == 0 && WITH_PORTS.contains(&protocol);
    let ports = match whole {
        true => (field(Field::TCP_SRC), field(Field::TCP_DST)),
        false => (0, 0),
    };
    let ends = ((src, ports.0), (dst, ports.1));
    let (low, high) = (ends.0.min(ends.1), ends.0.max(ends.1));
    [protocol, low.0, high.0, low.1, high.1]
}

/// SplitMix64's finalizer (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
/// Generators").
const fn mix(mut number: u64) -> u64 {
    number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// The natural logarithm of `draw` as a fraction of 2^64, by operations whose results IEEE 754
/// fixes: a capture replayed elsewhere chooses the same.
fn ln(draw: u64) -> f64 {
    /// Terms of the series beyond the first; the error is below 1e-11.
    const TERMS: u32 = 10;
    let draw = draw.max(1);
    let zeros = draw.leading_zeros();
    // From 1/2 to 1.
    let fraction = (draw << zeros) as f64 / 18_446_744_073_709_551_616.0;
    // ln f = 2 artanh((f - 1) / (f + 1))
    let s = (fraction - 1.0) / (fraction + 1.0);
    let square = s * s;
    let series = (1..=TERMS)
        .rev()
        .fold(0.0, |sum, k| (sum + 1.0 / f64::from(2 * k + 1)) * square);
    2.0 * s * (1.0 + series) - f64::from(zeros) * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests;
