//! The comparison as a chart: how many times the CPU time of Tollgate each proxy takes. SVG, readable on light and dark.

use std::fmt::Write as _;

use super::comparison::find;
use crate::proxies::KINDS;
use crate::results::Entry;
use crate::scenario::Scenario;

const WIDTH: f64 = 880.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 70.0;
const ROW: f64 = 20.0;
const HEADING: f64 = 34.0;
/// The axis, in powers of two: a sixteenth to 128 times.
const LEAST: f64 = -2.0;
const MOST: f64 = 7.0;

pub(super) const STYLE: &str = "<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.axis { stroke: #8c959f; stroke-width: 1 }
.grid { stroke: #8c959f; stroke-width: .5; stroke-dasharray: 2 4 }
.more { fill: #bc4c00 }
.less { fill: #1a7f37 }
.a { stroke: #0969da } .b { stroke: #bc4c00 } .c { stroke: #8250df }
polyline { fill: none; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.more { fill: #f0883e }
.less { fill: #3fb950 }
.a { stroke: #58a6ff } .b { stroke: #f0883e } .c { stroke: #bc8cff }
}
</style>
";

/// The whole chart.
pub(super) fn svg(entries: &[Entry]) -> String {
    let (mut body, mut top) = (String::new(), HEADING);
    for scenario in Scenario::ALL {
        let Some(ours) = find(entries, scenario, "tollgate").map(|entry| entry.measured.cpu_us) else {
            continue;
        };
        let others = KINDS.iter().filter_map(|kind| find(entries, scenario, kind.name));
        let others: Vec<(&str, f64)> = others
            .filter(|entry| entry.peer != "tollgate")
            .map(|entry| (entry.peer.as_str(), entry.measured.cpu_us))
            .collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            body,
            "<text class='title' x='8' y='{}'>{} (Tollgate {ours:.1} µs)</text>",
            top + 14.0,
            scenario.title()
        );
        top += ROW;
        for (peer, cpu_us) in others {
            bar(&mut body, top, peer, cpu_us / ours);
            top += ROW;
        }
        top += ROW / 2.0;
    }
    let heading = "CPU time a call, as a multiple of Tollgate's (logarithmic): right of the line Tollgate is cheaper";
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {:.0}' role='img' aria-label=\"{heading}\">\n{STYLE}\
         <text x='8' y='18'>{heading}</text>\n{}{body}</svg>\n",
        top + 8.0,
        grid(top)
    )
}

fn x(ratio: f64) -> f64 {
    let position = (ratio.log2().clamp(LEAST, MOST) - LEAST) / (MOST - LEAST);
    LEFT + position * (WIDTH - LEFT - RIGHT)
}

fn grid(bottom: f64) -> String {
    let lines = (LEAST as i32..=MOST as i32).map(|power| {
        let ratio = f64::from(power).exp2();
        let class = if power == 0 { "axis" } else { "grid" };
        format!("<line class='{class}' x1='{0:.1}' x2='{0:.1}' y1='{HEADING}' y2='{bottom:.0}'/>\n", x(ratio))
    });
    lines.collect()
}

fn bar(body: &mut String, top: f64, peer: &str, ratio: f64) {
    let (from, to) = (x(1.0).min(x(ratio)), x(1.0).max(x(ratio)));
    let class = if ratio < 1.0 { "less" } else { "more" };
    let _ = writeln!(
        body,
        "<text x='24' y='{y:.0}'>{peer}</text><rect class='{class}' x='{from:.1}' y='{:.0}' width='{:.1}' height='12'/>\
         <text x='{:.1}' y='{y:.0}'>{ratio:.2}×</text>",
        top + 4.0,
        (to - from).max(1.0),
        to + 6.0,
        y = top + 14.0,
    );
}
