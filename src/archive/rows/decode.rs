//! A record batch to rows, trusting nothing in it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, new_null_array};
use uuid::Uuid;

use crate::archive::schema::COLUMNS;
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
        Ok(Self { columns, rows: batch.num_rows(), epoch, writer: None })
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
        let cells = Cells { columns: &self.columns, row: index };
        let writer = cells.writer(self.epoch)?;
        let (seq, intent, outcome) = (cells.seq()?, cells.intent()?, cells.outcome()?);
        let shared = match self.writer.take() {
            Some(last) if *last == writer => last,
            Some(_) | None => Arc::new(writer),
        };
        self.writer = Some(Arc::clone(&shared));
        Ok(Row { seq, writer: shared, intent, outcome })
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
        self.str(column)?.map(|text| text.parse().map_err(|_| self.unreadable(column))).transpose()
    }

    fn code<T>(&self, column: &'static str, from_code: fn(&str) -> Option<T>) -> Result<Option<T>, DecodeError> {
        self.str(column)?.map(|code| from_code(code).ok_or_else(|| self.unreadable(column))).transpose()
    }

    fn int64(&self, column: &'static str) -> Result<Option<i64>, DecodeError> {
        let Some(values) = self.cell(column)? else {
            return Ok(None);
        };
        let values = values.as_primitive_opt::<Int64Type>().ok_or(DecodeError::WrongType(column))?;
        Ok(Some(values.value(self.row)))
    }

    /// A port or status code, kept in an int32 column.
    fn uint16(&self, column: &'static str) -> Result<Option<u16>, DecodeError> {
        let Some(values) = self.cell(column)? else {
            return Ok(None);
        };
        let values = values.as_primitive_opt::<Int32Type>().ok_or(DecodeError::WrongType(column))?;
        u16::try_from(values.value(self.row)).map(Some).map_err(|_| self.unreadable(column))
    }

    fn timestamp(&self, column: &'static str) -> Result<i64, DecodeError> {
        let Some(values) = self.cell(column)? else {
            return Err(self.null(column));
        };
        let values = values.as_primitive_opt::<TimestampMicrosecondType>().ok_or(DecodeError::WrongType(column))?;
        Ok(values.value(self.row))
    }

    fn boolean(&self, column: &'static str) -> Result<Option<bool>, DecodeError> {
        let Some(values) = self.cell(column)? else {
            return Ok(None);
        };
        Ok(Some(values.as_boolean_opt().ok_or(DecodeError::WrongType(column))?.value(self.row)))
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
            url_fingerprint_key: self.text("url_fingerprint_key")?,
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
            request_excerpt: self.text("request_excerpt")?,
            response_excerpt: self.text("response_excerpt")?,
            upstream_verified: self.boolean("upstream_verified")?,
        })
    }
}
