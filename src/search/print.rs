//! Found rows for people and for programs: a table, or one JSON object a line.
//!
//! Most text in a row was chosen by whoever sent the request, so neither form lets a control character or an invisible
//! formatting character through to the terminal.

use std::io::{self, Write};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use jiff::Timestamp;

use crate::archive::rows;
use crate::archive::schema::{COLUMNS, Column, ColumnType};
use crate::record::{Decision, Row};

/// Rows encoded at a time.
const BATCH_ROWS: usize = 1024;
/// Widest a column of free text gets, in characters.
const TEXT_WIDTH_MAX: usize = 60;
/// Narrowest such a column gets when the terminal is small.
const TEXT_WIDTH_MIN: usize = 12;

/// One column of the table.
struct Heading {
    title: &'static str,
    align_right: bool,
    /// Free text, which is cut to fit; other columns are as wide as their content.
    cut: bool,
}

const fn heading(title: &'static str) -> Heading {
    Heading { title, align_right: false, cut: false }
}

const fn number(title: &'static str) -> Heading {
    Heading { title, align_right: true, cut: false }
}

const fn text(title: &'static str) -> Heading {
    Heading { title, align_right: false, cut: true }
}

const HEADINGS: [Heading; 11] = [
    heading("TIME (UTC)"),
    heading("DECISION"),
    heading("OUTCOME"),
    number("STATUS"),
    text("CALLER"),
    heading("METHOD"),
    text("DESTINATION"),
    text("RULE OR REASON"),
    number("DURATION"),
    number("SENT"),
    number("RECEIVED"),
];

/// Writes a table of `rows` whose lines are at most `width` characters where that is possible: columns of free text
/// are cut down to 12 characters, the others never. `None` is for output that is not a terminal.
pub fn table(rows: &[Row], width: Option<usize>, out: &mut impl Write) -> io::Result<()> {
    let lines: Vec<_> = rows.iter().map(cells).collect();
    let widths = widths(&lines, width.unwrap_or(usize::MAX));
    write_line(&HEADINGS.map(|heading| heading.title.to_owned()), widths, out)?;
    lines.iter().try_for_each(|line| write_line(line, widths, out))
}

type Cells = [String; HEADINGS.len()];

fn cells(row: &Row) -> Cells {
    let (intent, outcome) = (&row.intent, &row.outcome);
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    [
        time_of(row),
        or_dash(intent.decision.map(|decision| decision.to_string())),
        outcome.outcome.to_string(),
        or_dash(outcome.status.map(|status| status.to_string())),
        caller_of(row),
        visible(&or_dash(intent.method.clone())),
        visible(&destination(row)),
        visible(&reason(row)),
        duration(outcome.duration_us),
        outcome.request_bytes.to_string(),
        outcome.response_bytes.to_string(),
    ]
}

/// When a call began, as the table shows it.
pub fn time_of(row: &Row) -> String {
    timestamp(row.intent.event_time_us, 3).replace('T', " ").replace('Z', "")
}

/// Who called, as the table shows it.
pub fn caller_of(row: &Row) -> String {
    visible(&caller(row))
}

fn caller(row: &Row) -> String {
    let intent = &row.intent;
    if let Some(id) = &intent.project_id {
        return format!("project:{id}");
    }
    if let Some(id) = &intent.deployment_id {
        return format!("deployment:{id}");
    }
    intent.client_identity.clone().unwrap_or_else(|| intent.client_ip.to_string())
}

fn destination(row: &Row) -> String {
    let intent = &row.intent;
    let Some(host) = intent.host.as_ref().or(intent.host_raw.as_ref()) else {
        return "-".to_owned();
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let port = intent.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{host}{port}{}", intent.path.as_deref().unwrap_or_default())
}

/// Why it went as it did: the reason of a refusal, else the error, else the rule.
fn reason(row: &Row) -> String {
    let refused = match row.intent.decision {
        Some(Decision::Deny | Decision::WouldDeny) | None => row.intent.deny_reason,
        Some(Decision::Allow) => None,
    };
    let reason = refused.map(|reason| reason.to_string());
    let reason = reason.or_else(|| row.outcome.error.clone()).or_else(|| row.intent.policy_rule.clone());
    reason.unwrap_or_else(|| "-".to_owned())
}

fn duration(duration_us: i64) -> String {
    match duration_us {
        ..1_000 => format!("{duration_us} us"),
        1_000..1_000_000 => format!("{}.{} ms", duration_us / 1_000, duration_us % 1_000 / 100),
        1_000_000.. => format!("{}.{} s", duration_us / 1_000_000, duration_us % 1_000_000 / 100_000),
    }
}

/// RFC 3339 with `digits` of the second, or the plain number for a time beyond the years RFC 3339 can express.
fn timestamp(time_us: i64, digits: usize) -> String {
    match Timestamp::from_microsecond(time_us) {
        Ok(time) => format!("{time:.digits$}"),
        Err(_) => time_us.to_string(),
    }
}

type Widths = [usize; HEADINGS.len()];

fn widths(lines: &[Cells], width_max: usize) -> Widths {
    let mut widths = HEADINGS.map(|heading| heading.title.len());
    for line in lines {
        for ((width, cell), heading) in widths.iter_mut().zip(line).zip(&HEADINGS) {
            let wanted = cell.chars().count();
            *width = (*width).max(if heading.cut { wanted.min(TEXT_WIDTH_MAX) } else { wanted });
        }
    }
    let gaps = 2 * (HEADINGS.len() - 1);
    while widths.iter().sum::<usize>() + gaps > width_max {
        let text = widths.iter_mut().zip(&HEADINGS).filter(|(_, heading)| heading.cut).map(|(width, _)| width);
        match text.max().filter(|width| **width > TEXT_WIDTH_MIN) {
            Some(widest) => *widest -= 1,
            None => break,
        }
    }
    widths
}

fn write_line(cells: &Cells, widths: Widths, out: &mut impl Write) -> io::Result<()> {
    let mut line = String::new();
    for ((cell, width), heading) in cells.iter().zip(widths).zip(&HEADINGS) {
        if !line.is_empty() {
            line.push_str("  ");
        }
        let cell = cut(cell, width);
        let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
        let (first, second) = if heading.align_right { (padding, cell) } else { (cell, padding) };
        line.push_str(&first);
        line.push_str(&second);
    }
    writeln!(out, "{}", line.trim_end())
}

/// The text, or its beginning and an ellipsis where it is wider than `width` characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Replaces every character that would steer a terminal by its escape.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if steers_terminal(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Control characters, line and paragraph separators, and characters that reorder or hide text.
fn steers_terminal(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(character, '\u{e0000}'..='\u{e007f}')
}

/// Writes one JSON object a line with every column by name, in schema order. Timestamps are RFC 3339 in UTC with
/// microseconds, or plain numbers where a broken clock put them beyond the years RFC 3339 can express.
pub fn json_lines(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    json_lines_with(rows, |_| None, out)
}

/// The same, with a number of its own before the columns of each row.
pub fn json_lines_with(
    rows: &[Row],
    number: impl Fn(&Row) -> Option<(&'static str, usize)>,
    out: &mut impl Write,
) -> io::Result<()> {
    for chunk in rows.chunks(BATCH_ROWS) {
        let batch = rows::encode(&chunk.iter().collect::<Vec<_>>()).map_err(io::Error::other)?;
        for (index, row) in chunk.iter().enumerate() {
            write_object(number(row), &batch, index, out)?;
        }
    }
    Ok(())
}

fn write_object(
    number: Option<(&str, usize)>,
    batch: &RecordBatch,
    row: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut separator = '{';
    if let Some((name, number)) = number {
        write!(out, "{separator}\"{name}\":{number}")?;
        separator = ',';
    }
    for (column, values) in COLUMNS.iter().zip(batch.columns()) {
        let value = if values.is_null(row) { serde_json::Value::Null } else { json_value(column, values, row) };
        write!(out, "{separator}\"{}\":{}", column.name, escaped_json(&value))?;
        separator = ',';
    }
    writeln!(out, "}}")
}

fn json_value(column: &Column, values: &dyn Array, row: usize) -> serde_json::Value {
    match column.column_type {
        ColumnType::String => values.as_string::<i32>().value(row).into(),
        ColumnType::Int64 => values.as_primitive::<Int64Type>().value(row).into(),
        ColumnType::Int32 => values.as_primitive::<Int32Type>().value(row).into(),
        ColumnType::Boolean => values.as_boolean().value(row).into(),
        ColumnType::Timestamp => {
            let time_us = values.as_primitive::<TimestampMicrosecondType>().value(row);
            let expressible = Timestamp::from_microsecond(time_us).is_ok();
            if expressible { timestamp(time_us, 6).into() } else { time_us.into() }
        }
    }
}

/// JSON escapes only the first 32 control characters; the others are escaped here. They can stand nowhere but inside a
/// string, and one beyond the basic multilingual plane is written as its two surrogates.
fn escaped_json(value: &serde_json::Value) -> String {
    let mut escaped = String::new();
    for character in value.to_string().chars() {
        if steers_terminal(character) {
            let mut units = [0; 2];
            escaped.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::samples::{self, MIDNIGHT_US};
    use crate::record::{DenyReason, OutcomeKind};

    fn denied() -> Row {
        let mut row = samples::row(4711, MIDNIGHT_US + 34_200_123_456);
        row.intent.deployment_id = Some("d41d8".to_owned());
        row.intent.method = Some("POST".to_owned());
        row.intent.host = Some("hooks.slack.com".to_owned());
        row.intent.port = Some(443);
        row.intent.path = Some("/services/[redacted]".to_owned());
        row.intent.decision = Some(Decision::Deny);
        row.intent.deny_reason = Some(DenyReason::HostNotAllowed);
        row.outcome.outcome = OutcomeKind::Denied;
        row.outcome.status = Some(403);
        row.outcome.duration_us = 1_250;
        row.outcome.request_bytes = 17;
        row.outcome.response_bytes = 230;
        row
    }

    fn printed(rows: &[Row], width: Option<usize>) -> Vec<String> {
        let mut out = Vec::new();
        table(rows, width, &mut out).expect("prints");
        String::from_utf8(out).expect("text").lines().map(str::to_owned).collect()
    }

    fn json(rows: &[Row]) -> String {
        let mut out = Vec::new();
        json_lines(rows, &mut out).expect("prints");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_table_line_tells_the_exchange() {
        let lines = printed(&[denied(), samples::row(1, MIDNIGHT_US)], None);
        let words: Vec<Vec<&str>> = lines.iter().map(|line| line.split("  ").map(str::trim).collect()).collect();
        let words: Vec<Vec<&str>> =
            words.into_iter().map(|line| line.into_iter().filter(|word| !word.is_empty()).collect()).collect();
        assert_eq!(words[0], HEADINGS.map(|heading| heading.title));
        assert_eq!(
            words[1],
            [
                "2026-11-22 09:30:00.123",
                "deny",
                "denied",
                "403",
                "deployment:d41d8",
                "POST",
                "hooks.slack.com:443/services/[redacted]",
                "host_not_allowed",
                "1.2 ms",
                "17",
                "230"
            ]
        );
        assert_eq!(words[2][4], "127.0.0.1");
    }

    #[test]
    fn lines_fit_a_terminal_by_cutting_free_text() {
        let mut row = denied();
        row.intent.path = Some("/x".repeat(500));
        for line in printed(&[row.clone()], Some(140)) {
            assert!(line.chars().count() <= 140, "{line}");
        }
        let narrow = printed(&[row], Some(20));
        assert!(narrow[1].contains("hooks.slack…"), "{}", narrow[1]);
        assert!(narrow[1].contains("2026-11-22 09:30:00.123"), "{}", narrow[1]);
    }

    #[test]
    fn text_from_the_wire_cannot_steer_the_terminal() {
        let mut row = denied();
        row.intent.path = Some("/\u{1b}[2J\r\n\u{9b}31m\u{202e}gpj\u{7f}".to_owned());
        row.intent.method = Some("G\u{8}ET".to_owned());
        let lines = printed(&[row.clone()], None);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains("/\\u{1b}[2J\\r\\n\\u{9b}31m\\u{202e}gpj\\u{7f}"), "{}", lines[1]);
        assert!(lines[1].contains("G\\u{8}ET"), "{}", lines[1]);

        let line = json(&[row.clone()]);
        assert_eq!(line.chars().filter(|character| steers_terminal(*character)).collect::<String>(), "\n");
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["path"].as_str(), row.intent.path.as_deref());
    }

    #[test]
    fn json_has_every_column_in_schema_order_with_nulls() {
        let line = json(&[denied()]);
        let mut from = 0;
        for column in COLUMNS {
            let key = format!("\"{}\":", column.name);
            from += line[from..].find(&key).unwrap_or_else(|| panic!("{key} after byte {from}"));
        }
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value.as_object().map(serde_json::Map::len), Some(COLUMNS.len()));
        assert_eq!(value["event_time"], "2026-11-22T09:30:00.123456Z");
        assert_eq!(value["end_time"], "1970-01-01T00:00:00.000000Z");
        assert_eq!(value["seq"], 4711);
        assert_eq!(value["status"], 403);
        assert_eq!(value["deny_reason"], "host_not_allowed");
        assert_eq!(value["project_id"], serde_json::Value::Null);
        assert_eq!(value["upstream_reused"], serde_json::Value::Null);
    }

    #[test]
    fn times_of_a_broken_clock_are_plain_numbers() {
        let value: serde_json::Value = serde_json::from_str(&json(&[samples::row(1, i64::MAX)])).expect("JSON");
        assert_eq!(value["event_time"], i64::MAX);
        assert!(printed(&[samples::row(1, i64::MIN)], None)[1].starts_with("-9223372036854775808  "));
    }
}
