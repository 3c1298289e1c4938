//! What `agora publish` takes.

use std::time::Duration;

use clap::Args;

use crate::duration;

/// The most bytes of a body that is made up.
const SIZE_MAX: u64 = agora::core::limits::BODY_BYTES_MAX as u64;
/// The fastest rate, in events a second.
const RATE_MAX: f64 = 1e6;
/// The slowest: one event a day.
const RATE_MIN: f64 = 1.0 / 86_400.0;

/// `agora publish`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Without --kind the data is plain bytes. See --help for the built-in kinds and their fields.",
          after_long_help = crate::kinds::help())]
pub(crate) struct Publish {
    /// The topic, such as stwt.agora
    pub(crate) topic: String,
    /// The data; `-`, or nothing, reads the standard input to its end
    #[arg(allow_hyphen_values = true)]
    pub(crate) data: Option<String>,
    /// The topic is a log: the backend keeps what is published on it
    #[arg(long)]
    pub(crate) log: bool,
    /// The messages of the topic are plain payloads, for software that knows nothing of agora
    #[arg(long, conflicts_with = "kind")]
    pub(crate) raw: bool,
    /// The kind of the event: a built-in one takes its fields as JSON [default: agora.bytes]
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// The key of plain bytes; a built-in event has a key of its own
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Publish one event for each line of the standard input
    #[arg(long, conflicts_with_all = ["data", "count", "size"])]
    pub(crate) lines: bool,
    /// Publish one event for each JSON object of the standard input, one a line, as `subscribe --json` prints them
    #[arg(long, conflicts_with_all = ["data", "count", "size", "lines"])]
    pub(crate) ndjson: bool,
    /// How often to publish it
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: u64,
    /// Publish so many events a second, such as 100 or 0.5 [default: as fast as they are taken]
    #[arg(long, value_name = "R", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Publish bodies of so many bytes, instead of data
    #[arg(long, value_name = "B", conflicts_with_all = ["data", "kind"], value_parser = clap::value_parser!(u64).range(..=SIZE_MAX))]
    pub(crate) size: Option<u64>,
    /// How long to look for somebody who could hear it, before it is published
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration::parse)]
    pub(crate) wait: Duration,
    /// How long the publishing of an event may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    pub(crate) timeout: Duration,
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse::<f64>() {
        Ok(rate) if (RATE_MIN..=RATE_MAX).contains(&rate) => Ok(rate),
        _ => {
            Err("events a second, such as 100, 100/s or 0.5: at most 1000000, at least one a day".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_of_events_a_second() {
        for (text, expected) in [("100", 100.0), ("100/s", 100.0), ("0.5", 0.5), ("1e3", 1000.0)] {
            assert_eq!(rate(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "-1", "100/m", "inf", "NaN", "1e7", "/s"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
