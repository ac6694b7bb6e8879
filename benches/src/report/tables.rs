use std::fmt::Write;

use crate::allocations::Counted;
use crate::sockets::{Machine, Results, markdown};

pub(super) fn workloads(results: &Results) -> String {
    let machine = &results.machine;
    let mut out = format!(
        "\n{} round{} of {} s each; median, and in brackets the least and the most.",
        machine.rounds,
        if machine.rounds == 1 { "" } else { "s" },
        machine.window
    );
    if machine.disturbed > 0 {
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            " During {} of {} runs other programs used more than a tenth of a CPU, at most {:.0} %.",
            machine.disturbed,
            results.runs.len() * machine.rounds,
            machine.foreign_percent_max
        );
    }
    out.push('\n');
    out + &markdown(results)
}

pub(super) fn machine(machine: &Machine) -> String {
    let Machine { cpus, cpu, system, compiler, is_pinned, .. } = machine;
    let place = match is_pinned {
        true => "server on CPU 0, client on CPU 1",
        false => "neither server nor client bound to a CPU",
    };
    let day = day(machine.began);
    format!("\n{cpus} × {cpu}, {system}, {compiler}; {place}; measured on {day}.\n")
}

pub(super) fn allocations(counted: &[Counted]) -> String {
    let mut out = String::from("\n| what | allocations | bytes |\n|---|---:|---:|\n");
    for Counted { what, allocations, bytes } in counted {
        let _ = writeln!(out, "| {what} | {allocations:.2} | {bytes:.0} |");
    }
    out
}

/// A Unix time as a date: the civil calendar, counted in eras of 400 years that begin in March.
fn day(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_names() {
        let cases = [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_700_000_000, "2023-11-14"),
            (4_107_542_400, "2100-03-01"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(day(seconds), expected);
        }
    }
}
