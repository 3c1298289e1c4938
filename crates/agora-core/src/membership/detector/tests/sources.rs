//! Sources known by their frames.

use super::*;

#[test]
fn a_source_without_a_heartbeat_gets_a_verdict_and_no_event() {
    mesh(
        "1000     frame b
         0..9000  hear c",
        "0 joined c
         6000 (failed b)",
    );
}

#[test]
fn frames_keep_a_source_without_a_heartbeat() {
    mesh(
        "0..20000/4000  frame b
         0..26000       hear c",
        "0 joined c
         25000 (failed b)",
    );
}

#[test]
fn frames_of_a_member_do_not_put_off_its_verdict() {
    // They may have waited in a reader's queue since before it died.
    mesh(
        "0             hear b
         0..9000/100   frame b
         0..9000       hear c",
        "0 joined b
         0 joined c
         3000 suspected b
         5000 (failed b)
         5000 failed b",
    );
}

#[test]
fn a_first_heartbeat_names_a_source() {
    mesh(
        "0        frame b
         2000     hear b
         0..9000  hear c",
        "0 joined c
         2000 joined b
         5000 suspected b
         7000 (failed b)
         7000 failed b",
    );
}

#[test]
fn a_first_heartbeat_after_the_verdict_returns_the_source_and_joins_the_member() {
    mesh(
        "0        frame b
         0..6000  hear c
         6000     hear b",
        "0 joined c
         5000 (failed b)
         6000 (returned b)
         6000 joined b",
    );
}

#[test]
fn a_fresh_head_returns_a_failed_source_and_arms_its_next_verdict() {
    // Without the deadline, a source that resumed, sent again and died would never be given up again.
    mesh(
        "0         hear b
         0..14000  hear c
         6000      frame b
         7000      resume b",
        "0 joined b
         0 joined c
         3000 suspected b
         5000 (failed b)
         5000 failed b
         7000 (returned b)
         7000 returned b
         10000 suspected b
         12000 (failed b)
         12000 failed b",
    );
}

#[test]
fn a_fresh_head_of_a_source_without_a_name_arms_its_next_verdict() {
    mesh(
        "0         frame b
         0..14000  hear c
         7000      resume b",
        "0 joined c
         5000 (failed b)
         7000 (returned b)
         12000 (failed b)",
    );
}

#[test]
fn a_frame_or_head_of_a_source_that_left_arms_a_verdict_and_no_event() {
    for word in ["frame", "resume"] {
        mesh(
            &format!(
                "0         hear b
                 0..14000  hear c
                 1000      leave b
                 2000      {word} b
                 2500      hear b
                 3000      {word} b"
            ),
            "0 joined b
             0 joined c
             1000 (left b)
             1000 left b
             8000 (failed b)",
        );
    }
}

#[test]
fn a_frame_of_a_failed_source_arms_its_next_verdict_and_returns_nobody() {
    // It was the first on some other topic, where the source has a stream again that must end.
    mesh(
        "0         hear b
         0..14000  hear c
         7000      frame b",
        "0 joined b
         0 joined c
         3000 suspected b
         5000 (failed b)
         5000 failed b
         12000 (failed b)",
    );
    mesh(
        "0         hear b
         0..9000   hear c
         7000      frame b
         8000      hear b",
        "0 joined b
         0 joined c
         3000 suspected b
         5000 (failed b)
         5000 failed b
         8000 (returned b)
         8000 returned b",
    );
}

#[test]
fn a_second_goodbye_disarms_the_verdict() {
    mesh(
        "0         hear b
         0..9000   hear c
         1000      leave b
         2000      frame b
         2500      leave b",
        "0 joined b
         0 joined c
         1000 (left b)
         1000 left b
         2500 (left b)",
    );
}

#[test]
fn a_fresh_head_of_an_unknown_source_arms_a_verdict() {
    mesh(
        "0..9000  hear c
         1000     resume b",
        "0 joined c
         6000 (failed b)",
    );
}

#[test]
fn ones_own_frames_leaves_and_heads_mean_nothing() {
    mesh(
        "0..9000  hear c
         0        frame a
         0        resume a
         0        leave a
         0        gone a
         0        hear a",
        "0 joined c",
    );
}
