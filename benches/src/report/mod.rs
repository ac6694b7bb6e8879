//! Turns measured numbers into the tables and plots of PERFORMANCE.md.
//!
//! Tables go between markers in the page, `<!-- measured: NAME -->` and `<!-- end -->`; everything
//! around them is written by people. A file of numbers that is not there leaves its parts alone.

mod bars;
mod lines;
mod page;
mod plots;
mod svg;
mod tables;

use std::fs::{read_to_string, write};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::allocations::Counted;
use crate::sockets::{Result, Results};

/// Brings the page up to date, and the plots beside the numbers in `folder`: `sockets.json`,
/// `sweep.json`, `peers.json`, `allocations.json`. Tells which files were there.
///
/// # Errors
/// Files that cannot be read or written, markers that are missing.
pub fn refresh(page: &Path, folder: &Path) -> Result<Vec<String>> {
    let mut text = read_to_string(page).map_err(|error| named(page, error))?;
    let mut found = Vec::new();
    if let Some(results) = read::<Results>(folder, "sockets.json", &mut found)? {
        page::replace(&mut text, "machine", &tables::machine(&results.machine))?;
        page::replace(&mut text, "workloads", &tables::workloads(&results))?;
        draw(folder, "workloads.svg", &plots::workloads(&results))?;
        draw(folder, "memory.svg", &plots::memory(&results))?;
    }
    if let Some(results) = read::<Results>(folder, "peers.json", &mut found)? {
        page::replace(&mut text, "peers", &tables::workloads(&results))?;
        draw(folder, "peers.svg", &plots::workloads(&results))?;
    }
    if let Some(results) = read::<Results>(folder, "sweep.json", &mut found)? {
        page::replace(&mut text, "sweep", &tables::workloads(&results))?;
        for (name, picture) in plots::sweeps(&results) {
            draw(folder, &format!("{name}.svg"), &picture)?;
        }
    }
    if let Some(counted) = read::<Vec<Counted>>(folder, "allocations.json", &mut found)? {
        page::replace(&mut text, "allocations", &tables::allocations(&counted))?;
    }
    write(page, text).map_err(|error| named(page, error))?;
    Ok(found)
}

fn read<T: DeserializeOwned>(
    folder: &Path,
    name: &str,
    found: &mut Vec<String>,
) -> Result<Option<T>> {
    let file = folder.join(name);
    if !file.exists() {
        return Ok(None);
    }
    let text = read_to_string(&file).map_err(|error| named(&file, error))?;
    found.push(name.to_owned());
    Ok(Some(serde_json::from_str(&text).map_err(|error| named(&file, error))?))
}

fn draw(folder: &Path, name: &str, picture: &str) -> Result<()> {
    let file = folder.join(name);
    Ok(write(&file, picture).map_err(|error| named(&file, error))?)
}

fn named(file: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", file.display())
}
