//! Who is let in, and what is said to those who are not.

use std::path::PathBuf;

use agora_core::ErrorKind;
use agora_core::config::{Nats, Secret};
use agora_core::transport::Transport;
use agora_nats::NatsTransport;
use agora_testbed::NatsServer;
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::support::{
    config, connect, degraded_because, down_because, hear, message, numbered, publish, soon, topic,
    try_connect,
};

const RIGHT: &str = "the-right-secret";
const WRONG: &str = "the-wrong-secret";

/// A file in the directory of a server, which is removed with it.
fn file(server: &NatsServer, name: &str, text: &str) -> PathBuf {
    let path = server.data().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

async fn is_let_in(config: &Nats) {
    let transport = connect(config).await;
    let live = topic("live");
    let mut inbox = transport.subscribe(&live).await.unwrap();
    publish(&transport, &live, vec![numbered(1)]).await.unwrap();
    assert_eq!(message(&mut *inbox).await.payload, "1");
}

async fn is_refused(config: &Nats, secrets: &[&str]) {
    let error = try_connect(config).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error:?}");
    let text = format!("{error:#}\n{error:?}");
    assert!(text.contains("password_file"), "it says what to check: {text}");
    for secret in secrets {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_and_a_password() {
    let server =
        NatsServer::with(&format!("authorization {{ user: u, password: {RIGHT:?} }}")).await.unwrap();
    let mut config = config(server.port());
    is_refused(&config, &[RIGHT]).await;
    config.user = Some("u".into());
    config.password = Some(Secret::new(WRONG));
    is_refused(&config, &[RIGHT, WRONG]).await;
    config.password = Some(Secret::new(RIGHT));
    is_let_in(&config).await;
    config.password = None;
    config.password_file = Some(file(&server, "password", &format!("{RIGHT}\nnot this line\n")));
    is_let_in(&config).await;
    config.password_file = Some(server.data().join("no-such-file"));
    let error = try_connect(&config).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("no-such-file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token() {
    let server = NatsServer::with(&format!("authorization {{ token: {RIGHT:?} }}")).await.unwrap();
    let mut config = config(server.port());
    config.token = Some(Secret::new(WRONG));
    is_refused(&config, &[RIGHT, WRONG]).await;
    config.token = Some(Secret::new(RIGHT));
    is_let_in(&config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nkey() {
    let (right, wrong) = (KeyPair::new_user(), KeyPair::new_user());
    let more = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", right.public_key());
    let server = NatsServer::with(&more).await.unwrap();
    let mut config = config(server.port());
    let seed = wrong.seed().unwrap();
    config.nkey_seed_file = Some(file(&server, "wrong.nk", &seed));
    is_refused(&config, &[&seed]).await;
    config.nkey_seed_file = Some(file(&server, "right.nk", &format!("{}\n", right.seed().unwrap())));
    is_let_in(&config).await;
    config.nkey_seed_file = Some(file(&server, "damaged.nk", "SUNOSEED"));
    assert_eq!(try_connect(&config).await.err().unwrap().kind(), ErrorKind::Config);
}

fn base64url(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let group = u32::from_be_bytes(group);
        for at in 0..=chunk.len() {
            text.push(char::from(SIGNS[(group >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

/// What an operator's tool writes: a claim of `subject`, signed by `issuer`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, nats: Value) -> String {
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let claims = json!({
        "jti": name, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": name, "sub": subject.public_key(),
        "nats": nats,
    });
    let signed =
        format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    let signature = base64url(&issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_an_operator() {
    let (operator, account, user) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let system = KeyPair::new_account();
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
    });
    let of_account = json!({ "limits": limits, "type": "account", "version": 2 });
    let of_operator = json!({ "type": "operator", "version": 2 });
    let of_user =
        json!({ "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2, "pub": {}, "sub": {} });
    let more = format!(
        "operator: {}\nsystem_account: {sys}\nresolver: MEMORY\nresolver_preload: {{ {acc}: {}, {sys}: {} }}\n",
        jwt(&operator, &operator, "operator", of_operator),
        jwt(&operator, &account, "account", of_account.clone()),
        jwt(&operator, &system, "system", of_account),
        sys = system.public_key(),
        acc = account.public_key(),
    );
    let server = NatsServer::with(&more).await.unwrap();
    let document = |key: &KeyPair| {
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(&account, &user, "user", of_user.clone()),
            key.seed().unwrap()
        )
    };
    let mut config = config(server.port());
    is_refused(&config, &[]).await;
    let stranger = KeyPair::new_user();
    config.credentials = Some(Secret::new(document(&stranger)));
    is_refused(&config, &[&stranger.seed().unwrap()]).await;
    config.credentials = Some(Secret::new(document(&user)));
    is_let_in(&config).await;
    config.credentials = None;
    config.credentials_file = Some(file(&server, "user.creds", &document(&user)));
    is_let_in(&config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_taken_away_later_are_named() {
    let mut server =
        NatsServer::with(&format!("authorization {{ user: u, password: {RIGHT:?} }}")).await.unwrap();
    let mut config = config(server.port());
    config.user = Some("u".into());
    config.password = Some(Secret::new(RIGHT));
    let transport = connect(&config).await;
    let path = server.data().join("nats.conf");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(RIGHT, "another-secret")).unwrap();
    server.restart().await.unwrap();
    down_because(&transport, |why| why.contains("refused the credentials")).await;
    let error = transport.subscribe(&topic("live")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let shown = format!("{error:?}\n{:?}", transport.link().borrow());
    assert!(shown.contains("refused the credentials") && !shown.contains(RIGHT), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_may_not_do_is_unauthorized() {
    let more = format!(
        "authorization {{ users: [ {{ user: u, password: {RIGHT:?}, permissions: {{
            publish: {{ deny: [\"agora.*.live.secret\", \"agora.*.log.secret\"] }},
            subscribe: {{ deny: \"agora.*.live.secret\" }} }} }} ] }}"
    );
    let server = NatsServer::with(&more).await.unwrap();
    let mut config = config(server.port());
    config.user = Some("u".into());
    config.password = Some(Secret::new(RIGHT));
    let transport = connect(&config).await;
    let secret = topic("secret");
    let denied = match transport.subscribe(&secret).await {
        Err(error) => error,
        // The server says it beside its answers: it may come after the subscription was made.
        Ok(mut inbox) => soon("the end", inbox.recv(1, &mut Vec::new())).await.unwrap_err(),
    };
    assert_eq!(denied.kind(), ErrorKind::Unauthorized, "{denied:?}");
    // The server says it behind the answer: so the first one may seem to be sent.
    let _ = publish(&transport, &secret, vec![numbered(1)]).await;
    degraded_because(&transport, |why| why.contains("Publish") && why.contains("Subscription")).await;
    let refused = publish(&transport, &secret, vec![numbered(2)]).await.unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Unauthorized, "{:?}", refused.error);
    // What is allowed goes on.
    let open = topic("open");
    let mut inbox = transport.subscribe(&open).await.unwrap();
    publish(&transport, &open, vec![numbered(3)]).await.unwrap();
    assert!(matches!(hear(&mut *inbox).await, agora_core::transport::Inbound::Message(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_cannot_be_right_is_an_error_at_once() {
    let nobody = Nats::default();
    assert_eq!(try_connect(&nobody).await.err().unwrap().kind(), ErrorKind::Config);
    let mut odd = config(1);
    odd.jetstream = true;
    odd.stream_name = Some("a.b".into());
    assert_eq!(try_connect(&odd).await.err().unwrap().kind(), ErrorKind::Config);
    let mut bad = config(1);
    bad.addresses = vec!["exa mple:1".into()];
    let refused: agora_core::Result<NatsTransport> = try_connect(&bad).await;
    assert_eq!(refused.err().unwrap().kind(), ErrorKind::Config);
}
