//! Secrets: passwords and passphrases that are wiped when dropped and cannot be printed.

use zeroize::Zeroizing;

/// A password or passphrase.
///
/// It has no `Debug`, `Display` or `Serialize`, so that it cannot reach a log, an error or an answer, and its memory is
/// wiped when it is dropped. The SSH library copies it once to build its packet and wipes that copy for passwords.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_gives_its_text_only_by_name() {
        assert_eq!(Secret::new("s3cret").expose(), "s3cret");
    }
}
