//! The soak as a chart: memory, descriptors and latency over time. SVG, readable on light and dark.

use std::fmt::Write as _;

use super::bars::STYLE;
use crate::soak::{Soak, Window};

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 140.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 30.0;

/// Name, class in the style, and value of one line.
type Line = (&'static str, &'static str, fn(&Window) -> f64);

const PANELS: [(&str, &[Line]); 3] = [
    ("memory, PSS in MiB", &[("PSS", "a", |window| window.held.pss_kib as f64 / 1024.0)]),
    ("descriptors", &[("open", "a", |window| window.held.descriptors as f64)]),
    (
        "latency, ms",
        &[
            ("p50", "a", |window| window.latencies.p50_us / 1e3),
            ("p99", "b", |window| window.latencies.p99_us / 1e3),
            ("p99.9", "c", |window| window.latencies.p999_us / 1e3),
        ],
    ),
];

/// The whole chart.
pub(super) fn svg(soak: &Soak) -> String {
    let panels = PANELS.iter().enumerate().map(|(index, (title, lines))| {
        let top = index as f64 * (HEIGHT + TOP) + TOP;
        panel(&soak.windows, top, title, lines)
    });
    let height = PANELS.len() as f64 * (HEIGHT + TOP) + TOP;
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0}' role='img' aria-label='memory, descriptors \
         and latency over {:.0} seconds'>\n{STYLE}{}<text x='{LEFT}' y='{:.0}'>0 to {:.0} s</text></svg>\n",
        soak.seconds,
        panels.collect::<String>(),
        height - 8.0,
        soak.seconds
    )
}

fn panel(windows: &[Window], top: f64, title: &str, lines: &[Line]) -> String {
    let bottom = top + HEIGHT - TOP;
    let most = windows.iter().flat_map(|window| lines.iter().map(|line| line.2(window))).fold(0.0, f64::max);
    let end_s = windows.last().map_or(1.0, |window| window.at_s);
    let mut text = format!(
        "<text class='title' x='8' y='{:.0}'>{title}</text>\n<line class='axis' x1='{LEFT}' x2='{WIDTH}' y1='{bottom:.0}' \
         y2='{bottom:.0}'/>\n<text x='8' y='{:.0}'>{most:.1}</text><text x='8' y='{bottom:.0}'>0</text>\n",
        top - 8.0,
        top + 10.0
    );
    for (index, (name, class, value)) in lines.iter().enumerate() {
        let points = windows.iter().map(|window| {
            let x = LEFT + window.at_s / end_s * (WIDTH - LEFT - 60.0);
            let y = bottom - value(window) / most.max(f64::MIN_POSITIVE) * (bottom - top);
            format!("{x:.1},{y:.1}")
        });
        let points: Vec<String> = points.collect();
        let y = top + 12.0 + index as f64 * 16.0;
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "<polyline class='{class}' points='{}'/><line class='{class}' stroke-width='3' x1='{:.0}' x2='{:.0}' y1='{:.0}' \
             y2='{:.0}'/><text x='{:.0}' y='{y:.0}'>{name}</text>",
            points.join(" "),
            WIDTH - 56.0,
            WIDTH - 44.0,
            y - 4.0,
            y - 4.0,
            WIDTH - 40.0,
        );
    }
    text
}
