use crate::sockets::Result;

const END: &str = "<!-- end -->";

/// Puts `content` between the markers of this name.
pub(super) fn replace(page: &mut String, name: &str, content: &str) -> Result<()> {
    let begin = format!("<!-- measured: {name} -->");
    let missing = |marker: &str| format!("the page has no `{marker}` where it is needed");
    let start = page.find(&begin).ok_or_else(|| missing(&begin))? + begin.len();
    let length = page[start..].find(END).ok_or_else(|| missing(END))?;
    page.replace_range(start..start + length, &format!("\n{}\n", content.trim_end()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let mut page = "a\n<!-- measured: x -->\nold\n<!-- end -->\nb\n".to_owned();
        replace(&mut page, "x", "\nnew\n").expect("the markers are there");
        assert_eq!(page, "a\n<!-- measured: x -->\n\nnew\n<!-- end -->\nb\n");
        assert!(replace(&mut page, "y", "").is_err());
    }
}
