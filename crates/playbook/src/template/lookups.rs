//! `lookup()` and `query()`: the ones that need files or variables only; others are asked of the caller.

use std::rc::Rc;

use wellkept_inventory::{Files, Value};

use super::args::Args;
use super::convert::{data, to_val, to_value};
use super::error::{Result, TemplateError, bail, value_error};
use super::interp::Interp;
use super::lexer::Syntax;
use super::value::{Dict, Key, Val};

/// Lookups whose answer stays the same whatever hosts do.
const STEADY: &[&str] = &[
    "items",
    "list",
    "dict",
    "env",
    "vars",
    "varnames",
    "nested",
    "together",
    "indexed_items",
    "subelements",
    "sequence",
    "random_choice",
    "config",
    "inventory_hostnames",
];

/// The other lookups of ansible-core, which are never asked before their turn.
const MOVING: &[&str] = &[
    "file",
    "fileglob",
    "first_found",
    "template",
    "lines",
    "unvault",
    "csvfile",
    "ini",
    "password",
    "pipe",
    "url",
];

/// Whether ansible-core has a lookup of this name; those that are not answered here are asked of [`super::scope::Outside`].
pub(crate) fn is_known(name: &str) -> bool {
    [STEADY, MOVING].iter().any(|names| names.contains(&name))
}

/// The option by which lookups of the outside hear of the playbook's folder.
const BASE: &str = "_basedir";
/// Most bytes of a looked-up file.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Most numbers of a sequence.
const SEQUENCE_MAX: i128 = 1_000_000;

/// Calls a lookup. As a query the result is a list; else a single result stands alone and several are joined.
pub(crate) fn call(interp: &mut Interp<'_, '_>, query: bool, args: &Args<'_, '_>) -> Result<Val> {
    let name = args.need_text(0, "plugin")?;
    let options = &args.named;
    let option =
        |wanted: &str| options.iter().find(|(name, _)| &**name == wanted).map(|(_, value)| value.clone());
    let truth = |wanted: &str| option(wanted).map_or(Ok(false), |value| args.session.truth(&value));
    let wants_list = query || truth("wantlist")?;
    let errors = option("errors").map_or(Ok("strict".to_owned()), |value| args.session.text(&value))?;
    let terms = args.positional.get(1..).unwrap_or_default();
    let terms: Vec<Val> = terms.iter().map(|term| args.session.force(term)).collect::<Result<_>>()?;
    let named: Vec<(Rc<str>, Val)> =
        options.iter().filter(|(name, _)| !matches!(&**name, "wantlist" | "errors")).cloned().collect();
    let found = match run(interp, &name, &terms, &named) {
        Ok(found) => found,
        Err(TemplateError::Bound { what, max }) => return Err(TemplateError::Bound { what, max }),
        Err(_) if errors == "ignore" || errors == "warn" => {
            return Ok(if wants_list { Val::list(Vec::new()) } else { Val::None });
        }
        Err(TemplateError::Value(text)) => bail!("The lookup plugin '{name}' failed: {text}"),
        Err(other) => return Err(other),
    };
    if wants_list {
        return Ok(Val::list(found));
    }
    let texts = found.iter().all(|item| matches!(item, Val::Str(_)));
    match found.len() {
        0 => Ok(Val::list(Vec::new())),
        1 => Ok(found.into_iter().next().unwrap_or(Val::None)),
        _ if texts => {
            let texts: Vec<String> = found.iter().map(super::show::text).collect();
            Ok(Val::str(texts.join(",")))
        }
        _ => Ok(Val::list(found)),
    }
}

/// Runs a lookup on terms; also what `with_<name>` does.
pub(crate) fn run(
    interp: &mut Interp<'_, '_>,
    name: &str,
    terms: &[Val],
    options: &[(Rc<str>, Val)],
) -> Result<Vec<Val>> {
    let session = interp.session;
    let engine = session.engine;
    let short = super::tests::short(name);
    let text = |value: &Val| session.text(value);
    let option =
        |wanted: &str| options.iter().find(|(name, _)| &**name == wanted).map(|(_, value)| value.clone());
    if !STEADY.contains(&short) && engine.early.ask_outside() {
        bail!("the lookup {short} is not asked before its turn");
    }
    match short {
        "list" => Ok(terms.to_vec()),
        "items" => {
            let mut out = Vec::new();
            for term in terms {
                match term.items() {
                    Some(items) => out.extend(items),
                    None => out.push(term.clone()),
                }
            }
            Ok(out)
        }
        "dict" => {
            let mut out = Vec::new();
            for term in terms {
                let Val::Map(entries) = term else { bail!("with_dict expects a dict") };
                for (key, value) in entries.borrow().iter() {
                    let pair: Dict = [(Key::text("key"), key.value()), (Key::text("value"), value.clone())]
                        .into_iter()
                        .collect();
                    out.push(Val::map(pair));
                }
            }
            Ok(out)
        }
        "env" => {
            let default = option("default");
            terms
                .iter()
                .map(|term| {
                    let name = text(term)?;
                    Ok(match (engine.outside.env(&name), &default) {
                        (Some(found), _) => Val::str(found),
                        (None, Some(default)) => session.used(default)?,
                        (None, None) => Val::str(""),
                    })
                })
                .collect()
        }
        "vars" => {
            let mut out = Vec::new();
            for term in terms {
                let name: Rc<str> = text(term)?.as_str().into();
                match (session.variable(&name, &interp.scope.clone())?, option("default")) {
                    (Some(found), _) => out.push(found),
                    (None, Some(default)) => out.push(default),
                    (None, None) => bail!("No variable found with this name: {name}"),
                }
            }
            Ok(out)
        }
        "varnames" => {
            let names = interp.scope.names();
            let mut out = Vec::new();
            for term in terms {
                let regex = super::regexes::compile(session, &text(term)?, super::regexes::Flags::default())?;
                for name in &names {
                    if regex.is_match(session, name)? {
                        out.push(Val::str(name));
                    }
                }
            }
            Ok(out)
        }
        "nested" | "together" | "indexed_items" | "subelements" | "sequence" | "random_choice" => {
            combine(interp, short, terms, options)
        }
        "csvfile" => super::tables::csvfile(interp, terms, options),
        "ini" => super::tables::ini(interp, terms, options),
        "inventory_hostnames" => {
            let patterns: Vec<String> = terms.iter().map(text).collect::<Result<_>>()?;
            Ok(interp.scope.select(&patterns.join(",")).iter().map(Val::str).collect())
        }
        "file" | "unvault" | "fileglob" | "first_found" | "template" => {
            on_files(interp, short, terms, options)
        }
        _ => {
            let terms: Vec<Value> = terms.iter().filter_map(to_value).collect();
            let mut given = Vec::new();
            for (name, value) in options {
                given.push((name.to_string(), to_value(&session.force(value)?).unwrap_or(Value::Null)));
            }
            let folder = interp.scope.get("playbook_dir");
            given.extend(folder.map(|folder| (BASE.to_owned(), (*folder).clone())));
            match engine.outside.lookup(short, &terms, &given) {
                Some(Ok(found)) => Ok(found.iter().map(data).collect()),
                Some(Err(why)) => bail!("{why}"),
                None => Err(TemplateError::Refused(format!("lookup plugin ({name}) not found"))),
            }
        }
    }
}

fn combine(
    interp: &mut Interp<'_, '_>,
    name: &str,
    terms: &[Val],
    options: &[(Rc<str>, Val)],
) -> Result<Vec<Val>> {
    let session = interp.session;
    let args = |positional: Vec<Val>| Args { session, what: name.into(), positional, named: Vec::new() };
    let lists: Vec<Val> = terms
        .iter()
        .map(|term| if term.items().is_some() { term.clone() } else { Val::list(vec![term.clone()]) })
        .collect();
    let Some((first, rest)) = lists.split_first() else { return Ok(Vec::new()) };
    Ok(match name {
        "nested" => {
            let rows = super::filters::lists::apply("product", first, &args(rest.to_vec()))?;
            // Elements that are lists are laid out flat within their row.
            rows.items().unwrap_or_default().into_iter().map(flat_row).collect()
        }
        "together" => {
            let rows = super::filters::lists::apply("zip_longest", first, &args(rest.to_vec()))?;
            rows.items().unwrap_or_default().into_iter().map(flat_row).collect()
        }
        "indexed_items" => {
            let items: Vec<Val> = lists.iter().flat_map(|list| list.items().unwrap_or_default()).collect();
            items
                .into_iter()
                .enumerate()
                .map(|(at, item)| Val::tuple(vec![Val::Int(at as i128), item]))
                .collect()
        }
        "subelements" => {
            let mut given = vec![terms.get(1).cloned().unwrap_or(Val::None)];
            if let Some(Val::Map(flags)) = terms.get(2) {
                given.extend(flags.borrow().get(&Key::text("skip_missing")).cloned());
            }
            let found = super::filters::maps::apply(
                "subelements",
                terms.first().unwrap_or(&Val::None),
                &args(given),
            )?;
            // The lookup, unlike the filter, leaves the list out of what it came from.
            let path = terms.get(1).map(super::show::text).unwrap_or_default();
            found.items().unwrap_or_default().iter().map(|pair| without(pair, &path)).collect()
        }
        "random_choice" => {
            let all: Vec<Val> = lists.iter().flat_map(|list| list.items().unwrap_or_default()).collect();
            vec![super::filters::lists::random(&Val::list(all), &args(Vec::new()))?]
        }
        _ => {
            let mut out = Vec::new();
            for term in terms {
                out.extend(sequence(session, &session.text(term)?, options)?);
            }
            out
        }
    })
}

/// A pair of `subelements` whose first part has lost its list.
fn without(pair: &Val, path: &str) -> Val {
    let mut parts = pair.items().unwrap_or_default();
    if let (Some(Val::Map(entries)), false) = (parts.first(), path.contains('.')) {
        let mut entries = entries.borrow().clone();
        entries.shift_remove(&Key::text(path));
        let slim = Val::map(entries);
        if let Some(first) = parts.first_mut() {
            *first = slim;
        }
    }
    Val::list(parts)
}

fn flat_row(row: Val) -> Val {
    let mut out = Vec::new();
    for item in row.items().unwrap_or_default() {
        match item.items() {
            Some(items) => out.extend(items),
            None => out.push(item),
        }
    }
    Val::list(out)
}

/// `start=1 end=5 stride=2 format=host%02d`, or `1-5/2:host%02d`.
fn sequence(
    session: &super::session::Session<'_>,
    term: &str,
    options: &[(Rc<str>, Val)],
) -> Result<Vec<Val>> {
    let (mut start, mut end, mut count, mut stride, mut format) = (1i128, None, None, 1i128, "%d".to_owned());
    let number = |text: &str| {
        let text = text.trim();
        let radix = if text.starts_with("0x") { 16 } else { 10 };
        i128::from_str_radix(text.trim_start_matches("0x"), radix)
            .map_err(|_| value_error(format!("can't parse {text:?} as integer")))
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, value) in options {
        pairs.push((name.to_string(), session.text(value)?));
    }
    if term.contains('=') {
        for word in term.split_whitespace() {
            let Some((name, value)) = word.split_once('=') else {
                bail!("unknown argument {word:?} of sequence")
            };
            pairs.push((name.to_owned(), value.to_owned()));
        }
    } else if !term.trim().is_empty() {
        let (range, shown) = term.split_once(':').map_or((term, None), |(r, f)| (r, Some(f)));
        let (range, step) = range.split_once('/').map_or((range, None), |(r, s)| (r, Some(s)));
        let split = range.char_indices().skip(1).find(|(_, c)| *c == '-').map(|(at, _)| at);
        match split.map(|at| range.split_at(at)) {
            Some((from, to)) => {
                pairs.push(("start".to_owned(), from.to_owned()));
                pairs.push(("end".to_owned(), to.trim_start_matches('-').to_owned()));
            }
            None => pairs.push(("end".to_owned(), range.to_owned())),
        }
        pairs.extend(step.map(|s| ("stride".to_owned(), s.to_owned())));
        pairs.extend(shown.map(|s| ("format".to_owned(), s.to_owned())));
    }
    for (name, value) in pairs {
        match name.as_str() {
            "start" => start = number(&value)?,
            "end" => end = Some(number(&value)?),
            "count" => count = Some(number(&value)?),
            "stride" => stride = number(&value)?,
            "format" => format = value,
            other => bail!("unrecognized arguments to with_sequence: {other}"),
        }
    }
    let end = match (end, count) {
        (Some(_), Some(_)) => bail!("can't specify both count and end in with_sequence"),
        (None, None) => bail!("must specify count or end in with_sequence"),
        (Some(end), None) => end,
        (None, Some(0)) => return Ok(Vec::new()),
        (None, Some(count)) => start + (count - 1) * stride,
    };
    if stride == 0 {
        return Ok(Vec::new());
    }
    if (stride > 0 && end < start) || (stride < 0 && end > start) {
        bail!(
            "to count {} make stride {}",
            if stride > 0 { "backwards" } else { "forward" },
            if stride > 0 { "negative" } else { "positive" }
        );
    }
    if (end - start) / stride > SEQUENCE_MAX {
        return Err(TemplateError::Bound { what: "numbers of a sequence", max: SEQUENCE_MAX as usize });
    }
    let mut out = Vec::new();
    let mut at = start;
    while (stride > 0 && at <= end) || (stride < 0 && at >= end) {
        session.charge(1)?;
        out.push(Val::str(super::printf::printf(session, &format, &Val::Int(at))?));
        at += stride;
    }
    Ok(out)
}

fn on_files(
    interp: &mut Interp<'_, '_>,
    name: &str,
    terms: &[Val],
    options: &[(Rc<str>, Val)],
) -> Result<Vec<Val>> {
    let session = interp.session;
    let engine = session.engine;
    let option =
        |wanted: &str| options.iter().find(|(name, _)| &**name == wanted).map(|(_, value)| value.clone());
    let truth =
        |wanted: &str, default: bool| option(wanted).map_or(Ok(default), |value| session.truth(&value));
    let mut out = Vec::new();
    match name {
        "first_found" => return first_found(interp, terms, options),
        "fileglob" => {
            for term in terms {
                let pattern = session.text(term)?;
                for path in candidates(interp, &pattern, "files") {
                    let found = glob(&*engine.files, &path)?;
                    if !found.is_empty() {
                        out.extend(found.into_iter().map(Val::str));
                        break;
                    }
                }
            }
            return Ok(out);
        }
        _ => {}
    }
    for term in terms {
        let path = session.text(term)?;
        let text = read(interp, &path, if name == "template" { "templates" } else { "files" })?;
        if name == "unvault" {
            out.push(Val::str(text));
            continue;
        }
        if name == "file" {
            let text = if truth("rstrip", true)? { text.trim_end().to_owned() } else { text };
            let text = if truth("lstrip", false)? { text.trim_start().to_owned() } else { text };
            out.push(Val::str(text));
            continue;
        }
        let mut syntax = Syntax::of_files();
        syntax.trim_blocks = truth("trim_blocks", true)?;
        syntax.lstrip_blocks = truth("lstrip_blocks", false)?;
        let mut inner = Interp::new(session, Rc::clone(&interp.scope));
        if let Some(Val::Map(vars)) = option("template_vars").map(|vars| session.force(&vars)).transpose()? {
            for (name, value) in vars.borrow().iter() {
                inner.set(super::show::key_text(name).as_str().into(), value.clone());
            }
        }
        let (syntax, body) = super::header::header(&text, &syntax)?;
        let nodes = engine.template(&body.into(), &syntax)?;
        let chunks = session.deeper(|| inner.template(&nodes))?;
        let mut text = String::new();
        for chunk in &chunks {
            text.push_str(&session.text(chunk)?);
        }
        out.push(Val::str(text));
    }
    Ok(out)
}

/// Where a relative name may stand, nearest first.
fn candidates(interp: &Interp<'_, '_>, name: &str, folder: &str) -> Vec<String> {
    if name.starts_with('/') {
        return vec![name.to_owned()];
    }
    let folders = interp.scope.search_path();
    folders.iter().flat_map(|base| [format!("{base}/{folder}/{name}"), format!("{base}/{name}")]).collect()
}

pub(super) fn read(interp: &Interp<'_, '_>, name: &str, folder: &str) -> Result<String> {
    let engine = interp.session.engine;
    for path in candidates(interp, name, folder) {
        if !matches!(engine.files.stat(&path), Ok(Some(meta)) if !meta.folder) {
            continue;
        }
        let bytes = match engine.files.read(&path, FILE_BYTES_MAX) {
            Ok((_, bytes)) => bytes,
            Err(why) => bail!("cannot read {path}: {why}"),
        };
        let Ok(text) = String::from_utf8(bytes) else { bail!("{path} is not UTF-8 text") };
        if crate::vault::is_sealed(&text) {
            return engine.outside.open_vault(&text).map_err(value_error);
        }
        return Ok(text);
    }
    bail!("Unable to access the file '{name}': Could not find or access '{name}'.")
}

fn first_found(interp: &mut Interp<'_, '_>, terms: &[Val], options: &[(Rc<str>, Val)]) -> Result<Vec<Val>> {
    let session = interp.session;
    let mut skip =
        options.iter().find(|(name, _)| &**name == "skip").map_or(Ok(false), |(_, v)| session.truth(v))?;
    let mut names = Vec::new();
    let given: Vec<Val> =
        terms.iter().flat_map(|term| term.items().unwrap_or_else(|| vec![term.clone()])).collect();
    let named = |wanted: &str| options.iter().find(|(name, _)| &**name == wanted).map(|(_, v)| v.clone());
    let list = |value: Option<Val>| -> Result<Vec<String>> {
        match value {
            None | Some(Val::None) => Ok(Vec::new()),
            Some(Val::Str(text)) => Ok(text.split([',', ';']).map(|part| part.trim().to_owned()).collect()),
            Some(other) => session.iterate(&other)?.iter().map(|item| session.text(item)).collect(),
        }
    };
    let mut add = |files: Vec<String>, paths: Vec<String>| {
        for path in if paths.is_empty() { vec![String::new()] } else { paths } {
            names.extend(
                files
                    .iter()
                    .map(|file| if path.is_empty() { file.clone() } else { format!("{path}/{file}") }),
            );
        }
    };
    add(list(named("files"))?, list(named("paths"))?);
    for term in &given {
        match term {
            Val::Map(entries) => {
                let field = |name: &str| entries.borrow().get(&Key::text(name)).cloned();
                skip |= field("skip").map_or(Ok(false), |v| session.truth(&v))?;
                add(list(field("files"))?, list(field("paths"))?);
            }
            other => add(vec![session.text(other)?], list(named("paths"))?),
        }
    }
    for name in &names {
        for folder in ["files", "templates", "vars", "tasks"] {
            for path in candidates(interp, name, folder) {
                if matches!(session.engine.files.stat(&path), Ok(Some(_))) {
                    return Ok(vec![Val::str(super::filters::paths::normal(&path))]);
                }
            }
        }
    }
    if skip {
        return Ok(Vec::new());
    }
    bail!("No file was found when using first_found.")
}

/// The files whose last part fits `*`, `?` and `[…]`.
pub(crate) fn glob(files: &dyn Files, pattern: &str) -> Result<Vec<String>> {
    let (folder, last) = pattern.rsplit_once('/').unwrap_or((".", pattern));
    if folder.contains(['*', '?', '[']) {
        return Err(TemplateError::Refused(format!(
            "fileglob {pattern:?}: only the last part may hold *, ? or ["
        )));
    }
    let Ok(Some(meta)) = files.stat(folder) else { return Ok(Vec::new()) };
    if !meta.folder {
        return Ok(Vec::new());
    }
    let mut names = files.list(folder).map_err(value_error)?;
    names.sort_unstable();
    let fits = |name: &String| fits(last, name) && (last.starts_with('.') || !name.starts_with('.'));
    let paths = names.into_iter().filter(fits).map(|name| format!("{folder}/{name}"));
    Ok(paths.filter(|path| matches!(files.stat(path), Ok(Some(meta)) if !meta.folder)).collect())
}

/// Whether a name fits a shell pattern.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let mut regex = String::from("\\A");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => {
                let inside: String = chars.by_ref().take_while(|c| *c != ']').collect();
                let inside = inside.strip_prefix('!').map_or(inside.clone(), |rest| format!("^{rest}"));
                regex.push_str(&format!("[{}]", inside.replace('\\', "\\\\")));
            }
            other => regex.push_str(&regex::escape(&other.to_string())),
        }
    }
    regex.push_str("\\z");
    regex::Regex::new(&format!("(?s){regex}")).is_ok_and(|regex| regex.is_match(name))
}

/// A stored value as a term of `with_<name>`.
pub(crate) fn terms(interp: &Interp<'_, '_>, value: &Value) -> Result<Vec<Val>> {
    let value = interp.session.force(&to_val(value, &interp.scope))?;
    Ok(value.items().unwrap_or_else(|| vec![value]))
}
