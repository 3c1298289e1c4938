//! agora over Redis and Valkey.
