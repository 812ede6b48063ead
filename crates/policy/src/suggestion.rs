//! "Did you mean": the known name that a misspelt one is nearest to.

/// A hint that names the candidate nearest to `written`, or else all of a short list of them.
pub(crate) fn did_you_mean<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    /// Above this many names a list helps nobody.
    const LISTED: usize = 16;

    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(nearest) = nearest(written, &candidates) {
        return Some(format!("did you mean `{nearest}`?"));
    }
    match candidates.as_slice() {
        [] => None,
        [only] => Some(format!("the only known name is `{only}`")),
        some if some.len() <= LISTED => Some(format!("known are {}", some.join(", "))),
        _ => None,
    }
}

/// The candidate within a third of the written length, the nearest first.
pub(crate) fn nearest<'a>(written: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // The distance costs the product of the lengths; no name that we know is this long.
    if written.len() > 64 {
        return None;
    }
    let lower = written.to_ascii_lowercase();
    let most = (written.chars().count() / 3).max(1);
    candidates
        .iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase());
            (distance, *candidate)
        })
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_nearest() {
        let hint = |written| did_you_mean(written, ["Allow", "Audit", "Block"]);
        assert_eq!(hint("Blok").as_deref(), Some("did you mean `Block`?"));
        assert_eq!(hint("aduit").as_deref(), Some("did you mean `Audit`?"));
        assert_eq!(hint("Forbid").as_deref(), Some("known are Allow, Audit, Block"));
    }

    #[test]
    fn a_long_list_is_not_recited() {
        let many: Vec<String> = (0..40).map(|n| format!("name{n}")).collect();
        assert_eq!(did_you_mean("something", many.iter().map(String::as_str)), None);
    }
}
