//! Whom a request is for.

use super::Kind;

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// Whoever answers.
    Any,
    /// The broker of this id.
    Node(i32),
    /// The controller. A broker of Kafka passes on to it what is its business.
    Controller,
    /// The leader of a partition of a topic, by its name on the server.
    Leader(&'a str, i32),
    /// The coordinator of a group or of a transactional id, by its name on the server.
    Coordinator(Kind, &'a str),
}
