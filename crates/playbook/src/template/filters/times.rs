//! Filters on moments.

use super::super::args::Args;
use super::super::error::{Result, bail};
use super::super::moment;
use super::super::ops::Number;
use super::super::show;
use super::super::value::Val;

pub(crate) const NAMES: &[&str] = &["strftime", "to_datetime"];

pub(crate) fn apply(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    if name == "to_datetime" {
        let format = args.text(0, "format", "%Y-%m-%d %H:%M:%S")?;
        return Ok(Val::Time(moment::read(&args.session.text(value)?, &format)?));
    }
    let engine = args.session.engine;
    let seconds = match args.get(0, "second")?.filter(|s| !matches!(s, Val::None)) {
        None => engine.now_ms.get() as f64 / 1000.0,
        Some(given) => match Number::of(&given) {
            Some(number) => number.float(),
            None => match show::text(&given).trim().parse() {
                Ok(number) => number,
                Err(_) => bail!("Invalid value for epoch value ({})", show::text(&given)),
            },
        },
    };
    let offset = if args.truth(1, "utc", false)? { 0 } else { engine.utc_offset };
    let micros = (seconds * 1e6) as i64 + i64::from(offset) * 1_000_000;
    Ok(Val::str(moment::show(moment::from_micros(micros)?, offset, &show::text(value))?))
}
