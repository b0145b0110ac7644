//! `cargo run --release -p weir-perf -- COMMAND`

use std::alloc::System;
use std::process::ExitCode;

use clap::Parser;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use weir_perf::micro::Meter;

mod cli;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    match cli::Cli::parse().command.execute() {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("weir-perf: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Counts the allocations of this program.
fn meter() -> Meter {
    Meter::new(|| {
        let stats = ALLOCATOR.stats();
        (stats.allocations + stats.reallocations) as u64
    })
}
