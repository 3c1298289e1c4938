//! Leaving and returning.

use super::*;

#[test]
fn a_leave_is_believed_at_once() {
    mesh(
        "0..2000   hear b
         0..9000   hear c
         2300      leave b",
        "0 joined b
         0 joined c
         2300 (left b)
         2300 left b",
    );
}

#[test]
fn a_leave_is_believed_while_verdicts_are_frozen() {
    mesh(
        "0     hear b
         100   link down
         200   leave b",
        "0 joined b
         200 (left b)
         200 left b",
    );
}

#[test]
fn what_is_heard_of_one_that_left_was_under_way() {
    mesh(
        "0      hear b
         500    leave b
         600    hear b
         800    leave b
         7000   end",
        "0 joined b
         500 (left b)
         500 left b",
    );
}

#[test]
fn a_leave_may_overtake_the_first_heartbeat() {
    mesh(
        "0      leave b
         100    hear b
         7000   end",
        "0 (left b)",
    );
}

#[test]
fn one_that_left_is_forgotten_after_ten_minutes() {
    mesh(
        "0        hear b
         1000     leave b
         600999   hear b
         601001   hear b",
        "0 joined b
         1000 (left b)
         1000 left b
         601001 joined b",
    );
}

#[test]
fn one_that_failed_and_is_heard_again_returns() {
    mesh(
        "0        hear b
         0..9000  hear c
         6000     hear b
         9000     end",
        "0 joined b
         0 joined c
         3000 suspected b
         5000 (failed b)
         5000 failed b
         6000 (returned b)
         6000 returned b
         9000 suspected b",
    );
}

#[test]
fn one_that_failed_may_still_say_goodbye() {
    mesh(
        "0        hear b
         0..6000  hear c
         6000     leave b
         6500     hear b",
        "0 joined b
         0 joined c
         3000 suspected b
         5000 (failed b)
         5000 failed b
         6000 (left b)
         6000 left b",
    );
}

#[test]
fn a_new_life_of_a_node_that_failed_is_a_return() {
    mesh(
        "0        hear b
         0..8000  hear c
         6000..8000 hear b2",
        "0 joined b
         0 joined c
         3000 suspected b
         5000 (failed b)
         5000 failed b
         6000 returned b2",
    );
}

#[test]
fn a_new_life_of_a_node_that_left_joins() {
    mesh(
        "0      hear b
         500    leave b
         1000   hear b2",
        "0 joined b
         500 (left b)
         500 left b
         1000 joined b2",
    );
}

#[test]
fn only_the_latest_life_decides_whether_the_next_is_a_return() {
    mesh(
        "0           hear b
         0..9000     hear c
         6000        hear b2
         6500        leave b2
         7000..9000  hear b3",
        "0 joined b
         0 joined c
         3000 suspected b
         5000 (failed b)
         5000 failed b
         6000 returned b2
         6500 (left b2)
         6500 left b2
         7000 joined b3",
    );
}
