//! Times with their unit: `500ms`, `5s`, `2m`, `1h`, `7d`.

use std::time::Duration;

/// What a time looks like, as errors put it.
pub const FORM: &str = "a time such as \"5s\", \"500ms\" or \"7d\"";

/// Reads a whole number with its unit: `ms`, `s`, `m`, `h` or `d`. `None` where it is anything else, or too long for
/// a number.
pub fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// Writes a time as [`parse`] reads it, in the largest unit that is exact. What is shorter than a millisecond is left
/// out.
pub fn text(time: Duration) -> String {
    let milliseconds = time.as_millis();
    for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if milliseconds >= length && milliseconds.is_multiple_of(length) {
            return format!("{}{unit}", milliseconds / length);
        }
    }
    format!("{milliseconds}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_and_written_back() {
        for (given, milliseconds, back) in [
            ("0s", 0, "0ms"),
            ("1ms", 1, "1ms"),
            ("500ms", 500, "500ms"),
            ("1000ms", 1000, "1s"),
            ("5s", 5000, "5s"),
            ("90s", 90_000, "90s"),
            ("120s", 120_000, "2m"),
            ("24h", 86_400_000, "1d"),
            ("7d", 604_800_000, "7d"),
        ] {
            assert_eq!(parse(given), Some(Duration::from_millis(milliseconds)), "{given}");
            assert_eq!(text(Duration::from_millis(milliseconds)), back, "{given}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for given in ["", "5", "s", "-1s", "+1s", "1.5s", "5 s", " 5s", "5S", "5us", "5w", "5ss", "٥s"] {
            assert_eq!(parse(given), None, "{given}");
        }
        for given in ["99999999999999999999s", "18446744073709551615h", "18446744073709551615s"] {
            assert_eq!(parse(given), None, "{given}");
        }
    }
}
