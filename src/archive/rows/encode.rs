//! Rows to a record batch of the current schema.

use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::ArrowError;

use crate::archive::schema::{COLUMNS, arrow_schema};
use crate::record::{Decision, DenyReason, Row, SCHEMA_VERSION};

/// Rows whose values are taken column by column: few, so that they stay in the processor's cache meanwhile.
const ROWS_IN_CACHE: usize = 64;

/// Encodes rows as one record batch of the current schema, in the order given.
///
/// Text columns hold at most 2 GiB per batch: callers pass at most a few thousand rows at a time.
pub fn encode<S: AsRef<str>>(rows: &[&Row<S>]) -> Result<RecordBatch, ArrowError> {
    let mut columns = HashMap::with_capacity(COLUMNS.len());
    for rows in rows.chunks(ROWS_IN_CACHE) {
        add(&mut Encoder { rows, columns: &mut columns });
    }
    if rows.is_empty() {
        return Ok(RecordBatch::new_empty(arrow_schema()));
    }
    finish(columns)
}

fn add<S: AsRef<str>>(batch: &mut Encoder<'_, S>) {
    encode_position(batch);
    encode_caller(batch);
    encode_request(batch);
    encode_verdict(batch);
    encode_upstream(batch);
    encode_response(batch);
}

/// Puts the columns in schema order; types, nulls and lengths are checked by [`RecordBatch::try_new`].
fn finish(mut columns: HashMap<&'static str, Values>) -> Result<RecordBatch, ArrowError> {
    let schema = arrow_schema();
    let columns = schema.fields().iter().map(|field| {
        let column = columns.remove(field.name().as_str()).map(Values::finish);
        column.ok_or_else(|| ArrowError::SchemaError(format!("column `{}` was not encoded", field.name())))
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema, columns)
}

/// The values of a column so far.
enum Values {
    Text(StringBuilder),
    Int64(Int64Builder),
    Int32(Int32Builder),
    Boolean(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Values {
    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut values) => Arc::new(values.finish()),
            Self::Int64(mut values) => Arc::new(values.finish()),
            Self::Int32(mut values) => Arc::new(values.finish()),
            Self::Boolean(mut values) => Arc::new(values.finish()),
            Self::Timestamp(mut values) => Arc::new(values.finish().with_timezone("UTC")),
        }
    }
}

/// Adds the values of some rows to columns. A column that is given values of two types gets those of the first only, and
/// is too short for its batch.
struct Encoder<'a, S> {
    rows: &'a [&'a Row<S>],
    columns: &'a mut HashMap<&'static str, Values>,
}

impl<'a, S: AsRef<str>> Encoder<'a, S> {
    fn values(&mut self, column: &'static str, new: impl FnOnce() -> Values) -> &mut Values {
        self.columns.entry(column).or_insert_with(new)
    }

    fn text<T: AsRef<str>>(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> Option<T>) {
        let rows = self.rows;
        if let Values::Text(values) = self.values(column, || Values::Text(StringBuilder::new())) {
            values.extend(rows.iter().map(|row| value(row)));
        }
    }

    /// Texts that are made here. A value that repeats, row after row, is made into text once.
    fn shown<T: Display + PartialEq>(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> Option<T>) {
        let rows = self.rows;
        let Values::Text(values) = self.values(column, || Values::Text(StringBuilder::new())) else { return };
        let (mut text, mut last) = (String::new(), None);
        for row in rows {
            let Some(value) = value(row) else {
                values.append_null();
                continue;
            };
            if last.as_ref() != Some(&value) {
                text.clear();
                // Writing to memory cannot fail.
                let _ = write!(text, "{value}");
                last = Some(value);
            }
            values.append_value(&text);
        }
    }

    fn int64(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> Option<i64>) {
        let rows = self.rows;
        if let Values::Int64(values) = self.values(column, || Values::Int64(Int64Builder::new())) {
            values.extend(rows.iter().map(|row| value(row)));
        }
    }

    fn int32(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> Option<i32>) {
        let rows = self.rows;
        if let Values::Int32(values) = self.values(column, || Values::Int32(Int32Builder::new())) {
            values.extend(rows.iter().map(|row| value(row)));
        }
    }

    fn port(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> Option<u16>) {
        self.int32(column, |row| value(row).map(i32::from));
    }

    fn boolean(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> Option<bool>) {
        let rows = self.rows;
        if let Values::Boolean(values) = self.values(column, || Values::Boolean(BooleanBuilder::new())) {
            values.extend(rows.iter().map(|row| value(row)));
        }
    }

    fn timestamp(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> i64) {
        let rows = self.rows;
        let new = || Values::Timestamp(TimestampMicrosecondBuilder::new());
        if let Values::Timestamp(values) = self.values(column, new) {
            values.extend(rows.iter().map(|row| Some(value(row))));
        }
    }
}

fn encode_position<S: AsRef<str>>(batch: &mut Encoder<'_, S>) {
    batch.shown("event_id", |row| Some(row.intent.event_id));
    batch.int64("seq", |row| i64::try_from(row.seq).ok());
    batch.text("instance_id", |row| Some(&row.writer.instance_id));
    batch.shown("boot_id", |row| Some(row.writer.boot_id));
    batch.int32("schema_version", |_| Some(SCHEMA_VERSION));
    batch.timestamp("event_time", |row| row.intent.event_time_us);
    batch.timestamp("end_time", |row| row.outcome.end_time_us);
    batch.int64("duration_us", |row| Some(row.outcome.duration_us));
    batch.text("kind", |row| Some(row.intent.kind.code()));
}

fn encode_caller<S: AsRef<str>>(batch: &mut Encoder<'_, S>) {
    batch.text("deployment_id", |row| row.intent.deployment_id.as_ref());
    batch.text("project_id", |row| row.intent.project_id.as_ref());
    batch.text("id_assurance", |row| Some(row.intent.id_assurance.code()));
    batch.text("client_identity", |row| row.intent.client_identity.as_ref());
    batch.shown("client_ip", |row| Some(row.intent.client_ip));
    batch.port("client_port", |row| Some(row.intent.client_port));
    batch.text("user_agent", |row| row.intent.user_agent.as_ref());
    batch.text("user_agent_product", |row| row.intent.user_agent_product.as_ref());
    batch.text("connector_type", |row| row.intent.connector_type.as_ref());
    batch.text("connector_id", |row| row.intent.connector_id.as_ref());
    batch.text("connector_source", |row| row.intent.connector_source.as_ref());
}

fn encode_request<S: AsRef<str>>(batch: &mut Encoder<'_, S>) {
    batch.text("method", |row| row.intent.method.as_ref());
    batch.text("scheme", |row| row.intent.scheme.as_ref());
    batch.text("host", |row| row.intent.host.as_ref());
    batch.port("port", |row| row.intent.port);
    batch.text("host_raw", |row| row.intent.host_raw.as_ref());
    batch.text("connect_host", |row| row.intent.connect_host.as_ref());
    batch.text("sni", |row| row.intent.sni.as_ref());
    batch.text("host_header", |row| row.intent.host_header.as_ref());
    batch.text("path", |row| row.intent.path.as_ref());
    batch.text("query", |row| row.intent.query.as_ref());
    batch.text("url_fingerprint", |row| row.intent.url_fingerprint.as_ref());
    batch.text("url_fingerprint_key", |row| row.intent.url_fingerprint_key.as_ref());
    batch.text("http_version", |row| row.intent.http_version.as_ref());
    batch.text("request_content_type", |row| row.intent.request_content_type.as_ref());
    batch.int64("request_bytes", |row| Some(row.outcome.request_bytes));
}

fn encode_verdict<S: AsRef<str>>(batch: &mut Encoder<'_, S>) {
    batch.text("decision", |row| row.intent.decision.map(Decision::code));
    batch.text("policy_rule", |row| row.intent.policy_rule.as_ref());
    batch.text("policy_hash", |row| row.intent.policy_hash.as_ref());
    batch.text("deny_reason", |row| row.intent.deny_reason.map(DenyReason::code));
}

fn encode_upstream<S: AsRef<str>>(batch: &mut Encoder<'_, S>) {
    batch.shown("upstream_ip", |row| row.outcome.upstream_ip);
    batch.port("upstream_port", |row| row.outcome.upstream_port);
    batch.boolean("upstream_reused", |row| row.outcome.upstream_reused);
    batch.text("tls_version", |row| row.outcome.tls_version.as_ref());
    batch.text("tls_cipher", |row| row.outcome.tls_cipher.as_ref());
    batch.text("upstream_cert_sha256", |row| row.outcome.upstream_cert_sha256.as_ref());
    batch.boolean("upstream_verified", |row| row.outcome.upstream_verified);
}

fn encode_response<S: AsRef<str>>(batch: &mut Encoder<'_, S>) {
    batch.port("status", |row| row.outcome.status);
    batch.text("response_content_type", |row| row.outcome.response_content_type.as_ref());
    batch.int64("response_bytes", |row| Some(row.outcome.response_bytes));
    batch.int64("dns_us", |row| row.outcome.dns_us);
    batch.int64("connect_us", |row| row.outcome.connect_us);
    batch.int64("tls_us", |row| row.outcome.tls_us);
    batch.int64("first_byte_us", |row| row.outcome.first_byte_us);
    batch.int64("audit_wait_us", |row| row.outcome.audit_wait_us);
    batch.text("outcome", |row| Some(row.outcome.outcome.code()));
    batch.text("error", |row| row.outcome.error.as_ref());
    batch.text("request_excerpt", |row| row.outcome.request_excerpt.as_ref());
    batch.text("response_excerpt", |row| row.outcome.response_excerpt.as_ref());
}
