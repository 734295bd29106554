//! `cargo xtask`: everything a developer does.

mod agent;
mod bench;
mod cache;
mod command;
mod console;
mod demo;
mod fuzz;
mod lab;
mod notices;
mod package;
mod paths;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Everything a developer of pptpscope does.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what a fresh Debian machine with rustup lacks. Every other task does this for itself.
    Setup,
    /// Build the agent: one static program that runs on any kernel of the lab.
    Build,
    /// Build the agent and run it on this machine, with sudo where needed.
    Run {
        /// Arguments of `pptpscope run`, after `--`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Boot the lab once and watch the agent: a healthy call, then broken ones.
    Demo(demo::Arguments),
    /// A real VPN in a virtual machine: play scenarios and judge what the agent says.
    Lab {
        #[command(subcommand)]
        task: lab::Task,
    },
    /// Measure.
    Bench {
        #[command(subcommand)]
        task: bench::Task,
    },
    /// Throw random input at decoders, readers and correlator.
    Fuzz(fuzz::Arguments),
    /// Make the Debian package and check it.
    Package(package::Arguments),
    /// Format, lints, unit tests, native tests, lab scenarios, schema.
    Test(test::Arguments),
}

/// Exit codes: 0 all well, 1 something that was checked is not as it should be, 2 the task could not
/// be done.
fn main() -> ExitCode {
    console::start();
    let done = match Arguments::parse().task {
        Task::Setup => setup::everything().map(|()| true),
        Task::Build => agent::build(agent::Profile::Release).map(|path| {
            println!("{}", path.display());
            true
        }),
        Task::Run { arguments } => agent::run(&arguments),
        Task::Demo(arguments) => demo::demo(&arguments),
        Task::Lab { task } => lab::task(task),
        Task::Bench { task } => bench::bench(&task),
        Task::Fuzz(arguments) => fuzz::fuzz(&arguments),
        Task::Package(arguments) => package::package(&arguments),
        Task::Test(arguments) => test::test(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            console::error(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}
