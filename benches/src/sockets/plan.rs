use std::time::Duration;

use super::{Shape, System, WORKLOADS};

/// What one invocation measures.
pub(super) struct Plan<'a> {
    pub(super) systems: Vec<&'a dyn System>,
    pub(super) points: Vec<Point>,
    pub(super) rounds: usize,
    pub(super) warmup: Duration,
    pub(super) window: Duration,
    pub(super) is_pinned: bool,
    /// How long to wait in all for other programs to leave the machine alone.
    pub(super) patience: Duration,
}

/// A shape within a group.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) group: String,
    pub(super) shape: Shape,
}

/// The workloads with these names.
pub(super) fn workloads(names: &[String]) -> Result<Vec<Point>, String> {
    let find = |name: &String| {
        let found = WORKLOADS.iter().find(|workload| workload.name == name.to_lowercase());
        let found = found.ok_or_else(|| format!("no workload `{name}`: there are w1 to w7"))?;
        Ok(Point { group: found.name.to_owned(), shape: found.shape })
    };
    names.iter().map(find).collect()
}
