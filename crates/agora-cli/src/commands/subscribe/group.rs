//! `agora subscribe --group`: shares the work of a group, for scripts and other languages.

use std::time::Duration;

use agora::core::bus::{Group, Work};
use agora::{Bus, Error, ErrorKind, GroupStart, Record};
use tokio::time::Instant;

use super::settle::{Held, Lines, Waiting};
use super::{closed, until};
use crate::args::{Global, Settlement, Subscribe};
use crate::failure::{DONE, Failure, NEGATIVE};
use crate::io::{Input, Interrupt};
use crate::json::{Beside, EventLine, ForeignLine, GapLine, Note};
use crate::output::Output;
use crate::session::{Part, joined_or_warned, name_of, with_bus};
use crate::text;
use crate::whence::Whence;

/// How long leaving the group may take.
const LEAVE: Duration = Duration::from_secs(3);

pub(super) async fn run(
    global: &Global,
    args: Subscribe,
    input: Input,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<u8, Failure> {
    let (Some(name), [topic]) = (&args.group, args.topics.as_slice()) else {
        return Err(wrong(
            "a group is one of one topic, and several were given",
            "start one run for each topic",
        ));
    };
    let start = start(args.from.as_deref())?;
    if args.raw && args.ack == Settlement::Stdin && !output.json() {
        let help =
            "take --json too, or leave --raw out: a bare payload has no room for the id that its line names";
        return Err(wrong("--raw with --ack stdin prints no ids", help));
    }
    let part = Part {
        // Only a log has groups.
        logs: args.topics.clone(),
        plain: if args.raw { args.topics.clone() } else { Vec::new() },
        ..Part::default()
    };
    with_bus(global, part, interrupt, output.reader_gone(), async |bus: &Bus| {
        joined_or_warned(bus, output, global.connect_timeout).await;
        let mut group = bus.group(topic, name).start(start).await?;
        tell(bus, &args.topics, name, output);
        let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
        let mut member = Member { bus, args: &args, output, seen: 0 };
        let code = match args.ack {
            Settlement::Printed => member.print_all(&mut group, deadline).await?,
            Settlement::Stdin => member.ask_all(&mut group, Lines::new(input.stdin), deadline).await?,
        };
        group.leave(LEAVE).await?;
        Ok(code)
    })
    .await
}

fn start(from: Option<&str>) -> Result<GroupStart, Failure> {
    match from.map(Whence::parse) {
        None | Some(Whence::Earliest) => Ok(GroupStart::Earliest),
        Some(Whence::Latest) => Ok(GroupStart::Latest),
        Some(Whence::Time(_) | Whence::Place(_)) => Err(wrong(
            "a new group begins at earliest or latest",
            "leave --from out, and move the group with `agora groups reset TOPIC GROUP --to WHERE`",
        )),
    }
}

fn wrong(what: &str, help: &str) -> Failure {
    Failure::Error(Error::new(ErrorKind::Config, what).operation("subscribe").help(help))
}

fn tell(bus: &Bus, topics: &[String], group: &str, output: &Output) {
    let (node, cluster) = (bus.config().node.as_str(), bus.config().cluster.as_str());
    let backend = bus.capabilities().backend;
    output.note(&Note::Established { topics, group: Some(group), node, cluster, backend }, || {
        let topics = topics.join(", ");
        format!("working in the group {group} of {topics} in cluster {cluster} over {backend}; Ctrl-C ends")
    });
}

/// This run as a member of the group.
struct Member<'a> {
    bus: &'a Bus,
    args: &'a Subscribe,
    output: &'a mut Output,
    seen: u64,
}

impl Member<'_> {
    fn enough(&self) -> bool {
        self.args.count.is_some_and(|count| self.seen >= count)
    }

    /// The exit code of an end that came before the count was reached.
    fn code(&self) -> u8 {
        if self.args.count.is_some() && !self.enough() { NEGATIVE } else { DONE }
    }

    /// What was printed is done.
    async fn print_all(
        &mut self,
        group: &mut Group<Record>,
        deadline: Option<Instant>,
    ) -> Result<u8, Failure> {
        let timeout = until(deadline);
        tokio::pin!(timeout);
        while !self.enough() {
            let work = tokio::select! {
                work = group.try_next() => work?.ok_or_else(closed)?,
                () = &mut timeout => return Ok(self.code()),
            };
            if let Some(held) = self.print(work, None).await? {
                // The reader has it, so it is no longer this member's.
                self.output.flush().await?;
                held.ack();
            }
        }
        Ok(DONE)
    }

    /// What a line says is done.
    async fn ask_all(
        &mut self,
        group: &mut Group<Record>,
        mut lines: Lines,
        deadline: Option<Instant>,
    ) -> Result<u8, Failure> {
        let mut waiting = Waiting::default();
        let timeout = until(deadline);
        tokio::pin!(timeout);
        while !self.enough() || waiting.len() > 0 {
            let room = waiting.len() < usize::from(self.args.in_flight);
            tokio::select! {
                // A line makes room, so it goes first.
                biased;
                line = lines.next() => match line {
                    Some(line) => {
                        if let Err(message) = waiting.settle(&line) {
                            self.warn(&message);
                        }
                    }
                    None => break,
                },
                work = group.try_next(), if room && !self.enough() => {
                    let work = work?.ok_or_else(closed)?;
                    if let Some(held) = self.print(work, Some(waiting.next_id())).await? {
                        waiting.keep(held);
                    }
                }
                () = &mut timeout => break,
            }
        }
        if waiting.len() > 0 {
            self.warn(&format!("{} events were not settled, and go back to the group", waiting.len()));
        }
        Ok(self.code())
    }

    fn warn(&self, message: &str) {
        self.output.note(&Note::Warning { message }, || format!("warning: {}", text::harmless(message)));
    }

    /// Prints it, and gives back what is to be settled.
    async fn print(&mut self, work: Work<Record>, id: Option<u64>) -> Result<Option<Held>, Failure> {
        let bare = self.args.raw && !self.output.json();
        let before = id.map(|id| format!("[{id}] ")).unwrap_or_default();
        let id = id.map(|id| id.to_string());
        match work {
            Work::Job(job) => {
                self.seen += 1;
                let (topic, record, attempt) = (job.topic(), job.record(), job.attempt());
                if bare {
                    self.output.bytes(record.body().to_vec()).await?;
                } else {
                    let node = name_of(self.bus, job.source());
                    let beside = Beside { lane: job.lane(), id, attempt: Some(attempt), ..Beside::default() };
                    let line = EventLine::of(topic, record, node.clone(), beside);
                    let text = || format!("{before}{}{}", text::event(topic, record, &node), again(attempt));
                    self.output.say(&line, text).await?;
                }
                Ok(Some(Held::Event(job)))
            }
            Work::Foreign(job) => {
                self.seen += 1;
                let (foreign, attempt) = (job.foreign(), job.attempt());
                let (topic, raw, arrived) = (&foreign.topic, &foreign.raw, foreign.arrived);
                if bare {
                    self.output.bytes(raw.payload.to_vec()).await?;
                } else {
                    let beside = Beside { id, attempt: Some(attempt), ..Beside::default() };
                    let line = ForeignLine::of(topic, raw, arrived, beside);
                    let text = || format!("{before}{}{}", text::foreign(topic, raw, arrived), again(attempt));
                    self.output.say(&line, text).await?;
                }
                Ok(Some(Held::Foreign(job)))
            }
            Work::Gap(gap) => {
                let name = |source| name_of(self.bus, source);
                self.output.say(&GapLine::of(&gap, name), || text::gap(&gap, name)).await?;
                Ok(None)
            }
        }
    }
}

/// A try that is not the first.
fn again(attempt: u32) -> String {
    if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() }
}
