//! Asking a consumer for messages, so many at a time, and hearing what comes of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agora_core::{ErrorKind, Result};
use async_nats::{Message, StatusCode, Subscriber};
use futures_util::{FutureExt, StreamExt};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::error::error;
use crate::session::Session;

/// How long the server keeps a request for which there is nothing. Then it says so, and is asked again.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that it still knows of a request.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// After which silence the consumer is held for gone: three heartbeats.
const SILENCE: Duration = Duration::from_secs(7);

/// What is written in the reply subject of a message of a consumer (ADR-15 of NATS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// How often it was delivered, this time included.
    pub(crate) delivered: u64,
    /// Its place in the stream.
    pub(crate) at: u64,
    /// The number of this delivery, to whomever.
    pub(crate) delivery: u64,
    /// When it was stored, in nanoseconds since 1970.
    pub(crate) stored_ns: u64,
    /// How many messages wait behind it.
    pub(crate) pending: u64,
}

impl Meta {
    /// `$JS.ACK.<stream>.<consumer>.<delivered>.<at>.<delivery>.<time>.<pending>`, or with domain and account behind
    /// `ACK` and more behind the end.
    pub(crate) fn parse(reply: &str) -> Option<Self> {
        let mut tokens = reply.strip_prefix("$JS.ACK.")?.split('.');
        // Two names stand before the numbers, or four.
        let names = if reply.split('.').count() > 9 { 4 } else { 2 };
        let mut number = {
            tokens.nth(names - 1)?;
            move || tokens.next()?.parse::<u64>().ok()
        };
        Some(Self {
            delivered: number()?,
            at: number()?,
            delivery: number()?,
            stored_ns: number()?,
            pending: number()?,
        })
    }

    pub(crate) fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.stored_ns)
    }
}

/// What comes of asking.
pub(crate) enum Pulled {
    /// A message.
    Message(Message, Meta),
    /// There is nothing now.
    Quiet,
    /// A request came to its end before it was answered as a whole. That says nothing of what is there.
    Ended,
    /// The consumer is gone, or the connection.
    Gone(String),
}

/// The way to one consumer.
pub(crate) struct Pull {
    pub(crate) session: Arc<Session>,
    next_subject: String,
    inbox: String,
    answers: Subscriber,
    /// How many messages may still come of what was asked.
    asked: usize,
    /// When something came last, or was asked while nothing was due.
    heard: Instant,
}

impl Pull {
    pub(crate) async fn new(session: Arc<Session>, stream: &str, consumer: &str) -> Result<Self> {
        let inbox = session.client.new_inbox();
        let answers = session.client.subscribe(inbox.clone()).await.map_err(|_| lost())?;
        let next_subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        Ok(Self { session, next_subject, inbox, answers, asked: 0, heard: Instant::now() })
    }

    /// How many messages may still come without asking again.
    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// Asks for more, at most so many bytes.
    ///
    /// Cancel safe: either it was asked, and counted, or not.
    pub(crate) async fn ask(&mut self, messages: usize, bytes_max: Option<usize>) -> Result<()> {
        let mut request = json!({
            "batch": messages,
            "expires": u64::try_from(EXPIRES.as_nanos()).unwrap_or(u64::MAX),
            "idle_heartbeat": u64::try_from(HEARTBEAT.as_nanos()).unwrap_or(u64::MAX),
        });
        if let Some(bytes_max) = bytes_max {
            request["max_bytes"] = json!(bytes_max);
        }
        let payload = request.to_string().into();
        let (subject, reply) = (self.next_subject.clone(), self.inbox.clone());
        self.session.client.publish_with_reply(subject, reply, payload).await.map_err(|_| lost())?;
        if self.asked == 0 {
            self.heard = Instant::now();
        }
        self.asked += messages;
        Ok(())
    }

    /// What has come already.
    pub(crate) fn try_next(&mut self) -> Option<Pulled> {
        let message = self.answers.next().now_or_never()?;
        Some(self.take(message))
    }

    /// Waits for what comes. The silence counts across waits: one that is cut short again and again must notice it too.
    /// Who has not looked for long finds the heartbeats of that time with [`try_next`](Pull::try_next), which comes first.
    ///
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Pulled {
        let silent_at = self.heard + SILENCE;
        let session = Arc::clone(&self.session);
        let message = tokio::select! {
            biased;
            message = self.answers.next() => message,
            () = session.over() => return Pulled::Gone("the connection was lost".into()),
            () = sleep_until(silent_at), if self.asked > 0 => {
                return Pulled::Gone("the consumer has fallen silent".into());
            }
        };
        self.take(message)
    }

    /// What a message of the server is.
    fn take(&mut self, message: Option<Message>) -> Pulled {
        let Some(message) = message else { return Pulled::Gone("the connection was lost".into()) };
        self.heard = Instant::now();
        // A record first: a stranger may have stored one with a status of its own.
        if let Some(meta) = message.reply.as_ref().and_then(|reply| Meta::parse(reply)) {
            self.asked = self.asked.saturating_sub(1);
            return Pulled::Message(message, meta);
        }
        match message.status {
            Some(status) => self.status(status, &message),
            // Nobody but the server knows the inbox; whatever it is, it is no record.
            None => Pulled::Ended,
        }
    }

    fn status(&mut self, status: StatusCode, message: &Message) -> Pulled {
        if status == StatusCode::IDLE_HEARTBEAT {
            return Pulled::Quiet;
        }
        let text = message.description.clone().unwrap_or_default();
        let lower = text.to_lowercase();
        // A request ends with how much of it was not answered.
        let left = message.headers.as_ref().and_then(|headers| headers.get("Nats-Pending-Messages"));
        let left = left.and_then(|left| left.as_str().parse().ok());
        self.asked = self.asked.saturating_sub(left.unwrap_or(self.asked));
        if status == StatusCode::NOT_FOUND || status == StatusCode::TIMEOUT {
            Pulled::Quiet
        } else if lower.contains("maxbytes") || lower.contains("batch completed") {
            Pulled::Ended
        } else {
            Pulled::Gone(format!("the consumer does not answer: {status} {text}"))
        }
    }
}

fn lost() -> agora_core::Error {
    error(ErrorKind::Unreachable, "the connection was lost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_reply_are_read() {
        let expected =
            Meta { delivered: 2, at: 30, delivery: 44, stored_ns: 1_700_000_000_000_000_005, pending: 6 };
        for reply in [
            "$JS.ACK.agora=c=t.g.2.30.44.1700000000000000005.6",
            "$JS.ACK._.hash.agora=c=t.g.2.30.44.1700000000000000005.6",
            "$JS.ACK.hub.hash.agora=c=t.g.2.30.44.1700000000000000005.6.random",
        ] {
            assert_eq!(Meta::parse(reply), Some(expected), "{reply}");
        }
        for reply in ["", "$JS.ACK.", "$JS.ACK.s.c.1.2.3.4", "$JS.ACK.s.c.x.2.3.4.5", "_INBOX.a.b"] {
            assert_eq!(Meta::parse(reply), None, "{reply}");
        }
    }
}
