//! Real processes for the tests: each is this test program again, told by its environment to be a node.
// Each test program uses a part of it, and none is a library.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::print_stdout)]

pub mod bus_child;
pub mod child;
pub mod net;
pub mod node;
