//! `agora node`: a member until it is interrupted.

use agora::{Bus, MemberChange, Start};

use super::subscribe::{closed, established, print};
use crate::args::{Global, Node};
use crate::failure::Failure;
use crate::http::Server;
use crate::io::Interrupt;
use crate::json::{MemberLine, Note};
use crate::output::Output;
use crate::session::{Part, joined_or_warned, with_bus};
use crate::signs::{Present, Signs};
use crate::text;

pub(crate) async fn run(
    global: &Global,
    args: Node,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<u8, Failure> {
    let Some(address) = args.http else { return take_part(global, args, None, output, interrupt).await };
    // Before the backend is looked for: that the process lives can be asked from the first moment on.
    let server = Server::bind(address, output).await?;
    let signs = server.signs();
    tokio::select! {
        done = take_part(global, args, Some(&signs), output, interrupt) => done,
        never = server.serve() => match never {},
    }
}

async fn take_part(
    global: &Global,
    args: Node,
    signs: Option<&Signs>,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<u8, Failure> {
    let part = Part { member: true, tags: args.tags, ..Part::default() };
    with_bus(global, part, interrupt, output.reader_gone(), async |bus: &Bus| {
        let present = signs.map(|signs| signs.enter(bus));
        let heard = || present.iter().for_each(Present::established);
        // Before anything is waited for: nobody who joins meanwhile is missed.
        let mut members = bus.members();
        joined_or_warned(bus, output, global.connect_timeout).await;
        ready(bus, output);
        if args.topics.is_empty() {
            heard();
            loop {
                let change = members.next().await;
                member(change, output).await?;
            }
        }
        let mut events = bus.subscribe(args.topics.as_slice()).start(Start::Live).await?;
        heard();
        established(bus, &args.topics, output);
        loop {
            tokio::select! {
                change = members.next() => member(change, output).await?,
                delivery = events.try_next() => match delivery? {
                    Some(delivery) => print(bus, &delivery, None, output).await?,
                    None => return Err(closed()),
                },
            }
        }
    })
    .await
}

fn ready(bus: &Bus, output: &Output) {
    let (node, cluster) = (bus.config().node.as_str(), bus.config().cluster.as_str());
    let (incarnation, backend) = (bus.me().incarnation.to_string(), bus.capabilities().backend);
    let text =
        format!("{node} ({incarnation}) is a member of cluster {cluster} over {backend}; Ctrl-C leaves");
    output.note(&Note::Ready { node, incarnation, cluster, backend }, || text);
}

async fn member(change: Option<MemberChange>, output: &mut Output) -> Result<(), Failure> {
    match change {
        None => Err(closed()),
        Some(MemberChange::Event(event)) => match (MemberLine::event(&event), text::member_event(&event)) {
            (Some(line), Some(text)) => output.say(&line, || text).await,
            _ => Ok(()),
        },
        Some(MemberChange::Missed(count)) => {
            output.say(&MemberLine::missed(count), || format!("{count} changes were missed")).await
        }
        Some(_) => Ok(()),
    }
}
