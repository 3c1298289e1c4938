//! What goes wrong where configurations are read carelessly.

use std::ffi::OsString;

use agora::config::{Config, LoadOptions, SecretUrl};

use crate::{env, load, refused, toml};

#[test]
fn a_secret_that_looks_like_a_number_keeps_its_zeros() {
    let config = load(env(&[("AGORA__NATS__USER", "u"), ("AGORA__NATS__PASSWORD", "0123456")]));
    assert_eq!(config.model().nats.password.as_ref().unwrap().expose(), "0123456");
    // Nor is it taken for a list, a flag or a table.
    for password in ["[1, 2]", "true", "{a=1}", "\"quoted\"", " spaced ", "a,b", "1e5"] {
        let config = load(env(&[("AGORA__REDIS__PASSWORD", password)]));
        assert_eq!(config.model().redis.password.as_ref().unwrap().expose(), password);
    }
    let options =
        LoadOptions::new().set("redis.password", "007").command_line("--x", "kafka.topic_prefix", "007");
    let config = load(options);
    assert_eq!(config.model().redis.password.as_ref().unwrap().expose(), "007");
    assert_eq!(config.model().kafka.topic_prefix.as_deref(), Some("007"));
}

#[test]
fn a_number_for_a_secret_is_refused_and_not_shown() {
    for number in ["7654321", "76543.21", "-7654321", "7_654_321"] {
        let said = refused(toml(&format!("[nats]\nuser = \"u\"\npassword = {number}\n")));
        assert!(said.contains("leading zeros") && !said.contains("76543") && !said.contains("7_6"), "{said}");
    }
    // TOML itself refuses this one; its message must not show it either.
    let said = refused(toml("[nats]\nuser = \"u\"\npassword = 07654321\n"));
    assert!(said.contains("line: 3") && !said.contains("7654321"), "{said}");
}

#[test]
fn a_list_needs_no_brackets_and_may_have_them() {
    for list in ["a:1,b:2", "a:1, b:2", "[\"a:1\",\"b:2\"]", "[\"a:1\", \"b:2\"]"] {
        let config = load(env(&[("AGORA__KAFKA__BROKERS", list)]));
        assert_eq!(config.model().kafka.brokers, ["a:1", "b:2"], "{list}");
    }
    for list in ["brokers = [\"a:1\", \"b:2\"]", "brokers = \"a:1,b:2\""] {
        assert_eq!(load(toml(&format!("[kafka]\n{list}\n"))).model().kafka.brokers, ["a:1", "b:2"], "{list}");
    }
    let config =
        load(env(&[("AGORA__REDIS__MODE", "cluster"), ("AGORA__REDIS__URLS", "redis://:x,y@a, rediss://b")]));
    assert_eq!(config.model().redis.urls, [SecretUrl::new("redis://:x,y@a"), SecretUrl::new("rediss://b")]);
    for list in ["a:1,", ",", "[\"a:1\"", "[1]", "a:1;b:2"] {
        refused(env(&[("AGORA__KAFKA__BROKERS", list)]));
    }
}

#[test]
fn numbers_flags_and_times_may_be_text() {
    let config = load(env(&[
        ("AGORA__NATS__TLS", "true"),
        ("AGORA__NATS__MAX_RECONNECTS", "7"),
        ("AGORA__NATS__PING_INTERVAL", "7s"),
    ]));
    let nats = &config.model().nats;
    assert_eq!((nats.tls, nats.max_reconnects, nats.ping_interval.as_secs()), (true, Some(7), 7));
}

#[test]
fn variables_of_others_are_left_alone_whatever_they_hold() {
    let mut variables: Vec<(OsString, OsString)> = [
        // Kubernetes makes the first four for a service called `agora`.
        ("AGORA_SERVICE_HOST", "10.0.0.1"),
        ("AGORA_PORT", "tcp://10.0.0.1:80"),
        ("AGORA_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("AGORA_SECRET", "0123456"),
        ("AGORA_URL", "not a url"),
        ("XAGORA__URL", "not a url"),
        ("KAFKA_ADVERTISED_LISTENERS", "?"),
        ("NATS_URLS", "?"),
        ("KAFKA_BROKERS", ""),
        ("NATS_URL", "?"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .to_vec();
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        let broken = OsString::from_vec(vec![b'A', 0xff]);
        variables.push((broken.clone(), broken.clone()));
        variables.push(("OTHER".into(), broken));
    }
    let config = load(toml("url = \"zenoh:\"").environment(variables));
    assert_eq!(config.model(), load(toml("url = \"zenoh:\"")).model());
}

#[cfg(unix)]
#[test]
fn a_variable_of_agoras_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let options = LoadOptions::new().environment([("AGORA__NODE", OsString::from_vec(vec![0xff]))]);
    assert_eq!(refused(options), "config: the variable is not UTF-8 (from: variable AGORA__NODE)");
}

#[test]
fn a_file_that_somebody_named_must_be_there() {
    let place = std::env::temp_dir().join(format!("agora-config-{}.toml", std::process::id()));
    let said = refused(LoadOptions::new().file(&place));
    assert!(said.contains("cannot be read") && said.contains(&place.display().to_string()), "{said}");
    // A default place may be empty, and then that is said.
    let config = load(LoadOptions::new().file_if_present(&place));
    assert_eq!(config.warnings(), [format!("there is no file {}: it was not read", place.display())]);
    std::fs::write(&place, "cluster = \"from-file\"\n").unwrap();
    for options in [LoadOptions::new().file(&place), LoadOptions::new().file_if_present(&place)] {
        let config = load(options);
        assert_eq!(config.model().cluster.as_ref().unwrap().as_str(), "from-file");
        assert_eq!(config.origin("cluster").unwrap().to_string(), format!("file {}", place.display()));
    }
    std::fs::write(&place, [b'#'; (1 << 20) + 1]).unwrap();
    let said = refused(LoadOptions::new().file(&place));
    assert!(said.contains("more than 1048576 bytes"), "{said}");
    std::fs::write(&place, [0xff, 0xfe]).unwrap();
    let said = refused(LoadOptions::new().file_if_present(&place));
    assert!(said.contains("not UTF-8"), "{said}");
    std::fs::remove_file(&place).unwrap();
    let said = refused(LoadOptions::new().file(std::env::temp_dir()));
    assert!(said.contains("cannot be read"), "{said}");
}

#[test]
fn a_json_file_is_known_by_its_name_or_its_brace() {
    let object = "  {\"@type\": \"Zenoh\", \"config\": \"{}\"}";
    for name in ["coordinator.json", "coordinator", "agora.toml"] {
        let config = Config::load(LoadOptions::new().text(name, object)).unwrap();
        assert_eq!(config.model().backend, Some(agora::config::Backend::Zenoh), "{name}");
    }
}
