//! Names that are nearly another one.

/// So many are named at most.
const SHOWN_MAX: usize = 3;

/// Longer ones are not compared: nobody types them.
const LENGTH_MAX: usize = 64;

/// What to say about a name that nobody knows; nothing if none comes near.
pub(crate) fn hint<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let wrong: Vec<char> = wrong.to_lowercase().chars().take(LENGTH_MAX + 1).collect();
    let mut near: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let other: Vec<char> = name.to_lowercase().chars().take(LENGTH_MAX + 1).collect();
            let edits_max = (wrong.len().min(other.len()) / 2).min(2);
            let edits = distance(&wrong, &other);
            let begins = wrong.len() >= 2 && other.starts_with(&wrong);
            (edits <= edits_max || begins).then_some((edits, name))
        })
        .collect();
    near.sort_unstable();
    let names: Vec<String> =
        near.into_iter().take(SHOWN_MAX).map(|(_, name)| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("hint: did you mean {}?", names.join(" or ")))
}

/// How many letters must be changed, added or taken away (Levenshtein).
fn distance(from: &[char], to: &[char]) -> usize {
    if from.len() > LENGTH_MAX || to.len() > LENGTH_MAX {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn what_is_near_is_named() {
        let names = ["add", "greet", "get_stats", "multiply", "sleep"];
        let of = |wrong: &str| hint(wrong, names.into_iter());
        assert_eq!(of("ad").as_deref(), Some("hint: did you mean `add`?"));
        assert_eq!(of("Gret").as_deref(), Some("hint: did you mean `greet`?"));
        assert_eq!(of("mutliply").as_deref(), Some("hint: did you mean `multiply`?"));
        assert_eq!(of("get").as_deref(), Some("hint: did you mean `get_stats`?"));
        assert_eq!(of("nope"), None);
        assert_eq!(of(""), None);
        assert_eq!(of(&"x".repeat(100_000)), None);
    }
}
