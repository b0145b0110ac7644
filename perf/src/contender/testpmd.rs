//! DPDK's own forwarder, which only moves frames: the ceiling.

use crate::captures::Direction;
use crate::daemon::Daemon;
use crate::failure::Failure;
use crate::scenario::{Play, Scenario, policy};
use crate::telemetry::Telemetry;

use super::{Busy, Contender, Evidence, Job, PortCount, Running, find};

/// `dpdk-testpmd` in one of its modes.
#[derive(Clone, Copy, Debug)]
pub struct Testpmd(pub ForwardMode);

/// What testpmd does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardMode {
    /// Nothing.
    Io,
    /// It swaps source and destination address.
    MacSwap,
}

impl ForwardMode {
    const fn name(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::MacSwap => "macswap",
        }
    }
}

impl Contender for Testpmd {
    fn name(&self) -> String {
        format!("testpmd {}", self.0.name())
    }

    fn can(&self, scenario: &Scenario) -> bool {
        match self.0 {
            // It is the ceiling of whatever is done besides.
            ForwardMode::Io => true,
            ForwardMode::MacSwap => scenario.policy.name == policy::L2_REWRITE.name,
        }
    }

    fn start(&self, job: &Job<'_>) -> Result<Box<dyn Running>, Failure> {
        let prefix = job.file_prefix("testpmd");
        // Lcore 0 only waits for the end.
        let workers = job.placement.workers();
        let lcores = (1..)
            .zip(&workers)
            .map(|(lcore, cpu)| format!(",{lcore}@{cpu}"));
        let lcores: String = lcores.collect();
        let mut arguments = vec![
            format!("--lcores=0@{}{lcores}", job.placement.main_cpu),
            "--main-lcore=0".to_owned(),
            "--no-pci".to_owned(),
            format!("--file-prefix={prefix}"),
            format!(
                "--vdev=net_pcap0,{}",
                job.device_arguments(Direction::Forward)
            ),
            format!(
                "--vdev=net_pcap1,{}",
                job.device_arguments(Direction::Reply)
            ),
        ];
        arguments.extend(job.memory_arguments(job.memory_mb()));
        arguments.extend([
            "--".to_owned(),
            format!("--forward-mode={}", self.0.name()),
            format!("--nb-cores={}", workers.len()),
            format!("--rxq={}", workers.len()),
            format!("--txq={}", workers.len()),
            "--no-flush-rx".to_owned(),
            format!("--total-num-mbufs={}", job.buffers()),
        ]);
        let endless = job.scenario.play == Play::Endless;
        if !endless {
            // It is not to begin before somebody looks, and counts cycles if asked to.
            arguments.extend(["-i", "--record-core-cycles"].map(str::to_owned));
        }
        let mut daemon = Daemon::start(&find("dpdk-testpmd", "dpdk-dev")?, job.dir, &arguments)?;
        let path = Telemetry::path(&prefix);
        let telemetry = daemon.wait_until("forwarding", || {
            let mut telemetry = Telemetry::connect(&path).ok()?;
            let sent = telemetry.port(1).ok()?.sent;
            (sent > 0 || !endless).then_some(telemetry)
        })?;
        if !endless {
            daemon.say("start")?;
        }
        Ok(Box::new(RunningTestpmd { daemon, telemetry }))
    }
}

struct RunningTestpmd {
    daemon: Daemon,
    telemetry: Telemetry,
}

impl Running for RunningTestpmd {
    fn process(&self) -> u32 {
        self.daemon.id()
    }

    fn version(&self) -> &str {
        &self.telemetry.version
    }

    fn ports(&mut self) -> Result<[PortCount; 2], Failure> {
        Ok([self.telemetry.port(0)?, self.telemetry.port(1)?])
    }

    fn evidence(&mut self) -> Result<Evidence, Failure> {
        Ok(Evidence::default())
    }

    fn busy(&mut self) -> Result<Busy, Failure> {
        // What it prints to a file comes when it ends.
        self.daemon.say("stop")?;
        self.daemon.say("quit")?;
        let text = self.daemon.last_words()?;
        busy(&text).ok_or_else(|| self.daemon.failure("does not say what it did"))
    }
}

/// `CPU cycles/packet=26.42 (total cycles=26420000 / total RX packets=1000000) at 2600 MHz Clock`
fn busy(text: &str) -> Option<Busy> {
    let (_, rest) = text.split_once("CPU cycles/packet=")?;
    let number = |key: &str| {
        let (_, rest) = rest.split_once(key)?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    Some(Busy {
        packets: number("packets=")?,
        cycles: number("total cycles=")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_read() {
        let text = "testpmd> stop\n  CPU cycles/packet=26.42 (total cycles=26420000 / total io \
                    packets=1000000) at 2600 MHz Clock\nBye...\n";
        let expected = Busy {
            packets: 1_000_000,
            cycles: 26_420_000,
        };
        assert_eq!(busy(text), Some(expected));
        assert_eq!(busy("Bye..."), None);
    }
}
