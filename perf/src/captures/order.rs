//! Which connection the next frame belongs to.

use fastrand::Rng;

use super::{Direction, Order, Traffic};

/// Connection numbers of one turn of a capture.
pub(super) fn visits(traffic: &Traffic, direction: Direction) -> Box<dyn Iterator<Item = u32>> {
    let mut draws = random(traffic.seed, direction);
    match traffic.order {
        Order::Shuffled => {
            let mut connections: Vec<u32> = (0..traffic.connections).collect();
            draws.shuffle(&mut connections);
            Box::new(connections.into_iter())
        }
        Order::Zipf { frames, exponent } => {
            // Both directions agree on who is popular.
            let mut by_rank: Vec<u32> = (0..traffic.connections).collect();
            Rng::with_seed(traffic.seed).shuffle(&mut by_rank);
            let cumulative: Vec<f64> = (1..=by_rank.len())
                .scan(0.0, |sum, rank| {
                    *sum += (rank as f64).powf(-exponent);
                    Some(*sum)
                })
                .collect();
            let total = cumulative.last().copied().unwrap_or_default();
            let draw = move || {
                let point = draws.f64() * total;
                let rank = cumulative.partition_point(|&sum| sum <= point);
                by_rank[rank.min(by_rank.len() - 1)]
            };
            Box::new(std::iter::repeat_with(draw).take(frames as usize))
        }
    }
}

/// Random numbers of one direction.
pub(super) fn random(seed: u64, direction: Direction) -> Rng {
    let stream = match direction {
        Direction::Forward => 0x666f_7277,
        Direction::Reply => 0x7265_706c,
    };
    Rng::with_seed(seed ^ (stream << 32))
}
