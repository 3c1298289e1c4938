use super::*;

/// A value that the setting takes, and that is not its default.
fn sample(key: &Key) -> Raw {
    match key.takes {
        Takes::Text | Takes::Path | Takes::Secret | Takes::Document => Raw::from("sample"),
        Takes::Cluster | Takes::Node => Raw::from("sample.name"),
        Takes::Url => Raw::from("memory:sample"),
        Takes::Hosts | Takes::Listens => Raw::from("sample:1, [::1]:2"),
        Takes::RedisUrls => Raw::from("redis://:sample@host/1"),
        Takes::Flag => Raw::Flag(key.default != "true"),
        Takes::Number { most, .. } => Raw::Number(most.into()),
        Takes::Time { most, .. } => Raw::Text(duration::text(most)),
        Takes::OneOf(words) => Raw::from(*words.last().unwrap()),
        Takes::Multicast => Raw::from("eth0,10.0.0.1"),
        Takes::Group => Raw::from("239.0.0.1:9"),
    }
}

/// The name of a section, with a topic where it has one.
fn named(section: &Section) -> &'static str {
    if section.name == keys::TOPICS { "topics.a.b" } else { section.name }
}

#[test]
fn every_key_that_is_listed_is_read_into_the_model() {
    for section in SECTIONS {
        for key in section.keys {
            let mut model = Model::default();
            let value = key.takes.read(&sample(key)).unwrap();
            assert!(model.set(named(section), key.name, value), "{}.{}", section.name, key.name);
            assert_ne!(model, Model::default(), "{}.{} changes nothing", section.name, key.name);
            assert_eq!(find(named(section), key.name), Some(key));
        }
    }
}

#[test]
fn a_default_that_is_written_as_a_value_is_the_models() {
    // Where the model says `None`, it is the backend that has the default.
    let backends = [
        "cluster",
        "mode",
        "wire",
        "lease",
        "multicast_port",
        "multicast_address",
        "stream_name",
        "storage",
        "duplicate_window",
    ];
    let mut checked = 0;
    for section in SECTIONS {
        for key in section.keys {
            let quoted = key.default.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            let bare = key.default.parse::<u64>().is_ok() || matches!(key.default, "true" | "false");
            let Some(text) = quoted.or(bare.then_some(key.default)) else { continue };
            let mut model = Model::default();
            let value = key.takes.read(&Raw::from(text)).unwrap();
            assert!(model.set(named(section), key.name, value));
            if !backends.contains(&key.name) {
                assert_eq!(model, Model::default(), "{}.{}", section.name, key.name);
                checked += 1;
            }
        }
    }
    assert!(checked > 15, "{checked}");
}

#[test]
fn no_key_has_two_meanings() {
    for section in SECTIONS {
        let names: std::collections::BTreeSet<&str> = section.keys.iter().map(|key| key.name).collect();
        assert_eq!(names.len(), section.keys.len(), "{}", section.name);
        for key in section.keys {
            assert!(key.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", key.name);
            assert!(key.about.ends_with('.'), "{}: {}", key.name, key.about);
        }
    }
}

#[test]
fn what_is_no_such_key_or_of_another_type_is_not_taken() {
    let mut model = Model::default();
    for section in
        ["", "limits", "membership", "zenoh", "nats", "redis", "kafka", "topics.t", "topics.a b", "x"]
    {
        assert!(!model.set(section, "no_such_key", Value::Flag(true)), "{section}");
    }
    assert!(!model.set("kafka", "brokers", Value::Flag(true)));
    assert!(!model.set("topics.a b", "kind", Value::Text("log".into())));
    assert_eq!(find("kafka", "addresses"), None);
    assert_eq!(find("pigeon", "addresses"), None);
}

#[test]
fn text_does_for_everything_that_is_no_secret() {
    for (takes, text, expected) in [
        (Takes::Flag, "true", Value::Flag(true)),
        (Takes::Number { least: 0, most: 9 }, "7", Value::Number(7)),
        (Takes::Hosts, "a:1,b, c:3", Value::List(vec!["a:1".into(), "b".into(), "c:3".into()])),
        (Takes::Secret, "0123456", Value::Secret(Secret::new("0123456"))),
        (Takes::Secret, " a,b ", Value::Secret(Secret::new(" a,b "))),
    ] {
        assert_eq!(takes.read(&Raw::from(text)), Ok(expected), "{text}");
    }
}

#[test]
fn a_secret_is_in_no_problem_and_in_no_printout() {
    let long = "hunter2".repeat(1000);
    for raw in [
        Raw::Number(7_654_321),
        Raw::List(vec![Raw::from("hunter2")]),
        Raw::Flag(true),
        Raw::Text(long),
        Raw::from("redis://:hunter2@host:x"),
        Raw::from("http://:hunter2@host"),
        Raw::List(vec![Raw::from("redis://:hunter2@host#hunter2")]),
    ] {
        for takes in [Takes::Secret, Takes::RedisUrls, Takes::Url, Takes::Document] {
            let said = format!("{:?} {raw:?}", takes.read(&raw));
            assert!(!said.contains("hunter2") && !said.contains("7654321"), "{takes:?}: {said}");
        }
    }
    // Whoever writes a password where only a host belongs.
    let problem = Takes::Hosts.read(&Raw::from("user:hunter2@host:1")).unwrap_err();
    assert!(!format!("{problem:?}").contains("hunter2"));
}
