//! A secret is looked for wherever anything is printed.

use std::time::Duration;

use agora::Bus;
use agora::config::{Config, LoadOptions};

use crate::{env, json, toml};

/// What must never be seen. The second is a number, which serde's errors would show.
const SECRETS: [&str; 2] = ["hunter2", "7654321"];

/// Every place where a secret may be, right and wrong.
fn everywhere() -> Vec<LoadOptions> {
    let store = |text: &str| toml(&format!("cluster.coordinator = \"x\"\n[store.x]\n{text}"));
    let mut all = vec![
        toml("url = \"nats://u:hunter2@host:4222\"\n"),
        toml("url = \"nats://u:hun/hunter2?x#y@host:4222\"\n"),
        toml("url = \"nats://hunter2@host\"\n"),
        toml("url = \"nats://host?password=hunter2\"\n"),
        toml("url = \"nats://host?pwd=hunter2\"\n"),
        toml("url = \"nats://host?credentials=hunter2\"\n"),
        toml("url = \"redis://:hunter2@host/x\"\n"),
        toml("url = \"redis://:hunter2@host:x\"\n"),
        toml("url = \"redis://:hunter2@host#hunter2\"\n"),
        toml("url = \"redis+cluster://u:hunter2@a,b\"\n"),
        toml("url = \"redis+sentinel://u:hunter2@a,b/one\"\n"),
        toml("url = \"kafka://u:hunter2@host\"\n"),
        toml("url = \"zenoh://u:hunter2@host\"\n"),
        toml("url = \"u:hunter2@host\"\n"),
        toml("url = \"hunter2:x@host\"\n"),
        toml("url = \"http://u:hunter2@host\"\n"),
        toml("url = [\"redis://:hunter2@host\"]\n"),
        toml("[nats]\nuser = \"u\"\npassword = \"hunter2\"\n"),
        toml("[nats]\npassword = \"hunter2\"\n"),
        toml("[nats]\nuser = \"u\"\npassword = \"hunter2\"\npassword_file = \"f\"\n"),
        toml("[nats]\nuser = \"u\"\npassword = \"hunter2\"\ncredentials = \"hunter2\"\n"),
        toml("[nats]\npassword = 7654321\n"),
        toml("[nats]\npassword = 07654321\n"),
        toml("[nats]\npassword = 765432.1\n"),
        toml("[nats]\npassword = [\"hunter2\"]\n"),
        toml("[nats]\npassword = { value = \"hunter2\" }\n"),
        toml("[nats]\npassword = hunter2\n"),
        toml("[nats]\npassword = \"hunter2\n"),
        toml("[nats]\npassword = \"hunter2\" hunter2\n"),
        toml("[nats]\npassword = \"\\q hunter2\"\n"),
        toml("[nats]\npasswort = \"hunter2\"\n"),
        toml("[nats]\naddresses = [\"u:hunter2@host\"]\n"),
        toml("[nats]\ncredentials = \"hunter2\"\n"),
        toml("[nats]\ncredentials = 7654321\n"),
        toml("[redis]\nurls = \"redis://:hunter2@host\"\npassword = \"hunter2\"\n"),
        toml("[redis]\nurls = [\"redis://:hunter2@a\", \"redis://:hunter2@b\"]\n"),
        toml("[redis]\nurls = [\"redis://:hunter2@a\", \"http://:hunter2@b\"]\n"),
        toml("[redis]\nurls = \":hunter2@a\"\n"),
        toml("[kafka]\nuser = \"u\"\npassword = \"hunter2\"\nsasl = \"plain\"\n"),
        toml("[kafka]\nbrokers = \"u:hunter2@host:1\"\n"),
        toml("[zenoh]\nconfig = \"{ password: 'hunter2' }\"\n"),
        toml("[zenoh]\nconfig = \"{ password: 'hunter2' }\"\nmode = \"peer\"\n"),
        toml("[zenoh]\nconnect = [\"u:hunter2@host\"]\n"),
        store("type = \"nats\"\naddress = \"a:1\"\nuser = \"u\"\npassword = \"hunter2\"\n"),
        store("type = \"nats\"\naddress = \"a:1\"\npassword = 7654321\n"),
        store("type = \"nats\"\naddress = \"a:1\"\npassword = \"%{env:hunter2}%\"\n"),
        store("type = \"nats\"\naddress = \"a:1\"\npassworld = \"hunter2\"\n"),
        store("type = \"redis\"\nurls = \"redis://:hunter2@host\"\nredis-type = \"several\"\n"),
        store("type = \"zenoh\"\nconfig = \"{ hunter2\"\n"),
        store("type = \"rocksdb\"\npassword = \"hunter2\"\n"),
        json(
            "{\"@type\": \"Nats\", \"addresses\": [\"a:1\"], \"authUsername\": \"u\", \"authSecret\": \"hunter2\"}",
        ),
        json("{\"@type\": \"Nats\", \"authSecret\": {\"@type\": \"Value\", \"secret\": \"hunter2\"}}"),
        json("{\"@type\": \"Nats\", \"authSecret\": 7654321}"),
        json("{\"@type\": \"Nats\", \"authSecret\": \"hunter2"),
        json("{\"@type\": \"Nats\", \"authSecret\": hunter2}"),
        json("[\"hunter2\"]"),
        json("\"hunter2\""),
        toml("[bus]\nbackend = \"nats\"\n[bus.nats]\nurl = \"nats://u:hunter2@host\"\n"),
        toml("[bus]\nbackend = \"nats\"\n[bus.nats]\nurl = \"http://u:hunter2@host\"\n"),
        toml("[bus]\nbackend = \"nats\"\n[bus.nats]\nurl = 7654321\n"),
        env(&[("BUS_BACKEND", "nats"), ("NATS_URL", "nats://u:hunter2@host")]),
        env(&[("BUS_BACKEND", "nats"), ("NATS_URL", "u:hunter2@host")]),
        env(&[("BUS_BACKEND", "kafka"), ("KAFKA_BROKERS", "u:hunter2@a"), ("KAFKA_BOOTSTRAP_SERVERS", "b")]),
        env(&[("BUS_BACKEND", "kafka"), ("NATS_URL", "nats://u:hunter2@host"), ("KAFKA_BROKERS", "a")]),
        env(&[("NATS_URL", "nats://u:hunter2@host")]),
        env(&[("AGORA__URL", "redis://:hunter2@host")]),
        env(&[("AGORA__NATS__PASSWORD", "7654321")]),
        env(&[("AGORA__NATS__USER", "u"), ("AGORA__NATS__PASSWORD", "7654321")]),
        env(&[("AGORA__NATS__PASSWROD", "hunter2")]),
        env(&[("AGORA__REDIS__PASSWORD", "hunter2"), ("agora__x", "hunter2")]),
    ];
    let given = LoadOptions::new().set("redis.password", "hunter2").command_line(
        "--url",
        "url",
        "nats://u:hunter2@h",
    );
    all.push(given);
    all
}

#[tokio::test]
async fn no_secret_is_seen_anywhere() {
    let (mut read, mut refused) = (0, 0);
    for options in everywhere() {
        let mut seen = vec![format!("{options:?} {options:#?}")];
        match Config::load(options) {
            Ok(config) => {
                read += 1;
                seen.push(format!("{config} {config:?} {config:#?} {:?}", config.model()));
                seen.push(format!("{:?} {:?}", config.settings(), config.warnings()));
                let builder = Bus::builder().config(config).connect_timeout(Duration::from_millis(20));
                let other = builder.clone().url("nats://u:hunter2@host");
                seen.push(format!("{other:?} {other:#?}"));
                for bus in [builder.connect().await, other.connect().await] {
                    match bus {
                        // A server that does not answer is no error: its link says why.
                        Ok(bus) => seen.push(format!("{bus:?} {bus:#?} {:?}", *bus.link().borrow())),
                        Err(error) => seen.push(format!("{error} {error:#} {error:?} {error:#?}")),
                    }
                }
            }
            Err(error) => {
                refused += 1;
                seen.push(format!("{error} {error:#} {error:?} {error:#?}"));
                let mut cause = std::error::Error::source(&error);
                while let Some(inner) = cause {
                    seen.push(format!("{inner} {inner:?}"));
                    cause = inner.source();
                }
            }
        }
        for text in seen {
            for secret in SECRETS {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
    // Both ways are looked at.
    assert!(read >= 15 && refused >= 30, "{read} read, {refused} refused");
}
