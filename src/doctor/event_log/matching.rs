//! Which execution has a row. Pure.
//!
//! A row is evidence for one execution only, and an execution needs only one row, although it may leave several. A row
//! belongs to an execution when its connector type is the same and it began between the execution's start and end, give
//! or take a tolerance for clocks that differ. Rows whose connector is not known for certain can only be told by time;
//! they are given to what is left over, and counted apart.

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

/// The evidence of each execution, in their order.
pub(in crate::doctor) fn evidence(executions: &[Execution], rows: &[Seen]) -> Vec<Evidence> {
    let mut found = vec![Evidence::None; executions.len()];
    let mut by_type: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, execution) in executions.iter().enumerate() {
        by_type.entry(&execution.connector_type).or_default().push(index);
    }
    for (connector_type, own) in by_type {
        let times = rows.iter().filter(|row| row.connector_type.as_deref() == Some(connector_type));
        give(times.map(|row| row.time_us).collect(), &own, executions, Evidence::Row, &mut found);
    }
    let left = found.iter().enumerate().filter(|(_, evidence)| **evidence == Evidence::None);
    let left: Vec<usize> = left.map(|(index, _)| index).collect();
    let unnamed = rows.iter().filter(|row| row.connector_type.is_none()).map(|row| row.time_us).collect();
    give(unnamed, &left, executions, Evidence::RowByTime, &mut found);
    found
}

/// Gives each time to the execution under way that ends first, which leaves the fewest executions without one.
fn give(mut times: Vec<i64>, some: &[usize], executions: &[Execution], kind: Evidence, found: &mut [Evidence]) {
    let window = |index: usize| {
        let execution = executions.get(index)?;
        Some((execution.start_us.saturating_sub(TOLERANCE_US), execution.end_us.saturating_add(TOLERANCE_US), index))
    };
    let mut waiting: Vec<(i64, i64, usize)> = some.iter().filter_map(|index| window(*index)).collect();
    waiting.sort_unstable();
    times.sort_unstable();
    let mut waiting = waiting.into_iter().peekable();
    let mut under_way: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
    for time_us in times {
        while let Some((_, end_us, index)) = waiting.next_if(|(start_us, _, _)| *start_us <= time_us) {
            under_way.push(Reverse((end_us, index)));
        }
        while under_way.peek().is_some_and(|Reverse((end_us, _))| *end_us < time_us) {
            under_way.pop();
        }
        if let Some(Reverse((_, index))) = under_way.pop()
            && let Some(evidence) = found.get_mut(index)
        {
            *evidence = kind;
        }
    }
}
