//! The times `--since` and `--until` take: RFC 3339, a UTC day, or how long ago. Pure: the caller says what now is.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

/// Why a text is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("not a time: write 2026-11-22T09:30:00Z, 2026-11-22 (UTC), or how long ago: 15m, 2h, 7d")]
    Unreadable,
    #[error("a time without offset: append Z for UTC, or an offset such as +01:00")]
    NoOffset,
    #[error("a time too far away to be expressed")]
    OutOfRange,
}

/// Reads a time as microseconds since the Unix epoch. A day means its first moment in UTC; `15s`, `15m`, `2h`, `7d`
/// and `1w` mean that long before `now_us`.
pub fn parse(text: &str, now_us: i64) -> Result<i64, TimeError> {
    if let Some((number, unit_us)) = split_duration(text) {
        let ago_us = number.parse::<i64>().ok().and_then(|number| number.checked_mul(unit_us));
        return ago_us.and_then(|ago_us| now_us.checked_sub(ago_us)).ok_or(TimeError::OutOfRange);
    }
    if let Ok(time) = Timestamp::from_str(text) {
        return Ok(time.as_microsecond());
    }
    let is_day = text.len() == "2026-11-22".len();
    match Date::from_str(text) {
        Ok(day) if is_day => {
            let midnight = Offset::UTC.to_timestamp(day.at(0, 0, 0, 0));
            midnight.map(Timestamp::as_microsecond).map_err(|_| TimeError::OutOfRange)
        }
        Ok(_) => Err(TimeError::NoOffset),
        Err(_) => Err(TimeError::Unreadable),
    }
}

/// Digits and the length of the unit after them in microseconds; `None` if the text is something else.
fn split_duration(text: &str) -> Option<(&str, i64)> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_s = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some((number, unit_s * 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T09:30:00Z.
    const NOW_US: i64 = 1_795_339_800_000_000;

    #[test]
    fn every_form_is_read() {
        let cases = [
            ("2026-11-22T09:30:00Z", NOW_US),
            ("2026-11-22T10:30:00.000001+01:00", NOW_US + 1),
            ("2026-11-22", NOW_US - 34_200_000_000),
            ("0s", NOW_US),
            ("90s", NOW_US - 90_000_000),
            ("15m", NOW_US - 900_000_000),
            ("2h", NOW_US - 7_200_000_000),
            ("7d", NOW_US - 604_800_000_000),
            ("1w", NOW_US - 604_800_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, NOW_US), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_says_why() {
        let cases = [
            ("", TimeError::Unreadable),
            ("yesterday", TimeError::Unreadable),
            ("-2h", TimeError::Unreadable),
            ("h", TimeError::Unreadable),
            ("1.5h", TimeError::Unreadable),
            ("2026-13-01", TimeError::Unreadable),
            ("15µ", TimeError::Unreadable),
            ("2026-11-22T09:30:00", TimeError::NoOffset),
            ("99999999999999999999d", TimeError::OutOfRange),
            ("9223372036854775807s", TimeError::OutOfRange),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, NOW_US), Err(expected), "{text}");
        }
    }
}
