//! A value that several tasks wait for, woken in the order in which they began to wait.
//!
//! Tokio's `watch` wakes its waiters in a random order of its own: two runs of one simulation would differ.

use std::sync::Mutex;

use tokio::sync::Notify;

use super::queue::lock;

#[derive(Debug)]
pub(crate) struct Signal<T> {
    state: Mutex<State<T>>,
    wake: Notify,
}

#[derive(Debug)]
struct State<T> {
    value: T,
    version: u64,
    closed: bool,
}

impl<T: Clone + PartialEq> Signal<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { state: Mutex::new(State { value, version: 0, closed: false }), wake: Notify::new() }
    }

    /// Sets the value; nobody is woken where it stays the same.
    pub(crate) fn set(&self, value: T) {
        {
            let mut state = lock(&self.state);
            if state.value == value {
                return;
            }
            state.value = value;
            state.version += 1;
        }
        self.wake.notify_waiters();
    }

    /// The value changes no more: whoever waits for another is told so.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.wake.notify_waiters();
    }

    /// The value, and its version for [`changed`](Self::changed).
    pub(crate) fn read(&self) -> (T, u64) {
        let state = lock(&self.state);
        (state.value.clone(), state.version)
    }

    /// Waits until the value is another than that of `version`. `false`: it never will be.
    ///
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn changed(&self, version: u64) -> bool {
        self.wait(|state| (state.version != version).then_some(())).await.is_some()
    }

    /// Waits until the value is so. `None`: it never will be.
    pub(crate) async fn wait_for(&self, so: impl Fn(&T) -> bool) -> Option<T> {
        self.wait(|state| so(&state.value).then(|| state.value.clone())).await
    }

    async fn wait<R>(&self, ready: impl Fn(&State<T>) -> Option<R>) -> Option<R> {
        loop {
            // Before the look: it is woken by whatever happens after this line.
            let woken = self.wake.notified();
            {
                let state = lock(&self.state);
                let found = ready(&state);
                if found.is_some() || state.closed {
                    return found;
                }
            }
            woken.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn waiters_are_woken_in_their_order() {
        let (signal, order) = (Arc::new(Signal::new(0)), Arc::new(Mutex::new(Vec::new())));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..20 {
            let (signal, order) = (signal.clone(), order.clone());
            tasks.spawn(async move {
                assert_eq!(signal.wait_for(|value| *value > 0).await, Some(1));
                lock(&order).push(n);
            });
        }
        tokio::task::yield_now().await;
        signal.set(1);
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert_eq!(*lock(&order), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_was_closed_is_no_longer_waited_for() {
        let signal = Signal::new(1);
        let (_, version) = signal.read();
        signal.set(1);
        assert_eq!(signal.read().1, version, "the same value is no change");
        signal.close();
        assert_eq!(signal.wait_for(|value| *value == 1).await, Some(1), "what is so already is so");
        assert_eq!(signal.wait_for(|value| *value == 2).await, None);
        assert!(!signal.changed(version).await);
    }
}
