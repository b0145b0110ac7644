//! The binary: joins the configuration and management of `weir-config` with the lcores and
//! ports of `weir-pmd`, which do not know each other.

use std::process::ExitCode;

use clap::Parser;
use weir_config::cli::{Cli, Command};
use weir_config::verbs;
use weir_pmd::huge_pages::HugePages;

mod run;

#[global_allocator]
static ALLOCATOR: HugePages = HugePages;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(arguments) => run::run(arguments).into(),
        command => verbs::execute(command).into(),
    }
}
