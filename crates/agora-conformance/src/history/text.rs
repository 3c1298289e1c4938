//! The lines of a history.

use std::fmt::{self, Display, Formatter};

use super::{Entry, Pace, What, Wire};

impl Display for Entry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:>11.6} {}", self.at.as_secs_f64(), self.what)
    }
}

impl Display for What {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(life) => write!(f, "{life} starts"),
            Self::Crash(life) => write!(f, "{life} crashes"),
            Self::Leaving(life) => write!(f, "{life} begins to leave"),
            Self::Gone(life, Ok(())) => write!(f, "{life} has left"),
            Self::Gone(life, Err(kind)) => write!(f, "{life} has left: {}", kind.as_str()),
            Self::Fault(fault) => write!(f, "FAULT {fault}"),
            Self::Healed => f.write_str("HEALED"),
            Self::Probing => f.write_str("PROBING"),
            Self::Publish { value, waits: true } => write!(f, "publish {value}"),
            Self::Publish { value, waits: false } => write!(f, "try_publish {value}"),
            Self::Published(value, Ok(Some(seq))) => write!(f, "published {value} as {seq}"),
            Self::Published(value, Ok(None)) => write!(f, "queued {value}"),
            Self::Published(value, Err(kind)) => write!(f, "publish of {value} failed: {}", kind.as_str()),
            Self::Flushed(life, result, left) => {
                let result = result.as_ref().map_or_else(|kind| kind.as_str(), |()| "ok");
                write!(f, "{life} flushed: {result}, {left} without an outcome")
            }
            Self::Subscribe { sub, life, topics, own, pace } => {
                write!(f, "{life} subscribes {sub} to {}", List(topics))?;
                f.write_str(if *own { " with its own" } else { "" })?;
                match pace {
                    Pace::Prompt => Ok(()),
                    Pace::Slow(pause) => write!(f, ", reads every {pause:?}"),
                }
            }
            Self::Established(sub, Ok(())) => write!(f, "{sub} is established"),
            Self::Established(sub, Err(kind)) => write!(f, "{sub} is refused: {}", kind.as_str()),
            Self::Unsubscribe(sub) => write!(f, "{sub} is dropped"),
            Self::Ended(sub, None) => write!(f, "{sub} ends"),
            Self::Ended(sub, Some(kind)) => write!(f, "{sub} ends: {}", kind.as_str()),
            Self::Event { sub, of, topic, seq, value } => {
                write!(f, "{sub} gets {} {topic} {seq}: {}", Maybe(of.as_ref()), Maybe(value.as_ref()))
            }
            Self::Gap { sub, of, topic, from, to, reason } => {
                let (from, to) = (Maybe(from.as_ref()), Maybe(to.as_ref()));
                write!(f, "{sub} GAP {} {topic} {from}..{to} {}", Maybe(of.as_ref()), reason.as_str())
            }
            Self::Foreign(sub) => write!(f, "{sub} gets a message of other software"),
            Self::Member { by, change, of, silent } => {
                write!(f, "{by} sees {change:?} {}", Maybe(of.as_ref()))?;
                match silent {
                    Some(silent) => write!(f, ", last heard {silent:?} ago"),
                    None => Ok(()),
                }
            }
            Self::View(life, alive) => write!(f, "{life} holds alive: {}", List(alive)),
            Self::Send { by, call, wires, formed } => {
                write!(f, "{by} sends #{call}: {}", List(wires))?;
                for (seq, value) in formed {
                    write!(f, " [{seq} is {}]", Maybe(value.as_ref()))?;
                }
                Ok(())
            }
            Self::Sent { by, call, accepted, failed: None } => write!(f, "{by} sent #{call}: {accepted}"),
            Self::Sent { by, call, accepted, failed: Some(kind) } => {
                write!(f, "{by} sent #{call}: only {accepted}: {}", kind.as_str())
            }
            Self::Got(life, wire) => write!(f, "{life} receives {wire}"),
            Self::Spoiled { by, wire, newer } => {
                let how = if *newer { "of a newer version" } else { "damaged" };
                write!(f, "{by} receives {how}: {wire}")
            }
            Self::Overrun(life, Some(topic)) => write!(f, "{life} is told of dropped messages on {topic}"),
            Self::Overrun(life, None) => write!(f, "{life} is told of dropped messages about the members"),
            Self::Interrupted(life) => write!(f, "{life} is told of an interruption"),
            Self::Log(what) => what.fmt(f),
            Self::Group(what) => what.fmt(f),
            Self::Remark(text) => write!(f, "# {text}"),
        }
    }
}

impl Display for Wire {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data { of, topic, seq, end, floor, crc } => {
                write!(f, "data({of} {topic} {seq}..{end} floor {floor} {crc:08x})")
            }
            Self::Head { of, topic, next, floor, fin, nonces } => {
                write!(f, "head({of} {topic} {next} floor {floor}{}", if *fin { " fin" } else { "" })?;
                nonces.iter().try_for_each(|nonce| write!(f, " {nonce:x}"))?;
                f.write_str(")")
            }
            Self::Hello { by, topic, nonce } => write!(f, "hello({by} {topic} {nonce:x})"),
            Self::Ask { by, of, topic, ranges } => {
                write!(f, "ask({by} of {of} {topic}")?;
                ranges.iter().try_for_each(|(from, to)| write!(f, " {from}..{to}"))?;
                f.write_str(")")
            }
            Self::Heartbeat { of, topics } => write!(f, "heartbeat({of} {})", List(topics)),
            Self::Leave { of, ends } => {
                write!(f, "leave({of}")?;
                ends.iter()
                    .try_for_each(|(topic, next, floor)| write!(f, " {topic}:{next} floor {floor}"))?;
                f.write_str(")")
            }
        }
    }
}

pub(super) struct Maybe<'a, T>(pub(super) Option<&'a T>);

impl<T: Display> Display for Maybe<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("?"),
        }
    }
}

pub(super) struct List<'a, T>(pub(super) &'a [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (n, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if n == 0 { "" } else { " " })?;
        }
        if self.0.is_empty() { f.write_str("-") } else { Ok(()) }
    }
}
