use std::path::PathBuf;

use super::*;

/// The settings that a URL stands for.
fn settings(url: &str) -> Settings {
    ZenohConfig::from_url(url).unwrap_or_else(|error| panic!("{url}: {error:#}")).settings().unwrap().clone()
}

#[test]
fn urls_that_are_read() {
    let base = Settings::default;
    let hosts = |list: &[&str]| list.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>();
    for (url, expected) in [
        ("zenoh:", base()),
        ("zenoh://", base()),
        ("zenoh:///", base()),
        ("zenoh:?", base()),
        ("zenoh:?mode=peer&", base()),
        ("zenoh://a:1", Settings { connect: hosts(&["a:1"]), ..base() }),
        ("zenoh://a:1/", Settings { connect: hosts(&["a:1"]), ..base() }),
        (
            "zenoh://a,b-c.example:2,10.0.0.1",
            Settings { connect: hosts(&["a", "b-c.example:2", "10.0.0.1"]), ..base() },
        ),
        ("zenoh://[::1]:7447,[fe80::1]", Settings { connect: hosts(&["[::1]:7447", "[fe80::1]"]), ..base() }),
        ("zenoh://a?mode=client", Settings { mode: Mode::Client, connect: hosts(&["a"]), ..base() }),
        ("zenoh:?mode=client", Settings { mode: Mode::Client, ..base() }),
        ("zenoh:?mode=router", Settings { mode: Mode::Router, ..base() }),
        ("zenoh:?listen=0.0.0.0:0,[::]:9", Settings { listen: hosts(&["0.0.0.0:0", "[::]:9"]), ..base() }),
        ("zenoh:?multicast=on", Settings { multicast: Multicast::On, ..base() }),
        ("zenoh:?multicast=off", Settings { multicast: Multicast::Off, ..base() }),
        (
            "zenoh:?multicast=eth0,wg-1",
            Settings { multicast: Multicast::Interface("eth0,wg-1".into()), ..base() },
        ),
        (
            "zenoh:?multicast=eth0%2Cwg-1",
            Settings { multicast: Multicast::Interface("eth0,wg-1".into()), ..base() },
        ),
        (
            "zenoh:?multicast_port=9999",
            Settings { multicast_address: "224.0.0.224:9999".parse().unwrap(), ..base() },
        ),
        (
            "zenoh:?multicast_address=239.1.2.3:5",
            Settings { multicast_address: "239.1.2.3:5".parse().unwrap(), ..base() },
        ),
        ("zenoh:?lease=500ms", Settings { lease: Duration::from_millis(500), ..base() }),
        ("zenoh:?lease=1m", Settings { lease: Duration::from_secs(60), ..base() }),
        (
            "zenoh:?user=m%26m&password_file=/run/secrets/zenoh%20pw&users_file=/etc/a+b",
            Settings {
                user: Some("m&m".into()),
                password_file: Some(PathBuf::from("/run/secrets/zenoh pw")),
                users_file: Some(PathBuf::from("/etc/a+b")),
                ..base()
            },
        ),
    ] {
        assert_eq!(settings(url), expected, "{url}");
    }
}

#[test]
fn a_url_may_name_the_cluster() {
    let named = ZenohConfig::from_url("zenoh:?cluster=prod.eu").unwrap();
    assert_eq!(named.cluster().unwrap().as_str(), "prod.eu");
    assert_eq!(ZenohConfig::from_url("zenoh:").unwrap().cluster(), None);
}

#[test]
fn urls_that_are_refused_say_what_and_why() {
    let long = format!("zenoh://{}", "a,".repeat(9000));
    let many = format!("zenoh://{}a", "a,".repeat(256));
    // Each with words that its message and help must hold: the parameter, what was found, what is allowed.
    for (url, words) in [
        ("", &["zenoh:"][..]),
        ("nats://a", &["zenoh:"]),
        ("zenoh", &["zenoh:"]),
        ("zenoh:a", &["\"a\"", "//host:port"]),
        ("zenoh:/a", &["\"/a\"", "//host:port"]),
        ("zenoh://a/b", &["path", "cluster="]),
        ("zenoh://u:p@a", &["user="]),
        ("zenoh://a#b", &["fragment", "%23"]),
        ("zenoh://a,,b", &["connect", "\"\"", "host:port"]),
        ("zenoh://a:", &["connect", "\"a:\"", "host:port"]),
        ("zenoh://a:x", &["connect", "\"a:x\"", "host:port"]),
        ("zenoh://a:0", &["connect", "\"a:0\"", "host:port"]),
        ("zenoh://a:65536", &["connect", "a:65536"]),
        ("zenoh://a:1:2", &["connect", "a:1:2"]),
        ("zenoh://::1", &["connect", "::1"]),
        ("zenoh://[::1", &["connect", "[::1"]),
        ("zenoh://[::1]7", &["connect", "[::1]7"]),
        ("zenoh://[zz]:7", &["connect", "[zz]:7"]),
        ("zenoh://a%20b:1", &["connect", "a b:1"]),
        ("zenoh://a%zz:1", &["percent", "a%zz:1"]),
        ("zenoh://a%f", &["percent", "a%f"]),
        ("zenoh://%ff", &["percent", "%ff"]),
        ("zenoh:?mode=server", &["mode", "\"server\"", "peer, client or router"]),
        ("zenoh:?mode=", &["mode", "no value"]),
        ("zenoh:?mode", &["mode", "no value"]),
        ("zenoh:?colour=red", &["colour", "mode, listen, multicast"]),
        ("zenoh:?Mode=peer", &["Mode", "mode, listen, multicast"]),
        ("zenoh:?=x", &["unknown parameter ``"]),
        ("zenoh:?mode=peer&mode=peer", &["mode", "twice"]),
        ("zenoh:?listen=a:b", &["listen", "a:b", "host:port"]),
        ("zenoh:?multicast=a b", &["multicast", "a b", "on, off"]),
        ("zenoh:?multicast=eth0,,", &["multicast", "on, off"]),
        ("zenoh:?multicast_port=0", &["multicast_port", "\"0\"", "65535"]),
        ("zenoh:?multicast_port=70000", &["multicast_port", "70000", "65535"]),
        ("zenoh:?multicast_address=10.0.0.1:5", &["multicast_address", "10.0.0.1:5", "224.0.0.224:7446"]),
        ("zenoh:?multicast_address=224.0.0.1:0", &["multicast_address", "224.0.0.224:7446"]),
        ("zenoh:?multicast_address=x", &["multicast_address", "\"x\"", "224.0.0.224:7446"]),
        ("zenoh:?multicast_port=5&multicast_address=224.0.0.1:6", &["multicast_port", "multicast_address"]),
        ("zenoh:?lease=3", &["lease", "\"3\"", "3s"]),
        ("zenoh:?lease=s", &["lease", "\"s\"", "3s"]),
        ("zenoh:?lease=-1s", &["lease", "-1s"]),
        ("zenoh:?lease=1h", &["lease", "1h"]),
        ("zenoh:?lease=99999999999999999999s", &["lease"]),
        ("zenoh:?lease=18446744073709551615m", &["lease"]),
        ("zenoh:?lease=100ms", &["lease", "100ms", "500ms to 60s"]),
        ("zenoh:?lease=61s", &["lease", "61s", "500ms to 60s"]),
        ("zenoh:?user=a", &["user", "password_file"]),
        ("zenoh:?password_file=a", &["password_file", "user"]),
        ("zenoh:?password=secret", &["password_file"]),
        ("zenoh:?cluster=a/b", &["cluster", "a/b"]),
        ("zenoh:?mode=client&multicast=off", &["client", "multicast"]),
        (long.as_str(), &["bytes", "16384"]),
        (many.as_str(), &["connect", "257", "256"]),
    ] {
        let error = match ZenohConfig::from_url(url) {
            Err(error) => error,
            Ok(config) => panic!("{url} was read as {config:?}"),
        };
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        let text = format!("{error:#}");
        for word in words {
            assert!(text.contains(word), "{url}: {text:?} does not say {word:?}");
        }
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn multicast_is_on_unless_somebody_is_named() {
    for (url, expected) in [
        ("zenoh:", true),
        ("zenoh://a", false),
        ("zenoh://a?multicast=on", true),
        ("zenoh://a?multicast=lo", true),
        ("zenoh:?multicast=off", false),
    ] {
        assert_eq!(settings(url).multicast_enabled(), expected, "{url}");
    }
}

/// One value of the configuration that zenoh is opened with.
fn native(config: &ZenohConfig, key: &str) -> String {
    config.native().unwrap().get_json(key).unwrap()
}

#[test]
fn zenoh_gets_what_was_set() {
    let url = "zenoh://a:1,[::1]?listen=127.0.0.1:0&lease=2s&multicast=lo&multicast_port=5";
    let config = ZenohConfig::from_url(url).unwrap();
    for (key, expected) in [
        ("mode", r#""peer""#),
        ("connect/endpoints", r#"["tcp/a:1","tcp/[::1]:7447"]"#),
        ("listen/endpoints", r#"["tcp/127.0.0.1:0"]"#),
        ("scouting/multicast/enabled", "true"),
        ("scouting/multicast/interface", r#""lo""#),
        ("scouting/multicast/address", r#""224.0.0.224:5""#),
        ("transport/link/tx/lease", "2000"),
        ("transport/link/tx/queue/congestion_control/block/wait_before_close", "1000000"),
    ] {
        assert_eq!(native(&config, key), expected, "{key}");
    }
    assert_eq!(native(&ZenohConfig::from_url("zenoh://a").unwrap(), "scouting/multicast/enabled"), "false");
}

#[test]
fn json5_is_passed_on_as_it_is() {
    let text = "{ mode: 'client', /* a comment */ connect: { endpoints: ['tcp/a:1', 'tcp/b:1'] }, }";
    let config = ZenohConfig::from_json5(text).unwrap();
    assert_eq!(native(&config, "mode"), r#""client""#);
    assert_eq!(native(&config, "connect/endpoints"), r#"["tcp/a:1","tcp/b:1"]"#);
    // None of the defaults of `Settings`.
    let plain = zenoh::Config::default();
    for key in ["transport/link/tx/lease", "connect/retry", "scouting/multicast/enabled"] {
        assert_eq!(native(&config, key), plain.get_json(key).unwrap(), "{key}");
    }
    assert_eq!(config.part(), (Mode::Client, 2));
    let by_mode = "{ connect: { endpoints: { peer: ['tcp/a:1'], router: [] } } }";
    assert_eq!(ZenohConfig::from_json5(by_mode).unwrap().part(), (Mode::Peer, 1));
}

#[test]
fn json5_that_is_refused_names_the_key() {
    let negative = "{ transport: { link: { tx: { queue: { congestion_control: { block: { wait_before_close: -1 } } } } } } }";
    for (text, word) in [
        ("{ mod: 'peer' }", "key: mod"),
        ("{ mode: 'server' }", "key: mode"),
        ("{ connect: { endpoints: ['nowhere'] } }", "key: connect/endpoints"),
        ("{ connect: { endpoint: ['tcp/a:1'] } }", "key: connect/endpoint"),
        ("{ mode: 'peer'", "line: 1, column: "),
        ("{ transport: { link: { tx: { lease: 'long' } } } }", "key: transport/link/tx/lease"),
        (negative, "wait_before_close"),
    ] {
        let error = ZenohConfig::from_json5(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{text}");
        assert!(format!("{error:#}").contains(word), "{text}: {error:#}");
    }
}

#[test]
fn json5_that_is_refused_is_not_shown() {
    for text in [
        "{ hunter2",
        "hunter2",
        "'hunter2'",
        "['hunter2']",
        "{ mode: 'hunter2' }",
        "{ transport: { auth: { usrpwd: { user: 'u', password: 7654321 } } } }",
        "{ transport: { auth: { usrpwd: { user: 'u', password: ['hunter2'] } } } }",
        "{ transport: { auth: { usrpwd: 'hunter2' } } }",
        "{ transport: { link: { tls: { root_ca_certificate: 7654321 } } } }",
        "{ connect: { endpoints: ['tcp/u:hunter2'], timeout_ms: 'hunter2' } }",
        "{ connect: { endpoints: ['hunter2'] } }",
        "{ scouting: { multicast: { address: 'hunter2' } } }",
        "{ id: 'hunter2' }",
    ] {
        let error = ZenohConfig::from_json5(text).unwrap_err();
        let said = format!("{error:#} {error:?}");
        assert!(!said.contains("hunter2") && !said.contains("7654321"), "{text}: {said}");
    }
}

#[test]
fn a_password_is_read_late_and_never_shown() {
    let file = std::env::temp_dir().join(format!("agora-zenoh-password-{}", std::process::id()));
    let url = format!("zenoh:?user=mail&password_file={}", file.display());
    let config = ZenohConfig::from_url(&url).unwrap();
    let missing = config.native().unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Config);
    assert!(missing.to_string().contains("password_file"), "{missing}");
    std::fs::write(&file, "hunter2\r\nnot this\n").unwrap();
    let read = native(&config, "transport/auth/usrpwd/password");
    std::fs::write(&file, "\n").unwrap();
    let empty = config.native().unwrap_err();
    std::fs::remove_file(&file).unwrap();
    assert!(empty.to_string().contains("empty"), "{empty}");
    // Zenoh hides it in its own printouts, so only its length can be seen here.
    assert!(read.contains("hunter2") || !read.contains("not this"), "{read}");
    assert!(!format!("{config:?}").contains("hunter2"));
    let json5 =
        ZenohConfig::from_json5("{ transport: { auth: { usrpwd: { user: 'u', password: 'hunter2' } } } }");
    assert!(!format!("{:?}", json5.unwrap()).contains("hunter2"));
}
