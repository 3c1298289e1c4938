//! `agora config`, `agora completions`, and what every command has in common.

use serde_json::{Value, json};

use super::{World, error, space};

/// A file of a test's own.
pub(crate) fn file(name: &str, text: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("cli-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn setting<'a>(settings: &'a [Value], key: &str) -> &'a Value {
    settings
        .iter()
        .find(|setting| setting["key"] == key)
        .unwrap_or_else(|| panic!("no {key} in {settings:#?}"))
}

#[tokio::test]
async fn each_value_is_shown_with_its_origin_and_secrets_are_not() {
    let file = file(
        "origins.toml",
        "url = \"nats://mail:hunter2@host:4222\"\ncluster = \"file\"\n[limits]\nrepair_age = \"10s\"\n",
    );
    let world = || World {
        environment: vec![("AGORA__CLUSTER", "variable".to_owned()), ("PATH", "/bin".to_owned())],
        ..World::default()
    };
    let args = ["config", "--config", &file, "--node", "n"];
    let human = world().run(&args).await.assert_code(0);
    let text = human.stdout.join("\n");
    assert!(!text.contains("hunter2"), "{text}");
    let objects = world().run(&[&args[..], &["--json"]].concat()).await.assert_code(0).json();
    for (key, value, place) in [
        ("url", json!("nats://***@host:4222"), "file"),
        ("cluster", json!("variable"), "variable"),
        ("node", json!("n"), "command_line"),
        ("limits.repair_age", json!("10s"), "file"),
        ("limits.publish_timeout", json!("30s"), "default"),
        ("limits.memory_bytes", json!(67_108_864), "default"),
    ] {
        let setting = setting(&objects, key);
        assert_eq!((&setting["value"], &setting["place"]), (&value, &json!(place)), "{setting}");
        assert!(human.stdout.iter().any(|line| line.starts_with(&format!("{key} = "))), "{key}: {text}");
    }
    assert_eq!(setting(&objects, "cluster")["origin"], "variable AGORA__CLUSTER");
    assert_eq!(setting(&objects, "node")["origin"], "command line, --node");
    assert_eq!(setting(&objects, "nats.password")["value"], "***");
}

#[tokio::test]
async fn the_variable_of_the_url_is_one_of_agoras_own() {
    let run = async |environment: Vec<(&'static str, String)>, more: &[&str]| {
        let world = World { environment, ..World::default() };
        world.run(&[&["config", "--json"], more].concat()).await
    };
    let named = |url: &str| vec![("AGORA_URL", url.to_owned())];
    let of = |ended: super::Ended| setting(&ended.assert_code(0).json(), "url").clone();
    assert_eq!(of(run(named("memory:a"), &[]).await)["origin"], "variable AGORA_URL");
    assert_eq!(of(run(named("memory:a"), &["--url", "memory:b"]).await)["value"], "memory:b");
    assert_eq!(of(run(named(""), &[]).await)["value"], "zenoh:");
    let both = vec![("AGORA_URL", "memory:a".to_owned()), ("AGORA__URL", "memory:b".to_owned())];
    let both = run(both, &[]).await.assert_code(2);
    assert!(error(&both)["message"].as_str().unwrap().contains("set by two variables"));
    let file = file("url.toml", "url = \"memory:file\"\n");
    assert_eq!(of(run(named("memory:a"), &["--config", &file]).await)["value"], "memory:a");
    assert_eq!(of(run(Vec::new(), &["--config", &file]).await)["value"], "memory:file");
}

#[tokio::test]
async fn a_wrong_file_is_exit_code_2_with_the_exact_error() {
    let wrong = file("wrong.toml", "url = \"zenoh:\"\nclutser = \"a\"\n");
    for args in [
        &["config", "check", wrong.as_str()][..],
        &["config", "--config", &wrong],
        &["subscribe", "t", "--config", &wrong],
    ] {
        let ended = World::default().run(args).await.assert_code(2);
        assert!(ended.stderr[0].contains("unknown key `clutser`") && ended.stderr[0].contains("wrong.toml"));
        assert!(ended.stderr[1].contains("did you mean `cluster`?"), "{ended:?}");
    }
    let missing =
        World::default().run(&["config", "check", "/nonexistent.toml", "--json"]).await.assert_code(2);
    assert!(error(&missing)["message"].as_str().unwrap().contains("/nonexistent.toml"));
    let good = file("good.toml", "cluster = \"a\"\n[topics.t]\nkind = \"log\"\n");
    let environment = vec![("AGORA__CLUTSER", "b".to_owned())];
    let alone = World { environment, ..World::default() };
    let checked = alone.run(&["config", "check", &good]).await.assert_code(0);
    assert!(checked.stdout[0].ends_with("is good: 2 settings, it names no backend"), "{checked:?}");
}

#[tokio::test]
async fn the_demo_reads_no_configuration() {
    let refused = World::default().run(&["demo", "--config", "agora.toml"]).await.assert_code(2);
    assert!(refused.stderr[0].contains("the demo plays on its own"), "{refused:?}");
}

#[tokio::test]
async fn there_are_completions_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = World::default().run(&["completions", shell]).await.assert_code(0).stdout.join("\n");
        for word in ["subscribe", "doctor", "--connect-timeout"] {
            assert!(script.contains(word.trim_start_matches('-')), "{shell} knows no {word}");
        }
        assert!(!script.contains("demo-node"), "{shell} offers what nobody types");
    }
    World::default().run(&["completions", "cmd"]).await.assert_code(2);
}

#[tokio::test]
async fn every_command_explains_itself() {
    let commands: &[&[&str]] = &[
        &[],
        &["demo"],
        &["node"],
        &["publish"],
        &["subscribe"],
        &["peek"],
        &["members"],
        &["topics"],
        &["topics", "list"],
        &["topics", "describe"],
        &["topics", "create"],
        &["topics", "delete"],
        &["groups"],
        &["groups", "list"],
        &["groups", "describe"],
        &["groups", "create"],
        &["groups", "delete"],
        &["groups", "reset"],
        &["groups", "redrive"],
        &["lag"],
        &["doctor"],
        &["config"],
        &["config", "check"],
        &["completions"],
    ];
    for command in commands {
        for help in ["-h", "--help"] {
            let ended = World::default().run(&[command, &[help][..]].concat()).await.assert_code(0);
            let text = ended.stdout.join("\n");
            for part in ["Usage: agora", "--url", "--config", "--json", "--verbose"] {
                assert!(text.contains(part), "{command:?} {help} has no {part}: {text}");
            }
            assert!(ended.stderr.is_empty());
            let about = ended.stdout[0].as_str();
            assert!(
                about.len() > 10 && !about.starts_with("Usage"),
                "{command:?} says not what it does: {text}"
            );
        }
    }
}

#[tokio::test]
async fn a_name_in_a_file_is_that_of_a_service_and_not_of_the_tool() {
    let space = space();
    let file = file("node.toml", "url = \"memory:x\"\nnode = \"mail-1\"\n");
    let mut node = World::over(&space).start(&["node", "--config", &file]);
    node.error_with("mail-1 (").await;
    let args = ["publish", "t", "x", "--config", &file, "--json"];
    let receipt = World::over(&space).run(&args).await.assert_code(0).json();
    assert!(receipt[0]["node"].as_str().unwrap().starts_with("cli-"), "{receipt:?}");
    let named =
        World::over(&space).run(&[&args[..], &["--node", "mine"]].concat()).await.assert_code(0).json();
    assert_eq!(named[0]["node"], "mine");
    node.interrupt();
    node.end().await.assert_code(130);
}
