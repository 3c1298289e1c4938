//! Clients of Kafka that share no code with each other: the Java one, `kcat` on librdkafka, one all of Python, and one
//! all of JavaScript.

use std::path::PathBuf;
use std::process::Command;

use crate::cache;
use crate::failure::Result;
use crate::fetch;
use crate::kafka::install;

/// The tools of the Java client. One release for all brokers: it is as compatible as any client.
const TOOLS: &str = "org.apache.kafka:kafka-tools:4.1.1";
/// `libsasl2-2` is missing on a small system.
const KCAT_PACKAGES: [&str; 4] = ["kcat", "librdkafka1", "libyajl2", "libsasl2-2"];
const PYTHON_WHEEL: &str = "kafka-python==3.0.12";
const NODE_PACKAGE: &str = "kafkajs@2.2.4";

/// `kafka-console-producer`: each line of its input is a record. `args` follow the address, such as
/// `["--topic", "t", "--property", "parse.key=true"]`.
///
/// # Errors
/// Where it cannot be fetched, or there is no Java.
pub fn java_producer(address: &str, args: &[&str]) -> Result<Command> {
    java_tool("org.apache.kafka.tools.ConsoleProducer", address, args)
}

/// `kafka-console-consumer`: each record is a line of its output. `args` follow the address, such as
/// `["--topic", "t", "--group", "g", "--from-beginning", "--max-messages", "1"]`.
///
/// # Errors
/// As [`java_producer`].
pub fn java_consumer(address: &str, args: &[&str]) -> Result<Command> {
    java_tool("org.apache.kafka.tools.consumer.ConsoleConsumer", address, args)
}

/// `kafka-consumer-groups`, such as with `["--describe", "--group", "g"]`.
///
/// # Errors
/// As [`java_producer`].
pub fn java_groups(address: &str, args: &[&str]) -> Result<Command> {
    java_tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", address, args)
}

fn java_tool(class: &str, address: &str, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(&install::java()?.path);
    // Its output is for records: what Java and the logger say goes elsewhere.
    command.args(crate::kafka::JAVA).env("CLASSPATH", tools_directory()?.join("*"));
    command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
    command.args([class, "--bootstrap-server", address]).args(args);
    Ok(command)
}

/// Has every client at hand, and tells where. Afterwards none of them needs a network.
///
/// # Errors
/// Where one cannot be fetched: with what to install.
pub fn fetch() -> Result<[(&'static str, PathBuf); 4]> {
    Ok([
        ("kafka-tools", tools_directory()?),
        ("kcat", kcat_directory()?),
        ("kafka-python", python_directory()?),
        ("kafkajs", node_directory()?),
    ])
}

fn tools_directory() -> Result<PathBuf> {
    let name = TOOLS.split(':').skip(1).collect::<Vec<_>>().join("-");
    cache::filled(&name, |into| fetch::maven(&[TOOLS, install::LOGGER], into))
}

fn kcat_directory() -> Result<PathBuf> {
    cache::filled("kcat", |into| fetch::debian(&KCAT_PACKAGES, into))
}

fn python_directory() -> Result<PathBuf> {
    cache::filled(&PYTHON_WHEEL.replace("==", "-"), |into| fetch::wheel(PYTHON_WHEEL, into))
}

fn node_directory() -> Result<PathBuf> {
    cache::filled(&NODE_PACKAGE.replace('@', "-"), |into| fetch::npm(NODE_PACKAGE, into))
}

/// `kcat`, such as with `["-b", address, "-C", "-t", "t", "-e"]`. Debian 12 has it with librdkafka 2.0, whose SCRAM is
/// refused by brokers that look at the whole nonce (CVE-2024-56128), as 3.9 and 4.1 do: it proves itself by PLAIN.
///
/// # Errors
/// Where it cannot be fetched.
pub fn kcat(args: &[&str]) -> Result<Command> {
    let directory = kcat_directory()?;
    let libraries = directory.join("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let mut command = Command::new(directory.join("usr/bin/kcat"));
    command.env("LD_LIBRARY_PATH", libraries).args(args);
    Ok(command)
}

/// Python, with a script that may `import kafka` (kafka-python) and finds `args` from `sys.argv[1]` on.
///
/// # Errors
/// Where the client cannot be fetched.
pub fn python(script: &str, args: &[&str]) -> Result<Command> {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", python_directory()?).args(["-u", "-c", script]).args(args);
    Ok(command)
}

/// Node, with a script that may `require('kafkajs')` and finds `args` from `process.argv[1]` on.
///
/// # Errors
/// Where the client cannot be fetched.
pub fn node(script: &str, args: &[&str]) -> Result<Command> {
    let mut command = Command::new("node");
    command.env("NODE_PATH", node_directory()?.join("node_modules"));
    // A warning to all who come from an older release, in the midst of the output.
    command.env("KAFKAJS_NO_PARTITIONER_WARNING", "1");
    command.args(["-e", script, "--"]).args(args);
    Ok(command)
}
