//! Logs and live topics on a real broker.
