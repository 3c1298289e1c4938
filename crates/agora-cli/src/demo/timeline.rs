//! What the demo says: a timeline for people, or the same as lines of JSON.

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::books::{Closing, Row};
use super::cluster::Setting;
use super::protocol::micros;
use crate::failure::Failure;
use crate::json;
use crate::output::Output;
use crate::text;

/// The colours of the nodes, by their last letter: those that are readable on light and dark.
const COLORS: [u8; 6] = [36, 33, 35, 32, 34, 31];
/// The scenarios that there are.
const SCENARIOS: u8 = 7;

/// Says what happens, as it happens.
pub(super) struct Timeline<'a> {
    output: &'a mut Output,
    color: bool,
    begin: Instant,
    begin_us: u64,
    scenario: u8,
}

/// One object of the JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Demo {
        nodes: u8,
        cluster: &'a str,
        url: &'a str,
    },
    Scenario {
        scenario: u8,
        title: &'a str,
    },
    Timeline {
        scenario: u8,
        at_ms: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<&'a str>,
        text: &'a str,
        /// How long after it was published.
        #[serde(skip_serializing_if = "Option::is_none")]
        after_us: Option<u64>,
    },
    Books {
        node: &'a str,
        incarnation: &'a str,
        end: Option<&'a str>,
        published: u64,
        owed: u64,
        delivered: u64,
        repaired: u64,
        duplicates: u64,
        gaps: u64,
        named: u64,
        silent: u64,
        wrongs: &'a [String],
    },
    Result {
        balanced: bool,
        scenarios_seen: u8,
        scenarios: u8,
        seconds: f64,
    },
}

impl<'a> Timeline<'a> {
    pub(super) fn new(output: &'a mut Output, color: bool) -> Self {
        Self { output, color, begin: Instant::now(), begin_us: micros(SystemTime::now()), scenario: 0 }
    }

    pub(super) async fn opening(&mut self, setting: &Setting, nodes: u8) -> Result<(), Failure> {
        let line = Line::Demo { nodes, cluster: &setting.cluster, url: &setting.url };
        let text = || {
            format!(
                "{nodes} processes on this machine become the cluster {}, over {}.\n\
                 Each line: the time since the start, the node that saw it, what it saw or did, and how long after it \
                 was published.",
                setting.cluster, setting.url
            )
        };
        self.output.say(&line, text).await
    }

    /// Begins the next scenario.
    pub(super) async fn scenario(&mut self, title: &str) -> Result<(), Failure> {
        let (scenario, color) = (self.scenario + 1, self.color);
        self.scenario = scenario;
        let heading = format!("{scenario}. {title}");
        self.output
            .say(&Line::Scenario { scenario, title }, || format!("\n{}", paint(color, 1, &heading)))
            .await
    }

    /// Something that the demo itself did, or found.
    pub(super) async fn note(&mut self, text: &str) -> Result<(), Failure> {
        self.say(self.begin.elapsed(), None, text, None).await
    }

    /// Something that a node did.
    pub(super) async fn did(&mut self, node: &str, text: &str) -> Result<(), Failure> {
        self.say(self.begin.elapsed(), Some(node), text, None).await
    }

    /// Something that a node did at a time of its own.
    pub(super) async fn did_at(&mut self, at_us: u64, node: &str, text: &str) -> Result<(), Failure> {
        self.say(self.since(at_us), Some(node), text, None).await
    }

    /// Something that a node saw, so long after it was published.
    pub(super) async fn saw(
        &mut self,
        at_us: u64,
        node: &str,
        text: &str,
        after_us: u64,
    ) -> Result<(), Failure> {
        self.say(self.since(at_us), Some(node), text, Some(after_us)).await
    }

    fn since(&self, at_us: u64) -> Duration {
        Duration::from_micros(at_us.saturating_sub(self.begin_us))
    }

    async fn say(
        &mut self,
        at: Duration,
        node: Option<&str>,
        text: &str,
        after_us: Option<u64>,
    ) -> Result<(), Failure> {
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let (scenario, color) = (self.scenario, self.color);
        let line = Line::Timeline { scenario, at_ms, node, text, after_us };
        let text = || {
            let after = after_us.map_or_else(String::new, |us| {
                paint(color, 2, &format!("   {} after it was published", short(Duration::from_micros(us))))
            });
            let node = match node {
                Some(node) => paint(color, color_of(node), &format!("{node:<7}")),
                None => " ".repeat(7),
            };
            format!("{:>8.3} s  {node}  {}{after}", at.as_secs_f64(), text::harmless(text))
        };
        self.output.say(&line, text).await
    }

    /// A scenario was not seen.
    pub(super) async fn failed(&mut self) -> Result<(), Failure> {
        let seconds = self.begin.elapsed().as_secs_f64();
        let scenarios_seen = self.scenario.saturating_sub(1);
        let line = Line::Result { balanced: false, scenarios_seen, scenarios: SCENARIOS, seconds };
        let text =
            || format!("\nNOT SEEN: scenario {} of {SCENARIOS}, after {seconds:.1} s", scenarios_seen + 1);
        self.output.say(&line, text).await
    }

    /// The table, and whether it balances.
    pub(super) async fn closing(&mut self, closing: &Closing) -> Result<(), Failure> {
        let seconds = self.begin.elapsed().as_secs_f64();
        let balanced = closing.balances();
        if self.output.json() {
            for row in &closing.rows {
                self.output.line(json::line(&books(row))).await?;
            }
            let (scenarios_seen, scenarios) = (self.scenario, SCENARIOS);
            let line = Line::Result { balanced, scenarios_seen, scenarios, seconds };
            return self.output.line(json::line(&line)).await;
        }
        self.output.line(format!("\n{}", paint(self.color, 1, "The books"))).await?;
        for line in table(&closing.rows) {
            self.output.line(format!("  {line}")).await?;
        }
        for row in &closing.rows {
            for wrong in &row.wrongs {
                self.output.line(format!("  {}: {}", row.node, paint(self.color, 31, wrong))).await?;
            }
        }
        let verdict = if balanced {
            paint(self.color, 32, "The books balance")
        } else {
            paint(self.color, 31, "THE BOOKS DO NOT BALANCE")
        };
        let owed: u64 = closing.rows.iter().map(|row| row.owed).sum();
        let named: u64 = closing.rows.iter().map(|row| row.named).sum();
        let silent: u64 = closing.rows.iter().map(|row| row.silent).sum();
        self.output
            .line(format!(
                "{verdict}: of {} events that a node was owed, {} were delivered once and in order, {} were named in \
                 a gap, and {} are missing silently. {} of {SCENARIOS} scenarios seen, in {seconds:.1} s.",
                thousands(owed),
                thousands(owed.saturating_sub(named + silent)),
                thousands(named),
                thousands(silent),
                self.scenario
            ))
            .await
    }
}

fn books(row: &Row) -> Line<'_> {
    Line::Books {
        node: &row.node,
        incarnation: &row.incarnation,
        end: row.end,
        published: row.published,
        owed: row.owed,
        delivered: row.delivered,
        repaired: row.repaired,
        duplicates: row.duplicates,
        gaps: row.gaps,
        named: row.named,
        silent: row.silent,
        wrongs: &row.wrongs,
    }
}

fn table(rows: &[Row]) -> Vec<String> {
    let head = [
        "node",
        "",
        "published",
        "owed",
        "delivered",
        "repaired",
        "duplicates dropped",
        "gaps",
        "events in gaps",
        "missing silently",
    ];
    let mut cells = vec![head.map(str::to_owned)];
    for row in rows {
        cells.push([
            row.node.clone(),
            row.end.unwrap_or_default().to_owned(),
            thousands(row.published),
            thousands(row.owed),
            thousands(row.delivered),
            thousands(row.repaired),
            thousands(row.duplicates),
            thousands(row.gaps),
            thousands(row.named),
            thousands(row.silent),
        ]);
    }
    text::table(&cells)
}

fn paint(color: bool, code: u8, text: &str) -> String {
    if color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

fn color_of(node: &str) -> u8 {
    let last = usize::from(node.bytes().last().unwrap_or(b'a').saturating_sub(b'a'));
    COLORS[last % COLORS.len()]
}

/// A time in the unit that reads best.
pub(super) fn short(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1000 => format!("{micros} us"),
        1000..10_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        10_000..1_000_000 => format!("{} ms", micros / 1000),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

/// A number with its thousands apart.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(thousands(number), expected);
        }
        for (us, expected) in
            [(0, "0 us"), (999, "999 us"), (1500, "1.5 ms"), (25_000, "25 ms"), (2_500_000, "2.50 s")]
        {
            assert_eq!(short(Duration::from_micros(us)), expected);
        }
    }

    #[test]
    fn without_colour_there_is_no_escape() {
        assert_eq!(paint(false, 31, "a"), "a");
        assert_eq!(paint(true, 31, "a"), "\u{1b}[31ma\u{1b}[0m");
    }
}
