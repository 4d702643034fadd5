//! Reads an export of Kibana's event log: executions of actions, and the places of what cannot be read.
//!
//! Two forms: one document a line (NDJSON, with or without `_source`), or the response of an Elasticsearch search. Field
//! names are those of `event_log/generated/schemas.ts` and `actions/server/lib/action_executor.ts` in elastic/kibana.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Longest line, and longest response that is one JSON text over many lines, in bytes.
const TEXT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most executions that are kept.
const EXECUTIONS_MAX: usize = 200_000;
/// Most places of unreadable lines that are kept; all are counted.
const BAD_LINES_MAX: usize = 20;

/// Why an export could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum EventLogError {
    #[error("{}: cannot be read: {error}; name a readable export of .kibana-event-log-*", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{}: is one JSON text of more than {TEXT_BYTES_MAX} bytes; export it as NDJSON, one document a line", .0.display())]
    TooLarge(PathBuf),
}

/// One execution of an action, as Kibana logged it when it was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Execution {
    /// Id of the connector, a saved object.
    pub(in crate::doctor) connector_id: String,
    pub(in crate::doctor) connector_type: String,
    /// Microseconds since the Unix epoch.
    pub(in crate::doctor) start_us: i64,
    /// Microseconds since the Unix epoch.
    pub(in crate::doctor) end_us: i64,
    pub(in crate::doctor) failed: bool,
}

/// A line that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct BadLine {
    /// Counted from 1.
    pub(in crate::doctor) line: u64,
    pub(in crate::doctor) reason: String,
}

/// What an export holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::doctor) struct Export {
    pub(in crate::doctor) executions: Vec<Execution>,
    pub(in crate::doctor) documents: u64,
    /// The first of them.
    pub(in crate::doctor) bad_lines: Vec<BadLine>,
    pub(in crate::doctor) bad_count: u64,
    /// Executions beyond the most that are kept.
    pub(in crate::doctor) left_out: u64,
}

/// A line, or a whole response.
#[derive(Deserialize)]
struct Entry {
    hits: Option<Hits>,
    #[serde(rename = "_source")]
    source: Option<Document>,
    #[serde(flatten)]
    document: Document,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_source")]
    source: Document,
}

/// The fields of a document that are looked at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    #[serde(rename = "@timestamp")]
    timestamp: Option<String>,
    event: Event,
    kibana: Kibana,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Event {
    provider: Option<String>,
    action: Option<String>,
    start: Option<String>,
    end: Option<String>,
    /// Nanoseconds; written as a number or as text.
    duration: Option<Duration>,
    outcome: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Duration {
    Number(i64),
    Text(String),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Kibana {
    saved_objects: Vec<SavedObject>,
    action: Action,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SavedObject {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
    type_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Action {
    id: Option<String>,
    type_id: Option<String>,
}

/// Reads a file, line by line, or as one text when its first line is only the beginning of one.
pub(super) fn read(path: &Path) -> Result<Export, EventLogError> {
    let at = |error| EventLogError::Io { path: path.to_owned(), error };
    let mut reader = BufReader::new(File::open(path).map_err(at)?);
    let mut export = Export::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(TEXT_BYTES_MAX).read_until(b'\n', &mut line).map_err(at)?;
        if read == 0 {
            break;
        }
        let cut = read as u64 == TEXT_BYTES_MAX && !line.ends_with(b"\n");
        if cut {
            export.bad(number, format!("longer than {TEXT_BYTES_MAX} bytes"));
            skip_line(&mut reader).map_err(at)?;
        } else if number == 1 && is_beginning(&line) {
            reader.by_ref().take(TEXT_BYTES_MAX + 1 - read as u64).read_to_end(&mut line).map_err(at)?;
            if line.len() as u64 > TEXT_BYTES_MAX {
                return Err(EventLogError::TooLarge(path.to_owned()));
            }
            export.text(1, &line);
            break;
        } else if !line.trim_ascii().is_empty() {
            export.text(number, &line);
        }
    }
    Ok(export)
}

/// Whether a line is valid JSON as far as it goes.
fn is_beginning(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err_and(|error| error.is_eof()) && line.starts_with(b"{")
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let bytes = reader.fill_buf()?;
        let (used, ended) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(position) => (position + 1, true),
            None => (bytes.len(), bytes.is_empty()),
        };
        reader.consume(used);
        if ended {
            return Ok(());
        }
    }
}

impl Export {
    fn bad(&mut self, line: u64, reason: String) {
        self.bad_count += 1;
        if self.bad_lines.len() < BAD_LINES_MAX {
            self.bad_lines.push(BadLine { line, reason });
        }
    }

    /// One line, or one whole response that begins in this line.
    fn text(&mut self, line: u64, text: &[u8]) {
        match serde_json::from_slice::<Entry>(text) {
            Err(error) => self.bad(line, error.to_string()),
            Ok(Entry { hits: Some(hits), .. }) => {
                hits.hits.into_iter().for_each(|hit| self.document(line, &hit.source));
            }
            Ok(Entry { source: Some(source), .. }) => self.document(line, &source),
            Ok(Entry { document, .. }) => self.document(line, &document),
        }
    }

    fn document(&mut self, line: u64, document: &Document) {
        self.documents += 1;
        let event = &document.event;
        if event.provider.as_deref() != Some("actions") || event.action.as_deref() != Some("execute") {
            return;
        }
        match execution(document) {
            Ok(_) if self.executions.len() >= EXECUTIONS_MAX => self.left_out += 1,
            Ok(execution) => self.executions.push(execution),
            Err(reason) => self.bad(line, reason.to_owned()),
        }
    }
}

/// The execution a document is about, or what it lacks.
fn execution(document: &Document) -> Result<Execution, &'static str> {
    let (event, action) = (&document.event, &document.kibana.action);
    let saved = document.kibana.saved_objects.iter().find(|object| object.kind.as_deref() == Some("action"));
    let connector_type = saved.and_then(|object| object.type_id.clone()).or_else(|| action.type_id.clone());
    let connector_id = saved.and_then(|object| object.id.clone()).or_else(|| action.id.clone());
    let end = event.end.as_deref().or(document.timestamp.as_deref()).and_then(time_us);
    let end_us = end.ok_or("an execution without event.end and @timestamp")?;
    let duration_us = event.duration.as_ref().and_then(|duration| match duration {
        Duration::Number(ns) => Some(ns / 1000),
        Duration::Text(text) => Some(text.parse::<i64>().ok()? / 1000),
    });
    let start = event.start.as_deref().and_then(time_us).or_else(|| Some(end_us.saturating_sub(duration_us?)));
    let start_us = start.ok_or("an execution without event.start and event.duration")?;
    if start_us > end_us {
        return Err("an execution that ends before it starts");
    }
    Ok(Execution {
        connector_id: connector_id.ok_or("an execution without the id of its connector")?,
        connector_type: connector_type.ok_or("an execution without the type of its connector")?,
        start_us,
        end_us,
        failed: event.outcome.as_deref() == Some("failure"),
    })
}

fn time_us(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}
