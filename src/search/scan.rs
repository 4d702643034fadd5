//! Reading the matching rows of one sealed file, as few of them as the answer needs.
//!
//! Row groups are skipped by statistics and bloom filters, pages by the page index, rows by a filter that reads only
//! the columns asked about. Files are sorted by time, so row groups are read from the last and only the last matching
//! rows of each are decoded.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{BooleanArray, RecordBatch, StringArray};
use arrow_schema::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, ParquetRecordBatchReaderBuilder, RowFilter, RowSelection};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::newest::{Newest, Offered};
use super::query::{OneOf, Query};
use crate::archive::rows::Decoder;
use crate::archive::sealed::{SealedError, SealedFile, event_times as group_times, guarded};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;

/// The range of `event_time` in a file by its statistics; everything if it has none.
pub(super) fn event_times(path: &Path) -> Result<(i64, i64), SealedError> {
    guarded(|| Ok(SealedFile::open(path)?.event_times().unwrap_or((i64::MIN, i64::MAX))))
}

/// Offers the matching rows of a file to `newest`, newest first. After an error, those before the damage were offered.
pub(super) fn scan(path: &Path, query: &Query, newest: &mut Newest) -> Result<(), SealedError> {
    guarded(|| {
        let file = SealedFile::open(path)?;
        let times = file.event_times();
        // Pages can be skipped only where the asked range cuts through the file.
        let cut = times.is_none_or(|(oldest, latest)| !query.covers_time(oldest) || !query.covers_time(latest));
        for index in (0..file.metadata().num_row_groups()).rev() {
            let group = file.metadata().row_group(index);
            let times = group_times(group).unwrap_or((i64::MIN, i64::MAX));
            if newest.is_settled_before(times.1) {
                break;
            }
            if query.covers_times(times) && statistics_admit(group, query) {
                scan_group(file.reader(cut)?, file.epoch(), index, query, newest)?;
            }
        }
        Ok(())
    })
}

fn scan_group(
    reader: ParquetRecordBatchReaderBuilder<File>,
    epoch: u64,
    index: usize,
    query: &Query,
    newest: &mut Newest,
) -> Result<(), SealedError> {
    if !bloom_filters_admit(&reader, index, query)? {
        return Ok(());
    }
    let pages = pages_in_range(reader.metadata(), index, query);
    let mut reader = reader.with_row_groups(vec![index]).with_batch_size(BATCH_ROWS);
    if let Some(pages) = pages {
        reader = reader.with_row_selection(pages);
    }
    if let Some(filter) = row_filter(&reader, query) {
        reader = reader.with_row_filter(filter);
    }
    let mut last: VecDeque<RecordBatch> = VecDeque::new();
    let mut rows = 0;
    for batch in reader.build()? {
        let batch = batch?;
        rows += batch.num_rows();
        last.push_back(batch);
        while let Some(first) = last.front().map(RecordBatch::num_rows).filter(|first| rows - first >= newest.limit()) {
            rows -= first;
            last.pop_front();
        }
    }
    offer_newest_first(&last, epoch, newest)
}

fn offer_newest_first(batches: &VecDeque<RecordBatch>, epoch: u64, newest: &mut Newest) -> Result<(), SealedError> {
    for batch in batches.iter().rev() {
        let mut decoder = Decoder::new(batch, epoch)?;
        for index in (0..decoder.len()).rev() {
            match newest.offer(decoder.row(index)?) {
                Offered::Kept => {}
                Offered::TooOld => return Ok(()),
            }
        }
    }
    Ok(())
}

fn statistics_admit(group: &RowGroupMetaData, query: &Query) -> bool {
    query.conditions().into_iter().all(|OneOf { column, values }| {
        let chunk = group.columns().iter().find(|chunk| chunk.column_path().string() == column);
        match chunk.and_then(|chunk| chunk.statistics()) {
            Some(statistics @ Statistics::ByteArray(_)) => {
                values.into_iter().any(|value| text_range_admits(statistics, value, group.num_rows()))
            }
            Some(_) | None => true,
        }
    })
}

/// Bounds may be shortened, but then the lower one is lower and the upper one higher than any value.
fn text_range_admits(statistics: &Statistics, value: &str, rows: i64) -> bool {
    match (statistics.min_bytes_opt(), statistics.max_bytes_opt()) {
        (Some(min), Some(max)) => min <= value.as_bytes() && value.as_bytes() <= max,
        _ => statistics.null_count_opt() != u64::try_from(rows).ok(),
    }
}

fn bloom_filters_admit(
    reader: &ParquetRecordBatchReaderBuilder<File>,
    group: usize,
    query: &Query,
) -> Result<bool, SealedError> {
    for OneOf { column: name, values } in query.conditions() {
        let columns = reader.parquet_schema().columns();
        let Some(column) = columns.iter().position(|column| column.name() == name) else {
            continue;
        };
        let filter = reader.get_row_group_column_bloom_filter(group, column)?;
        if filter.is_some_and(|filter| !values.iter().any(|value| filter.check(*value))) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The rows of the pages whose `event_time` can be in the asked range; `None` where there is no page index.
fn pages_in_range(metadata: &ParquetMetaData, group: usize, query: &Query) -> Option<RowSelection> {
    let rows = usize::try_from(metadata.row_group(group).num_rows()).ok()?;
    let columns = metadata.file_metadata().schema_descr().columns();
    let column = columns.iter().position(|column| column.name() == "event_time")?;
    let index = metadata.page_index_for_row_group(group);
    let ColumnIndexMetaData::INT64(times) = index.column_index(column)? else {
        return None;
    };
    let pages = index.offset_index(column)?.page_locations();
    let starts = pages.iter().map(|page| usize::try_from(page.first_row_index).ok());
    let starts = starts.collect::<Option<Vec<_>>>()?;
    let ends = starts.iter().copied().skip(1).chain([rows]);
    let bounds = times.min_values().iter().zip(times.max_values());
    let ranges = (starts.iter().copied().zip(ends).zip(bounds))
        .filter(|(_, (oldest, latest))| query.covers_times((**oldest, **latest)))
        .map(|((start, end), _)| start..end);
    Some(RowSelection::from_consecutive_ranges(ranges, rows))
}

fn row_filter(reader: &ParquetRecordBatchReaderBuilder<File>, query: &Query) -> Option<RowFilter> {
    let mut columns: Vec<&str> = query.conditions().iter().map(|condition| condition.column).collect();
    columns.extend(query.host.as_ref().map(|_| "host"));
    columns.extend(query.since_us.or(query.until_us).map(|_| "event_time"));
    if columns.is_empty() {
        return None;
    }
    let mask = ProjectionMask::columns(reader.parquet_schema(), columns);
    let query = query.clone();
    let predicate = ArrowPredicateFn::new(mask, move |batch| matching_rows(&batch, &query));
    Some(RowFilter::new(vec![Box::new(predicate)]))
}

/// Which rows of a batch, which has the columns that are asked about, match.
fn matching_rows(batch: &RecordBatch, query: &Query) -> Result<BooleanArray, ArrowError> {
    let mut keep = vec![true; batch.num_rows()];
    for condition in query.conditions() {
        for (keep, cell) in keep.iter_mut().zip(texts(batch, condition.column)?) {
            *keep &= condition.admits(cell);
        }
    }
    if let Some(host) = &query.host {
        for (keep, cell) in keep.iter_mut().zip(texts(batch, "host")?) {
            *keep &= cell.is_some_and(|cell| host.matches(cell));
        }
    }
    if query.since_us.or(query.until_us).is_some() {
        let times = batch.column_by_name("event_time").and_then(|column| column.as_primitive_opt());
        let times = times.ok_or_else(|| unreadable("event_time"))?;
        for (keep, cell) in keep.iter_mut().zip::<&arrow_array::PrimitiveArray<TimestampMicrosecondType>>(times) {
            *keep &= cell.is_some_and(|time_us| query.covers_time(time_us));
        }
    }
    Ok(keep.into())
}

fn texts<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a StringArray, ArrowError> {
    let values = batch.column_by_name(column).and_then(|values| values.as_string_opt::<i32>());
    values.ok_or_else(|| unreadable(column))
}

fn unreadable(column: &str) -> ArrowError {
    ArrowError::SchemaError(format!("column `{column}` is missing or has another type"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::samples::{self, MIDNIGHT_US};
    use crate::archive::{Settings, seal};

    fn sealed(rows: u64) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().expect("temp dir");
        let settings = Settings::new(dir.path());
        seal::prepare(&settings).expect("prepares");
        let rows: Vec<_> = (1..=rows)
            .map(|seq| {
                let mut row = samples::row(seq, MIDNIGHT_US + seq as i64);
                row.intent.host = Some(if seq % 2 == 0 { "a.test" } else { "c.test" }.to_owned());
                row
            })
            .collect();
        let path = samples::seal(&settings, &rows).expect("seals").remove(0).path;
        (dir, path)
    }

    fn host(host: &str) -> Query {
        Query { host: Some(host.parse().expect("valid")), ..Query::default() }
    }

    #[test]
    fn only_pages_in_the_asked_range_are_read() {
        let (_dir, path) = sealed(45_000);
        let since_us = MIDNIGHT_US + 21_000;
        let query = Query { since_us: Some(since_us), until_us: Some(since_us + 10), ..Query::default() };
        let reader = SealedFile::open(&path).and_then(|file| file.reader(true)).expect("opens");
        let selection = pages_in_range(reader.metadata(), 0, &query).expect("has a page index");
        assert!(selection.row_count() <= 20_480 && selection.total_row_count() == 45_000, "{selection:?}");

        let mut newest = Newest::new(100);
        scan(&path, &query, &mut newest).expect("scans");
        let seqs: Vec<_> = newest.into_rows().iter().map(|row| row.seq).collect();
        assert_eq!(seqs, (21_000..21_010).rev().collect::<Vec<_>>());
    }

    #[test]
    fn bloom_filters_rule_out_what_statistics_cannot() {
        let (_dir, path) = sealed(10);
        let file = SealedFile::open(&path).expect("opens");
        let group = file.metadata().row_group(0);
        let admitted = |text: &str| {
            let query = host(text);
            let bloom = bloom_filters_admit(&file.reader(false).expect("reader"), 0, &query).expect("reads");
            (statistics_admit(group, &query), bloom)
        };
        assert_eq!(admitted("a.test"), (true, true));
        assert_eq!(admitted("b.test"), (true, false));
        assert_eq!(admitted("z.test"), (false, false));
    }

    #[test]
    fn statistics_rule_out_columns_without_values() {
        let (_dir, path) = sealed(10);
        let file = SealedFile::open(&path).expect("opens");
        let query = Query { deployment: Some("a".to_owned()), ..Query::default() };
        assert!(!statistics_admit(file.metadata().row_group(0), &query));
    }
}
