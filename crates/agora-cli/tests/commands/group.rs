//! `agora subscribe --group`

use serde_json::{Value, json};

use super::{World, error, field, json, lines, space};

const JOIN: [&str; 5] = ["subscribe", "jobs", "--group", "workers", "--json"];

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

/// One event a message: a message that is only half settled goes back as a whole.
async fn fill(space: &agora::memory::Space, count: usize) {
    for i in 1..=count {
        lines(space, &["publish", "jobs", &format!("job {i}"), "--key", &i.to_string(), "--log"]).await;
    }
}

async fn lag(space: &agora::memory::Space) -> u64 {
    json(space, &["groups", "describe", "jobs", "workers"]).await[0]["lag"].as_u64().unwrap()
}

#[tokio::test]
async fn what_was_printed_is_done() {
    let space = space();
    fill(&space, 5).await;
    let run = async |count: &str| json(&space, &[&JOIN[..4], &["--count", count]].concat()).await;
    let first = run("2").await;
    assert_eq!(field(&first, "text"), ["job 1", "job 2"]);
    assert_eq!(first[0]["attempt"], 1);
    assert!(first[0].get("id").is_none());
    let rest = run("3").await;
    assert_eq!(field(&rest, "text"), ["job 3", "job 4", "job 5"]);
    assert_eq!(lag(&space).await, 0);
    let none = World::over(&space).run(&[&JOIN[..], &["--count", "1", "--timeout", "50ms"]].concat()).await;
    none.assert_code(1);
}

#[tokio::test]
async fn lines_on_the_input_settle_events_and_unknown_ids_are_told() {
    let space = space();
    fill(&space, 3).await;
    let (mut member, mut typed) =
        World::over(&space).start_typed(&[&JOIN[..], &["--ack", "stdin", "--count", "4"]].concat());
    member.error_with("\"group\":\"workers\"").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let event = parse(&member.line().await);
        ids.push((event["text"].as_str().unwrap().to_owned(), event["id"].as_str().unwrap().to_owned()));
    }
    ids.sort();
    let [one, two, three] = [0, 1, 2].map(|i: usize| ids[i].1.clone());
    typed.line("ack 77").await;
    assert!(member.error_with("77").await.contains("there is no event"));
    typed.line("done 1").await;
    assert!(member.error_with("done 1").await.contains("not understood"));
    typed.line(&format!("ack {one}")).await;
    typed.line(&format!("ack {one}")).await;
    assert!(member.error_with(&format!("ack {one}")).await.contains("does nothing"));
    typed.line(&format!("reject {two} it is broken")).await;
    typed.line(&format!("retry {three} not now")).await;
    let again = parse(&member.line_with("job 3").await);
    assert_eq!((&again["attempt"], &again["key"]), (&json!(2), &json!("3")));
    assert_ne!(again["id"].as_str().unwrap(), three);
    typed.line(&format!("ack {}", again["id"].as_str().unwrap())).await;
    member.end().await.assert_code(0);
    assert_eq!(lag(&space).await, 0);

    let letters = json(&space, &["peek", "jobs.workers.dead"]).await;
    let letter = &letters[0]["body"];
    assert_eq!(
        (&letter["reason"], &letter["text"]),
        (&json!("it is broken"), &json!("job 2")),
        "{letters:?}"
    );
    assert_eq!((&letter["kind"], &letter["attempts"]), (&json!("agora.bytes"), &json!(1)));
    let groups = json(&space, &["groups", "list", "jobs"]).await;
    assert_eq!(groups[0]["dead"], 1);

    let moved = json(&space, &["groups", "redrive", "jobs", "workers"]).await;
    assert_eq!((&moved[0]["did"], &moved[0]["events"]), (&json!("redriven"), &json!(1)));
    let back = json(&space, &[&JOIN[..4], &["--count", "1"]].concat()).await;
    assert_eq!(back[0]["text"], "job 2");
}

#[tokio::test]
async fn the_end_of_the_input_releases_what_is_held() {
    let space = space();
    fill(&space, 2).await;
    let args = [&JOIN[..], &["--ack", "stdin", "--in-flight", "1"]].concat();
    let (mut member, mut typed) = World::over(&space).start_typed(&args);
    let first = parse(&member.line().await);
    typed.line(&format!("ack {}", first["id"].as_str().unwrap())).await;
    parse(&member.line().await);
    drop(typed);
    let ended = member.end().await.assert_code(0);
    assert!(ended.stderr.iter().any(|line| line.contains("1 events were not settled")), "{ended:?}");
    assert_eq!(lag(&space).await, 1);
    let again = json(&space, &[&JOIN[..4], &["--count", "1"]].concat()).await;
    assert_eq!(again[0]["text"], "job 2");
}

#[tokio::test]
async fn people_see_the_id_and_the_attempt() {
    let space = space();
    fill(&space, 1).await;
    let args = ["subscribe", "jobs", "--group", "workers", "--ack", "stdin", "--count", "2"];
    let (mut member, mut typed) = World::over(&space).start_typed(&args);
    member.error_with("working in the group workers of jobs").await;
    let line = member.line().await;
    assert!(line.starts_with("[1] ") && line.ends_with("agora.bytes key=1 job 1"), "{line}");
    typed.line("retry 1").await;
    let line = member.line().await;
    assert!(line.starts_with("[2] ") && line.ends_with("job 1 (attempt 2)"), "{line}");
    typed.line("ack 2").await;
    member.end().await.assert_code(0);
}

#[tokio::test]
async fn a_new_group_begins_where_it_is_told() {
    let space = space();
    fill(&space, 2).await;
    let late = ["subscribe", "jobs", "--group", "late", "--from", "latest", "--timeout", "100ms"];
    assert_eq!(lines(&space, &late).await, Vec::<String>::new());
    let early = ["subscribe", "jobs", "--group", "early", "--from", "earliest", "--count", "2"];
    assert_eq!(lines(&space, &early).await.len(), 2);
    for (args, says) in [
        (&["--from", "15m"][..], "earliest or latest"),
        (&["--from", "00ff"], "earliest or latest"),
        (&["--raw", "--ack", "stdin"], "prints no ids"),
    ] {
        let args = [&["subscribe", "jobs", "--group", "g"], args].concat();
        let ended = World::over(&space).run(&args).await.assert_code(2);
        assert!(ended.stderr[0].contains(says), "{args:?}: {ended:?}");
    }
    let two =
        World::over(&space).run(&["subscribe", "a", "b", "--group", "g", "--json"]).await.assert_code(2);
    assert!(error(&two)["message"].as_str().unwrap().contains("one topic"));
    for args in [["--ack", "stdin"], ["--in-flight", "2"]] {
        World::over(&space).run(&[&["subscribe", "t"], &args[..]].concat()).await.assert_code(2);
    }
}

#[tokio::test]
async fn plain_payloads_are_work_too() {
    let space = space();
    let world = World { stdin: "one\ntwo\n", ..World::over(&space) };
    world.run(&["publish", "raw", "--log", "--raw", "--lines"]).await.assert_code(0);
    let args = ["subscribe", "raw", "--raw", "--group", "g", "--count", "2"];
    assert_eq!(lines(&space, &args).await, ["one", "two"]);
    let description = json(&space, &["groups", "describe", "raw", "g"]).await;
    assert_eq!(description[0]["lag"], 0);
}
