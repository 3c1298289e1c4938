//! Brokers that ask who one is, and that encrypt.

use std::sync::Arc;

use agora_conformance::faults::{On, Rules, Run};
use agora_conformance::suite::Verdict;
use agora_conformance_run::faults::{KafkaWorld, is_refused_with, odd, play_here, speaks_of_tls};
use agora_core::config::Secret;
use agora_core::transport::Link;
use agora_testbed::kafka::PASSWORD;

use crate::directory;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_an_error_at_once_that_does_not_show_them() {
    let world = KafkaWorld::secured(&[]).await.unwrap();
    let world = world.adjusted(|config| config.password = Some(Secret::new("not-the-one")));
    is_refused_with(&world, "not-the-one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_only_one_side_speaks_tls_it_is_said_so() {
    let world = KafkaWorld::start().await.unwrap().adjusted(|config| config.tls = true);
    speaks_of_tls(&world).await;
    let world = KafkaWorld::secured(&[]).await.unwrap();
    let world = world.adjusted(|config| (config.tls, config.tls_ca_file) = (false, None));
    speaks_of_tls(&world).await;
}

/// For how long the broker holds the proof of who one is. Within the first second it takes no second one.
const LIFETIME_MS: &str = "2000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_not_right_any_more_takes_the_link_down_with_the_reason_until_it_is_again() {
    let world = KafkaWorld::secured(&[("connections.max.reauth.ms", LIFETIME_MS)]).await.unwrap();
    let file = world.process().await.data().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let world = world.adjusted(move |config| {
        (config.password, config.password_file) = (None, Some(file.clone()));
    });
    let settings = On::Log.settings();
    play_here(world, "log-revoked", settings, &directory(), |run, server| Box::pin(revoked(run, server)))
        .await;
}

async fn revoked(run: Run, server: Arc<KafkaWorld>) -> Verdict {
    let (a, b) = run.pair().await?;
    let _reading = b.read().await?;
    a.publish_all(5).await?;
    let file = server.process().await.data().join("password");
    run.remark("the password is another from now on");
    std::fs::write(&file, "another\n").map_err(odd)?;
    let mut link = a.bus().link();
    let refused = |link: &Link| matches!(link, Link::Down { why, .. } if why.contains("credentials"));
    let told = async { link.wait_for(refused).await.is_ok() };
    run.soon("the link says why it is down", told).await?;
    a.publish(3)?;
    run.remark("it is right again");
    std::fs::write(&file, format!("{PASSWORD}\n")).map_err(odd)?;
    run.finish(Rules::default()).await
}
