//! The project's own chores: `cargo xtask COMMAND`.
//!
//! One file per command. Each says what it runs before it runs it, so that every step can be repeated by hand,
//! and nothing here installs anything on the machine: what is missing is named, with the way to get it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what these commands are for")]

mod bench;
mod ci;
mod conformance;
mod deny;
mod features;
mod mutants;
mod network;
mod run;
mod services;
mod sim;
mod summary;
mod test;
mod tidy;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every test of the workspace, documentation examples included, and print one total
    Test(test::Args),
    /// Run everything that a change must pass: formatting, lints, documentation, features, dependencies, tests
    Ci(ci::Args),
    /// Check the project's own rules: sizes of files, banned words, links, mutants
    Tidy,
    /// Simulate whole clusters under scripted faults, from seeds
    Sim(sim::Args),
    /// Run the suite that every backend must pass
    Conformance(conformance::Args),
    /// Break the engine on purpose, one patch at a time, and demand that a test notices
    Mutants(mutants::Args),
    /// Start, end and list servers for people: NATS, Redis, Valkey, Kafka
    Services(services::Args),
    /// Measure
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test(args) => test::run(&args),
        Command::Ci(args) => ci::run(&args),
        Command::Tidy => tidy::run(),
        Command::Sim(args) => sim::run(&args),
        Command::Conformance(args) => match conformance::run(&args) {
            Ok(code) => return code,
            Err(failure) => Err(failure),
        },
        Command::Mutants(args) => mutants::run(&args),
        Command::Services(args) => services::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
