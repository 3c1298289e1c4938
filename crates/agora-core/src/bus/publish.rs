//! The future of a publish.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::fate::{Receipt, Ticket};
use super::queue::closed;
use crate::error::{Error, Result};

/// The future of a publish. Dropping it leaves the event's fate unknown: it may be sent all the same.
#[must_use = "a publish whose outcome nobody awaits may fail unseen; use `try_publish` where that is meant"]
pub struct Publish(State);

enum State {
    Failed(Option<Error>),
    Queued(Ticket),
    Waiting(Pin<Box<dyn Future<Output = Result<Ticket>> + Send>>),
}

impl Publish {
    pub(crate) fn failed(error: Error) -> Self {
        Self(State::Failed(Some(error)))
    }

    pub(crate) fn queued(ticket: Ticket) -> Self {
        Self(State::Queued(ticket))
    }

    pub(crate) fn waiting(queued: impl Future<Output = Result<Ticket>> + Send + 'static) -> Self {
        Self(State::Waiting(Box::pin(queued)))
    }
}

impl Future for Publish {
    type Output = Result<Receipt>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.0 {
                State::Failed(error) => return Poll::Ready(Err(error.take().unwrap_or_else(closed))),
                State::Queued(ticket) => return ticket.poll(cx),
                State::Waiting(waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(ticket)) => self.0 = State::Queued(ticket),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                },
            }
        }
    }
}

impl std::fmt::Debug for Publish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.0 {
            State::Failed(_) => "Failed",
            State::Queued(_) => "Queued",
            State::Waiting(_) => "Waiting",
        };
        f.debug_tuple("Publish").field(&state).finish()
    }
}
