//! Publishing: in call order, on one task per topic, with a deadline that holds while the server is silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agora_core::id::TopicName;
use agora_core::transport::calls::{CallQueue, QueuedCalls, begin};
use agora_core::transport::{
    Address, BoxFuture, OutFrame, Outcome, PublishFailed, TopicKind, TopicSettings, check_only_lane,
};
use agora_core::{Error, ErrorKind};
use redis::{Cmd, Pipeline, Value, cmd};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::call::{ask_all, bytes, checked, is_refusal, of_transaction};
use crate::error::{Failure, closed, error};
use crate::place::Id;
use crate::record;
use crate::shared::{Shared, Tries, lock};
use crate::topics;

/// The most calls of `publish` that wait for the sender of one topic. A further one fails at once with `QueueFull`, and
/// nothing of it is sent.
pub const QUEUE_CALLS_MAX: usize = 1024;
/// Calls that wait are sent together up to about so many messages and bytes.
const BATCH_FRAMES_MAX: usize = 512;
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How often a log that was deleted is made anew for one batch.
const MADE_ANEW_MAX: usize = 3;
/// What the words of a command take beside its channel or stream and its message: memory for them is taken at once.
const COMMAND_BYTES: usize = 256;

/// Where the calls for one topic go. Whoever has the pen sends.
pub(crate) type Sender = CallQueue<Call, Pen>;

fn start_sender(shared: &Arc<Shared>, topic: &TopicName) -> Sender {
    let (sender, calls) = CallQueue::new(QUEUE_CALLS_MAX, Pen::new(shared, topic));
    shared.spawn(run(Arc::clone(shared), topic.clone(), calls));
    sender
}

fn refused(refused: TrySendError<Call>) -> Error {
    match refused {
        TrySendError::Full(_) => error(ErrorKind::QueueFull, "too many publishes wait for the server")
            .context("allowed", QUEUE_CALLS_MAX),
        TrySendError::Closed(_) => closed(),
    }
}

/// One call of `publish`.
pub(crate) struct Call {
    frames: Vec<OutFrame>,
    by: Instant,
    /// Has the sender begun, or has the caller given up? Whoever is first decides.
    claimed: Arc<AtomicBool>,
    done: oneshot::Sender<Result<(), PublishFailed>>,
}

fn claim(claimed: &AtomicBool) -> bool {
    !claimed.swap(true, Ordering::AcqRel)
}

impl Call {
    /// The call, where somebody still wants it sent. From here on its outcome is the sender's to say.
    fn begin(self) -> Option<Self> {
        let is_wanted = !self.done.is_closed();
        if !is_wanted || self.by <= Instant::now() || !claim(&self.claimed) {
            let _ = self.done.send(Err(not_stored(late())));
            return None;
        }
        Some(self)
    }
}

fn late() -> Error {
    error(ErrorKind::Timeout, "the deadline passed before the message was sent")
}

fn not_stored(error: Error) -> PublishFailed {
    PublishFailed { accepted: 0, outcome: Outcome::NotStored, error: error.operation("publish") }
}

/// Hands the frames to the sender of their topic now, so that the order of the calls is the order on the wire, and
/// returns a future that waits for the answer.
pub(crate) fn publish(
    shared: &Arc<Shared>,
    to: &Address,
    frames: Vec<OutFrame>,
    by: Instant,
) -> BoxFuture<Result<(), PublishFailed>> {
    let (done, waiting) = oneshot::channel();
    let claimed = Arc::new(AtomicBool::new(false));
    let call = Call { frames, by, claimed: Arc::clone(&claimed), done };
    if let Err(error) = submit(shared, to, call) {
        let error = error.context("topic", &to.topic);
        return Box::pin(async move { Err(not_stored(error)) });
    }
    let shared = Arc::clone(shared);
    Box::pin(async move {
        let unknown = |error: Error| PublishFailed {
            accepted: 0,
            outcome: Outcome::Unknown,
            error: error.operation("publish"),
        };
        match timeout_at(by, waiting).await {
            Ok(Ok(result)) => result,
            // The sender ended: the transport was closed.
            Ok(Err(_)) if claim(&claimed) => Err(not_stored(shared.down())),
            Ok(Err(_)) => Err(unknown(shared.down())),
            Err(_) if claim(&claimed) => Err(not_stored(late())),
            Err(_) => Err(unknown(
                error(ErrorKind::OutcomeUnknown, "the deadline passed while the server was asked")
                    .help("the server is slow or does not answer; see the link's state"),
            )),
        }
    })
}

/// Sends a call where nothing is under way before it, or puts it into the queue of its topic's sender, which is started where
/// there is none.
fn submit(shared: &Arc<Shared>, to: &Address, call: Call) -> Result<(), Error> {
    if shared.is_closed() {
        return Err(closed());
    }
    check_only_lane(to.lane).map_err(|error| error.backend(crate::error::BACKEND))?;
    let bytes_max = shared.capabilities.message_bytes_max;
    if let Some(frame) = call.frames.iter().find(|frame| frame.payload.len() > bytes_max) {
        return Err(error(ErrorKind::TooLarge, "a message is larger than this backend takes")
            .context("bytes", frame.payload.len())
            .context("allowed", bytes_max));
    }
    let mut senders = lock(&shared.senders);
    // One that has ended takes nothing more.
    if senders.get(&to.topic).is_some_and(|sender| sender.is_closed()) {
        senders.remove(&to.topic);
    }
    let sender = senders.entry(to.topic.clone()).or_insert_with(|| start_sender(shared, &to.topic));
    let Some(pen) = sender.idle() else { return sender.put(call).map_err(refused) };
    drop(senders);
    send_now(shared, to.topic.clone(), pen, call);
    Ok(())
}

/// Begins to send a call where nothing is under way.
fn send_now(shared: &Arc<Shared>, topic: TopicName, mut pen: OwnedMutexGuard<Pen>, call: Call) {
    let Some(call) = call.begin() else { return };
    let of_task = Arc::clone(shared);
    let _runtime = shared.runtime.enter();
    if let Some(sending) = begin(async move { send(&of_task, &topic, &mut pen, vec![call]).await }) {
        shared.spawn(sending);
    }
}

/// The sender of one topic: one batch after the other, so that nothing overtakes what failed.
async fn run(shared: Arc<Shared>, topic: TopicName, mut calls: QueuedCalls<Call, Pen>) {
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(call) => call,
            None => match calls.queue.recv().await {
                Some(call) => call,
                None => return,
            },
        };
        let mut pen = calls.sender.lock().await;
        let mut batch = Vec::new();
        let (mut frames, mut bytes, mut taken) = (0, 0, 0);
        let mut call = Some(first);
        while let Some(one) = call.take() {
            let size: usize = one.frames.iter().map(|frame| frame.payload.len()).sum();
            let fits = batch.is_empty()
                || frames + one.frames.len() <= BATCH_FRAMES_MAX && bytes + size <= BATCH_BYTES_MAX;
            if !fits {
                next = Some(one);
                break;
            }
            taken += 1;
            if let Some(one) = one.begin() {
                (frames, bytes) = (frames + one.frames.len(), bytes + size);
                batch.push(one);
            }
            call = calls.queue.try_recv().ok();
        }
        if !batch.is_empty() {
            send(&shared, &topic, &mut pen, batch).await;
        }
        calls.served(taken);
    }
}

/// Sends a batch, and tells each call what became of its part.
async fn send(shared: &Shared, topic: &TopicName, pen: &mut Pen, batch: Vec<Call>) {
    pen.settings = shared.settings_of(topic);
    let commands = pen.write(&batch.iter().flat_map(|call| &call.frames).collect::<Vec<_>>());
    let answers = if commands.pipeline.is_empty() {
        Ok(Vec::new())
    } else {
        deliver(shared, topic, &commands, &batch).await
    };
    let mut answers = match answers {
        Ok(answers) => answers.into_iter(),
        Err(failure) => {
            let failed = PublishFailed {
                accepted: 0,
                outcome: failure.outcome,
                error: failure.error.operation("publish").context("topic", topic),
            };
            for call in batch {
                let _ = call.done.send(Err(failed.clone()));
            }
            return;
        }
    };
    // After the first that failed, the others of the batch may stand in the log before it: they are not accepted, so
    // that the engine sends them again, in order.
    let mut failed: Option<Failure> = None;
    for call in batch {
        let mut accepted = 0;
        let began = failed.is_some();
        for _ in &call.frames {
            match answers.next().map(checked) {
                Some(Ok(answer)) if failed.is_none() => {
                    pen.written(answer);
                    accepted += 1;
                }
                Some(Err(failure)) if failed.is_none() => failed = Some(failure),
                _ => {}
            }
        }
        let result = match &failed {
            None => Ok(()),
            Some(failure) => {
                shared.suspect(failure);
                let only_refused = !began && accepted + 1 == call.frames.len();
                let outcome = if only_refused { Outcome::NotStored } else { Outcome::Unknown };
                let error = failure.error.clone().operation("publish").context("topic", topic);
                Err(PublishFailed { accepted, outcome, error })
            }
        };
        let _ = call.done.send(result);
    }
    // Whoever appends once only, such as a program that runs for a moment, trims all the same.
    if let Some(command) = pen.trim()
        && let Err(failure) = shared.call(Some(topic), &command).await
    {
        tracing::debug!(%topic, error = %failure.error, "retention waits for the next batch");
    }
}

/// Gets the answers of the server to a batch. What was certainly not executed is tried again until the first deadline.
async fn deliver(
    shared: &Shared,
    topic: &TopicName,
    commands: &Batch,
    batch: &[Call],
) -> Result<Vec<Value>, Failure> {
    let by = batch.iter().map(|call| call.by).min().unwrap_or_else(Instant::now);
    let mut tries = Tries::new(shared, by);
    let mut made_anew = 0;
    loop {
        let asked = shared.with_line(Some(topic), &tries, async |connection| {
            let answers = ask_all(connection, &commands.pipeline, shared.config.timeout).await?;
            match answers.len() {
                _ if commands.is_whole => of_transaction(answers),
                1 => answers.into_iter().map(checked).collect(),
                _ => Ok(answers),
            }
        });
        // Refusals of single commands stand among the answers. Where the first is refused for a reason that passes,
        // so are the others.
        let failure = match asked.await {
            // There is no stream any more: somebody has deleted it. As a whole, a batch found none.
            Ok(answers) if commands.is_log && answers.first() == Some(&Value::Nil) => {
                made_anew += 1;
                if made_anew > MADE_ANEW_MAX {
                    let error = error(ErrorKind::Backend, "the log is deleted as fast as it is made anew");
                    return Err(Failure::not_sent(error));
                }
                topics::make_anew(shared, topic).await?;
                continue;
            }
            Ok(mut answers) => match answers.first_mut().map(std::mem::take).map(checked) {
                Some(Ok(first)) => {
                    answers[0] = first;
                    return Ok(answers);
                }
                Some(Err(failure)) if failure.passes && answers.iter().skip(1).all(is_refusal) => failure,
                Some(Err(failure)) => Failure { outcome: Outcome::Unknown, passes: false, ..failure },
                None => return Ok(answers),
            },
            Err(failure) => failure,
        };
        tries.after(failure).await?;
    }
}

/// The commands of a batch.
#[derive(Default)]
struct Batch {
    pipeline: Pipeline,
    /// They append to a log that is there.
    is_log: bool,
    /// A transaction stands around them.
    is_whole: bool,
}

/// Writes the commands of one topic.
pub(crate) struct Pen {
    channel: String,
    publish: &'static str,
    stream: String,
    settings: Option<TopicSettings>,
    stamps: record::Stamps,
    /// The place of the entry that was appended last: the server's own time, by which it trims.
    last: Id,
    has_trimmed: bool,
}

impl Pen {
    fn new(shared: &Shared, topic: &TopicName) -> Self {
        Self {
            channel: shared.names.channel(topic),
            publish: shared.route.publish(),
            stream: shared.names.stream(topic),
            settings: None,
            stamps: record::Stamps::new(),
            last: Id::ZERO,
            has_trimmed: false,
        }
    }

    fn write(&mut self, frames: &[&OutFrame]) -> Batch {
        let mut commands = Batch::default();
        let is_log = self.settings.is_some_and(|settings| settings.kind == TopicKind::Log);
        // All or nothing: a refusal in the middle, such as of a full memory, would change the order.
        commands.is_log = is_log;
        commands.is_whole = is_log && frames.len() > 1;
        if commands.is_whole {
            commands.pipeline.cmd("MULTI");
        }
        for (number, frame) in frames.iter().enumerate() {
            if is_log {
                let command = self.append(frame, number == 0);
                commands.pipeline.add_command(command);
            } else {
                let bytes = COMMAND_BYTES + self.channel.len() + frame.payload.len();
                let mut command = Cmd::with_capacity(3, bytes);
                command.arg(self.publish).arg(&self.channel).arg(&frame.payload[..]);
                commands.pipeline.add_command(command);
            }
        }
        if commands.is_whole {
            commands.pipeline.cmd("EXEC");
        }
        commands
    }

    fn append(&mut self, frame: &OutFrame, is_first: bool) -> Cmd {
        let mut command = Cmd::with_capacity(10, COMMAND_BYTES + self.stream.len() + frame.payload.len());
        command.arg("XADD").arg(&self.stream).arg("NOMKSTREAM");
        let retention = self.settings.and_then(|settings| settings.retention);
        // Once a batch is often enough. By the server's own clock: one's own may be wrong.
        if let Some(retention) = retention
            && is_first
            && self.last > Id::ZERO
        {
            command.arg("MINID").arg("~").arg(self.last.ms.saturating_sub(millis(retention)));
        }
        command.arg("*");
        record::write(&mut command, frame, self.stamps.next());
        command
    }

    /// What trims after the first batch, which could not: only then is the server's time known.
    fn trim(&mut self) -> Option<Cmd> {
        let retention = self.settings?.retention?;
        if std::mem::replace(&mut self.has_trimmed, self.last > Id::ZERO) || self.last == Id::ZERO {
            return None;
        }
        let mut command = cmd("XTRIM");
        command.arg(&self.stream).arg("MINID").arg("~").arg(self.last.ms.saturating_sub(millis(retention)));
        Some(command)
    }

    /// An entry was appended.
    fn written(&mut self, answer: Value) {
        if let Value::BulkString(_) = &answer
            && let Ok(Some(id)) = bytes(answer)
            && let Some(id) = Id::parse(&id)
        {
            self.last = id;
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
