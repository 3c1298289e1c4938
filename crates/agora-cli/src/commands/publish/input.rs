//! The events to publish, one after the other.

use agora::{Error, ErrorKind, Event, RawBytes};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use super::object;
use crate::args::Publish;
use crate::failure::Failure;
use crate::io::Input;
use crate::kinds::{self, Message};

/// The most that is read for one event: the most that an event may have, and one byte to notice that it is more.
const INPUT_BYTES_MAX: u64 = agora::core::limits::BODY_BYTES_MAX as u64 + 1;
/// The most that is read for one JSON object: all of the body may be in base64, or escaped.
const OBJECT_BYTES_MAX: u64 = 2 * INPUT_BYTES_MAX + (64 << 10);
/// What bodies are made of that nobody gave.
const FILLING: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

/// One event.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) message: Message,
    pub(super) kind: String,
}

/// Where they come from.
pub(super) enum Events {
    /// One, several times.
    Same { item: Item, left: u64 },
    /// The lines of the standard input.
    Lines(Lines),
}

impl Events {
    /// What the arguments say. Reads the standard input where the event is in it as a whole.
    ///
    /// # Errors
    /// There is no data, it cannot be read, or it is not what its kind takes.
    pub(super) async fn read(args: &Publish, input: Input) -> Result<Self, Failure> {
        let kind = args.kind.as_deref().unwrap_or(RawBytes::KIND);
        if args.lines || args.ndjson {
            return Ok(Self::Lines(Lines {
                input: BufReader::new(input.stdin),
                line: Vec::new(),
                objects: args.ndjson,
                kind: kind.to_owned(),
                key: args.key.clone(),
                number: 0,
                passed_over: 0,
            }));
        }
        let data = match (args.size, args.data.as_deref()) {
            (Some(size), _) => {
                FILLING.iter().copied().cycle().take(usize::try_from(size).unwrap_or_default()).collect()
            }
            (None, Some(text)) if text != "-" => text.as_bytes().to_vec(),
            (None, None) if input.is_terminal => return Err(no_data()),
            (None, _) => {
                let mut data = Vec::new();
                let read = input.stdin.take(INPUT_BYTES_MAX).read_to_end(&mut data).await;
                read.map_err(|e| cannot_read(&e))?;
                // More likely a pipe whose writer failed, or no input at all, than an empty event.
                if data.is_empty() {
                    return Err(no_data());
                }
                data
            }
        };
        let message = message(kind, args.key.clone(), data)?;
        Ok(Self::Same { item: Item { message, kind: kind.to_owned() }, left: args.count })
    }

    /// The next event. What was read stays when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Item>, Failure> {
        match self {
            Self::Same { left: 0, .. } => Ok(None),
            Self::Same { item, left } => {
                *left -= 1;
                Ok(Some(item.clone()))
            }
            Self::Lines(lines) => lines.next().await,
        }
    }

    /// How many objects were no events.
    pub(super) fn passed_over(&self) -> u64 {
        match self {
            Self::Same { .. } => 0,
            Self::Lines(lines) => lines.passed_over,
        }
    }
}

pub(super) struct Lines {
    input: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    /// What was read of the next line.
    line: Vec<u8>,
    /// Is each line a JSON object?
    objects: bool,
    kind: String,
    key: Option<String>,
    /// The number of the last line.
    number: u64,
    passed_over: u64,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Item>, Failure> {
        let longest = if self.objects { OBJECT_BYTES_MAX } else { INPUT_BYTES_MAX };
        loop {
            // Longer than an event may be: what was read is enough to be refused.
            let room = (longest + 1).saturating_sub(self.line.len() as u64);
            let read = (&mut self.input).take(room).read_until(b'\n', &mut self.line).await;
            if read.map_err(|e| cannot_read(&e))? == 0 && self.line.is_empty() {
                return Ok(None);
            }
            let mut line = std::mem::take(&mut self.line);
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            self.number += 1;
            match self.item(line).map_err(|error| self.at_line(error))? {
                Some(item) => return Ok(Some(item)),
                None => self.passed_over += 1,
            }
        }
    }

    fn item(&self, line: Vec<u8>) -> Result<Option<Item>, Error> {
        if !self.objects {
            let message = message(&self.kind, self.key.clone(), line)?;
            return Ok(Some(Item { message, kind: self.kind.clone() }));
        }
        if line.len() as u64 > OBJECT_BYTES_MAX {
            return Err(Error::new(ErrorKind::TooLarge, "the line is too long for an event")
                .context("at most", format!("{OBJECT_BYTES_MAX} bytes")));
        }
        let text = std::str::from_utf8(&line)
            .map_err(|_| Error::new(ErrorKind::Config, "the line is not UTF-8, so it is no JSON"))?;
        object::read(text, &self.kind, self.key.as_deref())
    }

    fn at_line(&self, error: Error) -> Failure {
        Failure::Error(error.context("line", self.number))
    }
}

fn message(kind: &str, key: Option<String>, data: Vec<u8>) -> Result<Message, Error> {
    if kind == RawBytes::KIND {
        return Ok(Message::bytes(data, key));
    }
    let text = String::from_utf8(data).map_err(|_| {
        Error::new(ErrorKind::Config, format!("the data is not what {kind} takes: it is not UTF-8"))
    })?;
    kinds::parse(kind, &text)
}

fn no_data() -> Failure {
    Failure::Error(Error::new(ErrorKind::Config, "no data was given").operation("publish").help(
        "give it as an argument ('' for an empty event), or through the standard input; `-` reads what is typed \
         until Ctrl-D",
    ))
}

fn cannot_read(cause: &std::io::Error) -> Failure {
    Failure::Error(
        Error::new(ErrorKind::Config, "the standard input cannot be read").source(cause.to_string()),
    )
}
