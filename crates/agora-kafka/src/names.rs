//! What things are called on the servers.
