//! The log, on the standard error.

use tracing_subscriber::EnvFilter;

/// What is logged: warnings of agora by default, and more with each `-v`.
pub(crate) fn filter(verbose: u8) -> &'static str {
    match verbose {
        0 => "off,agora=warn,agora_core=warn,agora_nats=warn,agora_redis=warn,agora_zenoh=warn",
        1 => {
            "warn,agora=info,agora_core=info,agora_nats=info,agora_redis=info,agora_zenoh=info,\
             async_nats=error,redis=error,zenoh=error"
        }
        2 => {
            "info,agora=debug,agora_core=debug,agora_nats=debug,agora_redis=debug,agora_zenoh=debug,\
             async_nats=warn,redis=warn,zenoh=warn"
        }
        _ => "debug,agora=trace,agora_core=trace,agora_nats=trace,agora_redis=trace,agora_zenoh=trace",
    }
}

/// Sets the process's logger. Where there is one already, it stays.
pub(crate) fn start(verbose: u8, color: bool) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter(verbose)))
        .with_writer(std::io::stderr)
        .with_ansi(color);
    drop(log.try_init());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_can_be_read() {
        for verbose in 0..=4 {
            EnvFilter::try_new(filter(verbose)).unwrap();
        }
    }
}
