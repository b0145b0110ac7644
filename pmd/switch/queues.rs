//! Which lcore polls which receive queue of which port, and sends on which.
//!
//! A port gets a receive queue for each lcore, or as many as its device has or its configuration says; queue `n` is polled by
//! the same lcore at all ports that have one for each. Queues of ports that have fewer are dealt out
//! in turn, so that no lcore polls all of them. Which lcore a packet then belongs to is another
//! matter: a queue only says who looks at it first.

use weir_tables::port::PortIndex;

use crate::eal::Eal;
use crate::mempool::Mempools;
use crate::port::{Port, PortConfig, PortError, StartedPort};
use crate::queue::{RxQueue, TxQueue};
use crate::worker::WorkerPort;

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

/// Deals out queues.
pub(super) struct Deal {
    lcores: usize,
    /// Who gets the next queue of a port that has not one for each.
    next: usize,
}

impl Deal {
    pub(super) const fn new(lcores: usize) -> Self {
        Self { lcores, next: 0 }
    }

    /// Deals out the queues of the port at `index`: what each lcore gets.
    pub(super) fn out(
        &mut self,
        index: PortIndex,
        rx: Vec<RxQueue>,
        tx: Vec<TxQueue>,
    ) -> Vec<WorkerPort> {
        let pollers = self.pollers(rx.len());
        let ports = tx.into_iter().map(|tx| WorkerPort {
            index,
            rx: Vec::new(),
            tx: Some(tx),
        });
        // A driver may have made more queues than were asked for.
        let mut ports: Vec<_> = ports.take(self.lcores).collect();
        for (queue, lcore) in rx.into_iter().zip(pollers) {
            ports[lcore].rx.push(queue);
        }
        ports
    }

    /// Who polls each of so many queues of one port.
    fn pollers(&mut self, queues: usize) -> Vec<usize> {
        if queues >= self.lcores {
            return (0..queues).map(|queue| queue % self.lcores).collect();
        }
        let first = self.next;
        self.next = (first + queues) % self.lcores;
        (0..queues)
            .map(|queue| (first + queue) % self.lcores)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lcore_polls_a_queue_of_a_port_that_has_enough() {
        let mut deal = Deal::new(3);
        assert_eq!(deal.pollers(3), [0, 1, 2]);
        assert_eq!(deal.pollers(3), [0, 1, 2]);
        assert_eq!(deal.pollers(4), [0, 1, 2, 0]);
    }

    #[test]
    fn queues_of_ports_that_have_fewer_are_dealt_out_in_turn() {
        let mut deal = Deal::new(3);
        assert_eq!(deal.pollers(1), [0]);
        assert_eq!(deal.pollers(2), [1, 2]);
        assert_eq!(deal.pollers(3), [0, 1, 2], "the turn is not taken by those");
        assert_eq!(deal.pollers(1), [0]);
        assert_eq!(deal.pollers(1), [1]);
    }

    #[test]
    fn one_lcore_polls_all() {
        let mut deal = Deal::new(1);
        assert_eq!(deal.pollers(1), [0]);
        assert_eq!(deal.pollers(4), [0, 0, 0, 0]);
    }
}
