//! Which lcore polls which receive queue of which port.
//!
//! A port gets a receive queue for each lcore, or as many as its device has or its configuration says.
//! Some queues have an lcore by the configuration; an lcore that one is given to polls no others, unless
//! there is none that could (Open vSwitch calls it isolated). The rest is dealt out evenly: over lcores
//! on the NUMA node of the port's device where there are some, those of one port over as many lcores as
//! can be, and together so that none polls many more than another. Which lcore a packet then belongs to
//! is another matter: a queue only says who looks at it first. A device that spreads frames by a hash which
//! also decides on owners is told to bring them to a queue that their owner polls.

use crate::eal::Eal;
use crate::mempool::Mempools;
use crate::port::{Port, PortConfig, PortError, StartedPort};

/// Starts a port with a transmit queue for each of so many lcores, and with the receive queues that
/// `config` says; if that is 0, as many, or the most that its device has.
pub(super) fn start(
    eal: &Eal,
    mempools: &mut Mempools,
    config: PortConfig,
    lcores: usize,
) -> Result<StartedPort, PortError> {
    let tx_queues = lcores as u16;
    if config.rx_queues > 0 {
        return Port::start(
            eal,
            mempools,
            &PortConfig {
                tx_queues,
                ..config
            },
        );
    }
    let config = PortConfig {
        rx_queues: tx_queues,
        tx_queues,
        ..config
    };
    Port::start(eal, mempools, &config).or_else(|error| match error.most_receive_queues() {
        Some(most) if most > 0 => {
            let rx_queues = most.min(tx_queues);
            Port::start(
                eal,
                mempools,
                &PortConfig {
                    rx_queues,
                    ..config
                },
            )
        }
        Some(_) | None => Err(error),
    })
}

/// What decides who polls the receive queues of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The NUMA node of its device, if it is on one.
    pub(super) node: Option<u32>,
    /// Queues that have an lcore by the configuration, with its place among the lcores.
    pub(super) explicit: Vec<(u16, usize)>,
    /// For each of its queues: who polls it now and may go on to; `None`: nobody.
    pub(super) now: Vec<Option<usize>>,
}

impl Wanted {
    fn explicit(&self, queue: usize) -> Option<usize> {
        let mut explicit = self.explicit.iter();
        let found = explicit.find(|(of, _)| usize::from(*of) == queue);
        found.map(|(_, lcore)| *lcore)
    }
}

/// Says for each queue of each port which shard polls it. `cpus` run the shards, and `nodes` are the NUMA
/// nodes of these; there is one shard at least. An lcore that is given queues polls no others, whichever
/// of its shards has them.
///
/// Who polls a queue goes on to, unless the configuration says otherwise of the queue or gives that lcore
/// others. The same arguments give the same answer.
pub(super) fn assign(cpus: &[u16], nodes: &[u32], ports: &[Wanted]) -> Vec<Vec<usize>> {
    let is_isolated = |lcore: &usize| {
        let mut explicit = ports.iter().flat_map(|port| &port.explicit);
        explicit.any(|(_, of)| cpus[*of] == cpus[*lcore])
    };
    let all: Vec<usize> = (0..nodes.len()).collect();
    let mut open: Vec<usize> = all.iter().copied().filter(|l| !is_isolated(l)).collect();
    if open.is_empty() {
        open = all;
    }
    let mut load = vec![0; nodes.len()];
    let mut placed: Vec<Vec<Option<usize>>> = Vec::new();
    for port in ports {
        let now = port.now.iter().enumerate().map(|(queue, now)| {
            let stays = now.filter(|lcore| open.contains(lcore));
            port.explicit(queue).or(stays)
        });
        let now: Vec<_> = now.collect();
        now.iter().flatten().for_each(|&lcore| load[lcore] += 1);
        placed.push(now);
    }
    for (port, placed) in ports.iter().zip(&mut placed) {
        let local = |lcore: &&usize| port.node.is_none_or(|node| nodes[**lcore] == node);
        let mut choice: Vec<usize> = open.iter().filter(local).copied().collect();
        if choice.is_empty() {
            choice.clone_from(&open);
        }
        for queue in 0..placed.len() {
            if placed[queue].is_some() {
                continue;
            }
            let of_this_port = |lcore| placed.iter().filter(|of| **of == Some(lcore)).count();
            let best = choice
                .iter()
                .copied()
                .min_by_key(|&lcore| (of_this_port(lcore), load[lcore], lcore));
            let best = best.expect("there is one lcore at least");
            load[best] += 1;
            placed[queue] = Some(best);
        }
    }
    let whole = |placed: Vec<Option<usize>>| placed.into_iter().flatten().collect();
    placed.into_iter().map(whole).collect()
}

/// The queue for each entry of a device's redirection table: one that the owner of what comes to that entry
/// polls, in turn if there are several; any, if there is none. `pollers` has who polls each queue, and
/// `owners` who owns each entry.
pub(super) fn redirect(pollers: &[usize], owners: impl Iterator<Item = usize>) -> Vec<u16> {
    let mut given = vec![0_usize; pollers.len()];
    let queue_for = |owner: usize| {
        let queues = || 0..pollers.len();
        let polled = queues().filter(|queue| pollers[*queue] == owner);
        let least = polled.min_by_key(|queue| given[*queue]);
        let queue = least.or_else(|| queues().min_by_key(|queue| given[*queue]));
        let queue = queue.expect("a device has a queue");
        given[queue] += 1;
        queue as u16
    };
    owners.map(queue_for).collect()
}

#[cfg(test)]
mod tests;
