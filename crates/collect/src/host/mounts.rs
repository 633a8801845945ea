//! `/proc/self/mounts`: what is mounted where.

/// One line of the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) device: String,
    pub(crate) mountpoint: String,
    pub(crate) fstype: String,
    pub(crate) options: String,
}

impl Mount {
    /// True when one of the comma-separated options is `word`.
    pub(crate) fn has_option(&self, word: &str) -> bool {
        self.options.split(',').any(|o| o == word)
    }
}

/// All mounts, in the order in which they were made.
pub(crate) fn mounts(text: &str) -> impl Iterator<Item = Mount> + '_ {
    text.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        Some(Mount {
            device: unescape(fields.next()?),
            mountpoint: unescape(fields.next()?),
            fstype: unescape(fields.next()?),
            options: unescape(fields.next()?),
        })
    })
}

/// Blanks, tabs, newlines and backslashes are written as `\` and three octal digits.
fn unescape(field: &str) -> String {
    if !field.contains('\\') {
        return field.to_owned();
    }
    let mut out = Vec::with_capacity(field.len());
    let mut bytes = field.as_bytes();
    while let Some((&first, rest)) = bytes.split_first() {
        let code = rest.get(..3).filter(|_| first == b'\\').and_then(octal);
        match code {
            Some(byte) => {
                out.push(byte);
                bytes = rest.get(3..).unwrap_or_default();
            }
            None => {
                out.push(first);
                bytes = rest;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn octal(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_in_names_are_read_back() {
        let text = "/dev/sda1 /mnt/a\\040b\\134c ext4 rw,relatime 0 0\nshort line\n";
        let got: Vec<Mount> = mounts(text).collect();
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].mountpoint, "/mnt/a b\\c");
        assert!(got[0].has_option("rw") && !got[0].has_option("ro"));
    }

    #[test]
    fn a_broken_escape_stays_as_it_is() {
        assert_eq!(unescape("a\\9z"), "a\\9z");
        assert_eq!(unescape("a\\04"), "a\\04");
    }
}
