//! `agora completions`: a script that a shell reads.

use clap::{Command, CommandFactory};

use crate::args::{Arguments, Completions};
use crate::failure::{DONE, Failure};
use crate::output::Output;

pub(crate) async fn run(args: &Completions, output: &mut Output) -> Result<u8, Failure> {
    let all = Arguments::command();
    // Nobody types what is hidden.
    let visible = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut offered = Command::new("agora").args(all.get_arguments().cloned()).subcommands(visible);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut offered, "agora", &mut script);
    // The end of the last line is added again.
    while script.last() == Some(&b'\n') {
        script.pop();
    }
    output.bytes(script).await?;
    Ok(DONE)
}
