//! What goes wrong, theme by theme.

mod broker;
mod flow;
mod groups;
mod logs;
mod members;
mod network;

use super::FaultCase;

/// Every case.
pub fn all() -> Vec<FaultCase> {
    [broker::CASES, network::CASES, flow::CASES, logs::CASES, groups::CASES, members::CASES].concat()
}

/// The cases of one theme: a function, on what it is played, what is seen.
macro_rules! fault_cases {
    ($($function:ident [$($on:ident),+] $seen:literal;)+) => {
        pub(super) const CASES: &[$crate::faults::FaultCase] = &[$($crate::faults::FaultCase {
            name: stringify!($function),
            on: &[$($crate::faults::On::$on),+],
            seen: $seen,
            run: |run| Box::pin($function(run)),
        }),+];
    };
}

use fault_cases;
