//! Permission bits from octal numbers and symbolic texts (`u=rwX,go-w`).

use serde_json::Value;

/// The mode that `wanted` means for a file with these bits.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn parse(wanted: &Value, now: u32, folder: bool, umask: u32) -> Result<u32, String> {
    match wanted {
        Value::Number(number) => number
            .as_u64()
            .and_then(|bits| u32::try_from(bits).ok())
            .ok_or_else(|| format!("bad symbolic permission for mode: {number}")),
        Value::String(text) => match octal(text) {
            Some(bits) => Ok(bits),
            None => symbolic(text, now, folder, umask),
        },
        other => Err(format!("bad symbolic permission for mode: {}", super::python::text(other))),
    }
}

fn octal(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = text.strip_prefix("0o").or_else(|| text.strip_prefix("0O")).unwrap_or(text);
    u32::from_str_radix(digits, 8).ok()
}

fn symbolic(text: &str, now: u32, folder: bool, umask: u32) -> Result<u32, String> {
    let mut bits = now & 0o7777;
    for clause in text.split(',') {
        let bad = || format!("bad symbolic permission for mode: {clause}");
        let first = clause.find(['+', '-', '=']).unwrap_or(clause.len());
        let (users, mut rest) = clause.split_at(first);
        let masked = users.is_empty();
        let users = if matches!(users, "" | "a") { "ugo" } else { users };
        if !users.chars().all(|c| "ugo".contains(c)) {
            return Err(bad());
        }
        while let Some(operator) = rest.chars().next() {
            let after = rest.get(1..).unwrap_or_default();
            let end = after.find(['+', '-', '=']).unwrap_or(after.len());
            let (perms, tail) = after.split_at(end);
            if !perms.chars().all(|c| "rwxXstugo".contains(c)) {
                return Err(bad());
            }
            for user in users.chars() {
                let change = permissions(user, perms, bits, folder, if masked { umask } else { 0 });
                bits = apply(user, operator, change, bits);
            }
            rest = tail;
        }
    }
    Ok(bits)
}

fn permissions(user: char, perms: &str, now: u32, folder: bool, umask: u32) -> u32 {
    let shift = match user {
        'u' => 6,
        'g' => 3,
        _ => 0,
    };
    perms.chars().fold(0, |bits, perm| {
        bits | match perm {
            'r' => (4 << shift) & !umask,
            'w' => (2 << shift) & !umask,
            'x' => (1 << shift) & !umask,
            'X' if folder || now & 0o111 != 0 => 1 << shift,
            's' if user == 'u' => 0o4000,
            's' if user == 'g' => 0o2000,
            't' if user == 'o' => 0o1000,
            'u' => ((now >> 6) & 7) << shift,
            'g' => ((now >> 3) & 7) << shift,
            'o' => (now & 7) << shift,
            _ => 0,
        }
    })
}

fn apply(user: char, operator: char, change: u32, bits: u32) -> u32 {
    match operator {
        '+' => bits | change,
        '-' => bits & !change,
        _ => {
            let mask = match user {
                'u' => 0o4700,
                'g' => 0o2070,
                _ => 0o1007,
            };
            (bits & !mask) | change
        }
    }
}

/// As results show it: at least four digits with a leading zero.
pub(crate) fn shown(mode: u32) -> String {
    format!("0{:03o}", mode & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_and_symbolic_modes() {
        for (wanted, now, folder, expected) in [
            ("0644", 0, false, 0o644),
            ("755", 0, false, 0o755),
            ("u=rw,g=r,o=", 0o777, false, 0o640),
            ("u+x", 0o644, false, 0o744),
            ("a+X", 0o644, false, 0o644),
            ("a+X", 0o644, true, 0o755),
            ("g=u", 0o740, false, 0o770),
            ("+w", 0o444, false, 0o644),
            ("u+s,g+s,o+t", 0o755, false, 0o7755),
            ("u=rw-x+X,g=r-x+X,o=r-x+X", 0o777, false, 0o755),
        ] {
            let wanted = Value::String(wanted.to_owned());
            assert_eq!(parse(&wanted, now, folder, 0o022), Ok(expected), "{wanted}");
        }
        assert_eq!(parse(&Value::from(0o600), 0, false, 0), Ok(0o600));
        assert!(parse(&Value::String("u=q".into()), 0, false, 0).unwrap_err().contains("u=q"));
    }
}
