//! `services`: servers for people, and the servers of the tests fetched beforehand. Behind `cargo xtask services`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this program is for")]

use std::process::ExitCode;

use agora_testbed::services::{self, Service, USUAL};
use agora_testbed::{Failure, Program, Result, clients};

const USAGE: &str = "services up|down|status|fetch";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("up") => up().await,
        Some("down") => down().await,
        Some("status") => status(),
        Some("fetch") => fetch(),
        _ => Err(Failure::new(format!("usage: {USAGE}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn up() -> Result {
    let directory = services::directory();
    let mut failures = Vec::new();
    for service in USUAL {
        match service.up(&directory).await {
            Ok(is_new) => {
                let state = if is_new { "started" } else { "was up already" };
                println!("{:<7} {:<25} {state}", service.name, service.url());
            }
            Err(failure) => failures.push(failure.to_string()),
        }
    }
    println!("\nTheir data and logs: {}", directory.display());
    println!(
        "Look into one:       cargo run -q -p agora-cli --all-features -- doctor --url {}",
        USUAL[0].url()
    );
    println!(
        "See it at work:      cargo run -q -p agora-cli --all-features -- demo --url {}",
        USUAL[0].url()
    );
    println!("End them:            cargo xtask services down");
    if failures.is_empty() { Ok(()) } else { Err(Failure::new(failures.join("\nerror: "))) }
}

async fn down() -> Result {
    for service in USUAL {
        let did_run = service.down(&services::directory()).await?;
        println!("{:<7} {}", service.name, if did_run { "ended" } else { "was not up" });
    }
    Ok(())
}

fn status() -> Result {
    for service in USUAL {
        println!("{:<7} {:<25} {}", service.name, service.url(), state_of(&service)?);
    }
    Ok(())
}

fn state_of(service: &Service) -> Result<String> {
    Ok(match service.running(&services::directory())? {
        Some(id) => format!("up, process {id}"),
        None => "down".to_owned(),
    })
}

/// Finds or fetches every server, and the clients of other languages: afterwards tests need no network.
fn fetch() -> Result {
    for program in Program::ALL {
        let found = program.find()?;
        let (major, minor) = found.version;
        println!("{:<21} {major}.{minor:<4} {}", program.file(), found.path.display());
    }
    let nats = ("nats-py", clients::nats_py()?);
    for (name, path) in clients::kafka::fetch()?.into_iter().chain([nats]) {
        println!("{name:<21} {:<6} {}", "", path.display());
    }
    Ok(())
}
