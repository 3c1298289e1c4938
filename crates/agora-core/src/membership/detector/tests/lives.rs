//! Lives of one node.

use super::*;

#[test]
fn a_new_life_never_ends_the_old_one() {
    mesh(
        "0..1000     hear b
         0..8000     hear c
         1400..8000  hear b2",
        "0 joined b
         0 joined c
         1400 joined b2
         4000 suspected b
         6000 (failed b)
         6000 failed b",
    );
}

#[test]
fn lives_have_no_order() {
    // The clock of b was set back: its second life has the smaller number.
    mesh(
        "0           hear b9
         0..8000     hear c
         6000..8000  hear b2",
        "0 joined b9
         0 joined c
         3000 suspected b9
         5000 (failed b9)
         5000 failed b9
         6000 returned b2",
    );
}

#[test]
fn two_live_lives_of_one_node_are_a_conflict_told_once() {
    mesh(
        "0..9000    hear b
         400..9400  hear b2",
        "0 joined b
         400 joined b2
         2000 conflict b 1 2",
    );
}

#[test]
fn each_pair_of_lives_is_told_once() {
    mesh(
        "0..20000    hear b
         300..20300  hear b2
         600..20600  hear b3",
        "0 joined b
         300 joined b2
         600 joined b3
         2000 conflict b 1 3
         2300 conflict b 1 2
         2600 conflict b 2 3",
    );
}

#[test]
fn a_restart_is_no_conflict_though_last_words_come_late() {
    mesh(
        "0..1000     hear b
         0..9000     hear c
         1400..9400  hear b2
         1500        hear b
         1510        hear b
         1520        hear b",
        "0 joined b
         0 joined c
         1400 joined b2
         4520 suspected b
         6520 (failed b)
         6520 failed b",
    );
}

#[test]
fn last_words_that_are_heard_after_the_first_of_the_new_life_are_no_conflict() {
    // Whoever has just come hears the new life first.
    mesh(
        "0..9000   hear b2 c
         100       hear b",
        "0 joined b2
         0 joined c
         100 joined b
         3100 suspected b
         5100 (failed b)
         5100 failed b",
    );
}

#[test]
fn many_restarts_with_late_last_words_do_not_add_up_to_a_conflict() {
    mesh(
        "0..9000     hear c
         0           hear b
         1000        hear b2
         1600        hear b
         2000        hear b2
         2300        leave b
         3000..4000  hear b2
         4300        hear b3
         4700        hear b2
         4900        leave b2
         5300..9000  hear b3",
        "0 joined c
         0 joined b
         1000 joined b2
         2300 (left b)
         2300 left b
         4300 joined b3
         4900 (left b2)
         4900 left b2",
    );
}

#[test]
fn another_process_under_ones_own_name_is_a_conflict() {
    mesh(
        "0..4000   hear a2
         0..4000   hear c",
        "0 joined a2
         0 joined c
         1000 conflict a 1 2",
    );
}

#[test]
fn the_last_words_of_ones_own_former_life_are_no_conflict() {
    mesh(
        "0         hear a2
         10        hear a2
         0..6000   hear c",
        "0 joined a2
         0 joined c
         3010 suspected a2
         5010 (failed a2)
         5010 failed a2",
    );
}
