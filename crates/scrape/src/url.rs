//! Addresses of servers, taken apart and put together.

use std::fmt;

use hyper::Uri;

/// An address with `http` or `https`, a host, and no user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) secure: bool,
    /// Without brackets, in lower case.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As the `Host` header has it.
    pub(crate) authority: String,
    /// Begins with a slash.
    pub(crate) path_and_query: String,
}

/// Why a text is no address that we can use. It never holds the text: that could hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("is no address")]
    Form,
    #[error("must begin with http:// or https://")]
    Scheme,
    #[error("names no host")]
    Host,
    #[error("must not name a user")]
    User,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.split('#').next().unwrap_or_default();
        let uri: Uri = text.parse().map_err(|_| UrlError::Form)?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(UrlError::Scheme),
        };
        let authority = uri.authority().ok_or(UrlError::Host)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::User);
        }
        if authority.host().is_empty() {
            return Err(UrlError::Host);
        }
        let named_port = authority.as_str().rsplit_once(':').filter(|(_, p)| !p.contains(']'));
        let port = match named_port {
            Some((_, port)) => port.parse().map_err(|_| UrlError::Form)?,
            None => default_port(secure),
        };
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        Ok(Self {
            secure,
            host: authority.host().trim_matches(['[', ']']).to_ascii_lowercase(),
            port,
            authority: authority.as_str().to_owned(),
            path_and_query: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        })
    }

    /// Where a redirect leads to.
    pub(crate) fn join(&self, location: &str) -> Result<Self, UrlError> {
        let scheme = if self.secure { "https" } else { "http" };
        if location.starts_with("http://") || location.starts_with("https://") {
            return Self::parse(location);
        }
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}"));
        }
        let path = self.path_and_query.split('?').next().unwrap_or("/");
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = match location.chars().next() {
            Some('/') => location.to_owned(),
            Some('?') => format!("{path}{location}"),
            None => path.to_owned(),
            Some(_) if location.split(['/', '?']).next().is_some_and(|first| first.contains(':')) => {
                return Err(UrlError::Scheme);
            }
            Some(_) => format!("{folder}/{location}"),
        };
        Self::parse(&format!("{scheme}://{}{path}", self.authority))
    }

    /// True when the other address is the same server over the same scheme.
    pub(crate) fn same_server(&self, other: &Self) -> bool {
        self.secure == other.secure && self.host == other.host && self.port == other.port
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path_and_query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let url = Url::parse("https://[::1]:8443/x?a=1#f").expect("a good address");
        assert_eq!((url.secure, url.host.as_str(), url.port), (true, "::1", 8443));
        assert_eq!(url.path_and_query, "/x?a=1");
        let url = Url::parse("http://Example.org").expect("a good address");
        assert_eq!((url.host.as_str(), url.port, url.path_and_query.as_str()), ("example.org", 80, "/"));
        for (bad, error) in [
            ("ftp://x/", UrlError::Scheme),
            ("/healthz", UrlError::Scheme),
            ("http://user:word@x/", UrlError::User),
            ("http://x:99999/", UrlError::Form),
            ("", UrlError::Form),
        ] {
            assert_eq!(Url::parse(bad), Err(error), "{bad}");
        }
    }

    #[test]
    fn a_redirect_is_followed_from_where_it_was_given() {
        let from = Url::parse("http://a:1/x/y?q=1").expect("a good address");
        for (location, to) in [
            ("/z", Some("http://a:1/z")),
            ("z?p=2", Some("http://a:1/x/z?p=2")),
            ("?p=2", Some("http://a:1/x/y?p=2")),
            ("//b/z", Some("http://b/z")),
            ("https://b:2/z", Some("https://b:2/z")),
            ("ftp://b/z", None),
            ("javascript:1", None),
        ] {
            assert_eq!(from.join(location).ok().map(|u| u.to_string()).as_deref(), to, "{location}");
        }
    }

    #[test]
    fn the_same_server_has_the_same_scheme_host_and_port() {
        let url = |t: &str| Url::parse(t).expect("a good address");
        assert!(url("http://A/x").same_server(&url("http://a:80/y")));
        for other in ["https://a/x", "http://b/x", "http://a:81/x"] {
            assert!(!url("http://a/x").same_server(&url(other)), "{other}");
        }
    }
}
