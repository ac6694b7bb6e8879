//! Texts at the edge of JSON: what must be taken, what must be refused, and what readers differ in.
//!
//! Names begin with `y_` for what RFC 8259 has to be accepted, `n_` for what it has to be refused,
//! `i_` for what it leaves open: whatever is JSON but for its meaning, we take.

mod numbers;
mod places;
mod requests;
mod strings;
mod structures;
mod verdicts;

use alloc::string::String;
use alloc::vec::Vec;

/// A name that begins with the verdict, and a text of one value.
type Case = (&'static str, &'static [u8]);

/// What is too long to be written down.
fn computed() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |open: &str, middle: &str, close: &str, levels: usize| {
        [open.repeat(levels), middle.into(), close.repeat(levels)].concat().into_bytes()
    };
    let listed = |inside: String| alloc::format!("[{inside}]").into_bytes();
    let open_lists = "[".repeat(100_000).into_bytes();
    alloc::vec![
        ("y_structure_100_lists", nested("[", "", "]", 100)),
        ("y_structure_100_objects", nested("{\"a\":", "0", "}", 100)),
        ("y_structure_1000_elements", listed(["0"; 1000].join(","))),
        ("y_structure_1000_keys", {
            let keys: Vec<String> = (0..1000).map(|n| alloc::format!("\"{n}\":{n}")).collect();
            alloc::format!("{{{}}}", keys.join(",")).into_bytes()
        }),
        ("y_string_of_5000_bytes", listed(alloc::format!("\"{}\"", "x".repeat(5000)))),
        ("y_string_of_1000_escapes", listed(alloc::format!("\"{}\"", "\\u00e9".repeat(1000)))),
        ("y_space_of_5000_bytes", listed(" ".repeat(5000))),
        ("i_structure_500_lists", nested("[", "", "]", 500)),
        ("i_structure_500_objects", nested("{\"a\":", "0", "}", 500)),
        ("i_number_of_5000_digits", listed("7".repeat(5000))),
        (
            "i_number_with_a_fraction_of_5000_digits",
            listed(alloc::format!("0.{}", "3".repeat(5000)))
        ),
        ("n_structure_513_lists", nested("[", "", "]", 513)),
        ("n_structure_100000_open_lists", open_lists),
        ("n_structure_100000_open_objects", nested("{\"\":", "", "", 100_000)),
        ("n_structure_100000_lists_of_objects", nested("[{\"\":", "", "", 50_000)),
        ("n_structure_500_lists_closed_as_objects", nested("[", "", "}", 500)),
    ]
}

/// Every case.
fn all() -> Vec<(&'static str, Vec<u8>)> {
    let tables: [&[Case]; 4] = [numbers::CASES, strings::CASES, structures::CASES, places::CASES];
    let written = tables.into_iter().flatten().map(|(name, text)| (*name, text.to_vec()));
    written.chain(computed()).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Accept,
    Refuse,
    Either,
}

fn rule(name: &str) -> Rule {
    match name.as_bytes() {
        [b'y', b'_', ..] => Rule::Accept,
        [b'n', b'_', ..] => Rule::Refuse,
        [b'i', b'_', ..] => Rule::Either,
        _ => panic!("{name} begins with no verdict"),
    }
}
