//! Hints.

use super::*;

#[test]
fn a_hint_suspects_at_once_and_shortens_the_deadline() {
    mesh(
        "0..2000  hear b
         0..9000  hear c
         2100     gone b",
        "0 joined b
         0 joined c
         2100 suspected b
         3600 (failed b)
         3600 failed b",
    );
}

#[test]
fn a_hint_never_lengthens_the_deadline() {
    mesh(
        "0        hear b
         0..9000  hear c
         4500     gone b",
        "0 joined b
         0 joined c
         3000 suspected b
         5000 (failed b)
         5000 failed b",
    );
}

#[test]
fn a_second_hint_does_not_put_off_the_first() {
    mesh(
        "0..2000        hear b
         0..9000        hear c
         2100..9000/500 gone b",
        "0 joined b
         0 joined c
         2100 suspected b
         3600 (failed b)
         3600 failed b",
    );
}

#[test]
fn a_heartbeat_refutes_a_hint() {
    mesh(
        "0..9000  hear b c
         2100     gone b",
        "0 joined b
         0 joined c
         2100 suspected b
         3000 recovered b",
    );
}

#[test]
fn seen_takes_a_hint_back_and_proves_nothing_else() {
    mesh(
        "0..2000  hear b
         0..9000  hear c
         2100     gone b
         2500     seen b
         5500     seen b",
        "0 joined b
         0 joined c
         2100 suspected b
         2500 recovered b
         5000 suspected b
         7000 (failed b)
         7000 failed b",
    );
}

#[test]
fn seen_does_not_end_a_suspicion_that_silence_raised() {
    mesh(
        "0        hear b
         0..6000  hear c
         3500     gone b
         4000     seen b",
        "0 joined b
         0 joined c
         3000 suspected b
         5000 (failed b)
         5000 failed b",
    );
}

#[test]
fn a_hint_is_not_believed_if_nobody_is_heard_after_it() {
    // The link to b breaks a moment before those to c and d: it is one's own.
    mesh(
        "0..2000  hear b c d
         2100     gone b
         9000     end",
        "0 joined b
         0 joined c
         0 joined d
         2100 suspected b
         5000 suspected c
         5000 suspected d
         7000 isolated from b c d of 3",
    );
}

#[test]
fn a_hint_is_not_believed_if_nobody_was_heard_before_it() {
    // A cut from 0 to 2600 in which the lease of b ran out first. c and d come back at once, b a little later.
    mesh(
        "0           hear b c d
         2500        gone b
         2700..9700  hear c d
         4300..9300  hear b",
        "0 joined b
         0 joined c
         0 joined d
         3000 suspected b
         4300 recovered b",
    );
}

#[test]
fn hints_about_most_at_once_are_about_oneself() {
    // Every connection is reset at once; c and d are back before the grace of b ends, and prove nothing against b.
    mesh(
        "0..2000     hear b c d
         2100        gone b c d
         3000..9000  hear c d
         4900..9000  hear b",
        "0 joined b
         0 joined c
         0 joined d
         2100 suspected b
         2100 suspected c
         2100 suspected d
         3000 recovered c
         3000 recovered d
         4900 recovered b",
    );
}

#[test]
fn a_hint_does_not_bypass_isolation() {
    mesh(
        "0..2000  hear b c
         8000     gone b c
         20000    end",
        "0 joined b
         0 joined c
         5000 suspected b
         5000 suspected c
         7000 isolated from b c of 2",
    );
}

#[test]
fn a_hint_between_two_nodes_is_no_proof() {
    mesh(
        "0..2000  hear b
         2100     gone b
         20000    end",
        "0 joined b
         5000 suspected b
         7000 isolated from b of 1",
    );
}

#[test]
fn a_hint_does_not_bypass_a_link_that_is_down_or_an_echo_that_is_missing() {
    mesh(
        "0..2000     hear b c
         2100        link down
         2200        gone b
         2300        link up
         3000..6000  hear c
         6000        hear b",
        "0 joined b
         0 joined c
         5300 suspected b
         6000 recovered b",
    );
    server(
        "0..2000      hear a b c
         4000         gone b
         20000..22000 hear a c b",
        "0 joined b
         0 joined c",
    );
}

#[test]
fn a_hint_is_believed_when_an_echo_comes_after_it() {
    server(
        "0..2000  hear a b
         3000     hear a
         2100     gone b
         4000     end",
        "0 joined b
         2100 suspected b
         3600 (failed b)
         3600 failed b",
    );
    server(
        "0..2000     hear a b
         2100        gone b
         3900..9000  hear a",
        "0 joined b
         2100 suspected b
         7000 (failed b)
         7000 failed b",
    );
}
