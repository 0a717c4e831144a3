//! What commands print: aligned tables for people, JSON for programs.

use std::io::{self, Write};

use holm_model::units::Timestamp;
use serde::Serialize;

use crate::Failure;

/// Prints `value` as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?;
    line(&text)
}

/// Says something on standard error. A reader that has gone is no failure.
pub(crate) fn complain(words: &impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{words}");
}

/// Prints one line. A reader that has gone (`| head`) is no failure.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(format!("cannot write: {error}"))),
        _ => Ok(()),
    }
}

/// Tells the user something that is no result: on standard error.
pub(crate) fn note(text: &str) {
    complain(&format_args!("note: {text}"));
}

/// Which side a column's cells stand on.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table whose columns are as wide as their widest cell.
pub(crate) struct Table {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a head that names these columns, and no rows below it.
    pub(crate) fn new(columns: &[(&str, Side)]) -> Self {
        let (head, sides) = columns.iter().map(|(name, side)| ((*name).to_owned(), *side)).unzip();
        Self { sides, rows: vec![head] }
    }

    /// A table without a head.
    pub(crate) fn bare(sides: &[Side]) -> Self {
        Self { sides: sides.to_vec(), rows: Vec::new() }
    }

    /// Adds a row: a cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.sides.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// The lines of the table, its head first.
    pub(crate) fn render(&self) -> String {
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..self.sides.len()).map(|column| width(column).unwrap_or(0)).collect();
        let rendered: Vec<String> = self.rows.iter().map(|row| self.line(row, &widths)).collect();
        rendered.join("\n")
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells = row.iter().zip(widths).zip(&self.sides).map(|((cell, &width), side)| match side {
            Side::Left => format!("{cell:<width$}"),
            Side::Right => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

/// A share from 0 to 1 as a percentage; a dash where there is none.
pub(crate) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1}%", share * 100.0) } else { NONE.to_owned() }
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A number of microseconds in the unit that suits it.
pub(crate) fn micros(micros: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits for people")]
    let value = micros as f64;
    match micros {
        0..1_000 => format!("{micros}µs"),
        1_000..100_000 => format!("{:.2}ms", value / 1e3),
        100_000..1_000_000 => format!("{:.0}ms", value / 1e3),
        _ => format!("{:.2}s", value / 1e6),
    }
}

/// An instant in UTC to the second, as RFC 3339 writes it.
pub(crate) fn instant(time: Timestamp) -> String {
    let (days, second) = (time.as_secs() / DAY, time.as_secs() % DAY);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// The date that is `days` after 1970-01-01, in the Gregorian calendar (Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`). Years begin in March, so that the leap day is their last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let calendar_month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(calendar_month <= 2), calendar_month, day)
}

const DAY: u64 = 86_400;

/// What stands where there is no value.
pub(crate) const NONE: &str = "-";

#[cfg(test)]
mod tests {
    use holm_model::units::Timestamp;

    use super::{Side, Table, instant, micros, percent};

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&[("name", Side::Left), ("ms", Side::Right), ("state", Side::Left)]);
        table.row(vec!["é".into(), "5".into(), "ok".into()]);
        table.row(vec!["longer".into(), "1234".into(), String::new()]);
        assert_eq!(table.render(), "name      ms  state\né          5  ok\nlonger  1234");
    }

    #[test]
    fn dates() {
        let check = |secs: u64, expected: &str| assert_eq!(instant(Timestamp::from_secs(secs)), expected);
        check(0, "1970-01-01 00:00:00Z");
        check(951_782_399, "2000-02-28 23:59:59Z");
        check(951_782_400, "2000-02-29 00:00:00Z");
        check(1_735_689_599, "2024-12-31 23:59:59Z");
        check(1_795_531_334, "2026-11-24 14:42:14Z");
    }

    #[test]
    fn numbers_for_people() {
        let check = |value: u64, expected: &str| assert_eq!(micros(value), expected);
        check(0, "0µs");
        check(999, "999µs");
        check(1_500, "1.50ms");
        check(250_000, "250ms");
        check(2_500_000, "2.50s");
        assert_eq!(percent(0.9234), "92.3%");
        assert_eq!(percent(f64::NAN), "-");
    }
}
