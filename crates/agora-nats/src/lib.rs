//! agora over NATS.
