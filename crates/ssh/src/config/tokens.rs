//! `%h` and its like, `~/` and `${…}` in values.

use super::settings::Caller;

/// What the tokens stand for.
pub(super) struct Tokens<'a> {
    pub(super) caller: &'a Caller,
    /// `%n`
    pub(super) asked: &'a str,
    /// `%h`
    pub(super) host: &'a str,
    /// `%p`
    pub(super) port: u16,
    /// `%r`
    pub(super) user: &'a str,
    /// `%k`
    pub(super) key_alias: &'a str,
}

impl Tokens<'_> {
    /// A path with everything put in.
    ///
    /// # Errors
    /// What cannot be put in, and what could.
    pub(super) fn path(&self, text: &str) -> Result<String, String> {
        let home = self.caller.home.to_string_lossy();
        let text = match text.strip_prefix('~') {
            None => text.to_owned(),
            Some("") => home.into_owned(),
            Some(rest) if rest.starts_with('/') => format!("{home}{rest}"),
            Some(_) => {
                return Err(format!("`{text}`: homes of other users are not looked up; write the path"));
            }
        };
        self.percent(&self.variables(&text)?)
    }

    fn percent(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('%') => out.push('%'),
                Some('h') => out.push_str(self.host),
                Some('n') => out.push_str(self.asked),
                Some('p') => out.push_str(&self.port.to_string()),
                Some('r') => out.push_str(self.user),
                Some('k') => out.push_str(self.key_alias),
                Some('u') => out.push_str(&self.caller.user),
                Some('d') => out.push_str(&self.caller.home.to_string_lossy()),
                other => {
                    let token: String = other.into_iter().collect();
                    return Err(format!(
                        "`%{token}` is not known here; %%, %d, %h, %k, %n, %p, %r and %u are"
                    ));
                }
            }
        }
        Ok(out)
    }

    fn variables(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or_else(|| format!("`{text}`: `}}` is missing"))?;
            let value = self.caller.variables.get(name);
            out.push_str(before);
            out.push_str(value.ok_or_else(|| format!("the environment variable {name} is not set"))?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}
