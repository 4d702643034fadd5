//! Rows to a record batch of the current schema.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::ArrowError;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::archive::schema::{COLUMNS, arrow_schema};
use crate::record::{Decision, DenyReason, Row, SCHEMA_VERSION};

/// Encodes rows as one record batch of the current schema, in the order given.
///
/// Their texts may be bytes: whether these are UTF-8 is checked here.
///
/// Text columns hold at most 2 GiB per batch: callers pass at most a few thousand rows at a time.
pub fn encode<S: AsRef<[u8]>>(rows: &[&Row<S>]) -> Result<RecordBatch, ArrowError> {
    let mut batch = Encoder { rows, columns: HashMap::with_capacity(COLUMNS.len()) };
    encode_position(&mut batch);
    encode_caller(&mut batch);
    encode_request(&mut batch);
    encode_verdict(&mut batch);
    encode_upstream(&mut batch);
    encode_response(&mut batch);
    batch.finish()
}

struct Encoder<'a, S> {
    rows: &'a [&'a Row<S>],
    columns: HashMap<&'static str, Result<ArrayRef, ArrowError>>,
}

impl<'a, S: AsRef<[u8]>> Encoder<'a, S> {
    fn text<T: AsRef<[u8]>>(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> Option<T>) {
        let lengths = || self.rows.iter().filter_map(|row| value(row).map(|text| text.as_ref().len()));
        if lengths().next().is_none() {
            self.columns.insert(column, Ok(Arc::new(StringArray::new_null(self.rows.len()))));
            return;
        }
        let mut values = BinaryBuilder::with_capacity(self.rows.len(), lengths().sum());
        for row in self.rows {
            values.append_option(value(row));
        }
        self.texts(column, values);
    }

    fn uuid(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> Uuid) {
        let mut values = BinaryBuilder::with_capacity(self.rows.len(), self.rows.len() * Hyphenated::LENGTH);
        let mut text = Uuid::encode_buffer();
        for row in self.rows {
            values.append_value(value(row).hyphenated().encode_lower(&mut text).as_bytes());
        }
        self.texts(column, values);
    }

    /// A value that repeats, row after row, is made into text once.
    fn address(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> Option<IpAddr>) {
        let (mut values, mut text, mut last) = (BinaryBuilder::new(), String::new(), None);
        for row in self.rows {
            let Some(value) = value(row) else {
                values.append_null();
                continue;
            };
            if last != Some(value) {
                text.clear();
                write_address(&mut text, value);
                last = Some(value);
            }
            values.append_value(&text);
        }
        self.texts(column, values);
    }

    /// Whether the bytes are UTF-8 is checked for all of a column at once, when it becomes one.
    fn texts(&mut self, column: &'static str, mut values: BinaryBuilder) {
        self.columns.insert(column, StringArray::try_from_binary(values.finish()).map(|values| Arc::new(values) as _));
    }

    fn int64(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> Option<i64>) {
        let values: Int64Array = self.rows.iter().map(|row| value(row)).collect();
        self.columns.insert(column, Ok(Arc::new(values)));
    }

    fn int32(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> Option<i32>) {
        let values: Int32Array = self.rows.iter().map(|row| value(row)).collect();
        self.columns.insert(column, Ok(Arc::new(values)));
    }

    fn port(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> Option<u16>) {
        self.int32(column, |row| value(row).map(i32::from));
    }

    fn boolean(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> Option<bool>) {
        let values: BooleanArray = self.rows.iter().map(|row| value(row)).collect();
        self.columns.insert(column, Ok(Arc::new(values)));
    }

    fn timestamp(&mut self, column: &'static str, value: impl Fn(&'a Row<S>) -> i64) {
        let values = TimestampMicrosecondArray::from_iter_values(self.rows.iter().map(|row| value(row)));
        self.columns.insert(column, Ok(Arc::new(values.with_timezone("UTC"))));
    }

    /// Puts the columns in schema order; types, nulls and lengths are checked by [`RecordBatch::try_new`].
    fn finish(mut self) -> Result<RecordBatch, ArrowError> {
        let schema = arrow_schema();
        let columns = schema.fields().iter().map(|field| {
            let column = self.columns.remove(field.name().as_str());
            let absent = || ArrowError::SchemaError(format!("column `{}` was not encoded", field.name()));
            column.unwrap_or_else(|| Err(absent()))
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(schema, columns)
    }
}

fn encode_position<S: AsRef<[u8]>>(batch: &mut Encoder<'_, S>) {
    batch.uuid("event_id", |row| row.intent.event_id);
    batch.int64("seq", |row| i64::try_from(row.seq).ok());
    batch.text("instance_id", |row| Some(&row.writer.instance_id));
    batch.uuid("boot_id", |row| row.writer.boot_id);
    batch.int32("schema_version", |_| Some(SCHEMA_VERSION));
    batch.timestamp("event_time", |row| row.intent.event_time_us);
    batch.timestamp("end_time", |row| row.outcome.end_time_us);
    batch.int64("duration_us", |row| Some(row.outcome.duration_us));
    batch.text("kind", |row| Some(row.intent.kind.code()));
}

fn encode_caller<S: AsRef<[u8]>>(batch: &mut Encoder<'_, S>) {
    batch.text("deployment_id", |row| row.intent.deployment_id.as_ref());
    batch.text("project_id", |row| row.intent.project_id.as_ref());
    batch.text("id_assurance", |row| Some(row.intent.id_assurance.code()));
    batch.text("client_identity", |row| row.intent.client_identity.as_ref());
    batch.address("client_ip", |row| Some(row.intent.client_ip));
    batch.port("client_port", |row| Some(row.intent.client_port));
    batch.text("user_agent", |row| row.intent.user_agent.as_ref());
    batch.text("user_agent_product", |row| row.intent.user_agent_product.as_ref());
    batch.text("connector_type", |row| row.intent.connector_type.as_ref());
    batch.text("connector_id", |row| row.intent.connector_id.as_ref());
    batch.text("connector_source", |row| row.intent.connector_source.as_ref());
}

fn encode_request<S: AsRef<[u8]>>(batch: &mut Encoder<'_, S>) {
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

fn encode_verdict<S: AsRef<[u8]>>(batch: &mut Encoder<'_, S>) {
    batch.text("decision", |row| row.intent.decision.map(Decision::code));
    batch.text("policy_rule", |row| row.intent.policy_rule.as_ref());
    batch.text("policy_hash", |row| row.intent.policy_hash.as_ref());
    batch.text("deny_reason", |row| row.intent.deny_reason.map(DenyReason::code));
}

fn encode_upstream<S: AsRef<[u8]>>(batch: &mut Encoder<'_, S>) {
    batch.address("upstream_ip", |row| row.outcome.upstream_ip);
    batch.port("upstream_port", |row| row.outcome.upstream_port);
    batch.boolean("upstream_reused", |row| row.outcome.upstream_reused);
    batch.text("tls_version", |row| row.outcome.tls_version.as_ref());
    batch.text("tls_cipher", |row| row.outcome.tls_cipher.as_ref());
    batch.text("upstream_cert_sha256", |row| row.outcome.upstream_cert_sha256.as_ref());
    batch.boolean("upstream_verified", |row| row.outcome.upstream_verified);
}

fn encode_response<S: AsRef<[u8]>>(batch: &mut Encoder<'_, S>) {
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

/// As `Display` does it, without its detours for the common kind.
fn write_address(text: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    text.push('.');
                }
                for (unit, threshold) in [(100, 100), (10, 10), (1, 0)] {
                    if octet >= threshold {
                        text.push(char::from(b'0' + octet / unit % 10));
                    }
                }
            }
        }
        // Writing to memory cannot fail.
        IpAddr::V6(address) => drop(write!(text, "{address}")),
    }
}
