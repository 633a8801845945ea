//! Filters on lists.

use super::super::args::Args;
use super::super::error::{Result, TemplateError, bail};
use super::super::value::Val;

pub(crate) const NAMES: &[&str] = &[
    "flatten",
    "zip",
    "zip_longest",
    "product",
    "permutations",
    "combinations",
    "shuffle",
    "reverse",
    "batch",
    "slice",
    "join",
];

/// Most items that a filter may make.
const MADE_MAX: usize = 1_000_000;

fn check(args: &Args<'_, '_>, made: usize) -> Result<()> {
    if made > MADE_MAX {
        return Err(TemplateError::Bound { what: "items of a list", max: MADE_MAX });
    }
    args.session.charge(1)
}

pub(crate) fn apply(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let session = args.session;
    match name {
        "flatten" => {
            let levels = args.maybe_int(0, "levels")?;
            let skip_nulls = args.truth(1, "skip_nulls", true)?;
            let mut out = Vec::new();
            flatten(&session.iterate(value)?, levels, skip_nulls, &mut out);
            check(args, out.len())?;
            Ok(Val::list(out))
        }
        "zip" | "zip_longest" => {
            let mut lists = vec![session.iterate(value)?];
            for more in &args.positional {
                lists.push(session.iterate(more)?);
            }
            let lengths = lists.iter().map(Vec::len);
            let longest = name == "zip_longest";
            let count = if longest { lengths.max() } else { lengths.min() }.unwrap_or_default();
            let fill = args
                .named
                .iter()
                .find(|(name, _)| &**name == "fillvalue")
                .map_or(Val::None, |(_, v)| v.clone());
            check(args, count * lists.len())?;
            let row = |at: usize| {
                lists.iter().map(|list| list.get(at).cloned().unwrap_or_else(|| fill.clone())).collect()
            };
            Ok(Val::list((0..count).map(|at| Val::tuple(row(at))).collect()))
        }
        "product" => {
            let mut lists = vec![session.iterate(value)?];
            for more in &args.positional {
                lists.push(session.iterate(more)?);
            }
            let repeat = args.named.iter().find(|(name, _)| &**name == "repeat");
            if let Some((_, Val::Int(times))) = repeat {
                let times = usize::try_from(*times).unwrap_or_default().min(20);
                lists = std::iter::repeat_n(lists, times).flatten().collect();
            }
            let mut rows: Vec<Vec<Val>> = vec![Vec::new()];
            for list in &lists {
                check(args, rows.len().saturating_mul(list.len()))?;
                rows = rows
                    .iter()
                    .flat_map(|row| list.iter().map(|item| [row.clone(), vec![item.clone()]].concat()))
                    .collect();
                session.charge(rows.len())?;
            }
            Ok(Val::list(rows.into_iter().map(Val::tuple).collect()))
        }
        "permutations" | "combinations" => {
            let items = session.iterate(value)?;
            let size = args.size(0, "r", items.len(), MADE_MAX)?;
            let mut out = Vec::new();
            choose(args, &items, size, name == "permutations", &mut Vec::new(), &mut out)?;
            Ok(Val::list(out))
        }
        "shuffle" => {
            let mut items = session.iterate(value)?;
            let mut source = source(args, "seed", 0)?;
            for at in (1..items.len()).rev() {
                items.swap(at, source.below(at as u64 + 1) as usize);
            }
            Ok(Val::list(items))
        }
        "reverse" => match value {
            Val::Str(text) => Ok(Val::str(text.chars().rev().collect::<String>())),
            other => {
                let mut items = session.iterate(other)?;
                items.reverse();
                Ok(Val::list(items))
            }
        },
        "join" => join(value, args),
        _ => batches(name, value, args),
    }
}

fn join(value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let separator = args.text(0, "d", "")?;
    let attribute = args.get(1, "attribute")?;
    let mut out = String::new();
    for (at, item) in args.session.iterate(value)?.iter().enumerate() {
        let item = match &attribute {
            Some(attribute) => super::basic::path(args, item, attribute)?,
            None => item.clone(),
        };
        if at > 0 {
            out.push_str(&separator);
        }
        out.push_str(&args.session.text(&item)?);
        args.session.check_size(out.len())?;
    }
    Ok(Val::str(out))
}

fn batches(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let items = args.session.iterate(value)?;
    let count = args.size(0, "linecount", 1, MADE_MAX)?.max(1);
    let fill = args.get(1, "fill_with")?.filter(|fill| !matches!(fill, Val::None));
    let mut rows: Vec<Vec<Val>> = Vec::new();
    if name == "batch" {
        rows = items.chunks(count).map(<[Val]>::to_vec).collect();
        if let (Some(fill), Some(last)) = (&fill, rows.last_mut()) {
            last.resize(count, fill.clone());
        }
    } else {
        let (each, extra) = (items.len() / count, items.len() % count);
        let mut rest = items.as_slice();
        check(args, count)?;
        for at in 0..count {
            let (row, after) = rest.split_at((each + usize::from(at < extra)).min(rest.len()));
            let mut row = row.to_vec();
            if let Some(fill) = fill.as_ref().filter(|_| at >= extra && extra > 0) {
                row.push(fill.clone());
            }
            rows.push(row);
            rest = after;
        }
    }
    Ok(Val::list(rows.into_iter().map(Val::list).collect()))
}

fn flatten(items: &[Val], levels: Option<i128>, skip_nulls: bool, out: &mut Vec<Val>) {
    for item in items {
        match item {
            Val::None if skip_nulls => {}
            Val::Str(text) if skip_nulls && (&**text == "None" || &**text == "null") => {}
            Val::List(_) | Val::Tuple(_) if levels.is_none_or(|levels| levels >= 1) => {
                flatten(&item.items().unwrap_or_default(), levels.map(|l| l - 1), skip_nulls, out);
            }
            other => out.push(other.clone()),
        }
    }
}

fn choose(
    args: &Args<'_, '_>,
    items: &[Val],
    size: usize,
    any_order: bool,
    picked: &mut Vec<usize>,
    out: &mut Vec<Val>,
) -> Result<()> {
    check(args, out.len())?;
    if picked.len() == size {
        args.session.charge(size)?;
        out.push(Val::tuple(picked.iter().filter_map(|at| items.get(*at)).cloned().collect()));
        return Ok(());
    }
    let from = if any_order { 0 } else { picked.last().map_or(0, |at| at + 1) };
    for at in from..items.len() {
        if any_order && picked.contains(&at) {
            continue;
        }
        picked.push(at);
        let result = args.session.deeper(|| choose(args, items, size, any_order, picked, out));
        picked.pop();
        result?;
    }
    Ok(())
}

/// A stream of numbers: the same for the same seed.
pub(crate) struct Source(u64);

impl Source {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

fn source(args: &Args<'_, '_>, name: &str, at: usize) -> Result<Source> {
    match args.get(at, name)?.filter(|seed| !matches!(seed, Val::None)) {
        Some(seed) => {
            let text = super::super::show::repr(&seed);
            let hash = text
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
            Ok(Source(hash))
        }
        None => {
            let cell = &args.session.engine.randomness;
            let mut source = Source(cell.get());
            cell.set(source.next());
            Ok(source)
        }
    }
}

pub(crate) fn random(value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let (start, step) = (args.int(0, "start", 0)?, args.int(1, "step", 1)?.max(1));
    let mut source = source(args, "seed", 2)?;
    match value {
        Val::Int(end) => {
            let count = (end - start + step - 1) / step;
            let Ok(count @ 1..) = u64::try_from(count) else { bail!("empty range for randrange()") };
            Ok(Val::Int(start + i128::from(source.below(count)) * step))
        }
        other => {
            let items = args.session.iterate(other)?;
            if items.is_empty() {
                bail!("random needs at least one item");
            }
            let at = source.below(items.len() as u64) as usize;
            Ok(items.get(at).cloned().unwrap_or(Val::None))
        }
    }
}
