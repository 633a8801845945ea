//! The word that was probably meant.

/// Words longer than this are not compared; no accepted word is near them.
const WORD_CHARS_MAX: usize = 64;

/// The accepted word with the fewest edits, when those are few enough for a typing mistake.
#[must_use]
pub fn nearest<'a>(word: &str, accepted: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().count() > WORD_CHARS_MAX {
        return None;
    }
    let allowed = 1 + word.chars().count() / 4;
    accepted
        .into_iter()
        .map(|candidate| (edits(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
fn edits(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let width = b.len() + 1;
    let mut rows = vec![0usize; (a.len() + 1) * width];
    let cell =
        |rows: &[usize], i: usize, j: usize| rows.get(i * width + j).copied().unwrap_or(usize::MAX / 2);
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            let best = match (i.checked_sub(1), j.checked_sub(1)) {
                (None, _) => j,
                (_, None) => i,
                (Some(pi), Some(pj)) => {
                    let same = usize::from(a.get(pi) != b.get(pj));
                    let mut best = (cell(&rows, pi, j) + 1).min(cell(&rows, i, pj) + 1);
                    best = best.min(cell(&rows, pi, pj) + same);
                    if pi > 0 && pj > 0 && a.get(pi) == b.get(pj - 1) && a.get(pi - 1) == b.get(pj) {
                        best = best.min(cell(&rows, pi - 1, pj - 1) + 1);
                    }
                    best
                }
            };
            if let Some(slot) = rows.get_mut(i * width + j) {
                *slot = best;
            }
        }
    }
    cell(&rows, a.len(), b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_word_that_was_meant() {
        let words = ["pidfile", "unit", "program", "restart", "health"];
        for (typed, meant) in [
            ("pidfle", Some("pidfile")),
            ("pid_file", Some("pidfile")),
            ("unti", Some("unit")),
            ("Restart", Some("restart")),
            ("helth", Some("health")),
            ("bananas", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, words), meant, "{typed}");
        }
    }

    #[test]
    fn counts_a_swap_as_one_edit() {
        assert_eq!(edits("ab", "ba"), 1);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
    }
}
