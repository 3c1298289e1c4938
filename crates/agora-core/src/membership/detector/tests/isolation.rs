//! Isolation, where peers talk directly.

use super::*;

#[test]
fn when_most_are_silent_at_once_it_is_isolation_and_no_verdict() {
    mesh(
        "0..2000    hear b c d
         2300..9000 hear e
         60000      end",
        "0 joined b
         0 joined c
         0 joined d
         2300 joined e
         5000 suspected b
         5000 suspected c
         5000 suspected d
         7000 isolated from b c d of 4
         11300 suspected e",
    );
}

#[test]
fn when_half_are_silent_it_is_they() {
    mesh(
        "0..2000   hear b c
         0..9000   hear d e",
        "0 joined b
         0 joined c
         0 joined d
         0 joined e
         5000 suspected b
         5000 suspected c
         7000 (failed b)
         7000 failed b
         7000 (failed c)
         7000 failed c",
    );
}

#[test]
fn those_that_failed_before_do_not_count() {
    mesh(
        "0..9000   hear d e
         0         hear b c
         9100      end
         9000..20000 hear e",
        "0 joined d
         0 joined e
         0 joined b
         0 joined c
         3000 suspected b
         3000 suspected c
         5000 (failed b)
         5000 failed b
         5000 (failed c)
         5000 failed c
         12000 suspected d
         14000 (failed d)
         14000 failed d",
    );
}

#[test]
fn two_nodes_cannot_tell_a_crash_from_a_cut() {
    mesh(
        "0..2000  hear b
         60000    end",
        "0 joined b
         5000 suspected b
         7000 isolated from b of 1",
    );
}

#[test]
fn the_end_of_isolation_restarts_every_deadline() {
    mesh(
        "0..2000       hear b c
         30000..40000  hear c",
        "0 joined b
         0 joined c
         5000 suspected b
         5000 suspected c
         7000 isolated from b c of 2
         30000 recovered c
         30000 reunited
         35000 (failed b)
         35000 failed b",
    );
}

#[test]
fn a_leave_may_end_isolation() {
    mesh(
        "0         hear b c
         0..20000  hear d
         6000      leave b",
        "0 joined b
         0 joined c
         0 joined d
         3000 suspected b
         3000 suspected c
         5000 isolated from b c of 3
         6000 (left b)
         6000 left b
         6000 reunited
         11000 (failed c)
         11000 failed c",
    );
}

#[test]
fn a_new_life_of_a_silent_node_ends_the_isolation_of_two() {
    mesh(
        "0..2000       hear b
         20000..30000  hear b2",
        "0 joined b
         5000 suspected b
         7000 isolated from b of 1
         20000 joined b2
         20000 reunited
         25000 (failed b)
         25000 failed b",
    );
}

#[test]
fn a_cut_that_heals_just_before_the_first_deadline_convicts_nobody() {
    // c and d are heard again at 4950, b is overdue at 5000 and comes at 5100.
    mesh(
        "0            hear b c d
         4950..9950   hear c d
         5100..9100   hear b",
        "0 joined b
         0 joined c
         0 joined d
         3000 suspected b
         3000 suspected c
         3000 suspected d
         4950 recovered c
         4950 recovered d
         5100 recovered b",
    );
}

#[test]
fn former_lives_of_a_restarted_node_do_not_outvote_its_living_one() {
    // Three lives of b, two of them dead, in a cluster of two: this node hears everybody there is.
    mesh(
        "0..1000   hear b
         1500..2000 hear b2
         2500..9500 hear b3",
        "0 joined b
         1500 joined b2
         2500 joined b3
         4000 suspected b
         4500 suspected b2
         6000 (failed b)
         6000 failed b
         6500 (failed b2)
         6500 failed b2",
    );
}
