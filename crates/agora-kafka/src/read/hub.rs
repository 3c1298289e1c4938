//! Fetches for all lanes that are read, over two connections to each broker.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agora_core::transport::BoxFuture;
use agora_core::{Error, ErrorKind, Result};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kafka_protocol::messages::FetchResponse;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::desk::{Course, Desk, Leader, Phase, Trip, Way};
use super::lane::Lane;
use super::offsets::{self, Bounds};
use super::slot::{Item, Slot};
use super::trip::{self, Became};
use crate::brokers::{Brokers, Line, TRY_WAIT, Target};
use crate::error::Refusal;
use crate::keeper::is_final;

/// How long the answer to a fetch may take, beyond the time that the broker is asked to wait.
const FETCH_WAIT: Duration = Duration::from_secs(10);
/// How often is looked at whether another broker leads a lane, where nothing else happens.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Fetches for the lanes of a cluster. The task beneath it ends with the [`Brokers`].
pub struct Hub {
    inner: Arc<Inner>,
}

/// What the hub, its task and the readers share.
pub(super) struct Inner {
    brokers: Arc<Brokers>,
    /// Lanes that the task has not heard of yet.
    begun: Mutex<Vec<Course>>,
    wake: Notify,
    /// A reader was dropped.
    has_gone: AtomicBool,
    /// For questions about offsets.
    questions: Line,
}

impl Inner {
    pub(super) fn brokers(&self) -> &Arc<Brokers> {
        &self.brokers
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// A reader was dropped.
    pub(super) fn gone(&self) {
        self.has_gone.store(true, Ordering::Release);
        self.wake();
    }

    fn begun(&self) -> MutexGuard<'_, Vec<Course>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    /// A hub without lanes. To be called within a runtime.
    pub fn new(brokers: &Arc<Brokers>) -> Self {
        let inner = Arc::new(Inner {
            brokers: Arc::clone(brokers),
            begun: Mutex::default(),
            wake: Notify::new(),
            has_gone: AtomicBool::new(false),
            questions: brokers.line("offsets"),
        });
        let driver = Driver {
            parked: Arc::new(brokers.line("parked fetches")),
            ready: Arc::new(brokers.line("fetches")),
            inner: Arc::clone(&inner),
            desk: Desk::default(),
            events: FuturesUnordered::new(),
            silent: BTreeSet::new(),
            look_at: Instant::now(),
        };
        tokio::spawn(driver.run());
        Self { inner }
    }

    /// The line for questions about offsets.
    pub(super) fn questions(&self) -> &Line {
        &self.inner.questions
    }

    /// Reads a lane of a topic, by its name on the server, from an offset on.
    ///
    /// The bell rings when there is something to [`take`](Lane::take). Many lanes of one reader may share it; a lane that
    /// is [waited for](Lane::recv) alone has its own.
    pub fn lane(&self, topic: &str, lane: u32, from: i64, bell: &Arc<Notify>) -> Lane {
        self.lane_until(topic, lane, from, from, bell)
    }

    /// The same, where it is known already how far the lane reaches.
    pub(super) fn lane_until(&self, topic: &str, lane: u32, from: i64, end: i64, bell: &Arc<Notify>) -> Lane {
        let slot = Arc::new(Slot::new(Arc::clone(bell)));
        let partition = i32::try_from(lane).unwrap_or(i32::MAX);
        self.inner.begun().push(Course::new(topic.into(), partition, from, end, Arc::clone(&slot)));
        self.inner.wake();
        Lane::new(Arc::clone(&self.inner), slot, lane, from)
    }
}

enum Event {
    /// Who leads a lane.
    Sought(u64, Result<(i32, i32)>),
    /// A fetch is over.
    Back(Trip, Result<FetchResponse>),
    /// Where the log of a lane begins and ends.
    Looked(u64, Result<Bounds>),
}

struct Driver {
    inner: Arc<Inner>,
    parked: Arc<Line>,
    ready: Arc<Line>,
    desk: Desk,
    events: FuturesUnordered<BoxFuture<Event>>,
    /// The brokers that do not understand which epoch was read last.
    silent: BTreeSet<i32>,
    /// When it is looked whether other brokers lead.
    look_at: Instant,
}

impl Driver {
    async fn run(mut self) {
        let inner = Arc::clone(&self.inner);
        loop {
            self.begin();
            let wakes_at = self.desk.wakes_at().unwrap_or(self.look_at).min(self.look_at);
            tokio::select! {
                biased;
                () = inner.brokers.closed() => return,
                Some(event) = self.events.next(), if !self.events.is_empty() => self.handle(event),
                () = inner.wake.notified() => {}
                () = sleep_until(wakes_at), if !self.desk.is_empty() => {}
            }
        }
    }

    /// Looks whether other brokers lead, when it is time.
    fn look_around(&mut self) {
        let now = Instant::now();
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK_INTERVAL;
        let view = self.inner.brokers.view();
        for lane in self.desk.moved(&view) {
            self.doubt(lane);
        }
    }

    /// Begins whatever is to be done.
    fn begin(&mut self) {
        for course in std::mem::take(&mut *self.inner.begun()) {
            self.desk.add(course);
        }
        if self.inner.has_gone.swap(false, Ordering::AcqRel) {
            self.desk.sweep();
        }
        self.look_around();
        for (lane, topic, partition) in self.desk.take_lost(Instant::now()) {
            let brokers = Arc::clone(&self.inner.brokers);
            self.events.push(Box::pin(async move {
                let by = Instant::now() + TRY_WAIT;
                Event::Sought(lane, Box::pin(brokers.leader(&topic, partition, by)).await)
            }));
        }
        for trip in self.desk.plan() {
            let line = Arc::clone(if trip.way == Way::Parked { &self.parked } else { &self.ready });
            let says_epochs = !self.silent.contains(&trip.node);
            self.events.push(Box::pin(async move {
                let by = Instant::now() + trip.wait + FETCH_WAIT;
                let request = trip::request(&trip, says_epochs);
                let answer = line.call(Target::Node(trip.node), &request, by).await;
                Event::Back(trip, answer)
            }));
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Sought(lane, found) => self.sought(lane, found),
            Event::Back(trip, answer) => self.back(&trip, answer),
            Event::Looked(lane, found) => self.looked(lane, found),
        }
    }

    fn sought(&mut self, lane: u64, found: Result<(i32, i32)>) {
        let Some(course) = self.desk.lane(lane).filter(|course| course.phase == Phase::Sought) else {
            return;
        };
        match found {
            Ok((node, epoch)) => {
                let id = self.inner.brokers.view().topics.get(&*course.topic).and_then(|topic| topic.id);
                if course.is_other(id) {
                    return self.rewound(lane);
                }
                course.id = course.id.or(id);
                course.phase = Phase::At { leader: Leader { node, epoch }, has_end: false };
            }
            Err(error) => self.failed(lane, error),
        }
    }

    /// A lane cannot be read now, or never.
    fn failed(&mut self, lane: u64, error: Error) {
        if is_final(&error) || error.kind() == ErrorKind::Closed {
            if let Some(course) = self.desk.remove(lane) {
                course.slot.end(error.context("topic", &course.topic).context("lane", course.partition));
            }
            return;
        }
        if let Some(course) = self.desk.lane(lane) {
            tracing::debug!(topic = %course.topic, lane = course.partition, %error, "a lane is not read now");
            course.rest(Instant::now());
        }
        self.doubt(lane);
    }

    /// Whether the log of a lane is the one that it was is not known any more.
    fn doubt(&mut self, lane: u64) {
        if let Some(course) = self.desk.lane(lane) {
            course.slot.push(Item::Moved);
        }
    }

    fn back(&mut self, trip: &Trip, answer: Result<FetchResponse>) {
        let is_late = answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::OutcomeUnknown);
        self.desk.back(trip, is_late);
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.kind() == ErrorKind::Unsupported && self.silent.insert(trip.node) => {
                // It is older: the same again, in other words.
                return self.again(trip);
            }
            Err(error) => return self.trip_failed(trip, &error),
        };
        if let Err(refusal) = Refusal::check(answer.error_code) {
            return self.trip_failed(trip, &refusal.into_error());
        }
        let now = Instant::now();
        for stop in &trip.stops {
            let found = trip::of_stop(&answer, stop);
            for lane in &stop.lanes {
                let Some((course, leader)) = self.desk.lane_on(*lane, trip.number) else { continue };
                let Some(found) = found else {
                    course.rest(now);
                    continue;
                };
                match trip::serve(course, leader, trip.number, found, now) {
                    Became::Served => {}
                    Became::ToLook => self.look(*lane, leader),
                    Became::Rewound => self.rewound(*lane),
                    Became::Refused(refusal) => {
                        self.inner.brokers.doubt(Target::Leader(&stop.topic, stop.partition));
                        self.failed(*lane, refusal.into_error());
                    }
                }
            }
        }
    }

    fn again(&mut self, trip: &Trip) {
        for lane in trip.stops.iter().flat_map(|stop| &stop.lanes) {
            if let Some((course, leader)) = self.desk.lane_on(*lane, trip.number) {
                course.phase = Phase::At { leader, has_end: false };
            }
        }
    }

    fn trip_failed(&mut self, trip: &Trip, error: &Error) {
        for (topic, partition) in trip::topics(trip) {
            self.inner.brokers.doubt(Target::Leader(topic, partition));
        }
        for lane in trip.stops.iter().flat_map(|stop| &stop.lanes) {
            if self.desk.lane_on(*lane, trip.number).is_some() {
                self.failed(*lane, error.clone());
            }
        }
    }

    /// Looks where the log of a lane begins and ends.
    fn look(&mut self, lane: u64, leader: Leader) {
        let Some(course) = self.desk.lane(lane) else { return };
        course.phase = Phase::Looked(leader);
        let (inner, topic, partition) =
            (Arc::clone(&self.inner), Arc::clone(&course.topic), course.partition);
        self.events.push(Box::pin(async move {
            let by = Instant::now() + TRY_WAIT;
            Event::Looked(lane, Box::pin(offsets::bounds(&inner.questions, &topic, partition, by)).await)
        }));
    }

    fn looked(&mut self, lane: u64, found: Result<Bounds>) {
        let Some(course) = self.desk.lane(lane) else { return };
        let Phase::Looked(leader) = course.phase else { return };
        let bounds = match found {
            Ok(bounds) => bounds,
            Err(error) => return self.failed(lane, error),
        };
        if course.next > bounds.end {
            return self.rewound(lane);
        }
        if course.next < bounds.start {
            course.slot.push(Item::Trimmed { from: course.next, until: bounds.start });
            course.next = bounds.start;
            course.told_end = false;
        }
        // That of a batch that is gone may be known to nobody any more.
        course.read_epoch = -1;
        course.phase = Phase::At { leader, has_end: false };
    }

    fn rewound(&mut self, lane: u64) {
        if let Some(course) = self.desk.remove(lane) {
            tracing::warn!(
                topic = %course.topic, lane = course.partition, at = course.next,
                "the log ends in front of the place where it was read: it was rewound, or made anew"
            );
            course.slot.push(Item::Rewound);
        }
    }
}
