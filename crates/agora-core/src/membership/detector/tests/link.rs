//! One's own link.

use super::*;

#[test]
fn a_link_that_is_down_freezes_every_verdict_and_up_restarts_every_deadline() {
    mesh(
        "0..1000       hear b c
         900           link down
         2500          link up
         3000..12000   hear c",
        "0 joined b
         0 joined c
         5500 suspected b
         7500 (failed b)
         7500 failed b",
    );
    // After a longer one the others must be heard first.
    mesh(
        "0..1000      hear b c d
         1500         link down
         60000        link up
         61000..69000 hear c d",
        "0 joined b
         0 joined c
         0 joined d
         64000 suspected b
         66000 (failed b)
         66000 failed b",
    );
}

#[test]
fn a_link_that_is_said_to_be_up_twice_restarts_nothing() {
    mesh(
        "0            hear b
         0..6000      hear c
         0..6000/500  link up",
        "0 joined b
         0 joined c
         3000 suspected b
         5000 (failed b)
         5000 failed b",
    );
}

#[test]
fn nobody_is_judged_before_the_first_echo() {
    server(
        "0             hear b
         20000..29000  hear a
         20000..29000  hear c",
        "0 joined b
         20000 joined c
         23000 suspected b
         25000 (failed b)
         25000 failed b",
    );
}

#[test]
fn an_outage_of_the_server_declares_nobody_failed_nor_even_suspected() {
    // 30 s; then everybody is back, b last. Each one's heartbeats have their own offset in the second.
    for offset in 0..10 {
        let script = format!(
            "{offset}00..3950      hear a
             0..3950/1000          hear b
             500..3950/1000        hear c
             34000..45000          hear a
             34700..45000          hear c
             38800..45000          hear b"
        );
        let expected = "0 joined b
             500 joined c
             37000 suspected b
             38800 recovered b";
        server(&script, expected);
    }
}

#[test]
fn a_member_that_died_in_an_outage_fails_after_it() {
    server(
        "0..3000       hear a b c
         34000..45000  hear a c",
        "0 joined b
         0 joined c
         37000 suspected b
         39000 (failed b)
         39000 failed b",
    );
}

#[test]
fn one_lost_echo_freezes_nothing() {
    server(
        "0..900/900      hear a b
         2700..9000/900  hear a
         0..9000         hear c",
        "0 joined b
         0 joined c
         3900 suspected b
         5900 (failed b)
         5900 failed b",
    );
}

#[test]
fn an_echo_that_is_missing_for_two_intervals_restarts_every_deadline_when_it_returns() {
    server(
        "0..1000      hear a b
         0..9000      hear c
         3000..12000  hear a
         10000..12000 hear c",
        "0 joined b
         0 joined c
         6000 suspected b
         8000 (failed b)
         8000 failed b",
    );
}

#[test]
fn a_link_that_came_back_must_show_an_echo_first() {
    server(
        "0..1000       hear a b c
         1500          link down
         1700          link up
         2900..9900    hear a c",
        "0 joined b
         0 joined c
         5900 suspected b
         7900 (failed b)
         7900 failed b",
    );
}

#[test]
fn an_echo_proves_nothing_where_peers_talk_directly() {
    mesh(
        "0..9000   hear a
         0         hear b c",
        "0 joined b
         0 joined c
         3000 suspected b
         3000 suspected c
         5000 isolated from b c of 2",
    );
}

#[test]
fn with_an_echo_a_lone_survivor_may_judge_all() {
    server(
        "0..9000   hear a
         0         hear b c",
        "0 joined b
         0 joined c
         3000 suspected b
         3000 suspected c
         5000 (failed b)
         5000 failed b
         5000 (failed c)
         5000 failed c",
    );
}
