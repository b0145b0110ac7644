//! Which connection the next frame belongs to.

use fastrand::Rng;

use super::{Direction, Order, Traffic};

/// Connection numbers of one turn of a capture: the same in both directions, in another order.
pub(super) fn visits(traffic: &Traffic, direction: Direction) -> Vec<u32> {
    let mut connections: Vec<u32> = (0..traffic.connections).collect();
    if let Order::Zipf { frames, exponent } = traffic.order {
        connections = zipf(connections, frames, exponent, traffic.seed);
    }
    random(traffic.seed, direction).shuffle(&mut connections);
    connections
}

/// Draws `frames` of `connections`, some of which are more popular.
fn zipf(mut connections: Vec<u32>, frames: u32, exponent: f64, seed: u64) -> Vec<u32> {
    let mut draws = Rng::with_seed(seed);
    // Popularity has nothing to do with the tuple.
    draws.shuffle(&mut connections);
    let cumulative: Vec<f64> = (1..=connections.len())
        .scan(0.0, |sum, rank| {
            *sum += (rank as f64).powf(-exponent);
            Some(*sum)
        })
        .collect();
    let total = cumulative.last().copied().unwrap_or_default();
    let draw = || {
        let point = draws.f64() * total;
        let rank = cumulative.partition_point(|&sum| sum <= point);
        connections[rank.min(connections.len() - 1)]
    };
    std::iter::repeat_with(draw).take(frames as usize).collect()
}

/// Random numbers of one direction.
pub(super) fn random(seed: u64, direction: Direction) -> Rng {
    let stream = match direction {
        Direction::Forward => 0x666f_7277,
        Direction::Reply => 0x7265_706c,
    };
    Rng::with_seed(seed ^ (stream << 32))
}
