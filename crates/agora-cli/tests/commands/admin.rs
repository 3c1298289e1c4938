//! `agora topics`, `agora groups`, `agora lag`

use serde_json::json;

use super::{World, error, json, lines, space};

#[tokio::test]
async fn logs_are_made_listed_described_and_deleted() {
    let space = space();
    assert_eq!(lines(&space, &["topics"]).await, ["there is no log in cluster default"]);
    let args = ["topics", "create", "orders", "--retention", "7d", "--framing", "each"];
    assert_eq!(lines(&space, &args).await, ["created orders"]);
    let twice = World::over(&space).run(&["topics", "create", "orders", "--json"]).await.assert_code(2);
    assert_eq!(error(&twice)["kind"], "conflict");
    lines(&space, &["publish", "other", "x", "--log", "--count", "3"]).await;

    let described = json(&space, &["topics", "describe", "orders"]).await;
    assert_eq!(described[0]["retention_ms"], 7 * 86_400_000_u64);
    assert_eq!((&described[0]["framing"], &described[0]["kind"]), (&json!("each"), &json!("log")));
    assert_eq!(described[0]["groups"], json!([]));
    let human = lines(&space, &["topics", "describe", "orders"]).await.join("\n");
    assert!(human.contains("retention  7d") || human.contains("retention  168h"), "{human}");

    let list = lines(&space, &["topics", "list"]).await;
    assert!(list[0].starts_with("TOPIC") && list[1].starts_with("orders") && list[2].starts_with("other"));
    let objects = json(&space, &["topics", "list"]).await;
    assert_eq!((&objects[0]["topic"], &objects[1]["topic"]), (&json!("orders"), &json!("other")));

    let asked = World::over(&space).run(&["topics", "delete", "orders"]).await.assert_code(2);
    assert!(asked.stderr[1].contains("--yes"), "{asked:?}");
    let answer = |stdin| World { stdin, stdin_is_terminal: true, ..World::over(&space) };
    let refused = answer("no\n").run(&["topics", "delete", "orders"]).await.assert_code(2);
    assert!(refused.stderr[0].contains("This deletes orders with its 0 records"), "{refused:?}");
    assert_eq!(json(&space, &["topics", "list"]).await.len(), 2);
    let agreed = answer("orders\n").run(&["topics", "delete", "orders"]).await.assert_code(0);
    assert_eq!(agreed.stdout, ["deleted orders"]);
    let done = json(&space, &["topics", "delete", "other", "--yes"]).await;
    assert_eq!(done, [json!({"type": "done", "did": "deleted", "topic": "other"})]);
    for args in [&["topics", "delete", "other", "--yes"][..], &["topics", "describe", "other"]] {
        World::over(&space).run(args).await.assert_code(1);
    }
}

#[tokio::test]
async fn groups_are_made_listed_moved_and_deleted() {
    let space = space();
    for i in 1..=4 {
        lines(&space, &["publish", "jobs", &i.to_string(), "--log"]).await;
    }
    assert_eq!(lines(&space, &["groups", "list", "jobs"]).await, ["jobs has no groups"]);
    assert_eq!(lines(&space, &["groups", "create", "jobs", "a"]).await, ["created the group a of jobs"]);
    lines(&space, &["groups", "create", "jobs", "b", "--from", "latest"]).await;
    World::over(&space).run(&["groups", "create", "jobs", "a"]).await.assert_code(2);
    World::over(&space).run(&["groups", "create", "nowhere", "a"]).await.assert_code(1);
    let groups = json(&space, &["groups", "list", "jobs"]).await;
    assert_eq!((&groups[0]["lag"], &groups[1]["lag"]), (&json!(4), &json!(0)), "{groups:?}");
    let human = lines(&space, &["groups", "describe", "jobs", "a"]).await.join("\n");
    assert!(human.contains("lag      4") && human.contains("no members"), "{human}");

    let would = json(&space, &["groups", "reset", "jobs", "a", "--to", "latest", "--dry-run"]).await;
    assert_eq!((&would[0]["records"], &would[0]["dry_run"]), (&json!(-4), &json!(true)));
    assert_eq!(json(&space, &["groups", "describe", "jobs", "a"]).await[0]["lag"], 4, "nothing was moved");
    World::over(&space).run(&["groups", "reset", "jobs", "a", "--to", "latest"]).await.assert_code(2);
    let moved = lines(&space, &["groups", "reset", "jobs", "a", "--to", "latest", "--yes"]).await;
    assert!(
        moved[0].starts_with("moved a of jobs, lane 0 from ")
            && moved[0].contains("4 records are passed over")
    );
    let position = would[0]["from"].as_str().unwrap();
    for (to, lag) in [("earliest", 4), ("latest", 0), (position, 4), ("2020-01-01T00:00:00Z", 4)] {
        lines(&space, &["groups", "reset", "jobs", "a", "--to", to, "--yes"]).await;
        assert_eq!(json(&space, &["groups", "describe", "jobs", "a"]).await[0]["lag"], lag, "{to}");
    }
    let noon = World::over(&space).run(&["groups", "reset", "jobs", "a", "--to", "noon", "--yes"]).await;
    assert!(noon.assert_code(2).stderr[1].contains("position"));

    let world = World { stdin: "a\n", stdin_is_terminal: true, ..World::over(&space) };
    world.run(&["groups", "delete", "jobs", "a"]).await.assert_code(0);
    assert_eq!(json(&space, &["groups", "list", "jobs"]).await.len(), 1);
    World::over(&space).run(&["groups", "describe", "jobs", "a"]).await.assert_code(1);
}

#[tokio::test]
async fn a_group_with_members_is_not_moved() {
    let space = space();
    lines(&space, &["publish", "jobs", "x", "--log"]).await;
    let mut member = World::over(&space).start(&["subscribe", "jobs", "--group", "g"]);
    member.line_with("x").await;
    let refused =
        World::over(&space).run(&["groups", "reset", "jobs", "g", "--to", "earliest", "--yes", "--json"]);
    assert_eq!(error(&refused.await.assert_code(2))["kind"], "conflict");
    let described = json(&space, &["groups", "describe", "jobs", "g"]).await;
    assert_eq!(described[0]["members"].as_array().unwrap().len(), 1);
    member.interrupt();
    member.end().await.assert_code(130);
}

#[tokio::test]
async fn lag_is_a_table_and_an_exit_code() {
    let space = space();
    assert_eq!(lines(&space, &["lag", "--max", "0"]).await, ["there are no groups"]);
    for topic in ["a", "b"] {
        lines(&space, &["publish", topic, "x", "--log"]).await;
        lines(&space, &["groups", "create", topic, "g"]).await;
    }
    lines(&space, &["groups", "create", "b", "h", "--from", "latest"]).await;
    let all = json(&space, &["lag"]).await;
    assert_eq!(all.len(), 3);
    assert_eq!(
        all[0],
        json!({"type": "lag", "topic": "a", "group": "g", "lane": 0, "lag": 1, "pending": 0,
                              "next": all[0]["next"], "members": 0})
    );
    assert_eq!(json(&space, &["lag", "b"]).await.len(), 2);
    assert_eq!(json(&space, &["lag", "b", "h", "--max", "0"]).await[0]["lag"], 0);
    let table = lines(&space, &["lag", "--max", "1"]).await;
    assert!(table[0].starts_with("TOPIC  GROUP  LANE  LAG"), "{table:?}");
    let behind = World::over(&space).run(&["lag", "--max", "0"]).await.assert_code(1);
    assert_eq!(behind.stdout.len(), 4);
    World::over(&space).run(&["lag", "nowhere"]).await.assert_code(1);
    World::over(&space).run(&["lag", "b", "nobody"]).await.assert_code(1);
}

#[tokio::test]
async fn what_a_backend_cannot_set_up_is_refused_and_nothing_to_change_is_an_error() {
    let space = space();
    let set = World::over(&space).run(&["topics", "create", "orders", "--set", "a=b", "--json"]).await;
    let refused = error(&set.assert_code(4));
    assert!(refused["message"].to_string().contains("setting: a"), "{refused}");
    assert_eq!(json(&space, &["topics", "list"]).await.len(), 0, "it was not made without the setting");
    lines(&space, &["topics", "create", "orders"]).await;
    for args in [&["--retention", "1h"][..], &["--lanes", "8", "--unset", "a"]] {
        World::over(&space).run(&[&["topics", "alter", "orders"], args].concat()).await.assert_code(4);
    }
    for args in [&[][..], &["--set", "a"], &["--set", "=b"]] {
        World::over(&space).run(&[&["topics", "alter", "orders"], args].concat()).await.assert_code(2);
    }
}

#[tokio::test]
async fn a_backend_that_keeps_nothing_says_so() {
    let config = agora::memory::SpaceConfig { echo_via_server: false, ..Default::default() };
    let space = agora::memory::Space::new(config);
    for args in [
        &["topics"][..],
        &["groups", "list", "t"],
        &["lag"],
        &["peek", "t"],
        &["subscribe", "t", "--group", "g"],
        &["subscribe", "t", "--log"],
        &["publish", "t", "x", "--log"],
    ] {
        let ended = World::over(&space).run(&[args, &["--json"]].concat()).await.assert_code(4);
        let error = error(&ended);
        assert_eq!(error["kind"], "unsupported", "{args:?}");
        assert!(!error["help"].as_str().unwrap().is_empty(), "{args:?}");
    }
}

#[tokio::test]
async fn of_several_lanes_one_is_named_where_a_place_is_meant() {
    let space = space();
    lines(&space, &["topics", "create", "wide", "--lanes", "3"]).await;
    let described = json(&space, &["topics", "describe", "wide"]).await;
    assert_eq!(described[0]["lanes"].as_array().unwrap().len(), 3, "{described:?}");
    let mut of_lane = [0; 3];
    for i in 0..12 {
        let args = ["publish", "wide", "x", "--log", "--key", &format!("key {i}")];
        let receipt = json(&space, &args).await;
        of_lane[usize::try_from(receipt[0]["lane"].as_u64().unwrap()).unwrap()] += 1;
    }
    assert!(of_lane.iter().all(|count| *count > 0), "{of_lane:?}");

    let unnamed = World::over(&space).run(&["peek", "wide", "--json"]).await.assert_code(2);
    assert!(error(&unnamed)["message"].as_str().unwrap().contains("3 lanes"), "{unnamed:?}");
    World::over(&space).run(&["peek", "wide", "--lane", "3"]).await.assert_code(2);
    for (lane, count) in of_lane.iter().enumerate() {
        let shown = json(&space, &["peek", "wide", "--count", "100", "--lane", &lane.to_string()]).await;
        assert_eq!(shown.len(), *count);
        assert!(shown.iter().all(|line| line["lane"] == lane), "{shown:?}");
    }

    lines(&space, &["groups", "create", "wide", "g", "--from", "latest"]).await;
    let reset = |more: &[&str]| {
        let args = [&["groups", "reset", "wide", "g", "--yes"], more].concat();
        args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()
    };
    for refused in [&["--to", "0"][..], &["--to", "latest", "--lane", "1"], &["--to", "0", "--lane", "3"]] {
        let args = reset(refused);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        World::over(&space).run(&args).await.assert_code(2);
    }
    let args = reset(&["--to", "0", "--lane", "1"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let moved = json(&space, &args).await;
    assert_eq!((moved.len(), &moved[0]["lane"]), (1, &json!(1)));
    assert_eq!(moved[0]["records"], of_lane[1]);
    let all = json(&space, &["groups", "reset", "wide", "g", "--yes", "--to", "earliest"]).await;
    assert_eq!(all.len(), 3);
}
