//! Times on the command line: a number with its unit.

use std::time::Duration;

/// A day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads `500ms`, `5s`, `2m` or `1h`, from 1 ms to a day.
///
/// # Errors
/// A sentence that says what is allowed.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    up_to(text, DAY, "a whole number with its unit, such as 500ms, 5s, 2m or 1h, at most 24h")
}

/// Reads `12h` or `7d`, up to ten years: how long something is kept.
///
/// # Errors
/// A sentence that says what is allowed.
pub(crate) fn parse_long(text: &str) -> Result<Duration, String> {
    up_to(text, DAY * 3650, "a whole number with its unit, such as 90s, 12h or 7d, at most 3650d")
}

fn up_to(text: &str, longest: Duration, allowed: &str) -> Result<Duration, String> {
    let allowed = || allowed.to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(allowed)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| allowed())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => None,
    };
    let duration = Duration::from_millis(milliseconds.ok_or_else(allowed)?);
    if duration.is_zero() || duration > longest {
        return Err(allowed());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_may_be_kept_for_years() {
        assert_eq!(parse_long("7d"), Ok(DAY * 7));
        assert_eq!(parse_long("3650d"), Ok(DAY * 3650));
        assert!(parse_long("3651d").is_err());
    }

    #[test]
    fn a_number_with_its_unit() {
        for (text, milliseconds) in
            [("1ms", 1), ("500ms", 500), ("5s", 5000), ("2m", 120_000), ("24h", 86_400_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "0s",
            "-1s",
            "1.5s",
            "5 s",
            "25h",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
