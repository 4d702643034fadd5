//! Which execution has a row. Pure.
//!
//! A row is evidence for one execution only, and an execution needs only one row, although it may leave several. A row
//! belongs to an execution when its connector type is the same and it began between the execution's start and end, give
//! or take a tolerance for clocks that differ. What is left over can only be told by time, and is counted apart: rows whose
//! connector is not known for certain and, for connectors that may call any host, rows that look like another's.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::read::Execution;

/// How far the clocks of Kibana and the proxy may differ, in microseconds.
pub(in crate::doctor) const TOLERANCE_US: i64 = 5_000_000;

/// What of a row is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Seen {
    /// Microseconds since the Unix epoch.
    pub(in crate::doctor) time_us: i64,
    /// `None` where the connector is not known, or shared by several.
    pub(in crate::doctor) connector_type: Option<String>,
}

/// Which evidence an execution has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Evidence {
    /// A row of its connector type in its time.
    Row,
    /// A row in its time whose connector is not known.
    RowByTime,
    None,
}

/// The evidence of each execution, in their order. `calls_any_host` tells connector types whose calls look like others'.
pub(in crate::doctor) fn evidence(
    executions: &[Execution],
    rows: &[Seen],
    calls_any_host: impl Fn(&str) -> bool,
) -> Vec<Evidence> {
    let mut pairing = Pairing { executions, found: vec![Evidence::None; executions.len()] };
    let mut by_type: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut unnamed = Vec::new();
    for row in rows {
        match &row.connector_type {
            Some(connector_type) => by_type.entry(connector_type).or_default().push(row.time_us),
            None => unnamed.push(row.time_us),
        }
    }
    let mut unused = Vec::new();
    for (connector_type, times) in by_type {
        unused.extend(pairing.give(times, Evidence::Row, |execution| execution.connector_type == connector_type));
    }
    pairing.give(unused, Evidence::RowByTime, |execution| calls_any_host(&execution.connector_type));
    pairing.give(unnamed, Evidence::RowByTime, |_| true);
    pairing.found
}

struct Pairing<'a> {
    executions: &'a [Execution],
    found: Vec<Evidence>,
}

impl Pairing<'_> {
    /// Gives each time to the execution under way that ends first, of those that have none yet and are `meant`: this leaves
    /// the fewest of them without. Returns the times nobody had use for.
    fn give(&mut self, mut times: Vec<i64>, kind: Evidence, meant: impl Fn(&Execution) -> bool) -> Vec<i64> {
        let open = self.executions.iter().zip(&self.found).enumerate();
        let open = open.filter(|(_, (execution, evidence))| **evidence == Evidence::None && meant(execution));
        let window = |(index, (execution, _)): (usize, (&Execution, &Evidence))| {
            let (start_us, end_us) = (execution.start_us, execution.end_us);
            (start_us.saturating_sub(TOLERANCE_US), end_us.saturating_add(TOLERANCE_US), index)
        };
        let mut waiting: Vec<(i64, i64, usize)> = open.map(window).collect();
        waiting.sort_unstable();
        times.sort_unstable();
        let mut waiting = waiting.into_iter().peekable();
        let mut under_way: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
        times.retain(|time_us| {
            while let Some((_, end_us, index)) = waiting.next_if(|(start_us, _, _)| start_us <= time_us) {
                under_way.push(Reverse((end_us, index)));
            }
            while under_way.peek().is_some_and(|Reverse((end_us, _))| end_us < time_us) {
                under_way.pop();
            }
            let first = under_way.pop().and_then(|Reverse((_, index))| self.found.get_mut(index));
            first.map(|evidence| *evidence = kind).is_none()
        });
        times
    }
}
