use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Column, Results, Run, Shape, Spread, WORKLOADS, ratios};

/// What all others are compared with.
pub(super) const FLOOR: &str = "raw";

/// Tables of everything that was measured, as Markdown.
pub fn markdown(results: &Results) -> String {
    let mut out = String::new();
    for workload in WORKLOADS {
        let runs = group(results, workload.name);
        if !runs.is_empty() {
            table(&mut out, workload.title, workload.columns, &runs);
        }
    }
    for (name, title) in SWEEPS {
        let runs = group(results, name);
        if !runs.is_empty() {
            sweep(&mut out, title, &results.systems(), &runs);
        }
    }
    out
}

/// Names of sweeps, with what their tables are called.
const SWEEPS: [(&str, &str); 4] = [
    ("connections", "add, calls/s by connections, 1 outstanding on each"),
    ("outstanding", "add, calls/s by calls outstanding, 1 connection"),
    ("payload", "echo, MB/s by bytes of payload, 1 connection, 16 outstanding"),
    ("receivers", "messages of 64 bytes pushed, delivered/s by receivers"),
];

fn group<'a>(results: &'a Results, name: &str) -> Vec<&'a Run> {
    results.runs.iter().filter(|run| run.group == name).collect()
}

// Writing to a string cannot fail, here and below.
fn table(out: &mut String, title: &str, columns: &[Column], runs: &[&Run]) {
    let headings: Vec<_> = columns.iter().map(|column| column.heading).collect();
    let _ = writeln!(out, "\n### {title}\n");
    let _ = writeln!(out, "| system | {} | × {FLOOR} |", headings.join(" | "));
    let _ = writeln!(out, "|---|{}", "---:|".repeat(columns.len() + 1));
    let Some(first) = columns.first() else { return };
    let floor = runs.iter().find(|run| run.system == FLOOR);
    for run in runs {
        let _ = write!(out, "| {} |", run.system);
        for column in columns {
            let cell = run.spread(column.metric);
            let _ = write!(out, " {} |", cell.map_or("–".into(), |s| spread(s, column.digits)));
        }
        let ratio =
            floor.and_then(|floor| ratios(&run.values(first.metric), &floor.values(first.metric)));
        let _ = writeln!(out, " {} |", ratio.map_or("–".into(), |ratio| spread(ratio, 2)));
    }
    for run in runs {
        if let Some(words) = run.failure() {
            let _ = writeln!(out, "\n{}: {words}", run.system);
        }
    }
}

fn sweep(out: &mut String, title: &str, systems: &[&str], runs: &[&Run]) {
    let _ = writeln!(out, "\n### {title}\n");
    let _ = writeln!(out, "| | {} |", systems.join(" | "));
    let _ = writeln!(out, "|---:|{}", "---:|".repeat(systems.len()));
    // Systems may have been measured one after the other.
    let sizes: BTreeMap<usize, &str> =
        runs.iter().filter_map(|run| Some((size_of(run)?, run.shape.as_str()))).collect();
    for (size, shape) in sizes {
        let _ = write!(out, "| {} |", number(size as f64, 0));
        for system in systems {
            let run = runs.iter().find(|run| run.shape == shape && run.system == *system);
            let value = run.and_then(|run| run.spread(sweep_metric(&run.group)));
            let _ = write!(out, " {} |", value.map_or("–".into(), |v| number(v.median, 0)));
        }
        out.push('\n');
    }
}

/// What makes a run a point of its sweep.
fn size_of(run: &Run) -> Option<usize> {
    Some(sweep_size(&run.group, run.shape().ok()?))
}

/// What a sweep is about.
pub(crate) fn sweep_metric(group: &str) -> &'static str {
    match group {
        "payload" => "mb_per_s",
        "receivers" => "delivered_per_s",
        _ => "calls_per_s",
    }
}

/// What changes from point to point.
pub(crate) fn sweep_size(group: &str, shape: Shape) -> usize {
    match shape {
        Shape::Calls { connections, outstanding, payload } => match group {
            "connections" => connections,
            "outstanding" => outstanding,
            _ => payload,
        },
        Shape::Idle { connections } => connections,
        Shape::Push { receivers } => receivers,
    }
}

fn spread(spread: Spread, digits: usize) -> String {
    let Spread { median, min, max } = spread;
    if min == max {
        return number(median, digits);
    }
    format!("{} ({}–{})", number(median, digits), number(min, digits), number(max, digits))
}

/// With a comma before each three digits.
pub(crate) fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = match text.split_once('.') {
        Some((whole, rest)) => (whole, format!(".{rest}")),
        None => (text.as_str(), String::new()),
    };
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::{Machine, Metrics, Outcome};

    #[test]
    fn numbers_are_grouped() {
        let cases =
            [(0.0, 0, "0"), (999.0, 0, "999"), (1234.5, 1, "1,234.5"), (1e6, 0, "1,000,000")];
        for (value, digits, expected) in cases {
            assert_eq!(number(value, digits), expected);
        }
        assert_eq!(number(-1234.0, 0), "-1,234");
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        let run = |system: &str, values: [f64; 2]| Run {
            group: "w2".into(),
            shape: "calls:1x64x0".into(),
            system: system.into(),
            rounds: values
                .map(|value| Outcome::Measured(Metrics::from([("calls_per_s".into(), value)])))
                .to_vec(),
        };
        let runs = vec![run("raw", [100.0, 200.0]), run("tokio", [50.0, 100.0])];
        let text = markdown(&Results { machine: Machine::default(), runs });
        assert!(text.contains("| tokio | 75 (50–100) | – | – | 0.50 |"), "{text}");
    }

    #[test]
    fn a_size_has_one_line_however_it_was_measured() {
        let run = |system: &str, outstanding: usize| Run {
            group: "outstanding".into(),
            shape: format!("calls:1x{outstanding}x0"),
            system: system.into(),
            rounds: vec![Outcome::Measured(Metrics::from([("calls_per_s".into(), 7.0)]))],
        };
        let runs = vec![run("raw", 2), run("raw", 1), run("tokio", 1), run("tokio", 2)];
        let text = markdown(&Results { machine: Machine::default(), runs });
        assert!(text.ends_with("| 1 | 7 | 7 |\n| 2 | 7 | 7 |\n"), "{text}");
    }
}
