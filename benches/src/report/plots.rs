//! What is drawn of which numbers.

use super::bars::Bars;
use super::lines::Lines;
use super::svg::SERIES_MAX;
use crate::sockets::{Results, Spread, WORKLOADS, ratios, sweep_metric, sweep_size};

const FLOOR: &str = "raw";

/// The floor comes first in the results; here it is the mark, and has no bars.
fn compared(results: &Results) -> Vec<&str> {
    let systems = results.systems().into_iter().filter(|system| *system != FLOOR);
    systems.take(SERIES_MAX).collect()
}

/// Speed over that of the floor, for each workload that has a speed.
pub(super) fn workloads(results: &Results) -> String {
    let systems = compared(results);
    let mut groups = Vec::new();
    for workload in WORKLOADS {
        let Some(metric) = speed(workload.name) else { continue };
        let Some(floor) = results.find(workload.name, FLOOR) else { continue };
        let bar = |system: &&str| {
            let run = results.find(workload.name, system)?;
            ratios(&run.values(metric), &floor.values(metric))
        };
        groups.push((workload.name.to_uppercase(), systems.iter().map(bar).collect()));
    }
    let bars = Bars {
        title: "Speed, the floor being 1".into(),
        unit: "× raw, taken within each round".into(),
        series: systems.into_iter().map(str::to_owned).collect(),
        groups,
        first_style: 1,
        mark: Some(1.0),
    };
    bars.svg()
}

/// What is the more the better.
fn speed(workload: &str) -> Option<&'static str> {
    match workload {
        "w6" => None,
        "w7" => Some("delivered_per_s"),
        _ => Some("calls_per_s"),
    }
}

/// Bytes of an idle connection.
pub(super) fn memory(results: &Results) -> String {
    let systems = results.systems();
    let bar = |system: &&str| -> Option<Spread> {
        results.find("w6", system)?.spread("rss_per_connection")
    };
    let bars = Bars {
        title: "Memory of the server for an idle connection, W6".into(),
        unit: "resident bytes".into(),
        groups: vec![("W6".into(), systems.iter().map(bar).collect())],
        series: systems.into_iter().map(str::to_owned).collect(),
        first_style: 0,
        mark: None,
    };
    bars.svg()
}

/// File names and pictures of the sweeps that were measured.
pub(super) fn sweeps(results: &Results) -> Vec<(&'static str, String)> {
    let sweeps = [
        (
            "connections",
            "Calls by connections",
            "calls/s",
            "connections, 1 call outstanding on each",
        ),
        ("outstanding", "Calls by calls outstanding", "calls/s", "calls outstanding, 1 connection"),
        ("payload", "Echo by payload", "MB/s", "bytes of payload, 16 calls outstanding"),
        ("receivers", "Pushed messages by receivers", "delivered/s", "receivers"),
    ];
    let mut pictures = Vec::new();
    for (group, title, unit, across) in sweeps {
        let curves = results.systems().into_iter().take(SERIES_MAX);
        let curves: Vec<_> = curves
            .map(|system| (system.to_owned(), points(results, group, system)))
            .filter(|(_, points)| !points.is_empty())
            .collect();
        if !curves.is_empty() {
            let [title, unit, across] = [title, unit, across].map(str::to_owned);
            pictures.push((group, Lines { title, unit, across, curves }.svg()));
        }
    }
    pictures
}

fn points(results: &Results, group: &str, system: &str) -> Vec<(f64, f64)> {
    let runs = results.runs.iter().filter(|run| run.group == group && run.system == system);
    runs.filter_map(|run| {
        let value = run.spread(sweep_metric(group))?.median;
        Some((sweep_size(group, run.shape().ok()?) as f64, value))
    })
    .filter(|(_, value)| *value > 0.0)
    .collect()
}
