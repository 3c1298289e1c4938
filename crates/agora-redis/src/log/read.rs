//! The reader of a log: one connection, one question at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use agora_core::id::TopicName;
use agora_core::transport::{BoxFuture, FromLog, LogInbox, LogStart, Raw};
use agora_core::{ErrorKind, Result};
use async_trait::async_trait;
use redis::{Pipeline, Value, cmd};
use tokio::sync::watch;
use tokio::time::Instant;

use super::judge::{Reading, Verdict};
use super::look::{LOOK, Look};
use crate::call::{Connection, ask, ask_all, bytes, checked, list, of_transaction, pairs};
use crate::dial::Server;
use crate::error::{Failure, closed, odd};
use crate::place::Id;
use crate::record;
use crate::shared::Shared;

/// How long the server waits for something new before it answers with nothing. So often a reader that waits sees
/// whether the log is still the one that it reads.
const BLOCK: Duration = Duration::from_secs(1);
/// The most records that are asked for at once, and about how many bytes of them. A reader begins with as many as are
/// taken from it at once, and asks for more while it only catches up.
const COUNT_MAX: usize = 64;
const BYTES_TARGET: usize = 1 << 20;
/// How many looks in a row, a second apart, may find a replica behind its master. Beyond it, it may have been cut off.
const BEHIND_MAX: u32 = 3;
/// The largest record that is read once more to see that it is still there.
const MARK_BYTES_MAX: usize = 4 << 10;

/// An entry of a stream.
pub(crate) struct Entry {
    pub(crate) id: Id,
    pub(crate) raw: Raw,
    pub(crate) stamp: u64,
}

/// Reads a list of entries. One that was deleted while it was claimed has no fields, and is left out.
pub(crate) fn entries(answer: Value) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for entry in list(answer)? {
        let mut parts = match entry {
            Value::Nil => continue,
            entry => list(entry)?.into_iter(),
        };
        let (id, fields) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let id = Id::parse(&bytes(id)?.unwrap_or_default()).ok_or_else(|| odd("an entry without a place"))?;
        if fields == Value::Nil {
            continue;
        }
        let mut read = Vec::new();
        for (name, value) in pairs(fields)? {
            read.push((bytes(name)?.unwrap_or_default(), bytes(value)?.unwrap_or_default()));
        }
        let (raw, stamp) = record::read(id, read);
        entries.push(Entry { id, raw, stamp });
    }
    Ok(entries)
}

/// Opens a log for reading: with the first records, read in one step with a look at the whole.
pub(crate) async fn open(
    shared: &Arc<Shared>,
    topic: &TopicName,
    from: LogStart,
) -> Result<Box<dyn LogInbox>> {
    let opening = async {
        let (stream, settings) = (shared.names.stream(topic), shared.names.settings(topic));
        let losses = shared.route.losses();
        let (server, mut connection, is_replica) = match replica(shared, topic, &stream, &settings).await {
            Some((server, connection)) => (server, connection, true),
            None => {
                let server = shared.route.server(shared, Some(topic))?;
                (server.clone(), shared.dialer.dial(&server, None).await?, false)
            }
        };
        let post = Post { topic: topic.clone(), server, is_replica, losses };
        let (start, word) = match &from {
            LogStart::Earliest => (Id::ZERO, "XRANGE"),
            LogStart::Last => (Id::ZERO, "XREVRANGE"),
            LogStart::Time(time) => (Id::at_time(*time), "XRANGE"),
            LogStart::At(position) => (Id::from(*position), "XRANGE"),
        };
        let mut commands = Pipeline::new();
        commands.cmd("MULTI");
        commands.cmd("EVAL_RO").arg(LOOK).arg(2).arg(&stream).arg(&settings);
        let range = commands.cmd(word).arg(&stream);
        match word {
            "XREVRANGE" => range.arg("+").arg("-").arg("COUNT").arg(1),
            // The first shows what follows; the others are read when they are asked for.
            _ => range.arg(start.to_string()).arg("+").arg("COUNT").arg(1),
        };
        commands.cmd("EXEC");
        let answers = ask_all(&mut connection, &commands, shared.config.timeout).await?;
        let mut answers = of_transaction(answers)?.into_iter();
        let mut answer = || answers.next().map_or_else(|| Err(odd("an answer is missing")), checked);
        let (look, read) = (Look::read(answer()?)?, entries(answer()?)?);
        Ok(Reader::new(shared, post, connection, stream, settings, &from, start, look, read))
    };
    let opened = shared.unless_ended(opening).await;
    match opened {
        Ok(reader) => Ok(Box::new(reader)),
        Err(failure) => {
            shared.suspect(&failure);
            Err(failure.of_idempotent())
        }
    }
}

/// How long a replica is given to catch up with its master, and how often it is looked at.
const REPLICA_WAIT: Duration = Duration::from_secs(2);
const REPLICA_LOOK: Duration = Duration::from_millis(20);

/// A connection to a replica, where that is wanted and there is one that has all that the master had a moment ago. One
/// that is behind would look like a log that was rewound.
async fn replica(
    shared: &Shared,
    topic: &TopicName,
    stream: &str,
    settings: &str,
) -> Option<(Server, Connection)> {
    let server = shared.route.replica(shared, topic)?;
    let mut command = cmd("EVAL_RO");
    command.arg(LOOK).arg(2).arg(stream).arg(settings);
    let caught_up = async {
        let there = Look::read(shared.call(Some(topic), &command).await?)?;
        let mut connection = shared.dialer.dial(&server, None).await?;
        ask(&mut connection, &cmd("READONLY"), shared.config.timeout).await?;
        while Look::read(ask(&mut connection, &command, shared.config.timeout).await?)?.counts().last
            < there.counts().last
        {
            tokio::time::sleep(REPLICA_LOOK).await;
        }
        Ok::<_, Failure>(connection)
    };
    match tokio::time::timeout(REPLICA_WAIT, caught_up).await {
        Ok(Ok(connection)) => Some((server, connection)),
        _ => None,
    }
}

/// What was read, a look at the whole where one was needed, and whether a replica was seen to be behind its master.
type Answer = Result<(Vec<Entry>, Option<Look>, bool), Failure>;

/// What was read last: as long as it stands there unchanged, nothing behind it can have been trimmed or rewound.
#[derive(Clone, Copy)]
struct Mark {
    id: Id,
    stamp: u64,
}

/// Where a reader reads.
struct Post {
    topic: TopicName,
    server: Server,
    is_replica: bool,
    /// The one server was lost, by the word of who watches it.
    losses: watch::Receiver<u64>,
}

impl Post {
    /// Is this server still one that is in charge of the topic, or a replica of that? One that is not may answer for ever.
    fn is_held(&self, shared: &Shared) -> bool {
        !shared.link.borrow().is_usable() || shared.route.serves(shared, &self.topic, &self.server)
    }

    /// Waits until the one server was lost. In a cluster others are no sign of it.
    async fn lost(&mut self, shared: &Shared) {
        if shared.route.is_cluster() || self.losses.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

struct Reader {
    shared: Arc<Shared>,
    post: Post,
    connection: Connection,
    stream: String,
    settings: String,
    reading: Reading,
    /// What was read and not yet taken.
    waiting: VecDeque<FromLog>,
    /// The question that is open. It is kept here, so that nothing is lost where `recv` is dropped.
    question: Option<BoxFuture<Answer>>,
    /// Everything was told that was there: the next question waits for something new.
    at_end: bool,
    count: usize,
    /// As many as were about so many bytes, by the size of what was read last.
    most: usize,
    /// Asked for with each read, where it is small enough: that costs the server less than a look.
    mark: Option<Mark>,
    look_at: Instant,
    /// How many looks in a row have found a replica behind its master.
    behind: u32,
    interrupted: bool,
}

impl Reader {
    #[allow(clippy::too_many_arguments, reason = "what one step has found out")]
    fn new(
        shared: &Arc<Shared>,
        post: Post,
        connection: Connection,
        stream: String,
        settings: String,
        from: &LogStart,
        start: Id,
        look: Look,
        read: Vec<Entry>,
    ) -> Self {
        let ids: Vec<Id> = read.iter().map(|entry| entry.id).collect();
        let (reading, is_end) = match from {
            // What was newest is a mark, and the end is told behind it, whatever came meanwhile.
            LogStart::Last => (Reading::begin(look.counts().last, &[], &look).0, true),
            _ => Reading::begin(start, &ids, &look),
        };
        let mut reader = Self {
            shared: Arc::clone(shared),
            post,
            connection,
            stream,
            settings,
            reading,
            waiting: VecDeque::new(),
            question: None,
            at_end: false,
            count: 1,
            most: COUNT_MAX,
            mark: None,
            look_at: Instant::now(),
            behind: 0,
            interrupted: false,
        };
        if *from == LogStart::Earliest && look.counts().is_whole() {
            reader.waiting.push_back(FromLog::Beginning);
        }
        reader.take(read, is_end);
        reader
    }

    /// Takes over what was read.
    fn take(&mut self, read: Vec<Entry>, is_end: bool) {
        if !read.is_empty() {
            let bytes: usize = read.iter().map(|entry| entry.raw.payload.len()).sum();
            self.most = (BYTES_TARGET / (bytes / read.len()).max(1)).clamp(1, COUNT_MAX);
            self.count = if is_end { 1 } else { self.count.saturating_mul(2).min(COUNT_MAX) };
        }
        let is_news = !read.is_empty() || !self.at_end;
        if let Some(last) = read.last() {
            let is_small = last.raw.payload.len() <= MARK_BYTES_MAX;
            self.mark = is_small.then_some(Mark { id: last.id, stamp: last.stamp });
        }
        for entry in read {
            let Entry { id, raw, stamp } = entry;
            self.waiting.push_back(FromLog::Record { raw, at: id.into(), stamp });
        }
        if is_end && is_news {
            self.waiting.push_back(FromLog::CaughtUp);
        }
        self.at_end = is_end;
    }

    /// Asks for what comes next, and right behind it whether the log is still what it was.
    fn ask(&mut self, records_max: usize) -> BoxFuture<Answer> {
        let mut connection = self.connection.clone();
        let mut commands = Pipeline::new();
        // Large records one by one: however slow the way is, each answer brings a reader on.
        self.count = self.count.max(records_max).clamp(1, self.most);
        let read = commands.cmd("XREAD").arg("COUNT").arg(self.count);
        let mut wait = self.shared.config.timeout;
        let is_due = self.look_at <= Instant::now();
        let mark = self.mark.filter(|mark| mark.id == self.reading.at && !is_due);
        if is_due {
            self.look_at = Instant::now() + BLOCK;
        }
        // A look that is due is made at once, and what waits is served by a read that only asks for its mark.
        if self.at_end && (mark.is_some() || self.mark.is_none() || !is_due) {
            read.arg("BLOCK").arg(BLOCK.as_millis() as u64);
            wait += BLOCK;
        }
        read.arg("STREAMS").arg(&self.stream).arg(self.reading.at.to_string());
        let mut look = cmd("EVAL_RO");
        look.arg(LOOK).arg(2).arg(&self.stream).arg(&self.settings);
        match mark {
            Some(mark) => {
                let at = mark.id.to_string();
                commands.cmd("XRANGE").arg(&self.stream).arg(&at).arg(&at);
            }
            None => drop(commands.add_command(look.clone())),
        }
        let timeout = self.shared.config.timeout;
        let (shared, topic) = (Arc::clone(&self.shared), self.post.topic.clone());
        let of_replica = is_due && self.post.is_replica;
        Box::pin(async move {
            let due = match of_replica {
                true => Some(Look::read(shared.call(Some(&topic), &look).await?)?.counts().last),
                false => None,
            };
            let mut answers = ask_all(&mut connection, &commands, wait).await?.into_iter();
            let mut answer = || answers.next().map_or_else(|| Err(odd("an answer is missing")), checked);
            let (read, behind) = (answer()?, answer()?);
            let read = entries(pairs_or_lists(read)?)?;
            let Some(mark) = mark else {
                let look = Look::read(behind)?;
                let is_behind = due.is_some_and(|due| look.counts().last < due);
                return Ok((read, Some(look), is_behind));
            };
            let is_there = entries(behind)?.first().is_some_and(|found| found.stamp == mark.stamp);
            if is_there {
                return Ok((read, None, false));
            }
            Ok((read, Some(Look::read(ask(&mut connection, &look, timeout).await?)?), false))
        })
    }

    fn answered(&mut self, answer: Answer) -> Result<()> {
        let (read, look, is_behind) = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                self.shared.suspect(&failure);
                if matches!(
                    failure.error.kind(),
                    ErrorKind::Unauthorized | ErrorKind::Config | ErrorKind::Unsupported
                ) {
                    return Err(failure.error);
                }
                tracing::debug!(error = %failure.error, "the reading of a log was interrupted");
                self.interrupted = true;
                return Ok(());
            }
        };
        self.behind = if is_behind { self.behind + 1 } else { 0 };
        if self.behind >= BEHIND_MAX {
            tracing::warn!(stream = %self.stream, "the replica is behind its master for too long: another server is asked");
            self.interrupted = true;
            return Ok(());
        }
        let ids: Vec<Id> = read.iter().map(|entry| entry.id).collect();
        let verdict = match look {
            Some(look) => self.reading.judge(&ids, &look),
            None => self.reading.go_on(&ids, ids.len() < self.count),
        };
        match verdict {
            Verdict::Follows { is_end } => self.take(read, is_end),
            Verdict::Trimmed { is_end } => {
                self.waiting.push_back(FromLog::Trimmed);
                self.at_end = false;
                self.take(read, is_end);
            }
            Verdict::Other => {
                tracing::warn!(stream = %self.stream, "the log is not the one that was read before, or was rewound");
                self.interrupted = true;
            }
        }
        Ok(())
    }
}

/// The entries of the one stream that was asked for: `XREAD` answers with a map in RESP3, and with pairs in RESP2.
fn pairs_or_lists(answer: Value) -> Result<Value, Failure> {
    match answer {
        Value::Nil => Ok(Value::Nil),
        Value::Map(streams) => Ok(streams.into_iter().next().map(|(_, entries)| entries).unwrap_or_default()),
        answer => {
            let first = list(answer)?.into_iter().next().unwrap_or_default();
            Ok(list(first)?.into_iter().nth(1).unwrap_or_default())
        }
    }
}

#[async_trait]
impl LogInbox for Reader {
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromLog>) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        loop {
            if shared.is_closed() {
                return Err(closed().operation("recv"));
            }
            if !self.waiting.is_empty() {
                let count = self.waiting.len().min(records_max.max(1));
                into.extend(self.waiting.drain(..count));
                return Ok(());
            }
            if self.interrupted {
                into.push(FromLog::Interrupted);
                return Ok(());
            }
            let question = match self.question.take() {
                Some(question) => question,
                None => self.ask(records_max),
            };
            let question = self.question.insert(question);
            tokio::select! {
                biased;
                () = shared.ended() => return Err(closed().operation("recv")),
                answer = question => {
                    self.question = None;
                    self.answered(answer)?;
                    if self.waiting.is_empty() && !self.post.is_held(&shared) {
                        tracing::debug!(stream = self.stream, "another server is in charge of the log now");
                        self.interrupted = true;
                    }
                }
                () = self.post.lost(&shared) => self.interrupted = true,
            }
        }
    }
}
