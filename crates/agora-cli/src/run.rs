//! One run of the command line, from its arguments to its exit code.

use std::ffi::{OsStr, OsString};

use agora::{Error, ErrorKind};
use clap::Parser;
use clap::error::ErrorKind as ClapKind;

use crate::args::{Arguments, Command};
use crate::failure::{DONE, Failure, NEGATIVE, USAGE};
use crate::io::Io;
use crate::output::Output;
use crate::{commands, logging};

/// Does what the arguments say, and returns the exit code. The first argument is the program's name.
///
/// Codes: 0 done; 1 a negative answer, or a count that was not reached; 2 usage or configuration; 3 unreachable;
/// 4 unsupported; 5 outcome unknown; 130 interrupted.
///
/// # Cancel safety
/// Dropped before it returns, a node that has joined has crashed, as far as the others can tell.
pub async fn run(args: impl IntoIterator<Item = OsString>, io: Io) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let Io { stdin, stdout, stderr, stdin_is_terminal, color, url, mut interrupt, reader_gone, logging } = io;
    let parsed = Arguments::try_parse_from(&args);
    let json = match &parsed {
        Ok(arguments) => arguments.global.json,
        Err(_) => args.iter().any(|arg| arg == OsStr::new("--json")),
    };
    let Ok(mut output) = Output::new(stdout, stderr, reader_gone, json) else { return NEGATIVE };
    let Arguments { mut global, command } = match parsed {
        Ok(arguments) => arguments,
        Err(error) => return not_parsed(&error, output, color).await,
    };
    if logging {
        logging::start(global.verbose, color);
    }
    let url_was_given = global.url.is_some();
    global.url = global.url.or(url);
    let result = match command {
        Command::Node(node) => commands::node::run(&global, node, &mut output, &mut interrupt).await,
        Command::Publish(publish) => {
            let input = commands::publish::Input { stdin, is_terminal: stdin_is_terminal };
            commands::publish::run(&global, publish, input, &mut output, &mut interrupt).await
        }
        Command::Subscribe(subscribe) => {
            commands::subscribe::run(&global, subscribe, &mut output, &mut interrupt).await
        }
        Command::Members(members) => {
            commands::members::run(&global, members, &mut output, &mut interrupt).await
        }
        #[cfg(unix)]
        Command::Demo(demo) => {
            // The variable says where the real cluster is; the demo plays on its own unless it is told otherwise.
            global.url = global.url.filter(|_| url_was_given);
            crate::demo::run(&global, &demo, color, &mut output, &mut interrupt).await
        }
        #[cfg(unix)]
        Command::DemoNode(node) => crate::demo::run_node(&global, &node, stdin, &mut output).await,
        #[cfg(not(unix))]
        Command::Demo(_) => {
            let _ = (url_was_given, color);
            Err(Failure::Error(Error::unsupported(
                "the demo on this system: it stops and kills processes by Unix signals",
                "run it on Linux, macOS or another Unix",
            )))
        }
    };
    end(result, output).await
}

async fn end(result: Result<u8, Failure>, mut output: Output) -> u8 {
    let result = match (result, output.finish().await) {
        // What is wrong with the output explains the rest.
        (Ok(_) | Err(Failure::OutputClosed), Err(failure)) => Err(failure),
        (result, _) => result,
    };
    match &result {
        Err(Failure::Error(error)) => output.error(error),
        Err(Failure::Output(cause)) => output.error(&cannot_write(cause)),
        _ => {}
    }
    result.unwrap_or_else(|failure| failure.exit())
}

fn cannot_write(cause: &std::io::Error) -> Error {
    Error::new(ErrorKind::Config, "the output cannot be written").source(cause.to_string())
}

/// Help, the version, or what is wrong with the arguments.
async fn not_parsed(error: &clap::Error, mut output: Output, color: bool) -> u8 {
    let styled = error.render();
    let text = if color { styled.ansi().to_string() } else { styled.to_string() };
    let text = text.trim_end();
    match error.kind() {
        ClapKind::DisplayHelp | ClapKind::DisplayVersion => {
            let shown = output.line(text.to_owned()).await.map(|()| DONE);
            end(shown, output).await
        }
        ClapKind::DisplayHelpOnMissingArgumentOrSubcommand if output.json() => {
            output.error(&Error::new(ErrorKind::Config, "no command was given").help("see `agora --help`"));
            USAGE
        }
        _ if !output.json() => {
            output.plain_error(text);
            USAGE
        }
        _ => {
            let plain = styled.to_string();
            // What is wrong stands before the first empty line; usage and tips come after it.
            let wrong: Vec<&str> = plain.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let wrong = wrong.join(" ");
            let message = wrong.strip_prefix("error: ").unwrap_or(&wrong).to_owned();
            let error = Error::new(ErrorKind::Config, message).help("see `agora --help`");
            output.error(&error);
            USAGE
        }
    }
}
