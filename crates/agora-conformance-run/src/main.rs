//! `conformance`: the suite on the backends of this house. `cargo xtask conformance` builds and runs it.

use std::process::ExitCode;

use agora_conformance::suite::cli;

#[tokio::main]
async fn main() -> ExitCode {
    cli::main(agora_conformance_run::choices(), std::env::args().skip(1)).await
}
