//! Puts values into messages.

use std::borrow::Cow;

use wellkept_model::Text;

use crate::{Language, harmless, table, units};

/// Longest value that is put into a sentence, characters. Longer ones end in `…`: a sentence is for reading, and
/// the whole output of a program belongs into the evidence.
const VALUE_MAX: usize = 2000;

/// The message with this key, before values are put in; `None` when the language has no such key.
#[must_use]
pub fn text(language: Language, key: &str) -> Option<&'static str> {
    let table = table_of(language);
    table.binary_search_by(|(k, _)| (*k).cmp(key)).ok().and_then(|i| table.get(i)).map(|(_, text)| *text)
}

/// All keys of a language in order.
pub fn keys(language: Language) -> impl ExactSizeIterator<Item = &'static str> {
    table_of(language).iter().map(|(key, _)| *key)
}

fn table_of(language: Language) -> &'static [(&'static str, &'static str)] {
    match language {
        Language::En => table::EN,
        Language::ZhCn => table::ZH_CN,
    }
}

/// The sentence for a text in a language.
///
/// `{name}` becomes the value of that name; `{name|time}`, `|bytes`, `|duration` and `|percent` write it in
/// people's units. Values are put in once: braces in a value stay braces. A key that the language lacks is taken
/// from English; a key that English lacks too is shown with its values.
#[must_use]
pub fn render(language: Language, message: &Text) -> String {
    match text(language, &message.key).or_else(|| text(Language::En, &message.key)) {
        Some(template) => fill(language, template, message),
        None => unknown(message),
    }
}

fn fill(language: Language, template: &str, message: &Text) -> String {
    let mut out = String::with_capacity(template.len() + 32);
    for piece in pieces(template) {
        match piece {
            Piece::Literal(literal) => out.push_str(literal),
            Piece::Placeholder { whole, name, format } => match message.arg(name) {
                Some(value) => out.push_str(&shown(language, value, format)),
                None => out.push_str(whole),
            },
        }
    }
    out
}

fn shown<'a>(language: Language, value: &'a str, format: Option<&str>) -> Cow<'a, str> {
    match format.and_then(|f| units::format(language, f, value)) {
        Some(formatted) => Cow::Owned(formatted),
        None => bounded(value),
    }
}

fn bounded(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}…", harmless(&value[..end]))),
        None => harmless(value),
    }
}

fn unknown(message: &Text) -> String {
    let args: Vec<String> =
        message.args.iter().map(|(name, value)| format!("{}={}", bounded(name), bounded(value))).collect();
    let key = bounded(&message.key);
    if args.is_empty() { key.into_owned() } else { format!("{key}: {}", args.join(", ")) }
}

/// A part of a message.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Literal(&'a str),
    Placeholder { whole: &'a str, name: &'a str, format: Option<&'a str> },
}

/// Cuts a message into its parts. A brace that does not enclose a name is a brace.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut literal_from = 0;
    let mut at = 0;
    while let Some(open) = template[at..].find('{').map(|i| at + i) {
        let Some(close) = template[open..].find('}').map(|i| open + i) else { break };
        let inside = &template[open + 1..close];
        let (name, format) = inside.split_once('|').map_or((inside, None), |(n, f)| (n, Some(f)));
        if !is_word(name) || format.is_some_and(|f| !is_word(f)) {
            at = open + 1;
            continue;
        }
        if literal_from < open {
            out.push(Piece::Literal(&template[literal_from..open]));
        }
        out.push(Piece::Placeholder { whole: &template[open..=close], name, format });
        at = close + 1;
        literal_from = at;
    }
    if literal_from < template.len() {
        out.push(Piece::Literal(&template[literal_from..]));
    }
    out
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use wellkept_model::{
        ActionKind, ActionStatus, CauseKind, ChangeKind, EntityKind, FindingKind, IncidentStatus, MomentKind,
        PreventionKind, Severity,
    };

    use super::*;

    fn filled(template: &str, args: &[(&str, &str)]) -> String {
        let message = args.iter().fold(Text::new("t"), |t, (n, v)| t.with(n, v));
        fill(Language::En, template, &message)
    }

    fn placeholders(template: &str) -> BTreeSet<&str> {
        pieces(template)
            .into_iter()
            .filter_map(|p| match p {
                Piece::Placeholder { whole, .. } => Some(whole),
                Piece::Literal(_) => None,
            })
            .collect()
    }

    #[test]
    fn values_take_the_place_of_their_names() {
        assert_eq!(filled("{a} and {b}, {a}.", &[("a", "x"), ("b", "y")]), "x and y, x.");
        assert_eq!(
            filled("{n|bytes} by {at|time}", &[("n", "2048"), ("at", "0")]),
            "2.0 KiB by 1970-01-01T00:00:00Z"
        );
    }

    #[test]
    fn a_value_is_data_and_never_rendered_again() {
        assert_eq!(filled("{a}{b}", &[("a", "{b}"), ("b", "@severity.critical")]), "{b}@severity.critical");
        assert_eq!(filled("{a}", &[("a", "\u{1b}]0;x\u{7}\n")]), "\\u{1b}]0;x\\u{7}\\n");
    }

    #[test]
    fn a_value_that_does_not_fit_its_format_is_shown_as_it_came() {
        assert_eq!(filled("{a|bytes}", &[("a", "lots\n")]), "lots\\n");
        assert_eq!(filled("{a|unheard}", &[("a", "1")]), "1");
    }

    #[test]
    fn a_missing_value_leaves_its_name_and_stray_braces_stay() {
        assert_eq!(filled("{gone} { } {} {A} {x", &[("x", "1")]), "{gone} { } {} {A} {x");
        assert_eq!(filled("{{x}}", &[("x", "1")]), "{1}");
    }

    #[test]
    fn a_very_long_value_is_cut() {
        let long = filled("{a}", &[("a", &"é".repeat(1_000_000))]);
        assert_eq!(long.chars().count(), VALUE_MAX + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn an_unknown_key_is_shown_with_its_values() {
        let message = Text::new("no.such.key").with("service", "web").with("n", 3);
        for language in Language::ALL {
            assert_eq!(render(language, &message), "no.such.key: service=web, n=3");
        }
        assert_eq!(render(Language::En, &Text::new("no.such\u{202e}")), "no.such\\u{202e}");
    }

    #[test]
    fn a_known_key_is_rendered_in_the_language_asked_for() {
        assert_eq!(render(Language::En, &Text::new("severity.critical")), "Critical");
        assert_eq!(render(Language::ZhCn, &Text::new("severity.critical")), "严重");
    }

    #[test]
    fn both_languages_have_the_same_keys_and_placeholders() {
        let [en, zh]: [Vec<_>; 2] = Language::ALL.map(|language| keys(language).collect());
        assert_eq!(en, zh);
        for key in en {
            let [a, b] = Language::ALL.map(|l| placeholders(text(l, key).unwrap()));
            assert_eq!(a, b, "placeholders of {key}");
        }
    }

    #[test]
    fn every_format_in_the_messages_exists_and_no_placeholder_is_misspelt() {
        // Braces around text with blanks, such as `{ tcp: host:port }`, are an example of the keep file.
        let looks_meant = |rest: &str| rest.split('}').next().is_some_and(|inside| !inside.contains(' '));
        for language in Language::ALL {
            for key in keys(language) {
                for piece in pieces(text(language, key).unwrap()) {
                    match piece {
                        Piece::Literal(l) => {
                            let bad = l.split('{').skip(1).any(looks_meant);
                            assert!(!bad, "{key}: no placeholder is written like that: {l:?}");
                        }
                        Piece::Placeholder { format: Some(f), .. } => {
                            assert!(units::FORMATS.contains(&f), "{key}: there is no format {f}");
                        }
                        Piece::Placeholder { .. } => {}
                    }
                }
            }
        }
    }

    #[test]
    fn every_word_of_the_model_has_a_message() {
        let words = FindingKind::ALL
            .map(|k| format!("kind.finding.{}", k.word()))
            .into_iter()
            .chain(CauseKind::ALL.map(|k| format!("kind.cause.{}", k.word())))
            .chain(ActionKind::ALL.map(|k| format!("kind.action.{}", k.word())))
            .chain(ChangeKind::ALL.map(|k| format!("kind.change.{}", k.word())))
            .chain(EntityKind::ALL.map(|k| format!("kind.entity.{}", k.word())))
            .chain(MomentKind::ALL.map(|k| format!("kind.moment.{}", k.word())))
            .chain(ActionStatus::ALL.map(|k| format!("status.action.{}", k.word())))
            .chain(IncidentStatus::ALL.map(|k| format!("status.incident.{}", k.word())))
            .chain(PreventionKind::ALL.map(|k| format!("kind.prevention.{}", k.word())))
            .chain(Severity::ALL.map(|k| format!("severity.{}", k.word())));
        for key in words {
            for language in Language::ALL {
                assert!(text(language, &key).is_some_and(|t| !t.is_empty()), "{key} in {language:?}");
            }
        }
    }
}
