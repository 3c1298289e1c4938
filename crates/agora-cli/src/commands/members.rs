//! `agora members`: who is there.

use agora::{Bus, Member};
use tokio::time::timeout;

use crate::args::{Global, Members};
use crate::failure::{DONE, Failure, NEGATIVE};
use crate::io::Interrupt;
use crate::json::{self, MemberLine};
use crate::output::Output;
use crate::session::{Part, joined, with_bus};
use crate::text;

pub(crate) async fn run(
    global: &Global,
    args: Members,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<u8, Failure> {
    let (cluster, mut found) =
        with_bus(global, Part::default(), interrupt, output.reader_gone(), async |bus: &Bus| {
            let mut members = bus.members();
            joined(bus, global.connect_timeout).await?;
            let wanted = args.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
            let enough =
                async { while live(&members.snapshot()) < wanted && members.next().await.is_some() {} };
            // Time is up: what was seen until now is the answer.
            let _ = timeout(args.wait, enough).await;
            Ok((bus.config().cluster.clone(), bus.members().snapshot().to_vec()))
        })
        .await?;
    found.sort_by(|a, b| a.info.name.cmp(&b.info.name));
    if output.json() {
        for member in &found {
            output.line(json::line(&MemberLine::of(member))).await?;
        }
    } else if found.is_empty() {
        output.line(format!("no member was seen in cluster {cluster}")).await?;
    } else {
        for line in text::members(&found) {
            output.line(line).await?;
        }
    }
    let wanted = args.count.unwrap_or(1);
    Ok(if live(&found) as u64 >= wanted { DONE } else { NEGATIVE })
}

fn live(members: &[Member]) -> usize {
    members.iter().filter(|member| member.state.is_live()).count()
}
