//! Rows to Arrow record batches and back.
//!
//! Encoding and decoding go by column name, so the order of the statements here carries no meaning. Both directions
//! are pure. A decoded row equals the encoded one exactly, except that the writer's epoch is not a column: it comes
//! from the file's metadata.

use std::collections::HashMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_array::{TimestampMicrosecondArray, new_null_array};
use arrow_schema::ArrowError;
use uuid::Uuid;

use super::schema::{COLUMNS, arrow_schema};
use crate::record::{
    Decision, DenyReason, IdAssurance, Intent, Kind, Outcome, OutcomeKind, Row, SCHEMA_VERSION, Writer,
};

/// Why a record batch could not be read as audit rows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// A column that rows of every schema version have is not there.
    #[error("column `{0}` is missing")]
    MissingColumn(&'static str),
    /// A column has another type than the schema says.
    #[error("column `{0}` has another type than schema version {SCHEMA_VERSION} says")]
    WrongType(&'static str),
    /// A required column is null.
    #[error("column `{column}` is null in row {row}")]
    UnexpectedNull { column: &'static str, row: usize },
    /// A value is outside what the column can mean, for example a code of a newer schema version.
    #[error("column `{column}` has a value in row {row} that this version cannot read")]
    UnreadableValue { column: &'static str, row: usize },
}

/// Encodes rows as one record batch of the current schema, in the order given.
///
/// Text columns hold at most 2 GiB per batch: callers pass at most a few thousand rows at a time.
pub fn encode(rows: &[&Row]) -> Result<RecordBatch, ArrowError> {
    let mut batch = Encoder {
        rows,
        columns: HashMap::with_capacity(COLUMNS.len()),
    };
    encode_position(&mut batch);
    encode_caller(&mut batch);
    encode_request(&mut batch);
    encode_verdict(&mut batch);
    encode_upstream(&mut batch);
    encode_response(&mut batch);
    batch.finish()
}

struct Encoder<'a> {
    rows: &'a [&'a Row],
    columns: HashMap<&'static str, ArrayRef>,
}

impl<'a> Encoder<'a> {
    fn text<S: AsRef<str>>(&mut self, column: &'static str, value: impl Fn(&'a Row) -> Option<S>) {
        let values: StringArray = self.rows.iter().map(|row| value(row)).collect();
        self.columns.insert(column, Arc::new(values));
    }

    fn int64(&mut self, column: &'static str, value: impl Fn(&'a Row) -> Option<i64>) {
        let values: Int64Array = self.rows.iter().map(|row| value(row)).collect();
        self.columns.insert(column, Arc::new(values));
    }

    fn int32(&mut self, column: &'static str, value: impl Fn(&'a Row) -> Option<i32>) {
        let values: Int32Array = self.rows.iter().map(|row| value(row)).collect();
        self.columns.insert(column, Arc::new(values));
    }

    fn port(&mut self, column: &'static str, value: impl Fn(&'a Row) -> Option<u16>) {
        self.int32(column, |row| value(row).map(i32::from));
    }

    fn timestamp(&mut self, column: &'static str, value: impl Fn(&'a Row) -> i64) {
        let values = TimestampMicrosecondArray::from_iter_values(self.rows.iter().map(|row| value(row)));
        self.columns.insert(column, Arc::new(values.with_timezone("UTC")));
    }

    /// Puts the columns in schema order; types, nulls and lengths are checked by [`RecordBatch::try_new`].
    fn finish(mut self) -> Result<RecordBatch, ArrowError> {
        let schema = arrow_schema();
        let columns = schema.fields().iter().map(|field| {
            let column = self.columns.remove(field.name().as_str());
            column.ok_or_else(|| ArrowError::SchemaError(format!("column `{}` was not encoded", field.name())))
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(schema, columns)
    }
}

fn encode_position(batch: &mut Encoder<'_>) {
    batch.text("event_id", |row| Some(row.intent.event_id.to_string()));
    batch.int64("seq", |row| i64::try_from(row.seq).ok());
    batch.text("instance_id", |row| Some(&row.writer.instance_id));
    batch.text("boot_id", |row| Some(row.writer.boot_id.to_string()));
    batch.int32("schema_version", |_| Some(SCHEMA_VERSION));
    batch.timestamp("event_time", |row| row.intent.event_time_us);
    batch.timestamp("end_time", |row| row.outcome.end_time_us);
    batch.int64("duration_us", |row| Some(row.outcome.duration_us));
    batch.text("kind", |row| Some(row.intent.kind.code()));
}

fn encode_caller(batch: &mut Encoder<'_>) {
    batch.text("deployment_id", |row| row.intent.deployment_id.as_deref());
    batch.text("project_id", |row| row.intent.project_id.as_deref());
    batch.text("id_assurance", |row| Some(row.intent.id_assurance.code()));
    batch.text("client_identity", |row| row.intent.client_identity.as_deref());
    batch.text("client_ip", |row| Some(row.intent.client_ip.to_string()));
    batch.port("client_port", |row| Some(row.intent.client_port));
    batch.text("user_agent", |row| row.intent.user_agent.as_deref());
    batch.text("user_agent_product", |row| row.intent.user_agent_product.as_deref());
    batch.text("connector_type", |row| row.intent.connector_type.as_deref());
    batch.text("connector_id", |row| row.intent.connector_id.as_deref());
    batch.text("connector_source", |row| row.intent.connector_source.as_deref());
}

fn encode_request(batch: &mut Encoder<'_>) {
    batch.text("method", |row| row.intent.method.as_deref());
    batch.text("scheme", |row| row.intent.scheme.as_deref());
    batch.text("host", |row| row.intent.host.as_deref());
    batch.port("port", |row| row.intent.port);
    batch.text("host_raw", |row| row.intent.host_raw.as_deref());
    batch.text("connect_host", |row| row.intent.connect_host.as_deref());
    batch.text("sni", |row| row.intent.sni.as_deref());
    batch.text("host_header", |row| row.intent.host_header.as_deref());
    batch.text("path", |row| row.intent.path.as_deref());
    batch.text("query", |row| row.intent.query.as_deref());
    batch.text("url_fingerprint", |row| row.intent.url_fingerprint.as_deref());
    batch.text("http_version", |row| row.intent.http_version.as_deref());
    batch.text("request_content_type", |row| row.intent.request_content_type.as_deref());
    batch.int64("request_bytes", |row| Some(row.outcome.request_bytes));
}

fn encode_verdict(batch: &mut Encoder<'_>) {
    batch.text("decision", |row| row.intent.decision.map(Decision::code));
    batch.text("policy_rule", |row| row.intent.policy_rule.as_deref());
    batch.text("policy_hash", |row| row.intent.policy_hash.as_deref());
    batch.text("deny_reason", |row| row.intent.deny_reason.map(DenyReason::code));
}

fn encode_upstream(batch: &mut Encoder<'_>) {
    batch.text("upstream_ip", |row| row.outcome.upstream_ip.map(|ip| ip.to_string()));
    batch.port("upstream_port", |row| row.outcome.upstream_port);
    let reused: BooleanArray = batch.rows.iter().map(|row| row.outcome.upstream_reused).collect();
    batch.columns.insert("upstream_reused", Arc::new(reused));
    batch.text("tls_version", |row| row.outcome.tls_version.as_deref());
    batch.text("tls_cipher", |row| row.outcome.tls_cipher.as_deref());
    batch.text("upstream_cert_sha256", |row| {
        row.outcome.upstream_cert_sha256.as_deref()
    });
}

fn encode_response(batch: &mut Encoder<'_>) {
    batch.port("status", |row| row.outcome.status);
    batch.text("response_content_type", |row| {
        row.outcome.response_content_type.as_deref()
    });
    batch.int64("response_bytes", |row| Some(row.outcome.response_bytes));
    batch.int64("dns_us", |row| row.outcome.dns_us);
    batch.int64("connect_us", |row| row.outcome.connect_us);
    batch.int64("tls_us", |row| row.outcome.tls_us);
    batch.int64("first_byte_us", |row| row.outcome.first_byte_us);
    batch.int64("audit_wait_us", |row| row.outcome.audit_wait_us);
    batch.text("outcome", |row| Some(row.outcome.outcome.code()));
    batch.text("error", |row| row.outcome.error.as_deref());
}

/// Reads rows out of a record batch, one at a time.
pub struct Decoder {
    columns: HashMap<&'static str, ArrayRef>,
    rows: usize,
    epoch: u64,
    /// The writer of the row decoded last: consecutive rows nearly always share it.
    writer: Option<Arc<Writer>>,
}

impl Decoder {
    /// Checks that the batch has the columns of the schema. `epoch` is the writer epoch from the file's metadata.
    pub fn new(batch: &RecordBatch, epoch: u64) -> Result<Self, DecodeError> {
        let mut columns = HashMap::with_capacity(COLUMNS.len());
        for column in COLUMNS {
            let values = match batch.column_by_name(column.name) {
                Some(values) if *values.data_type() == column.column_type.arrow() => Arc::clone(values),
                Some(_) => return Err(DecodeError::WrongType(column.name)),
                None if column.required => return Err(DecodeError::MissingColumn(column.name)),
                None => new_null_array(&column.column_type.arrow(), batch.num_rows()),
            };
            columns.insert(column.name, values);
        }
        Ok(Self {
            columns,
            rows: batch.num_rows(),
            epoch,
            writer: None,
        })
    }

    /// Number of rows in the batch.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether the batch has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Decodes the row at `index`, which must be below [`Decoder::len`].
    pub fn row(&mut self, index: usize) -> Result<Row, DecodeError> {
        let cells = Cells {
            columns: &self.columns,
            row: index,
        };
        let writer = cells.writer(self.epoch)?;
        let (seq, intent, outcome) = (cells.seq()?, cells.intent()?, cells.outcome()?);
        let shared = match self.writer.take() {
            Some(last) if *last == writer => last,
            Some(_) | None => Arc::new(writer),
        };
        self.writer = Some(Arc::clone(&shared));
        Ok(Row {
            seq,
            writer: shared,
            intent,
            outcome,
        })
    }
}

/// The values of one row.
struct Cells<'a> {
    columns: &'a HashMap<&'static str, ArrayRef>,
    row: usize,
}

impl<'a> Cells<'a> {
    /// The column's array, or `None` where this row is null or beyond the end.
    fn cell(&self, column: &'static str) -> Result<Option<&'a ArrayRef>, DecodeError> {
        let values = self.columns.get(column).ok_or(DecodeError::MissingColumn(column))?;
        Ok((self.row < values.len() && values.is_valid(self.row)).then_some(values))
    }

    fn str(&self, column: &'static str) -> Result<Option<&'a str>, DecodeError> {
        let Some(values) = self.cell(column)? else {
            return Ok(None);
        };
        let values = values.as_string_opt::<i32>().ok_or(DecodeError::WrongType(column))?;
        Ok(Some(values.value(self.row)))
    }

    fn text(&self, column: &'static str) -> Result<Option<String>, DecodeError> {
        Ok(self.str(column)?.map(str::to_owned))
    }

    fn parsed<T: FromStr>(&self, column: &'static str) -> Result<Option<T>, DecodeError> {
        self.str(column)?
            .map(|text| text.parse().map_err(|_| self.unreadable(column)))
            .transpose()
    }

    fn code<T>(&self, column: &'static str, from_code: fn(&str) -> Option<T>) -> Result<Option<T>, DecodeError> {
        self.str(column)?
            .map(|code| from_code(code).ok_or_else(|| self.unreadable(column)))
            .transpose()
    }

    fn int64(&self, column: &'static str) -> Result<Option<i64>, DecodeError> {
        let Some(values) = self.cell(column)? else {
            return Ok(None);
        };
        let values = values
            .as_primitive_opt::<Int64Type>()
            .ok_or(DecodeError::WrongType(column))?;
        Ok(Some(values.value(self.row)))
    }

    /// A port or status code, kept in an int32 column.
    fn uint16(&self, column: &'static str) -> Result<Option<u16>, DecodeError> {
        let Some(values) = self.cell(column)? else {
            return Ok(None);
        };
        let values = values
            .as_primitive_opt::<Int32Type>()
            .ok_or(DecodeError::WrongType(column))?;
        u16::try_from(values.value(self.row))
            .map(Some)
            .map_err(|_| self.unreadable(column))
    }

    fn timestamp(&self, column: &'static str) -> Result<i64, DecodeError> {
        let Some(values) = self.cell(column)? else {
            return Err(self.null(column));
        };
        let values = values
            .as_primitive_opt::<TimestampMicrosecondType>()
            .ok_or(DecodeError::WrongType(column))?;
        Ok(values.value(self.row))
    }

    fn boolean(&self, column: &'static str) -> Result<Option<bool>, DecodeError> {
        let Some(values) = self.cell(column)? else {
            return Ok(None);
        };
        Ok(Some(
            values
                .as_boolean_opt()
                .ok_or(DecodeError::WrongType(column))?
                .value(self.row),
        ))
    }

    fn need<T>(&self, column: &'static str, value: Option<T>) -> Result<T, DecodeError> {
        value.ok_or_else(|| self.null(column))
    }

    fn null(&self, column: &'static str) -> DecodeError {
        DecodeError::UnexpectedNull { column, row: self.row }
    }

    fn unreadable(&self, column: &'static str) -> DecodeError {
        DecodeError::UnreadableValue { column, row: self.row }
    }

    fn seq(&self) -> Result<u64, DecodeError> {
        let seq = self.need("seq", self.int64("seq")?)?;
        u64::try_from(seq).map_err(|_| self.unreadable("seq"))
    }

    fn writer(&self, epoch: u64) -> Result<Writer, DecodeError> {
        Ok(Writer {
            instance_id: self.need("instance_id", self.text("instance_id")?)?,
            boot_id: self.need("boot_id", self.parsed("boot_id")?)?,
            epoch,
        })
    }

    fn intent(&self) -> Result<Intent, DecodeError> {
        Ok(Intent {
            event_id: self.need("event_id", self.parsed::<Uuid>("event_id")?)?,
            event_time_us: self.timestamp("event_time")?,
            kind: self.need("kind", self.code("kind", Kind::from_code)?)?,
            deployment_id: self.text("deployment_id")?,
            project_id: self.text("project_id")?,
            id_assurance: self.need("id_assurance", self.code("id_assurance", IdAssurance::from_code)?)?,
            client_identity: self.text("client_identity")?,
            client_ip: self.need("client_ip", self.parsed::<IpAddr>("client_ip")?)?,
            client_port: self.need("client_port", self.uint16("client_port")?)?,
            user_agent: self.text("user_agent")?,
            user_agent_product: self.text("user_agent_product")?,
            connector_type: self.text("connector_type")?,
            connector_id: self.text("connector_id")?,
            connector_source: self.text("connector_source")?,
            method: self.text("method")?,
            scheme: self.text("scheme")?,
            host: self.text("host")?,
            port: self.uint16("port")?,
            host_raw: self.text("host_raw")?,
            connect_host: self.text("connect_host")?,
            sni: self.text("sni")?,
            host_header: self.text("host_header")?,
            path: self.text("path")?,
            query: self.text("query")?,
            url_fingerprint: self.text("url_fingerprint")?,
            http_version: self.text("http_version")?,
            request_content_type: self.text("request_content_type")?,
            decision: self.code("decision", Decision::from_code)?,
            policy_rule: self.text("policy_rule")?,
            policy_hash: self.text("policy_hash")?,
            deny_reason: self.code("deny_reason", DenyReason::from_code)?,
        })
    }

    fn outcome(&self) -> Result<Outcome, DecodeError> {
        Ok(Outcome {
            end_time_us: self.timestamp("end_time")?,
            duration_us: self.need("duration_us", self.int64("duration_us")?)?,
            request_bytes: self.need("request_bytes", self.int64("request_bytes")?)?,
            upstream_ip: self.parsed("upstream_ip")?,
            upstream_port: self.uint16("upstream_port")?,
            upstream_reused: self.boolean("upstream_reused")?,
            tls_version: self.text("tls_version")?,
            tls_cipher: self.text("tls_cipher")?,
            upstream_cert_sha256: self.text("upstream_cert_sha256")?,
            status: self.uint16("status")?,
            response_content_type: self.text("response_content_type")?,
            response_bytes: self.need("response_bytes", self.int64("response_bytes")?)?,
            dns_us: self.int64("dns_us")?,
            connect_us: self.int64("connect_us")?,
            tls_us: self.int64("tls_us")?,
            first_byte_us: self.int64("first_byte_us")?,
            audit_wait_us: self.int64("audit_wait_us")?,
            outcome: self.need("outcome", self.code("outcome", OutcomeKind::from_code)?)?,
            error: self.text("error")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive::samples;

    fn decode_all(batch: &RecordBatch) -> Vec<Row> {
        let mut decoder = Decoder::new(batch, 7).expect("columns");
        (0..decoder.len())
            .map(|index| decoder.row(index).expect("row"))
            .collect()
    }

    fn with_column(batch: &RecordBatch, name: &str, values: ArrayRef) -> RecordBatch {
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
            let values = if field.name() == name { &values } else { column };
            (field.name(), Arc::clone(values), true)
        });
        RecordBatch::try_from_iter_with_nullable(columns).expect("batch")
    }

    proptest! {
        #[test]
        fn rows_round_trip(rows in proptest::collection::vec(samples::any_row(), 0..8)) {
            let batch = encode(&rows.iter().collect::<Vec<_>>()).expect("encodes");
            prop_assert_eq!(decode_all(&batch), rows);
        }
    }

    #[test]
    fn rows_without_optional_values_have_null_columns() {
        let row = samples::row(1, samples::MIDNIGHT_US);
        let batch = encode(&[&row]).expect("encodes");
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            assert_eq!(column.null_count() == 1, field.is_nullable(), "{}", field.name());
        }
        assert_eq!(decode_all(&batch), [row]);
    }

    #[test]
    fn sequence_numbers_beyond_int64_are_refused() {
        let row = samples::row(u64::MAX, 0);
        assert!(encode(&[&row]).is_err());
    }

    #[test]
    fn rows_of_one_writer_share_it() {
        let (a, b) = (samples::row(1, 0), samples::row(2, 0));
        let rows = decode_all(&encode(&[&a, &b]).expect("encodes"));
        assert!(Arc::ptr_eq(&rows[0].writer, &rows[1].writer));
    }

    #[test]
    fn foreign_batches_are_errors_that_name_the_column() {
        let row = samples::row(1, 0);
        let batch = encode(&[&row]).expect("encodes");
        let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let cases: [(&str, ArrayRef, DecodeError); 4] = [
            (
                "kind",
                text("carrier_pigeon"),
                DecodeError::UnreadableValue { column: "kind", row: 0 },
            ),
            (
                "client_ip",
                text("localhost"),
                DecodeError::UnreadableValue {
                    column: "client_ip",
                    row: 0,
                },
            ),
            (
                "client_port",
                Arc::new(Int32Array::from(vec![70_000])),
                DecodeError::UnreadableValue {
                    column: "client_port",
                    row: 0,
                },
            ),
            (
                "outcome",
                Arc::new(StringArray::from(vec![None::<&str>])),
                DecodeError::UnexpectedNull {
                    column: "outcome",
                    row: 0,
                },
            ),
        ];
        for (name, values, expected) in cases {
            let changed = with_column(&batch, name, values);
            assert_eq!(Decoder::new(&changed, 7).expect("columns").row(0), Err(expected));
        }
        let wrong = with_column(&batch, "seq", text("1"));
        assert_eq!(Decoder::new(&wrong, 7).err(), Some(DecodeError::WrongType("seq")));
    }

    #[test]
    fn columns_may_be_missing_only_where_null_is_allowed() {
        let row = samples::row(1, 0);
        let batch = encode(&[&row]).expect("encodes");
        let without = |name: &str| {
            let kept: Vec<_> = (0..batch.num_columns())
                .filter(|i| batch.schema().field(*i).name() != name)
                .collect();
            batch.project(&kept).expect("projects")
        };
        assert_eq!(decode_all(&without("error")), [row.clone()]);
        assert_eq!(
            Decoder::new(&without("seq"), 7).err(),
            Some(DecodeError::MissingColumn("seq"))
        );
    }
}
