//! The console's files, embedded at build time.
//!
//! The build script builds `ui/` and writes a table of its files, sorted by path. A request is answered by looking its
//! path up in that table: paths are never joined, so no request can reach a file that is not part of the console.
//! How the files are sent (headers, which paths show the index) is left to `wellkept-api`.
//!
//! # Crate features
//!
//! - `embed` (default): needs Node.js and npm at build time. Without it [`asset`] and [`index`] give `None`.
#![forbid(unsafe_code)]

/// One file of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// Path in the URL, with the slash in front: `/assets/index-CX1U-jHc.js`.
    pub path: &'static str,
    /// Value for `Content-Type`.
    pub mime: &'static str,
    /// The whole content.
    pub body: &'static [u8],
    /// Value for `ETag`, quotes included: the first half of the content's SHA-256.
    pub etag: &'static str,
    /// True when the name carries a hash of the content, so that a browser may keep it for ever.
    pub immutable: bool,
}

/// Path of the page that every console route shows.
const INDEX: &str = "/index.html";

mod table {
    use super::Asset;
    include!(concat!(env!("OUT_DIR"), "/table.rs"));
}

/// The file at a URL path such as `/assets/index-CX1U-jHc.js`; the slash in front may be absent.
///
/// The path is compared as it is: nothing is decoded, and `..` means nothing.
#[must_use]
pub fn asset(path: &str) -> Option<&'static Asset> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let found = table::ASSETS.binary_search_by(|asset| asset.path.trim_start_matches('/').cmp(path)).ok()?;
    table::ASSETS.get(found)
}

/// The page itself; `None` when the console was not embedded.
#[must_use]
pub fn index() -> Option<&'static Asset> {
    asset(INDEX)
}

/// All files, sorted by path.
#[must_use]
pub fn assets() -> &'static [Asset] {
    table::ASSETS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_lookup_finds_every_file() {
        assert!(assets().is_sorted_by_key(|asset| asset.path));
        for one in assets() {
            assert_eq!(asset(one.path), Some(one));
            assert_eq!(asset(one.path.trim_start_matches('/')), Some(one));
        }
    }

    #[test]
    fn paths_that_leave_the_table_find_nothing() {
        for path in [
            "",
            "/",
            "/..",
            "/../Cargo.toml",
            "/assets/../index.html",
            "//index.html",
            "/assets/",
            "/%69ndex.html",
        ] {
            assert_eq!(asset(path), None, "{path}");
        }
    }

    #[cfg(not(feature = "embed"))]
    #[test]
    fn without_the_feature_there_is_no_console() {
        assert_eq!(index(), None);
    }

    #[cfg(feature = "embed")]
    mod embedded {
        use super::*;

        fn page() -> &'static str {
            std::str::from_utf8(index().expect("the console is embedded").body).expect("the page is UTF-8")
        }

        #[test]
        fn everything_that_the_page_names_is_in_the_table() {
            let named: Vec<&str> = page().split('"').filter(|part| part.starts_with("/assets/")).collect();
            assert!(named.len() >= 3, "script, style and icon: {named:?}");
            for path in named {
                assert!(asset(path).is_some_and(|found| found.immutable), "{path}");
            }
        }

        #[test]
        fn the_page_has_no_inline_script_or_style_and_names_no_other_host() {
            let page = page();
            for script in page.split("<script").skip(1) {
                let (tag, rest) = script.split_once('>').expect("the tag is closed");
                assert!(tag.contains(" src=\"/assets/") && rest.starts_with("</script>"), "{script}");
            }
            for forbidden in ["<style", " style=", " onload=", "http://", "https://"] {
                assert!(!page.contains(forbidden), "{forbidden}");
            }
        }

        #[test]
        fn the_page_itself_is_asked_for_anew_each_time() {
            let page = index().expect("the console is embedded");
            assert!(!page.immutable);
            assert_eq!(page.mime, "text/html; charset=utf-8");
        }

        #[test]
        fn every_file_has_its_own_etag_and_a_known_type() {
            for one in assets() {
                assert!(
                    one.etag.len() == 34 && one.etag.starts_with('"') && one.etag.ends_with('"'),
                    "{one:?}"
                );
                assert_ne!(one.mime, "application/octet-stream", "{}", one.path);
                assert!(!one.body.is_empty(), "{}", one.path);
            }
        }
    }
}
