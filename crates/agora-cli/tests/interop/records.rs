//! Records: who reads what whom wrote.

use std::collections::{BTreeMap, BTreeSet};

use agora_testbed::KafkaBroker;
use serde_json::{Value, json};

use crate::scripts::{Other, parts};
use crate::{run, told};

/// The lane of each key.
type Lanes = BTreeMap<String, BTreeSet<u32>>;

fn lane(lanes: &mut Lanes, key: &str, lane: u32) {
    lanes.entry(key.to_owned()).or_default().insert(lane);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_client_reads_what_agora_wrote_and_agora_what_each_client_wrote() {
    let broker = KafkaBroker::start().await.unwrap();
    let (url, address) = (&broker.url(), &broker.address());
    let mut lanes = Lanes::new();

    // What agora writes as plain values has a value that is nothing else, and its key.
    told(url, &["topics", "create", "plain", "--lanes", "4"], "").await;
    let keys: Vec<String> = (0..8).map(|number| format!("key-{number}")).collect();
    let lines: String =
        keys.iter().map(|key| format!("{}\n", json!({"key": key, "text": format!("grüße {key}")}))).collect();
    told(url, &["publish", "plain", "--raw", "--ndjson"], &lines).await;
    let due: BTreeSet<_> = keys.iter().map(|key| (key.clone(), format!("grüße {key}"))).collect();
    for other in Other::ALL {
        let heard = run(other.reader(address, "plain", &format!("{other:?}"), keys.len()), "").await;
        let found: BTreeSet<_> =
            heard.lines().map(parts).map(|(_, key, value)| (key.to_owned(), value.to_owned())).collect();
        assert_eq!(found, due, "{other:?}");
        heard.lines().map(parts).for_each(|(at, key, _)| lane(&mut lanes, key, at));
    }

    // What others write is read as it is.
    let lines: String = keys.iter().map(|key| format!("{key} of {key}\n")).collect();
    for other in Other::ALL {
        let topic = &format!("of-{other:?}").to_lowercase();
        told(url, &["topics", "create", topic, "--lanes", "4"], "").await;
        run(other.writer(address, topic), &format!("{lines}key-0 \n")).await;
        let read = told(url, &["subscribe", topic, "--raw", "--from", "earliest", "--count", "9"], "").await;
        let text = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
        let values: BTreeSet<_> =
            read.iter().map(|record| (text(record, "key"), text(record, "text"))).collect();
        let mut due: BTreeSet<_> = keys.iter().map(|key| (key.clone(), format!("of {key}"))).collect();
        due.insert(("key-0".to_owned(), String::new()));
        assert_eq!(values, due, "{other:?}");
        for record in &read {
            assert_eq!(record["type"], "foreign", "{record}");
            lane(&mut lanes, &text(record, "key"), record["lane"].as_u64().unwrap().try_into().unwrap());
            if other.dresses() {
                let colours =
                    json!([{"name": "colour", "text": "red"}, {"name": "colour", "base64": "/w=="}]);
                assert_eq!(record["headers"], colours, "{other:?}");
                assert_eq!(record["time"], "2023-11-14T22:13:20.000000Z", "{other:?}");
            } else {
                assert_eq!(record["headers"], Value::Null, "{other:?}");
            }
        }
        let peeked =
            told(url, &["peek", topic, "--lane", &read[0]["lane"].to_string(), "--last", "1"], "").await;
        assert_eq!(
            (&peeked[0]["type"], &peeked[0]["headers"]),
            (&json!("foreign"), &read[0]["headers"]),
            "{other:?}"
        );
    }

    // Whoever wrote it: equal keys are in one partition.
    assert_eq!(lanes.keys().collect::<Vec<_>>(), keys.iter().collect::<Vec<_>>());
    assert!(lanes.values().all(|lanes| lanes.len() == 1), "{lanes:?}");
    assert!(lanes.values().collect::<BTreeSet<_>>().len() > 1, "the keys are in several: {lanes:?}");
}
