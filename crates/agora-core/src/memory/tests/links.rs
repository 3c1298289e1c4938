//! What links do: loss, duplication, delay, cuts, and a server that goes down.

use std::collections::BTreeMap;

use super::*;
use crate::memory::{LinkFaults, SERVER};
use crate::transport::Link;

const MESSAGES: usize = 2_000;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Publishes numbers from one node to another over links with these faults; what arrives.
async fn numbers_through(echo_via_server: bool, faults: LinkFaults) -> (Vec<usize>, Space) {
    let space = with_server(echo_via_server);
    space.faults().everywhere(faults);
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    let mut inbox = b.subscribe(&topic()).await.unwrap();
    for number in 0..MESSAGES {
        publish(&a, &number.to_string()).await;
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    let numbers = arrived(&mut inbox).await.iter().map(|text| text.parse().unwrap()).collect();
    (numbers, space)
}

#[tokio::test(start_paused = true)]
async fn loss_loses_some_and_leaves_the_rest_in_order() {
    // Two links to pass by way of a server, one between peers: 0.81 and 0.9 of all arrive.
    for (echo_via_server, expected) in [(true, 1_620), (false, 1_800)] {
        let (numbers, space) = numbers_through(echo_via_server, LinkFaults::none().loss(0.1)).await;
        assert!(numbers.len().abs_diff(expected) < 80, "{} of {MESSAGES}", numbers.len());
        assert!(numbers.is_sorted_by(|a, b| a < b));
        assert_eq!(space.faults().counts().lost, (MESSAGES - numbers.len()) as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn duplication_repeats_some_and_loses_none() {
    let (mut numbers, space) = numbers_through(false, LinkFaults::none().duplication(0.2)).await;
    assert!(numbers.len().abs_diff(2_400) < 80, "{}", numbers.len());
    assert_eq!(space.faults().counts().duplicated, (numbers.len() - MESSAGES) as u64);
    numbers.dedup();
    assert!(numbers.into_iter().eq(0..MESSAGES));
}

#[tokio::test(start_paused = true)]
async fn delay_of_a_range_lets_messages_overtake_each_other_and_loses_none() {
    let (mut numbers, space) = numbers_through(true, LinkFaults::none().delay(ms(1)..=ms(9))).await;
    assert!(!numbers.is_sorted());
    assert_eq!(space.faults().counts().delayed, MESSAGES as u64);
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..MESSAGES));
}

#[tokio::test(start_paused = true)]
async fn a_steady_delay_keeps_the_order_and_the_time() {
    for (echo_via_server, expected) in [(true, ms(14)), (false, ms(7))] {
        let space = with_server(echo_via_server);
        space.faults().everywhere(LinkFaults::none().delay(ms(7)..=ms(7)));
        let (a, b) = (connect(&space, "a"), connect(&space, "b"));
        let mut inbox = b.subscribe(&topic()).await.unwrap();
        let start = Instant::now();
        publish_all(&a, &["1", "2", "3"]).await.unwrap();
        let mut into = Vec::new();
        inbox.recv(10, &mut into).await.unwrap();
        assert_eq!(start.elapsed(), expected);
        assert_eq!(into.iter().map(text).collect::<Vec<_>>(), ["1", "2", "3"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_due_earlier_wakes_a_reader_that_waits_for_a_later_one() {
    let space = with_server(false);
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    let mut inbox = b.subscribe(&topic()).await.unwrap();
    space.faults().one_way("a", "b", LinkFaults::none().delay(ms(50)..=ms(50)));
    publish(&a, "late").await;
    space.faults().one_way("a", "b", LinkFaults::none().delay(ms(10)..=ms(10)));
    let start = Instant::now();
    let reader = tokio::spawn(async move {
        let mut into = Vec::new();
        inbox.recv(10, &mut into).await.unwrap();
        let first = start.elapsed();
        inbox.recv(10, &mut into).await.unwrap();
        (first, start.elapsed(), into.iter().map(text).collect::<Vec<_>>())
    });
    tokio::task::yield_now().await;
    publish(&a, "early").await;
    assert_eq!(reader.await.unwrap(), (ms(10), ms(50), vec!["early".to_owned(), "late".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn what_arrived_first_is_read_first_whenever_it_is_read() {
    let space = with_server(false);
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    let mut inbox = b.subscribe(&topic()).await.unwrap();
    space.faults().one_way("a", "b", LinkFaults::none().delay(ms(5)..=ms(5)));
    publish(&a, "arrives at 5 ms").await;
    tokio::time::advance(ms(6)).await;
    space.faults().calm();
    publish(&a, "arrives at 6 ms").await;
    assert_eq!(arrived(&mut inbox).await, ["arrives at 5 ms", "arrives at 6 ms"]);
}

#[tokio::test(start_paused = true)]
async fn faults_of_one_link_leave_the_others_alone() {
    for echo_via_server in [true, false] {
        let space = with_server(echo_via_server);
        let nodes = ["a", "b", "c"].map(|name| connect(&space, name));
        space.faults().between("a", "b", LinkFaults::none().loss(1.0));
        let mut heard = BTreeMap::new();
        let mut inboxes = Vec::new();
        for node in &nodes {
            inboxes.push(node.subscribe(&topic()).await.unwrap());
        }
        for (node, text) in nodes.iter().zip(["from a", "from b", "from c"]) {
            publish(node, text).await;
        }
        for (name, inbox) in ["a", "b", "c"].iter().zip(&mut inboxes) {
            heard.insert(*name, arrived(inbox).await);
        }
        assert_eq!(heard["a"], ["from a", "from c"]);
        assert_eq!(heard["b"], ["from b", "from c"]);
        assert_eq!(heard["c"], ["from a", "from b", "from c"]);
    }
}

#[tokio::test(start_paused = true)]
async fn between_peers_a_cut_is_silent_and_may_be_one_way() {
    let space = with_server(false);
    let faults = space.faults();
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    let mut at_a = a.subscribe(&topic()).await.unwrap();
    let mut at_b = b.subscribe(&topic()).await.unwrap();
    faults.cut_one_way("a", "b");
    publish(&a, "1").await;
    publish(&b, "2").await;
    assert_eq!(arrived(&mut at_a).await, ["1", "2"]);
    assert_eq!(arrived(&mut at_b).await, ["2"]);
    faults.cut("a", "b");
    publish(&b, "3").await;
    assert_eq!(arrived(&mut at_a).await, [""; 0]);
    assert_eq!(*a.link().borrow(), Link::Up);
    faults.heal("b", "a");
    publish(&a, "4").await;
    publish(&b, "5").await;
    assert_eq!(arrived(&mut at_a).await, ["4", "5"]);
    assert_eq!(arrived(&mut at_b).await, ["3", "4", "5"]);
    assert_eq!(faults.counts().cut, 2);
}

#[tokio::test(start_paused = true)]
async fn partition_and_isolation_between_peers() {
    let space = with_server(false);
    let faults = space.faults();
    let nodes = ["a", "b", "c"].map(|name| connect(&space, name));
    let mut inbox = nodes[2].subscribe(&topic()).await.unwrap();
    let say = async |what: &str| {
        for (node, name) in nodes.iter().zip(["a", "b", "c"]) {
            publish(node, &format!("{name} {what}")).await;
        }
    };
    faults.partition(&[&["a", "b"], &["c"]]);
    say("parted").await;
    faults.heal("a", "c");
    say("half").await;
    faults.isolate("c");
    say("alone").await;
    faults.rejoin("c");
    say("back").await;
    faults.heal_all();
    say("healed").await;
    let expected =
        ["c parted", "a half", "c half", "c alone", "a back", "c back", "a healed", "b healed", "c healed"];
    assert_eq!(arrived(&mut inbox).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_cut_loses_what_is_on_its_way_over_it_and_nothing_else() {
    let space = with_server(false);
    space.faults().everywhere(LinkFaults::none().delay(ms(5)..=ms(5)));
    let nodes = ["a", "b", "c"].map(|name| connect(&space, name));
    let mut inbox = nodes[1].subscribe(&topic()).await.unwrap();
    publish(&nodes[0], "arrived").await;
    tokio::time::advance(ms(5)).await;
    publish(&nodes[0], "cut").await;
    publish(&nodes[2], "other").await;
    space.faults().cut_one_way("a", "b");
    tokio::time::advance(ms(5)).await;
    assert_eq!(arrived(&mut inbox).await, ["arrived", "other"]);
    assert_eq!(space.faults().counts().cut, 1);
}

#[tokio::test(start_paused = true)]
async fn cut_off_from_the_server_a_node_sees_its_link_down_and_is_told_when_it_is_up() {
    for cut in ["both ways", "one way", "isolated"] {
        let start = SpaceConfig::default().wall_clock_start;
        let space = Space::new(SpaceConfig { wall_clock_start: start, ..SpaceConfig::default() });
        let faults = space.faults();
        let (a, b) = (connect(&space, "a"), connect(&space, "b"));
        let mut at_a = a.subscribe(&topic()).await.unwrap();
        let mut at_b = b.subscribe(&topic()).await.unwrap();
        let mut link = a.link();
        assert_eq!(*link.borrow_and_update(), Link::Up);
        tokio::time::advance(ms(1_500)).await;
        match cut {
            "both ways" => faults.cut("a", SERVER),
            "one way" => faults.cut_one_way("a", SERVER),
            _ => faults.isolate("a"),
        }
        let Link::Down { since, why } = link.borrow_and_update().clone() else { panic!("{cut}: up") };
        assert_eq!(since, start + ms(1_500));
        assert_eq!(why, "the server cannot be reached");
        let failed = publish_all(&a, &["1"]).await.unwrap_err();
        assert_eq!((failed.accepted, failed.outcome), (0, Outcome::NotStored));
        assert_eq!(failed.error.kind(), ErrorKind::Unreachable);
        assert_eq!(a.subscribe(&topic()).await.err().unwrap().kind(), ErrorKind::Unreachable);
        publish(&b, "2").await;
        match cut {
            "isolated" => faults.rejoin("a"),
            _ => faults.heal(SERVER, "a"),
        }
        assert!(link.has_changed().unwrap());
        assert_eq!(*link.borrow_and_update(), Link::Up);
        publish(&b, "3").await;
        let heard = arrived(&mut at_a).await;
        match cut {
            "one way" => assert_eq!(heard, ["2", "resubscribed", "3"]),
            _ => assert_eq!(heard, ["resubscribed", "3"]),
        }
        assert_eq!(arrived(&mut at_b).await, ["2", "3"], "b never noticed anything");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_hear_the_server_does_not_know_and_misses_its_own_echo() {
    let space = with_server(true);
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    let mut at_a = a.subscribe(&topic()).await.unwrap();
    let mut at_b = b.subscribe(&topic()).await.unwrap();
    space.faults().cut_one_way(SERVER, "a");
    assert_eq!(*a.link().borrow(), Link::Up);
    publish(&a, "1").await;
    publish(&b, "2").await;
    space.faults().heal("a", SERVER);
    publish(&b, "3").await;
    assert_eq!(arrived(&mut at_a).await, ["3"]);
    assert_eq!(arrived(&mut at_b).await, ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn without_its_server_every_link_is_down_and_what_was_on_its_way_is_lost() {
    let space = with_server(true);
    let faults = space.faults();
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    let mut inbox = b.subscribe(&topic()).await.unwrap();
    faults.everywhere(LinkFaults::none().delay(ms(5)..=ms(5)));
    publish(&a, "lost").await;
    faults.server_down();
    let late = connect(&space, "late");
    for node in [&a, &b, &late] {
        let link = node.link().borrow().clone();
        assert!(matches!(link, Link::Down { why, .. } if why == "the server is down"));
        assert_eq!(publish_all(node, &["x"]).await.unwrap_err().outcome, Outcome::NotStored);
    }
    faults.server_down();
    faults.server_up();
    faults.calm();
    for node in [&a, &b, &late] {
        assert_eq!(*node.link().borrow(), Link::Up);
    }
    publish(&late, "1").await;
    tokio::time::advance(ms(20)).await;
    assert_eq!(arrived(&mut inbox).await, ["resubscribed", "1"]);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "this space has no server")]
async fn between_peers_there_is_no_server_to_take_down() {
    with_server(false).faults().server_down();
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "not a valid node name")]
async fn a_name_that_no_node_can_have_is_refused() {
    with_server(true).faults().cut("a", "the server");
}

#[tokio::test(start_paused = true)]
async fn a_loss_on_the_way_to_the_server_is_everybodys_and_one_behind_it_is_not() {
    for (from, to, is_shared) in [("a", SERVER, true), (SERVER, "b", false), ("a", "b", false)] {
        let space = with_server(true);
        space.faults().one_way(from, to, LinkFaults::none().loss(0.5));
        let nodes = ["a", "b", "c"].map(|name| connect(&space, name));
        let mut at_b = nodes[1].subscribe(&topic()).await.unwrap();
        let mut at_c = nodes[2].subscribe(&topic()).await.unwrap();
        for number in 0..100 {
            publish(&nodes[0], &number.to_string()).await;
        }
        let (b, c) = (arrived(&mut at_b).await, arrived(&mut at_c).await);
        assert!((20..80).contains(&b.len()), "{from} to {to}: {}", b.len());
        assert_eq!(b == c, is_shared, "{from} to {to}");
        assert!(is_shared || c.len() == 100, "{from} to {to}");
    }
}
