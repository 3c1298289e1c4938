//! The report as JUnit writes it: a few lines, for which a library would bring an XML writer, a clock and identities.

use std::fmt::Write as _;

use super::report::{Entry, Outcome, Report};

/// Several suites as one document.
pub(super) fn document(suites: &[String]) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n{}</testsuites>\n", suites.concat())
}

/// One `testsuite`. Unsupported and impossible cases are `skipped`, with the reason: the format has
/// no other word for them.
pub(super) fn suite(report: &Report) -> String {
    let totals = report.totals();
    let too_few = !report.is_success() && totals.failed == 0;
    let seconds: f64 = report.entries.iter().map(|entry| entry.took.as_secs_f64()).sum();
    let mut xml = String::new();
    let _ = writeln!(
        xml,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{seconds:.3}\">",
        escaped(&report.subject),
        report.entries.len() + usize::from(too_few),
        totals.failed + usize::from(too_few),
        totals.unsupported + totals.not_here,
    );
    for entry in &report.entries {
        case(&mut xml, &report.subject, entry);
    }
    if too_few {
        let _ = writeln!(
            xml,
            "  <testcase classname=\"{}\" name=\"minimum\"><failure message=\"{} passed, and at least {} must\"/>\
             </testcase>",
            escaped(&report.subject),
            totals.passed,
            report.minimum.unwrap_or_default()
        );
    }
    xml.push_str("</testsuite>\n");
    xml
}

fn case(xml: &mut String, subject: &str, Entry { case, outcome, took }: &Entry) {
    let _ = write!(
        xml,
        "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
        escaped(subject),
        escaped(case.name),
        took.as_secs_f64()
    );
    let detail = escaped(&outcome.detail().unwrap_or_default());
    let _ = match outcome {
        Outcome::Passed => writeln!(xml, "/>"),
        Outcome::Unsupported(_) => {
            writeln!(xml, "><skipped message=\"unsupported, as shown: {detail}\"/></testcase>")
        }
        Outcome::NotHere(_) => {
            writeln!(xml, "><skipped message=\"not possible here: {detail}\"/></testcase>")
        }
        Outcome::Failed(_) => {
            writeln!(xml, "><failure message=\"{detail}\">{}</failure></testcase>", escaped(case.asserts))
        }
    };
}

/// The text as it may stand in an attribute or an element. What XML cannot hold at all becomes a question mark.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            c if c < ' ' || c == '\u{fffe}' || c == '\u{ffff}' => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_from_an_attribute() {
        assert_eq!(escaped("a<b> & \"c\"\n\u{1}ä"), "a&lt;b&gt; &amp; &quot;c&quot;&#10;?ä");
    }
}
