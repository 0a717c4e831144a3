//! HTTP dates in their three forms. RFC 9110 §5.6.7.

use holm_model::units::Timestamp;
use http::header::{HeaderMap, HeaderName};

/// The date in a field; of several lines the first. `now` is what two-digit years are near to.
pub(crate) fn date(headers: &HeaderMap, name: &HeaderName, now: Option<Timestamp>) -> Option<Timestamp> {
    http_date(headers.get(name)?.as_bytes(), now)
}

/// Reads a date. The forms are strict, case and spaces too (RFC 9111 §4.2 warns of other readings); that the day of the
/// week is the right one is not asked, for it is redundant. A date before the epoch counts as the epoch.
pub(crate) fn http_date(text: &[u8], now: Option<Timestamp>) -> Option<Timestamp> {
    imf_fixdate(text).or_else(|| rfc850_date(text, now)).or_else(|| asctime_date(text)).map(Civil::timestamp)
}

/// A second of the proleptic Gregorian calendar.
struct Civil {
    year: u16,
    month: u8,
    day: u8,
    second_of_day: u32,
}

impl Civil {
    fn new(year: u16, month: u8, day: u8, second_of_day: u32) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        (1..=days).contains(&day).then_some(Self { year, month, day, second_of_day })
    }

    /// Years are counted from March, so that the leap day is the last one.
    fn timestamp(self) -> Timestamp {
        let (year, month) = (i64::from(self.year), i64::from(self.month));
        let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        let days = year * 365 + leap_days + (153 * month + 2) / 5 + i64::from(self.day) - 1 - DAYS_TO_EPOCH;
        Timestamp::from_secs(u64::try_from(days * 86_400 + i64::from(self.second_of_day)).unwrap_or(0))
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf_fixdate(text: &[u8]) -> Option<Civil> {
    let rest = after_name(text, &SHORT_DAYS)?.strip_prefix(b", ")?;
    let (day, rest) = number(rest, 2)?;
    let (month, rest) = month(rest.strip_prefix(b" ")?)?;
    let (year, rest) = number(rest.strip_prefix(b" ")?, 4)?;
    let (time, rest) = time(rest.strip_prefix(b" ")?)?;
    if rest != b" GMT" {
        return None;
    }
    Civil::new(year, month, u8::try_from(day).ok()?, time)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`.
fn rfc850_date(text: &[u8], now: Option<Timestamp>) -> Option<Civil> {
    let rest = after_name(text, &LONG_DAYS)?.strip_prefix(b", ")?;
    let (day, rest) = number(rest, 2)?;
    let (month, rest) = month(rest.strip_prefix(b"-")?)?;
    let (year, rest) = number(rest.strip_prefix(b"-")?, 2)?;
    let (time, rest) = time(rest.strip_prefix(b" ")?)?;
    if rest != b" GMT" {
        return None;
    }
    let day = u8::try_from(day).ok()?;
    // What appears to be more than 50 years in the future is the most recent such year in the past.
    let Some(now) = now else {
        return Civil::new(if year < 70 { 2000 + year } else { 1900 + year }, month, day, time);
    };
    let this_year = u16::try_from(1970 + now.0 / 1000 / SECONDS_OF_YEAR).unwrap_or(u16::MAX - 100);
    let latest = this_year + 50;
    let candidate = latest - (latest + 100 - year) % 100;
    Civil::new(candidate, month, day, time)
}

/// `Sun Nov  6 08:49:37 1994`.
fn asctime_date(text: &[u8]) -> Option<Civil> {
    let rest = after_name(text, &SHORT_DAYS)?;
    let (month, rest) = month(rest.strip_prefix(b" ")?)?;
    let rest = rest.strip_prefix(b" ")?;
    let (day, rest) = match rest.strip_prefix(b" ") {
        Some(rest) => number(rest, 1)?,
        None => number(rest, 2)?,
    };
    let (time, rest) = time(rest.strip_prefix(b" ")?)?;
    let (year, rest) = number(rest.strip_prefix(b" ")?, 4)?;
    if !rest.is_empty() {
        return None;
    }
    Civil::new(year, month, u8::try_from(day).ok()?, time)
}

fn after_name<'a>(text: &'a [u8], names: &[&str]) -> Option<&'a [u8]> {
    names.iter().find_map(|name| text.strip_prefix(name.as_bytes()))
}

fn month(text: &[u8]) -> Option<(u8, &[u8])> {
    (1..).zip(&MONTHS).find_map(|(number, name)| Some((number, text.strip_prefix(name.as_bytes())?)))
}

/// The second of the day; 60 is a leap second.
fn time(text: &[u8]) -> Option<(u32, &[u8])> {
    let (hour, rest) = number(text, 2)?;
    let (minute, rest) = number(rest.strip_prefix(b":")?, 2)?;
    let (second, rest) = number(rest.strip_prefix(b":")?, 2)?;
    let valid = hour < 24 && minute < 60 && second <= 60;
    valid.then_some((u32::from(hour) * 3600 + u32::from(minute) * 60 + u32::from(second), rest))
}

fn number(text: &[u8], digits: usize) -> Option<(u16, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    let number = number.iter().try_fold(0_u16, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u16::from(b - b'0')))?;
    Some((number, rest))
}

const SHORT_DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const LONG_DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// From 1 March of the year 0.
const DAYS_TO_EPOCH: i64 = 719_468;
const SECONDS_OF_YEAR: u64 = 31_556_952;

#[cfg(test)]
mod tests {
    use super::*;

    /// Tue, 24 Nov 2026.
    const NOW: Option<Timestamp> = Some(Timestamp::from_secs(1_795_500_000));

    #[test]
    fn the_three_forms() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(http_date(text.as_bytes(), NOW), expected.map(Timestamp::from_secs), "{text}");
        };
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777));
        check("Sun Nov  6 08:49:37 1994", Some(784_111_777));
        check("Sun Nov 06 08:49:37 1994", Some(784_111_777));
        check("Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
        check("Wed, 01 Jan 1900 00:00:00 GMT", Some(0));
        check("Thu, 29 Feb 2024 00:00:00 GMT", Some(1_709_164_800));
        check("Tue, 19 Jan 2038 14:14:08 GMT", Some(2_147_523_248));
        check("Sun, 21 Nov 2286 04:46:39 GMT", Some(10_000_039_599));
        check("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799));
        check("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_800));
        // The day of the week is redundant.
        check("Thu Aug  8 02:01:18 2050", Some(2_543_536_878));
    }

    #[test]
    fn two_digit_years_are_near() {
        let check = |text: &str, same_as: &str| {
            assert_eq!(http_date(text.as_bytes(), NOW), http_date(same_as.as_bytes(), NOW), "{text}");
        };
        check("Thursday, 18-Aug-50 02:01:18 GMT", "Thu, 18 Aug 2050 02:01:18 GMT");
        check("Thursday, 18-Aug-76 02:01:18 GMT", "Thu, 18 Aug 2076 02:01:18 GMT");
        check("Thursday, 18-Aug-77 02:01:18 GMT", "Thu, 18 Aug 1977 02:01:18 GMT");
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "0",
            "Tue 19 Jan 2038 14:14:08 GMT",
            "THU, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 AUG 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 gMT",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 31 Jun 2050 02:01:18 GMT",
            "Wed, 29 Feb 2023 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT ",
        ] {
            assert_eq!(http_date(text.as_bytes(), NOW), None, "{text}");
        }
    }
}
