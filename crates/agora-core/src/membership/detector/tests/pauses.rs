//! One's own pauses.

use super::*;

#[test]
fn a_late_timer_judges_nobody_and_restarts_every_deadline() {
    mesh(
        "0..2000       hear b c d
         2500          stop 30000
         31000..39000  hear c d",
        "0 joined b
         0 joined c
         0 joined d
         33000 suspected b
         35000 (failed b)
         35000 failed b",
    );
}

#[test]
fn a_pause_is_noticed_though_no_deadline_falls_into_it() {
    // Without the pulse the timer would sleep from 2000 to 5000 and never learn of the pause.
    mesh(
        "0..2000       hear b c
         2100          stop 4900
         5500..12500   hear c",
        "0 joined b
         0 joined c
         7900 suspected b
         9900 (failed b)
         9900 failed b",
    );
}

#[test]
fn a_short_delay_of_the_timer_is_no_pause() {
    mesh(
        "0..9000  hear c
         0        hear b
         4900     stop 5800",
        "0 joined c
         0 joined b
         3000 suspected b
         5800 (failed b)
         5800 failed b",
    );
}

#[test]
fn what_waits_in_the_inbox_counts_before_the_timer() {
    mesh(
        "0..9000  hear b c
         2100     stop 9500
         9600     end",
        "0 joined b
         0 joined c",
    );
}

#[test]
fn hints_that_wait_in_the_inbox_of_a_paused_process_are_about_the_pause() {
    mesh(
        "0..2000       hear b c
         2500          stop 20000
         10000         gone b
         20000..24000  hear c
         24000         hear b",
        "0 joined b
         0 joined c
         23000 suspected b
         24000 recovered b",
    );
}
