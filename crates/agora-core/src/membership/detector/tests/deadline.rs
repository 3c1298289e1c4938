//! The deadline of a member.

use super::*;

#[test]
fn silence_is_suspected_then_failed() {
    mesh(
        "0..2000  hear b
         0..9000  hear c",
        "0 joined b
         0 joined c
         5000 suspected b
         7000 (failed b)
         7000 failed b",
    );
}

#[test]
fn a_heartbeat_ends_a_suspicion() {
    mesh(
        "0        hear b
         3500     hear b
         0..7000  hear c",
        "0 joined b
         0 joined c
         3000 suspected b
         3500 recovered b
         6500 suspected b",
    );
}

#[test]
fn a_heartbeat_at_the_deadline_is_in_time() {
    mesh(
        "0        hear b
         5000     hear b
         0..7000  hear c",
        "0 joined b
         0 joined c
         3000 suspected b
         5000 recovered b",
    );
}

#[test]
fn each_member_has_its_own_deadline() {
    mesh(
        "0..9000  hear c d
         0        hear b
         700      hear e",
        "0 joined c
         0 joined d
         0 joined b
         700 joined e
         3000 suspected b
         3700 suspected e
         5000 (failed b)
         5000 failed b
         5700 (failed e)
         5700 failed e",
    );
}

#[test]
fn a_new_tag_is_a_change_and_the_same_again_is_not() {
    mesh(
        "0     hear b
         1000  hear b
         2000  retag b",
        "0 joined b
         2000 changed b",
    );
}
