//! Where durable subscriptions keep their cursors.

use agora_core::ErrorKind;
use agora_core::id::NAME_BYTES_MAX;
use agora_core::limits::CURSOR_BYTES_MAX;
use agora_core::transport::{CursorStore, TopicSpec, Transport};

use super::super::case::{Fault, Verdict, cases, ensure, same};
use super::super::stage::Stage;

cases! { "cursors":
    unknown_name_is_empty [Cursors]
        "A name under which nothing was saved gives nothing, and the right to save.";
    saved_is_given_back [Cursors]
        "What was saved last is given to the next who takes the name, byte by byte.";
    largest_cursor_is_kept [Cursors]
        "A cursor of the largest size is kept, and so is an empty one.";
    fence_is_lost_to_the_next [Cursors]
        "Whoever takes a name has its right alone: the former holder's save is a `Conflict` and changes nothing.";
    made_up_fence_is_refused [Cursors]
        "A right that nobody was given saves nothing.";
    names_and_topics_are_apart [Cursors]
        "Each name of each topic has a cursor and a right of its own.";
    clusters_are_apart [Cursors]
        "A name of another cluster is another name.";
    outlives_its_node [Cursors]
        "A cursor is there after the node that saved it has gone.";
    racing_takes_leave_one [Cursors]
        "Of ten who take a name at once, exactly one can save.";
    longest_names_are_kept_apart [Cursors]
        "Names of the greatest length that differ in their last letter are two names.";
}

fn store(transport: &dyn Transport) -> Result<&dyn CursorStore, Fault> {
    transport.cursors().ok_or_else(|| Fault::broken("`cursors` is said to be there, and gives nothing"))
}

/// Was it refused because the right was lost?
fn conflict(answer: Result<(), agora_core::Error>) -> Verdict {
    match answer {
        Ok(()) => Err(Fault::broken("a save without the right to it succeeded")),
        Err(error) => same("the error of a save without the right", error.kind(), ErrorKind::Conflict),
    }
}

async fn unknown_name_is_empty(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("empty")?);
    a.open_a_log(&topic).await?;
    let (fence, saved) = store(&*a)?.take(&topic, "reader").await?;
    same("what was saved", saved, None)?;
    Ok(store(&*a)?.save(&topic, "reader", fence, b"x", &[]).await?)
}

async fn saved_is_given_back(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("back")?);
    a.open_a_log(&topic).await?;
    let every: Vec<u8> = (0..=255).collect();
    let (fence, _) = store(&*a)?.take(&topic, "reader").await?;
    store(&*a)?.save(&topic, "reader", fence, b"an older one, and longer than the next", &[]).await?;
    store(&*a)?.save(&topic, "reader", fence, &every, &[]).await?;
    let (_, saved) = store(&*b)?.take(&topic, "reader").await?;
    same("what was saved", saved, Some(every))
}

async fn largest_cursor_is_kept(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("largest")?);
    a.open_a_log(&topic).await?;
    for cursor in [vec![0xa5; CURSOR_BYTES_MAX], Vec::new()] {
        let (fence, _) = store(&*a)?.take(&topic, "reader").await?;
        store(&*a)?.save(&topic, "reader", fence, &cursor, &[]).await?;
        let (_, saved) = store(&*a)?.take(&topic, "reader").await?;
        same("what was saved", saved.map(|saved| saved.len()), Some(cursor.len()))?;
    }
    Ok(())
}

async fn fence_is_lost_to_the_next(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("fence")?);
    a.open_a_log(&topic).await?;
    let (of_a, _) = store(&*a)?.take(&topic, "reader").await?;
    store(&*a)?.save(&topic, "reader", of_a, b"by a", &[]).await?;
    let (of_b, saved) = store(&*b)?.take(&topic, "reader").await?;
    same("what b was given", saved.as_deref(), Some(&b"by a"[..]))?;
    conflict(store(&*a)?.save(&topic, "reader", of_a, b"late", &[]).await)?;
    store(&*b)?.save(&topic, "reader", of_b, b"by b", &[]).await?;
    conflict(store(&*a)?.save(&topic, "reader", of_a, b"later", &[]).await)?;
    let (_, saved) = store(&*a)?.take(&topic, "reader").await?;
    same("what is kept", saved.as_deref(), Some(&b"by b"[..]))
}

async fn made_up_fence_is_refused(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("made-up")?);
    a.open_a_log(&topic).await?;
    let (fence, _) = store(&*a)?.take(&topic, "reader").await?;
    store(&*a)?.save(&topic, "reader", fence, b"true", &[]).await?;
    let made_up = agora_core::transport::Fence(fence.0.wrapping_add(1));
    conflict(store(&*a)?.save(&topic, "reader", made_up, b"false", &[]).await)?;
    let (_, saved) = store(&*a)?.take(&topic, "reader").await?;
    same("what is kept", saved.as_deref(), Some(&b"true"[..]))
}

async fn names_and_topics_are_apart(stage: Stage) -> Verdict {
    let a = stage.node("a").await?;
    let mut places = Vec::new();
    // Where a backend joins topic and name to one key, the joints must not slide into each other.
    for (topic, name) in [("x", "y"), ("x", "Y"), ("x", "y.z"), ("x.y", "z"), ("x_y", "z"), ("x-y", "z")] {
        places.push((stage.topic(topic)?, name));
    }
    let mut fences = Vec::new();
    // Where dots and underscores are one, as on Kafka, one of the topics cannot be there.
    let mut there = Vec::new();
    for (topic, name) in places {
        match a.open(&TopicSpec::log(topic.clone())).await {
            Err(error) if error.kind() == ErrorKind::Config => {}
            opened => opened.map(|_| there.push((topic, name)))?,
        }
    }
    ensure!(there.len() > 4, "of six topics, {} can be there", there.len());
    let places = there;
    for (topic, name) in &places {
        fences.push(store(&*a)?.take(topic, name).await?.0);
    }
    for (number, ((topic, name), fence)) in (0u8..).zip(places.iter().zip(fences)) {
        store(&*a)?.save(topic, name, fence, &[number], &[]).await?;
    }
    for (number, (topic, name)) in (0u8..).zip(&places) {
        let (_, saved) = store(&*a)?.take(topic, name).await?;
        same(&format!("{name} of {topic}"), saved, Some(vec![number]))?;
    }
    Ok(())
}

async fn clusters_are_apart(stage: Stage) -> Verdict {
    let (a, x, topic) = (stage.node("a").await?, stage.stranger("x").await?, stage.topic("shared")?);
    a.open_a_log(&topic).await?;
    x.open_a_log(&topic).await?;
    let (of_a, _) = store(&*a)?.take(&topic, "reader").await?;
    store(&*a)?.save(&topic, "reader", of_a, b"of a", &[]).await?;
    let (_, saved) = store(&*x)?.take(&topic, "reader").await?;
    same("what another cluster was given", saved, None)?;
    Ok(store(&*a)?.save(&topic, "reader", of_a, b"still", &[]).await?)
}

async fn outlives_its_node(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("outlives")?);
    a.open_a_log(&topic).await?;
    let (old, _) = store(&*a)?.take(&topic, "reader").await?;
    store(&*a)?.save(&topic, "reader", old, b"kept", &[]).await?;
    a.close(stage.by()).await?;
    let b = stage.node("b").await?;
    let (_, saved) = store(&*b)?.take(&topic, "reader").await?;
    same("what was saved", saved.as_deref(), Some(&b"kept"[..]))?;
    conflict(store(&*b)?.save(&topic, "reader", old, b"late", &[]).await)
}

async fn racing_takes_leave_one(stage: Stage) -> Verdict {
    let topic = stage.topic("race")?;
    stage.node("first").await?.open_a_log(&topic).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..10 {
        let (node, topic) = (stage.node(&format!("n{number}")).await?.share(), topic.clone());
        tasks.spawn(async move {
            let fence = store(&*node)?.take(&topic, "reader").await?.0;
            Ok::<_, Fault>((node, fence))
        });
    }
    let mut holders = Vec::new();
    while let Some(taken) = tasks.join_next().await {
        holders.push(taken.map_err(|error| Fault::broken(error.to_string()))??);
    }
    let mut saved = 0;
    for (node, fence) in &holders {
        match store(&**node)?.save(&topic, "reader", *fence, b"mine", &[]).await {
            Ok(()) => saved += 1,
            answer => conflict(answer)?,
        }
    }
    ensure!(saved == 1, "{saved} of {} holders of one name could save", holders.len());
    Ok(())
}

async fn longest_names_are_kept_apart(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("longest")?);
    a.open_a_log(&topic).await?;
    let name = |last: char| format!("{}{last}", "n".repeat(NAME_BYTES_MAX - 1));
    for last in ['a', 'b'] {
        let (fence, _) = store(&*a)?.take(&topic, &name(last)).await?;
        store(&*a)?.save(&topic, &name(last), fence, last.to_string().as_bytes(), &[]).await?;
    }
    for last in ['a', 'b'] {
        let (_, saved) = store(&*a)?.take(&topic, &name(last)).await?;
        same("what was saved", saved, Some(last.to_string().into_bytes()))?;
    }
    Ok(())
}
