//! One run of the command line, from its arguments to its exit code.

use std::ffi::{OsStr, OsString};

use agora::{Error, ErrorKind};
use clap::Parser;
use clap::error::ErrorKind as ClapKind;
use tokio::io::AsyncRead;

use crate::args::{Arguments, Command, Global};
use crate::connector::Connector;
use crate::failure::{DONE, Failure, NEGATIVE, USAGE};
use crate::io::{Input, Interrupt, Io};
use crate::output::Output;
use crate::{commands, configured, logging};

/// Does what the arguments say, and returns the exit code. The first argument is the program's name; `bus` says where
/// the commands get their bus.
///
/// Codes: 0 done; 1 a negative answer, or a count that was not reached; 2 usage or configuration; 3 unreachable;
/// 4 unsupported; 5 outcome unknown; 130 interrupted.
///
/// # Cancel safety
/// Dropped before it returns, a node that has joined has crashed, as far as the others can tell.
pub async fn run(args: impl IntoIterator<Item = OsString>, io: Io, bus: Connector) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let Io { stdin, stdout, stderr, stdin_is_terminal, stderr_is_terminal, color, environment, .. } = io;
    let Io { interrupt, reader_gone, logging, .. } = io;
    let parsed = Arguments::try_parse_from(&args);
    let json = match &parsed {
        Ok(arguments) => arguments.global.json,
        Err(_) => args.iter().any(|arg| arg == OsStr::new("--json")),
    };
    let Ok(mut output) = Output::new(stdout, stderr, reader_gone, json, stderr_is_terminal) else {
        return NEGATIVE;
    };
    let Arguments { mut global, command } = match parsed {
        Ok(arguments) => arguments,
        Err(error) => return not_parsed(&error, output, color).await,
    };
    if logging {
        logging::start(global.verbose, color);
    }
    global.bus = bus;
    let surroundings = Surroundings { stdin, stdin_is_terminal, color, environment, interrupt };
    let result = dispatch(global, command, surroundings, &mut output).await;
    end(result, output).await
}

/// What surrounds a command, beside its output.
struct Surroundings {
    stdin: Box<dyn AsyncRead + Send + Unpin>,
    stdin_is_terminal: bool,
    color: bool,
    environment: Vec<(OsString, OsString)>,
    interrupt: Interrupt,
}

async fn dispatch(
    mut global: Global,
    command: Command,
    around: Surroundings,
    output: &mut Output,
) -> Result<u8, Failure> {
    let Surroundings { stdin, stdin_is_terminal, color, environment, mut interrupt } = around;
    let input = Input { stdin, is_terminal: stdin_is_terminal };
    // What plays on its own, or is told nothing, is not told by files and variables either.
    match command {
        Command::Completions(completions) => return commands::completions::run(&completions, output).await,
        Command::Config(config) => {
            return commands::config::run(&global, &config, &environment, color, output).await;
        }
        Command::Doctor(doctor) => {
            return commands::doctor::run(global, doctor, &environment, color, output, &mut interrupt).await;
        }
        #[cfg(unix)]
        Command::Demo(demo) => return crate::demo::run(&global, &demo, color, output, &mut interrupt).await,
        #[cfg(unix)]
        Command::DemoNode(node) => return crate::demo::run_node(&global, &node, input.stdin, output).await,
        #[cfg(not(unix))]
        Command::Demo(_) => {
            return Err(Failure::Error(Error::unsupported(
                "the demo on this system: it stops and kills processes by Unix signals",
                "run it on Linux, macOS or another Unix",
            )));
        }
        _ => {}
    }
    let member = matches!(command, Command::Node(_));
    global.config = configured::load(&global, &environment, member)?;
    global.connect_timeout = global.config.model().connect_timeout;
    let (global, interrupt) = (&global, &mut interrupt);
    match command {
        Command::Node(args) => commands::node::run(global, args, output, interrupt).await,
        Command::Publish(args) => commands::publish::run(global, args, input, output, interrupt).await,
        Command::Subscribe(args) => commands::subscribe::run(global, args, input, output, interrupt).await,
        Command::Members(args) => commands::members::run(global, args, output, interrupt).await,
        Command::Peek(args) => commands::peek::run(global, args, output, interrupt).await,
        Command::Topics(args) => commands::topics::run(global, args, input, output, interrupt).await,
        Command::Groups(args) => commands::groups::run(global, args, input, output, interrupt).await,
        Command::Lag(args) => commands::lag::run(global, args, output, interrupt).await,
        // Done above.
        _ => Ok(DONE),
    }
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
