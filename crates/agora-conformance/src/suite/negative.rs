//! The negative form of every case: what a backend has not, it refuses with `Unsupported` and says what to use.

use std::future::IntoFuture;
use std::time::Duration;

use agora_core::bus::Start;
use agora_core::transport::{
    Capabilities, Framing, GroupSpec, GroupStart, LogStart, Support, TopicSettings, TopicSpec, Transport,
};
use agora_core::{Error, ErrorKind};

use super::case::{Need, Verdict, ensure};
use super::stage::Stage;

/// Shows that a capability which is said to be absent is refused wherever it could be asked for.
pub(super) async fn refused(stage: &Stage, capabilities: &Capabilities, need: Need) -> Verdict {
    if let Support::No { instead } = need.support(capabilities) {
        ensure!(!instead.trim().is_empty(), "`{}` is absent, and nothing says what to use", need.as_str());
    }
    match need {
        Need::Live => no_live(stage).await,
        Need::Log => no_log(stage).await,
        Need::Group => no_group(stage, TopicSettings::LOG.framing(Framing::Each)).await,
        Need::GroupOnBatch => no_group(stage, TopicSettings::LOG).await,
        Need::Cursors => no_cursors(stage).await,
        Need::Admin => no_admin(stage).await,
        Need::Lanes => no_lanes(stage).await,
    }
}

/// Is this the refusal that is due? `T` is what must not have been given.
fn unsupported<T>(call: &str, answer: Result<T, Error>) -> Verdict {
    let Err(error) = answer else {
        return Err(super::Fault::broken(format!(
            "`{call}` succeeded, and the capabilities say that it cannot: `Unsupported` is due"
        )));
    };
    ensure!(
        error.kind() == ErrorKind::Unsupported,
        "`{call}` is refused with `{}`, and `unsupported` is due: {error:#}",
        error.kind().as_str()
    );
    ensure!(
        error.help_text().is_some_and(|help| !help.trim().is_empty()),
        "`{call}` is refused without a word on what to use instead: {error:#}"
    );
    Ok(())
}

async fn no_live(stage: &Stage) -> Verdict {
    let (node, topic) = (stage.node("a").await?, stage.topic("absent")?);
    unsupported("open of a live topic", node.open(&TopicSpec::live(topic.clone())).await)?;
    let node = node.share();
    unsupported("subscribe", node.subscribe(&topic).await)
}

async fn no_log(stage: &Stage) -> Verdict {
    let (node, topic) = (stage.node("a").await?, stage.topic("absent")?);
    unsupported("open of a log", node.open(&TopicSpec::log(topic.clone())).await)?;
    for from in [LogStart::Earliest, LogStart::Last] {
        unsupported("open_log", node.open_log(&topic, 0, from).await)?;
    }
    let bus = stage.bus("b", &[(&topic, TopicSettings::LOG)]).await?;
    for start in [Start::Earliest, Start::Live] {
        unsupported("subscribe to a log of the bus", bus.subscribe(&topic).start(start).await)?;
    }
    unsupported("publisher of a log of the bus", bus.publisher(topic.as_str()))?;
    Ok(bus.close(stage.patience()).await?)
}

async fn no_group(stage: &Stage, settings: TopicSettings) -> Verdict {
    let (node, topic) = (stage.node("a").await?, stage.topic("absent")?);
    // Whether there are logs is another question.
    let _ = node.open(&TopicSpec { name: topic.clone(), settings }).await;
    let lease = Duration::from_secs(10);
    let group = GroupSpec { name: stage.group("absent")?, start: GroupStart::Earliest, lease };
    unsupported("join_group", node.join_group(&topic, &group).await)?;
    let bus = stage.bus("b", &[(&topic, settings)]).await?;
    let joined = bus.group(topic.as_str(), group.name.as_str()).into_future().await;
    unsupported("a group of the bus", joined)?;
    Ok(bus.close(stage.patience()).await?)
}

async fn no_cursors(stage: &Stage) -> Verdict {
    let (node, topic) = (stage.node("a").await?, stage.topic("absent")?);
    ensure!(node.cursors().is_none(), "`cursors` gives a store, and the capabilities say that there is none");
    let bus = stage.bus("b", &[(&topic, TopicSettings::LOG)]).await?;
    let durable = bus.subscribe(&topic).durable("absent").start(Start::Live).await;
    unsupported("a durable subscription of the bus", durable)?;
    Ok(bus.close(stage.patience()).await?)
}

async fn no_lanes(stage: &Stage) -> Verdict {
    let (node, topic) = (stage.node("a").await?, stage.topic("absent")?);
    let mut two = TopicSpec::log(topic);
    two.settings.lanes = Some(2);
    unsupported("open of a log of two lanes", node.open(&two).await)?;
    match node.admin() {
        Some(admin) => unsupported("create_topic of two lanes", admin.create_topic(&two).await),
        None => Ok(()),
    }
}

async fn no_admin(stage: &Stage) -> Verdict {
    let node = stage.node("a").await?;
    ensure!(node.admin().is_none(), "`admin` gives something, and the capabilities say that there is none");
    Ok(())
}
