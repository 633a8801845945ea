//! Which of the languages a reader gets.

use std::str::FromStr;

/// Longest part of an `Accept-Language` header that is looked at, bytes. Browsers send less than 100.
const HEADER_MAX: usize = 1024;
/// Most entries of an `Accept-Language` header that are looked at.
const ENTRIES_MAX: usize = 32;

/// A language of the catalogue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    ZhCn,
}

/// A word that names none of the languages.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no language `{0}`: use en or zh-CN")]
pub struct ParseLanguageError(String);

impl Language {
    /// All languages.
    pub const ALL: [Self; 2] = [Self::En, Self::ZhCn];

    /// The tag of the language, as in HTML's `lang`.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }

    /// The language that a browser's `Accept-Language` header prefers; English when it names none of ours.
    ///
    /// Only the first 1 KiB and 32 entries count. Of equal weights the first wins.
    #[must_use]
    pub fn from_accept_language(header: &str) -> Self {
        let mut end = header.len().min(HEADER_MAX);
        while !header.is_char_boundary(end) {
            end -= 1;
        }
        let mut best: Option<(u32, Self)> = None;
        for entry in header[..end].split(',').take(ENTRIES_MAX) {
            let (tag, weight) = weighted(entry);
            let language = if tag == "*" { Some(Self::En) } else { tag.parse().ok() };
            if let Some(language) = language.filter(|_| weight > 0)
                && best.is_none_or(|(heaviest, _)| weight > heaviest)
            {
                best = Some((weight, language));
            }
        }
        best.map_or_else(Self::default, |(_, language)| language)
    }

    /// The language of a value such as `LANG` has: `zh_CN.UTF-8`, `en_GB`, `C`; English when it is none of ours.
    #[must_use]
    pub fn from_locale(locale: &str) -> Self {
        let name = locale.split(['.', '@']).next().unwrap_or_default();
        name.parse().unwrap_or_default()
    }
}

/// Tag and weight (0 to 1000) of one entry, for example `zh-CN;q=0.9`. A weight that is no number is 0.
fn weighted(entry: &str) -> (&str, u32) {
    let mut parts = entry.split(';').map(str::trim);
    let tag = parts.next().unwrap_or_default();
    let weight = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
    let weight = weight.map_or(1.0, |w| w.trim().parse::<f64>().unwrap_or(0.0));
    #[expect(clippy::cast_sign_loss, reason = "clamped to 0..=1 first; a NaN becomes 0")]
    let thousandths = (weight.clamp(0.0, 1.0) * 1000.0) as u32;
    (tag, thousandths)
}

impl FromStr for Language {
    type Err = ParseLanguageError;

    /// `en` and `zh` with any region or script, in any case, with `-` or `_`.
    fn from_str(tag: &str) -> Result<Self, Self::Err> {
        let first = tag.split(['-', '_']).next().unwrap_or_default();
        match first {
            f if f.eq_ignore_ascii_case("en") => Ok(Self::En),
            f if f.eq_ignore_ascii_case("zh") => Ok(Self::ZhCn),
            _ => Err(ParseLanguageError(tag.chars().take(32).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_language_that_we_have_wins() {
        let cases = [
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::ZhCn),
            ("en-GB,en;q=0.9,zh;q=0.8", Language::En),
            ("de-DE,de;q=0.9,zh-Hans;q=0.2,en;q=0.1", Language::ZhCn),
            ("en;q=0, zh;q=0.001", Language::ZhCn),
            ("zh;q=0", Language::En),
            ("fr", Language::En),
            ("*, zh;q=0.5", Language::En),
            ("", Language::En),
            ("zh;q=NaN, en;q=0.1", Language::En),
            ("zh;q=9e999", Language::ZhCn),
            (";;;q=1,,,=,", Language::En),
        ];
        for (header, language) in cases {
            assert_eq!(Language::from_accept_language(header), language, "{header}");
        }
    }

    #[test]
    fn a_huge_header_is_cut_before_it_is_read() {
        assert_eq!(Language::from_accept_language(&"de,".repeat(1_000_000)), Language::En);
        assert_eq!(Language::from_accept_language(&format!("{},zh", "中".repeat(600))), Language::En);
    }

    #[test]
    fn locales_are_understood() {
        for (locale, language) in [
            ("zh_CN.UTF-8", Language::ZhCn),
            ("en_US.UTF-8", Language::En),
            ("C", Language::En),
            ("", Language::En),
        ] {
            assert_eq!(Language::from_locale(locale), language, "{locale}");
        }
    }

    #[test]
    fn a_tag_is_read_back() {
        for language in Language::ALL {
            assert_eq!(language.tag().parse(), Ok(language));
        }
        assert!("klingon".parse::<Language>().is_err());
    }
}
