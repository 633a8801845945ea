//! Values that are seen only by their neighbours.

use wellkept_model::ParamKind;

use super::{Class, Token};

/// Makes a series of names (`an14 an15 an16`, three and more) one value: its length says nothing.
pub(super) fn series(text: &[u8], tokens: &mut Vec<Token>) {
    if tokens.iter().filter(|t| t.class == Class::Mixed).nth(2).is_none() {
        return;
    }
    let stem = |t: &Token| {
        let word = t.of(text);
        let letters = word.iter().position(u8::is_ascii_digit).unwrap_or(word.len());
        word.get(..letters).unwrap_or_default()
    };
    let follows = |a: &Token, b: &Token| {
        let one = |t: &Token| matches!(t.class, Class::Mixed | Class::Value(ParamKind::Id));
        one(a)
            && one(b)
            && a.end + 1 == b.start
            && text.get(a.end as usize) == Some(&b' ')
            && stem(a) == stem(b)
    };
    let (mut kept, mut at) = (0, 0);
    while at < tokens.len() {
        let run = tokens[at..].windows(2).take_while(|w| follows(&w[0], &w[1])).count();
        tokens[kept] = tokens[at];
        if run >= 2 && !stem(&tokens[at]).is_empty() {
            tokens[kept].end = tokens[at + run].end;
            tokens[kept].class = Class::Value(ParamKind::Text);
            at += run;
        }
        kept += 1;
        at += 1;
    }
    tokens.truncate(kept);
}

/// In `for user alice`, the last word is a name.
pub(super) fn named_user(text: &[u8], tokens: &mut [Token]) {
    let long = |t: &Token| t.end - t.start;
    for at in 2..tokens.len() {
        let [three, four, name] = &mut tokens[at - 2..=at] else { return };
        if long(four) == 4
            && long(three) == 3
            && name.class == Class::Word
            && four.of(text) == b"user"
            && three.of(text) == b"for"
        {
            name.class = Class::Value(ParamKind::Text);
        }
    }
}
