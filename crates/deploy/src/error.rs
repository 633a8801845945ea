//! Why a deployment was not begun, or could not be written down.

use std::path::{Path, PathBuf};

use wellkept_model::Text;

/// Nothing was begun on any host, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A guard says no.
    #[error("{}", shown(.0))]
    Refused(Text),
    /// Our own files.
    #[error("failed to {what} {}", path.display())]
    Disk {
        /// The attempt.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn shown(text: &Text) -> String {
    let args: Vec<String> = text.args.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{} {}", text.key, args.join(", "))
}

impl DeployError {
    pub(crate) fn refused<T>(text: Text) -> Result<T, Self> {
        Err(Self::Refused(text))
    }

    pub(crate) fn disk(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Disk { what, path, source }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> Text {
        match self {
            Self::Refused(text) => text.clone(),
            Self::Disk { what, path, source } => {
                Text::new("deploy.disk").with("what", what).with("path", path.display()).with("error", source)
            }
        }
    }
}
