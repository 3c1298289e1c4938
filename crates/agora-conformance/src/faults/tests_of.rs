//! A test for each case, for whoever has a world.

/// Makes a test of every case, on a world of its own: `live::`, `log::` and `each::` and the name of the case. The
/// expression is a future of a `Result` of a world.
#[macro_export]
macro_rules! fault_tests {
    ($world:expr) => {
        $crate::fault_tests! { @of $world;
            live Live: down_at_start killed_before_the_ack killed_many_times paused ack_lost cut_and_healed
                cut_past_every_timeout cut_one_way reset_often half_open late_and_slow sliced refused_for_a_while
                slow_reader_of_a_live_topic publish_queue_full at_the_limit_and_over undecodable_and_foreign
                unknown_kinds_and_odd_bodies
                cancelled_publishes_and_reads shutdown_drains crash_in_mid_publish outage_kills_nobody
                crash_is_noticed_and_return_is_welcomed leave_is_told_at_once one_who_is_cut_off_accuses_nobody
                two_nodes_of_one_name many_members;
            log Log: down_at_start killed_before_the_ack killed_many_times paused reader_outlives_a_restart ack_lost
                cut_and_healed cut_past_every_timeout cut_one_way reset_often half_open late_and_slow sliced refused_for_a_while
                slow_reader_of_a_log publish_queue_full at_the_limit_and_over undecodable_and_foreign
                unknown_kinds_and_odd_bodies
                cancelled_publishes_and_reads shutdown_drains crash_in_mid_publish deleted_and_made_anew
                cursor_of_a_log_that_was_replaced
                deleted_under_a_reader durable_reader_changes_nodes handler_panics_or_hangs
                poison_goes_to_the_dead_letters crash_between_handling_and_ack group_outlives_restarts;
            each Each: handler_fails_and_the_next_succeeds handler_panics_or_hangs poison_goes_to_the_dead_letters
                poison_while_the_server_restarts crash_between_handling_and_ack members_join_and_leave
                member_is_cut_off_past_its_lease group_outlives_restarts;
        }
    };
    (@of $world:expr; $($module:ident $on:ident: $($case:ident)+;)+) => {
        $(mod $module {
            #[allow(unused_imports, reason = "what the expression names")]
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
                let world = std::sync::Arc::new($world.await.expect("a world"));
                let on = $crate::faults::On::$on;
                let played = $crate::faults::play_named(world, stringify!($case), on, &directory).await;
                if let Err(why) = played {
                    panic!("{why}");
                }
            })+
        })+

        #[test]
        fn every_case_is_played() {
            let played = [$($((stringify!($module), stringify!($case))),+),+];
            let mut played: Vec<_> = played.to_vec();
            let mut all: Vec<_> = $crate::faults::cases().iter()
                .flat_map(|case| case.on.iter().map(|on| (on.as_str(), case.name))).collect();
            played.sort_unstable();
            all.sort_unstable();
            assert_eq!(played, all);
        }
    };
}
