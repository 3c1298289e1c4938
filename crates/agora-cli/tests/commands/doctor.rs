//! `agora doctor`

use serde_json::Value;

use super::{World, json, lines, space};

fn check<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no {name} in {checks:#?}"))
}

#[tokio::test]
async fn a_cluster_that_works_is_green() {
    let space = space();
    let mut nodes = Vec::new();
    for name in ["a", "b"] {
        let mut node = World::over(&space).start(&["node", "--node", name]);
        node.error_with("is a member").await;
        nodes.push(node);
    }
    let checks = json(&space, &["doctor", "--count", "2", "--wait", "20s"]).await;
    for name in ["configuration", "connection", "round trip", "members", "clocks", "topics"] {
        let check = check(&checks, name);
        assert_eq!((&check["type"], &check["status"]), (&"check".into(), &"green".into()), "{check}");
        assert!(check.get("todo").is_none(), "{check}");
    }
    assert!(check(&checks, "members")["found"].as_str().unwrap().contains("2 in cluster default: a, b"));
    let human = lines(&space, &["doctor", "--count", "2", "--wait", "20s"]).await;
    assert!(human.iter().all(|line| line.starts_with("green ")), "{human:#?}");
    for node in nodes {
        node.interrupt();
        node.end().await.assert_code(130);
    }
}

#[tokio::test]
async fn an_empty_cluster_is_yellow_and_one_that_should_not_be_is_red() {
    let space = space();
    let ended = World::over(&space).run(&["doctor", "--wait", "50ms"]).await.assert_code(0);
    let members = ended.stdout.iter().position(|line| line.starts_with("yellow  members")).unwrap();
    assert!(ended.stdout[members + 1].trim_start().starts_with("do: "), "{ended:#?}");
    let short = World::over(&space).run(&["doctor", "--wait", "50ms", "--count", "3", "--json"]).await;
    let short = short.assert_code(1).json();
    let members = check(&short, "members");
    assert_eq!(members["status"], "red");
    assert!(members["todo"].is_string() && members["found"].as_str().unwrap().starts_with("0 of 3"));
}

#[tokio::test]
async fn two_nodes_of_one_name_are_red() {
    let space = space();
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let mut node = World::over(&space).start(&["node", "--node", "twin"]);
        node.error_with("is a member").await;
        nodes.push(node);
    }
    let ended = World::over(&space).run(&["doctor", "--wait", "8s", "--json"]).await.assert_code(1).json();
    let members = check(&ended, "members");
    assert!(members["found"].as_str().unwrap().contains("two live nodes have one name: twin"), "{members}");
    for node in nodes {
        node.interrupt();
        node.end().await;
    }
}

#[tokio::test]
async fn what_is_wrong_before_a_connection_is_a_check_too() {
    let space = space();
    let ended = World::over(&space).run(&["doctor", "--config", "/nonexistent/agora.toml", "--json"]).await;
    let checks = ended.assert_code(1).json();
    assert_eq!(checks.len(), 1);
    assert_eq!((&checks[0]["check"], &checks[0]["status"]), (&"configuration".into(), &"red".into()));
    let ended = World::default().run(&["doctor", "--url", "nats://127.0.0.1:1", "--json"]).await;
    let checks = ended.assert_code(1).json();
    let connection = check(&checks, "connection");
    assert_eq!(connection["status"], "red");
    assert!(connection["todo"].is_string());
}

#[tokio::test]
async fn a_configuration_that_says_something_else_of_a_topic_is_red() {
    let space = space();
    let mut node = World::over(&space).start(&["node", "--node", "a", "--topic", "mail"]);
    node.error_with("listening to mail").await;
    let file = super::tools::file("differs.toml", "url = \"memory:x\"\n[topics.mail]\nwire = \"plain\"\n");
    let doctor = ["doctor", "--wait", "3s", "--json"];
    let agreed = World::over(&space).run(&doctor).await.assert_code(0).json();
    assert_eq!(check(&agreed, "topics")["status"], "green");
    let told = World::over(&space).run(&[&doctor[..], &["--config", &file]].concat()).await.assert_code(1);
    let found = check(&told.json(), "topics")["found"].as_str().unwrap().to_owned();
    assert!(found.contains("mail: ") && found.contains("wire frame (a)"), "{found}");
    assert!(found.contains("wire plain (this configuration)"), "{found}");
    node.interrupt();
    node.end().await.assert_code(130);
}
