//! Links between chapters, and to places in them.

use std::collections::{BTreeMap, BTreeSet};

use crate::pages::{self, Page};

#[test]
fn every_link_inside_the_book_leads_somewhere() {
    let pages = pages::all();
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        pages.iter().map(|page| (page.name.as_str(), anchors(page))).collect();
    let mut followed = 0;
    for page in &pages {
        for link in page.texts().flat_map(links).filter(|link| !link.contains("://")) {
            let (target, place) =
                link.split_once('#').map_or((link, None), |(target, place)| (target, Some(place)));
            let target = if target.is_empty() { page.name.as_str() } else { target };
            let known = anchors.get(target);
            let known = known.unwrap_or_else(|| panic!("{}: no such chapter: {link}", page.name));
            if let Some(place) = place {
                assert!(known.contains(place), "{}: no such heading: {link}: {known:?}", page.name);
            }
            followed += 1;
        }
    }
    assert!(followed > 20, "only {followed} links were found");
}

/// What stands in the parentheses of `[…](…)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
}

/// The places that mdBook makes of headings.
fn anchors(page: &Page) -> BTreeSet<String> {
    let headings = page.texts().filter(|line| line.starts_with('#'));
    headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|char| match char {
        ' ' => Some('-'),
        '-' | '_' => Some(char),
        _ if char.is_alphanumeric() => Some(char),
        _ => None,
    });
    kept.collect::<String>().to_lowercase()
}
