//! `agora completions`: a script that a shell reads.

use clap::CommandFactory;

use crate::args::{Arguments, Completions};
use crate::failure::{DONE, Failure};
use crate::output::Output;

pub(crate) async fn run(args: &Completions, output: &mut Output) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "agora", &mut script);
    // The end of the last line is added again.
    while script.last() == Some(&b'\n') {
        script.pop();
    }
    output.bytes(script).await?;
    Ok(DONE)
}
