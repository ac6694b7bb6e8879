use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Metrics, Result, Shape, Spread};

/// Everything that one invocation measured, as it stands in the JSON file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Results {
    /// Where and how.
    pub machine: Machine,
    /// In the order of the plan.
    pub runs: Vec<Run>,
}

/// Where and how it was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Unix time at which it began, in seconds.
    pub began: u64,
    /// Seconds that it took.
    pub took: f64,
    /// CPUs of the machine.
    pub cpus: usize,
    /// What the CPU calls itself.
    pub cpu: String,
    /// The operating system.
    pub system: String,
    /// What `rustc` calls itself.
    pub compiler: String,
    /// Whether server and client had a CPU each.
    pub is_pinned: bool,
    /// Rounds.
    pub rounds: usize,
    /// Seconds of each measured window.
    pub window: f64,
    /// The largest part of one CPU, in percent, that other programs used during a run.
    pub foreign_percent_max: f64,
    /// Runs during which they used more than a tenth of a CPU.
    pub disturbed: usize,
}

/// One system on one shape, in all rounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// `w1` to `w7`, or the name of a sweep.
    pub group: String,
    /// What was done; see [`Shape`].
    pub shape: String,
    /// By which system.
    pub system: String,
    /// Round by round.
    pub rounds: Vec<Outcome>,
}

/// What came of one round.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its numbers.
    Measured(Metrics),
    /// What went wrong.
    Failed(String),
}

impl Run {
    /// A metric in each round.
    pub fn values(&self, metric: &str) -> Vec<Option<f64>> {
        let value = |outcome: &Outcome| match outcome {
            Outcome::Measured(metrics) => metrics.get(metric).copied(),
            Outcome::Failed(_) => None,
        };
        self.rounds.iter().map(value).collect()
    }

    /// A metric over all rounds.
    pub fn spread(&self, metric: &str) -> Option<Spread> {
        Spread::of(self.values(metric).into_iter().flatten())
    }

    /// What went wrong, if anything did.
    pub fn failure(&self) -> Option<&str> {
        self.rounds.iter().find_map(|outcome| match outcome {
            Outcome::Measured(_) => None,
            Outcome::Failed(words) => Some(words.as_str()),
        })
    }

    /// What was done.
    ///
    /// # Errors
    /// When the file was written by something else.
    pub fn shape(&self) -> Result<Shape> {
        Ok(self.shape.parse()?)
    }
}

impl Results {
    /// The run of a system in a group, if there is only one shape in it.
    pub fn find(&self, group: &str, system: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.group == group && run.system == system)
    }

    /// Puts what was measured before in front, but for what was measured again.
    pub(super) fn follow(&mut self, mut before: Self) {
        let is_again = |old: &Run| {
            let same = |new: &Run| old.shape == new.shape && old.system == new.system;
            self.runs.iter().any(|new| old.group == new.group && same(new))
        };
        before.runs.retain(|old| !is_again(old));
        before.runs.append(&mut self.runs);
        self.runs = before.runs;
        let (now, before) = (&mut self.machine, before.machine);
        now.took += before.took;
        now.disturbed += before.disturbed;
        now.foreign_percent_max = now.foreign_percent_max.max(before.foreign_percent_max);
    }

    /// All systems, in the order of the plan.
    pub fn systems(&self) -> Vec<&str> {
        let mut systems: Vec<&str> = Vec::new();
        for run in &self.runs {
            if !systems.contains(&run.system.as_str()) {
                systems.push(&run.system);
            }
        }
        systems
    }
}

impl Machine {
    /// This machine, now.
    #[allow(clippy::disallowed_methods, reason = "the date of a measurement")]
    pub(super) fn here() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            began: since_epoch.as_secs(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: name.map_or_else(|| "unknown".into(), |(_, name)| name.to_owned()),
            system: said_by("uname", &["-sr"]),
            compiler: said_by("rustc", &["--version"]),
            ..Self::default()
        }
    }
}

fn said_by(program: &str, arguments: &[&str]) -> String {
    let said = Command::new(program).args(arguments).output();
    said.map_or_else(
        |_| "unknown".into(),
        |said| String::from_utf8_lossy(&said.stdout).trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_again_is_replaced() {
        let run = |system: &str, rounds: usize| Run {
            group: "w1".into(),
            shape: "calls:1x1x0".into(),
            system: system.into(),
            rounds: vec![Outcome::Failed("x".into()); rounds],
        };
        let machine = Machine { disturbed: 2, ..Machine::default() };
        let before =
            Results { machine: machine.clone(), runs: vec![run("raw", 1), run("tokio", 1)] };
        let mut results = Results { machine, runs: vec![run("tokio", 3)] };
        results.follow(before);
        let found: Vec<_> =
            results.runs.iter().map(|run| (run.system.as_str(), run.rounds.len())).collect();
        assert_eq!((found, results.machine.disturbed), (vec![("raw", 1), ("tokio", 3)], 4));
    }
}
