//! The text of a template in the normal form of Khan et al., "Guidelines for Assessing the Accuracy of Log Message
//! Template Identification Techniques", ICSE 2022.
//!
//! Their rules, as they name them: double spaces become one (DS), booleans (BL), well-known names (US), digits (DG)
//! and paths (PS) are variables, a word with a variable in it is one (WV), and variables with a dot (DV) or nothing
//! (CV) between them are one.

/// A variable in the text of a template.
pub const VARIABLE: &str = "<*>";

/// The names that the rule US calls variables wherever they stand, and the booleans of BL.
const ALWAYS_VARIABLE: [&str; 5] = ["true", "false", "null", "root", "admin"];

/// Ends a path.
fn ends_path(c: char) -> bool {
    c.is_whitespace() || ",!;:=|\"'[](){}".contains(c)
}

/// Ends a word.
fn ends_word(c: char) -> bool {
    // Scripts without blanks: a Chinese sentence is no word.
    ends_path(c) || ".-+@#$%&".contains(c) || !c.is_ascii()
}

/// `template`, with `<*>` for its variables, in normal form.
#[must_use]
pub fn normal_form(template: &str) -> String {
    let spaced = template.split_whitespace().collect::<Vec<_>>().join(" ");
    let paths = map_pieces(&spaced, ends_path, |piece| if is_path(piece) { VARIABLE } else { piece });
    let mut words = map_pieces(&paths, ends_word, word);
    for doubled in ["<*>.<*>", "<*><*>"] {
        while words.contains(doubled) {
            words = words.replace(doubled, VARIABLE);
        }
    }
    unhashed(&joined_by_signs(&words))
}

/// `#<*>#` alone is one variable; in a list (`<*>##<*>`) the signs stand between.
fn unhashed(text: &str) -> String {
    let mut out = text.to_owned();
    let mut from = 0;
    while let Some(at) = out[from..].find("#<*>#").map(|at| from + at) {
        let alone = !out[..at].ends_with(['#', '>']) && !out[at + 5..].starts_with(['#', '<']);
        if alone {
            out.replace_range(at..at + 5, VARIABLE);
        }
        from = at + 3;
    }
    out
}

/// Three and more variables with nothing but colons or hyphens between them are one: addresses of devices, block
/// names, times in odd forms. Two may be a range or a pair, and stay.
fn joined_by_signs(text: &str) -> String {
    let mut out = text.to_owned();
    for sign in [":", "-"] {
        let run = format!("{VARIABLE}{sign}{VARIABLE}{sign}{VARIABLE}");
        while let Some(at) = out.find(&run) {
            let mut end = at + run.len();
            while out[end..].strip_prefix(sign).is_some_and(|rest| rest.starts_with(VARIABLE)) {
                end += sign.len() + VARIABLE.len();
            }
            out.replace_range(at..end, VARIABLE);
        }
    }
    out
}

fn word(piece: &str) -> &str {
    if ALWAYS_VARIABLE.iter().any(|w| piece.eq_ignore_ascii_case(w))
        || (!piece.is_empty() && piece.bytes().all(|b| b.is_ascii_digit()))
        || (piece.contains(VARIABLE) && !piece.contains('/'))
    {
        VARIABLE
    } else {
        piece
    }
}

/// `/a`, `/a/b`: no empty name between the slashes.
fn is_path(piece: &str) -> bool {
    piece.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|name| !name.is_empty()))
}

/// `text` with each piece between `cut` characters replaced by `map` of it.
fn map_pieces<'a>(text: &'a str, cut: fn(char) -> bool, map: fn(&'a str) -> &'a str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(cut) {
        out.push_str(map(&rest[..at]));
        let width = rest[at..].chars().next().map_or(1, char::len_utf8);
        out.push_str(&rest[at..at + width]);
        rest = &rest[at + width..];
    }
    out.push_str(map(rest));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_paper_hold() {
        for (given, wanted) in [
            ("a  b\t c ", "a b c"),
            ("x=true root 12 v1", "x=<*> <*> <*> v1"),
            ("open /var/log/x.log now", "open <*> now"),
            ("blk_<*> of node-<*>", "<*> of node-<*>"),
            ("<*>.<*>.<*>:<*>", "<*>:<*>"),
            ("<*><*> a/<*>", "<*> a/<*>"),
            ("at <*>:<*>:<*>:<*> of <*>-<*>", "at <*> of <*>-<*>"),
            ("User #<*>#, <*>##<*>##<*>", "User <*>, <*>##<*>##<*>"),
            ("vCores:<*>>", "vCores:<*>"),
        ] {
            assert_eq!(normal_form(given), wanted);
        }
    }
}
