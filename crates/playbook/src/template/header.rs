//! The first line `#jinja2: trim_blocks:False, variable_start_string:'[%'` of a template file.

use super::error::{Result, TemplateError, bail};
use super::lexer::Syntax;

/// The syntax with the header's settings, and the text after it.
pub(crate) fn header<'t>(source: &'t str, syntax: &Syntax) -> Result<(Syntax, &'t str)> {
    let mut syntax = syntax.clone();
    let Some(line) = source.strip_prefix("#jinja2:") else { return Ok((syntax, source)) };
    let (line, rest) = line.split_once('\n').unwrap_or((line, ""));
    for pair in pairs(line) {
        let Some((key, value)) = pair.split_once(':') else {
            return Err(TemplateError::Syntax {
                message: format!("the header needs name:value pairs, found {pair:?}"),
                line: 1,
            });
        };
        let value = value.trim();
        let text = value.trim_matches(['\'', '"']).to_owned();
        let truth = matches!(value, "True" | "true" | "1" | "yes");
        match key.trim() {
            "trim_blocks" => syntax.trim_blocks = truth,
            "lstrip_blocks" => syntax.lstrip_blocks = truth,
            "keep_trailing_newline" => syntax.keep_trailing_newline = truth,
            "variable_start_string" => syntax.variable_start = text,
            "variable_end_string" => syntax.variable_end = text,
            "block_start_string" => syntax.block_start = text,
            "block_end_string" => syntax.block_end = text,
            "comment_start_string" => syntax.comment_start = text,
            "comment_end_string" => syntax.comment_end = text,
            // Ours are '\n' already, and nothing is escaped unless asked.
            "newline_sequence" | "autoescape" | "extensions" => {}
            other => bail!(
                "{other:?} is not known in a #jinja2 header; accepted: trim_blocks, lstrip_blocks, keep_trailing_newline, newline_sequence and the *_start_string and *_end_string marks"
            ),
        }
    }
    let marks = [
        &syntax.variable_start,
        &syntax.variable_end,
        &syntax.block_start,
        &syntax.block_end,
        &syntax.comment_start,
        &syntax.comment_end,
    ];
    if marks.iter().any(|mark| mark.is_empty()) {
        bail!("a mark in the #jinja2 header is empty; accepted: at least one character");
    }
    Ok((syntax, rest))
}

/// Pairs between commas that stand outside quotes.
fn pairs(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quote = None;
    for c in line.trim().chars() {
        match quote {
            None if c == ',' => {
                out.push(String::new());
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        if let Some(last) = out.last_mut() {
            last.push(c);
        }
    }
    out.retain(|pair| !pair.trim().is_empty());
    out
}
