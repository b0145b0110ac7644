//! Where programs run: a temporary folder with the captures of a scenario, and a folder of its own for each
//! run, so that none finds what another left.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::compare::{make_dir, temporary_dir};
use crate::contender::{Contender, Job, Placement, Running};
use crate::failure::Failure;
use crate::rate::{Plan, warm_up};
use crate::scenario::Scenario;

/// The folder; it goes with this.
pub(crate) struct Site<'a> {
    scenario: &'a Scenario,
    placement: &'a Placement,
    captures: [PathBuf; 2],
    dir: TempDir,
}

/// A contender at work, warmed up.
pub(crate) struct Run {
    pub(crate) running: Box<dyn Running>,
    /// Its folder.
    pub(crate) home: PathBuf,
}

impl<'a> Site<'a> {
    /// Writes the captures.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn of(scenario: &'a Scenario, placement: &'a Placement) -> Result<Self, Failure> {
        let dir = temporary_dir()?;
        Ok(Self {
            scenario,
            placement,
            captures: scenario.write_captures(dir.path())?,
            dir,
        })
    }

    /// Starts `contender` in the folder `name`, and lets it warm up.
    ///
    /// # Errors
    /// If it does not start, or does not forward.
    pub(crate) fn start(
        &self,
        contender: &dyn Contender,
        name: &str,
        plan: &Plan,
    ) -> Result<Run, Failure> {
        let home = self.dir.path().join(name);
        make_dir(&home)?;
        let [forward, reply] = self.captures.clone();
        let mut running = contender.start(&Job {
            scenario: self.scenario,
            forward,
            reply,
            placement: self.placement,
            dir: &home,
        })?;
        warm_up(&mut *running, self.scenario, plan)?;
        Ok(Run { running, home })
    }
}
