//! Bad configurations, and what is said to each.

mod single;
mod whole;

use agora::config::LoadOptions;

use crate::refused;

/// What several messages end with.
const LISTS: [(&str, &str); 4] = [
    (
        "{STYLES}",
        "one file is in one style: agora's own (`url`, `[nats]`, ..), a mail server's (`[cluster]`, \
         `[store.\"NAME\"]`) or a framework's (`[bus]`); what goes beyond a foreign style can be said with AGORA__ \
         variables",
    ),
    (
        "{NATS}",
        "known are addresses, user, password, password_file, credentials, credentials_file, token, nkey_seed_file, tls, \
         tls_ca_file, tls_cert_file, tls_key_file, no_echo, request_timeout, ping_interval, max_reconnects, \
         client_capacity, subscription_capacity, read_buffer_bytes, jetstream, stream_name, auto_create, storage, \
         duplicate_window",
    ),
    (
        "{TOP}",
        "known are url, cluster, node, connect_timeout, limits, membership, topics, zenoh, nats, redis, kafka, tags",
    ),
    (
        "{SCHEMES}",
        "the URLs that are known begin with `memory:NAME`, `zenoh:` (or `zenoh://host:port,host:port`), `nats://`, \
         `tls://`, `redis[s]://`, `redis[s]+cluster://`, `redis[s]+sentinel://` and `kafka[+tls]://`",
    ),
];

/// What is bad about it, the configuration, and the whole message with its help.
type Case = (&'static str, LoadOptions, &'static str);

#[test]
fn each_is_refused_in_its_own_words() {
    let cases = [single::cases(), whole::cases()].concat();
    assert!(cases.len() >= 40, "{}", cases.len());
    for (what, options, expected) in cases {
        let expected = LISTS.iter().fold(expected.to_owned(), |text, (name, list)| text.replace(name, list));
        assert_eq!(refused(options), expected, "{what}");
    }
}
