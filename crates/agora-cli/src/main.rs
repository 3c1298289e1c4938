//! The binary `agora`: real arguments, streams and signals around [`agora_cli::run`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "there is nothing else to say it with")]
            {
                eprintln!("error: no runtime could be started: {error}");
            }
            return ExitCode::from(1);
        }
    };
    let code = runtime.block_on(async {
        let io = agora_cli::Io::of_process();
        // Every command is in it, and it is too large for a stack.
        Box::pin(agora_cli::run(std::env::args_os(), io, agora_cli::Connector::by_url())).await
    });
    // A read of the standard input that nobody waits for any more must not hold the process.
    runtime.shutdown_background();
    ExitCode::from(code)
}
