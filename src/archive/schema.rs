//! The columns of schema version 2: names, order, types, and how each is laid out in Parquet.
//!
//! One table, [`COLUMNS`], from which the Arrow schema and the writer properties follow; `docs/schema.md` is checked
//! against it. Column order and field ids never change; new columns are added at the end and are nullable. This module
//! does no I/O and does not know how a value gets out of a row.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// Key under which the Parquet crate finds a field's id in Arrow metadata.
const FIELD_ID_KEY: &str = "PARQUET:field_id";

/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8. Identifiers, addresses and enum codes are text too: every engine can read and compare them.
    String,
    /// 64-bit signed integer.
    Int64,
    /// 32-bit signed integer.
    Int32,
    /// True or false.
    Boolean,
    /// Microseconds since the Unix epoch, UTC.
    Timestamp,
}

impl ColumnType {
    /// The name used in `docs/schema.md`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int64 => "int64",
            Self::Int32 => "int32",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp(us, UTC)",
        }
    }

    /// The type whose values are held in this Arrow type, or `None` if there is none.
    #[must_use]
    pub fn from_arrow(data_type: &DataType) -> Option<Self> {
        let all = [Self::String, Self::Int64, Self::Int32, Self::Boolean, Self::Timestamp];
        all.into_iter().find(|column_type| column_type.arrow() == *data_type)
    }

    /// The Arrow type values are held in.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::String => DataType::Utf8,
            Self::Int64 => DataType::Int64,
            Self::Int32 => DataType::Int32,
            Self::Boolean => DataType::Boolean,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// How the values of a column are encoded in a Parquet page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Dictionary, falling back to plain when the dictionary grows too large: values that repeat.
    Dictionary,
    /// `DELTA_BINARY_PACKED` for numbers, `DELTA_BYTE_ARRAY` for text: values that grow or share prefixes.
    Delta,
}

/// One column of the dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Flat snake_case name.
    pub name: &'static str,
    pub column_type: ColumnType,
    /// Whether every row has a value.
    pub required: bool,
    pub layout: Layout,
    /// Whether each row group carries a bloom filter of the column.
    pub bloom_filter: bool,
}

impl Column {
    const fn new(name: &'static str, column_type: ColumnType, layout: Layout) -> Self {
        Self { name, column_type, required: false, layout, bloom_filter: false }
    }

    const fn text(name: &'static str) -> Self {
        Self::new(name, ColumnType::String, Layout::Dictionary)
    }

    const fn int64(name: &'static str) -> Self {
        Self::new(name, ColumnType::Int64, Layout::Delta)
    }

    const fn int32(name: &'static str) -> Self {
        Self::new(name, ColumnType::Int32, Layout::Dictionary)
    }

    const fn boolean(name: &'static str) -> Self {
        Self::new(name, ColumnType::Boolean, Layout::Dictionary)
    }

    const fn timestamp(name: &'static str) -> Self {
        Self::new(name, ColumnType::Timestamp, Layout::Delta)
    }

    const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    const fn delta(self) -> Self {
        Self { layout: Layout::Delta, ..self }
    }

    const fn bloom_filter(self) -> Self {
        Self { bloom_filter: true, ..self }
    }

    fn field(&self, id: usize) -> Field {
        let metadata = HashMap::from([(FIELD_ID_KEY.to_owned(), id.to_string())]);
        Field::new(self.name, self.column_type.arrow(), !self.required).with_metadata(metadata)
    }
}

/// Every column in file order; the field id of a column is its position here, from 1.
pub const COLUMNS: &[Column] = &[
    Column::text("event_id").required().delta().bloom_filter(),
    Column::int64("seq").required(),
    Column::text("instance_id").required(),
    Column::text("boot_id").required(),
    Column::int32("schema_version").required(),
    Column::timestamp("event_time").required(),
    Column::timestamp("end_time").required(),
    Column::int64("duration_us").required(),
    Column::text("kind").required(),
    Column::text("deployment_id").bloom_filter(),
    Column::text("project_id").bloom_filter(),
    Column::text("id_assurance").required(),
    Column::text("client_identity"),
    Column::text("client_ip").required().bloom_filter(),
    Column::int32("client_port").required().delta(),
    Column::text("user_agent"),
    Column::text("user_agent_product"),
    Column::text("connector_type"),
    Column::text("connector_id"),
    Column::text("connector_source"),
    Column::text("method"),
    Column::text("scheme"),
    Column::text("host").bloom_filter(),
    Column::int32("port"),
    Column::text("host_raw"),
    Column::text("connect_host"),
    Column::text("sni"),
    Column::text("host_header"),
    Column::text("path"),
    Column::text("query"),
    Column::text("url_fingerprint").bloom_filter(),
    Column::text("http_version"),
    Column::text("request_content_type"),
    Column::int64("request_bytes").required(),
    Column::text("decision"),
    Column::text("policy_rule"),
    Column::text("policy_hash"),
    Column::text("deny_reason"),
    Column::text("upstream_ip").bloom_filter(),
    Column::int32("upstream_port"),
    Column::boolean("upstream_reused"),
    Column::text("tls_version"),
    Column::text("tls_cipher"),
    Column::text("upstream_cert_sha256"),
    Column::int32("status"),
    Column::text("response_content_type"),
    Column::int64("response_bytes").required(),
    Column::int64("dns_us"),
    Column::int64("connect_us"),
    Column::int64("tls_us"),
    Column::int64("first_byte_us"),
    Column::int64("audit_wait_us"),
    Column::text("outcome").required(),
    Column::text("error"),
    Column::text("url_fingerprint_key"),
    Column::text("request_excerpt"),
    Column::text("response_excerpt"),
    Column::boolean("upstream_verified"),
];

/// The Arrow schema of [`COLUMNS`].
#[must_use]
pub fn arrow_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let fields = (1..).zip(COLUMNS).map(|(id, column)| column.field(id));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    });
    Arc::clone(&SCHEMA)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list in the issue that defines schema version 1, verbatim.
    const ISSUE_COLUMNS: &str = "event_id, seq, instance_id, boot_id, schema_version, event_time, end_time, \
        duration_us, kind, deployment_id, project_id, id_assurance, client_identity, client_ip, client_port, \
        user_agent, user_agent_product, connector_type, connector_id, connector_source, method, scheme, host, port, \
        host_raw, connect_host, sni, host_header, path, query, url_fingerprint, http_version, request_content_type, \
        request_bytes, decision, policy_rule, policy_hash, deny_reason, upstream_ip, upstream_port, upstream_reused, \
        tls_version, tls_cipher, upstream_cert_sha256, status, response_content_type, response_bytes, dns_us, \
        connect_us, tls_us, first_byte_us, audit_wait_us, outcome, error";
    /// What later versions added, in order.
    const ADDED_COLUMNS: &str = "url_fingerprint_key, request_excerpt, response_excerpt, upstream_verified";

    #[test]
    fn columns_are_those_of_the_issue_in_order_and_then_what_was_added() {
        let names: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
        let expected = ISSUE_COLUMNS.split(", ").chain(ADDED_COLUMNS.split(", "));
        assert_eq!(names, expected.collect::<Vec<_>>());
    }

    #[test]
    fn schema_matches_the_golden_file() {
        let schema = arrow_schema();
        let lines = schema.fields().iter().map(|field| {
            let need = if field.is_nullable() { "optional" } else { "required" };
            format!("{} {} {} {}", field.metadata()[FIELD_ID_KEY], field.name(), field.data_type(), need)
        });
        let lines = lines.collect::<Vec<_>>().join("\n") + "\n";
        assert_eq!(lines, include_str!("schema.golden"), "columns are only ever added, at the end");
    }

    #[test]
    fn reference_document_agrees_with_the_columns() {
        let document = include_str!("../../docs/schema.md");
        let rows: Vec<(&str, &str)> = document
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .filter_map(|line| line.split_once("` | "))
            .filter_map(|(name, rest)| Some((name, rest.split_once(" | ")?.0)))
            .collect();
        let expected: Vec<_> = COLUMNS.iter().map(|column| (column.name, column.column_type.name())).collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn reference_document_says_never_exactly_for_required_columns() {
        let document = include_str!("../../docs/schema.md");
        for column in COLUMNS {
            let prefix = format!("| `{}` |", column.name);
            let line = document.lines().find(|line| line.starts_with(&prefix)).expect("documented");
            assert_eq!(line.ends_with("| never |"), column.required, "{line}");
        }
    }

    #[test]
    fn reference_document_lists_every_code() {
        use crate::record::{Decision, DenyReason, IdAssurance, Kind, OutcomeKind};
        let document = include_str!("../../docs/schema.md");
        let codes = (Kind::ALL.iter().map(|value| value.code()))
            .chain(IdAssurance::ALL.iter().map(|value| value.code()))
            .chain(Decision::ALL.iter().map(|value| value.code()))
            .chain(OutcomeKind::ALL.iter().map(|value| value.code()))
            .chain(DenyReason::ALL.iter().map(|value| value.code()));
        for code in codes {
            assert!(document.contains(&format!("`{code}`")), "code {code} is not in the reference");
        }
    }
}
