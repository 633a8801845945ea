//! Filters on numbers and sizes.

use super::super::args::Args;
use super::super::ast::Op;
use super::super::error::{Result, bail};
use super::super::ops::Number;
use super::super::show;
use super::super::value::Val;

pub(crate) const NAMES: &[&str] = &["abs", "round", "log", "pow", "root", "human_readable", "human_to_bytes"];

pub(crate) fn apply(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    if name == "human_to_bytes" {
        return to_bytes(value, args);
    }
    let number = match (Number::of(value), value) {
        (Some(number), _) => number,
        (None, Val::Str(text)) if name == "human_readable" => match text.trim().parse() {
            Ok(number) => Number::Float(number),
            Err(_) => bail!("human_readable() can't interpret following string: {text}"),
        },
        _ => bail!("{name}() can only be used on numbers, not {}", value.type_name()),
    };
    Ok(match name {
        "abs" => match number {
            Number::Int(number) => Val::Int(number.saturating_abs()),
            Number::Float(number) => Val::Float(number.abs()),
        },
        "round" => round(number, args)?,
        "log" => {
            let float = number.float();
            if float <= 0.0 {
                bail!("math domain error");
            }
            Val::Float(match args.maybe_float(0, "base")? {
                None => float.ln(),
                Some(10.0) => float.log10(),
                Some(base) => float.ln() / base.ln(),
            })
        }
        "pow" => {
            // Python's math.pow always gives a float.
            let exponent = args.need(0, "y")?;
            let exponent = Number::of(&exponent).map_or(1.0, Number::float);
            args.session.arithmetic(Op::Pow, &Val::Float(number.float()), &Val::Float(exponent))?
        }
        "root" => {
            let base = args.maybe_float(0, "base")?.unwrap_or(2.0);
            Val::Float(if base == 2.0 { number.float().sqrt() } else { number.float().powf(1.0 / base) })
        }
        _ => Val::str(readable(number.float(), args)?),
    })
}

fn round(number: Number, args: &Args<'_, '_>) -> Result<Val> {
    let places = i32::try_from(args.int(0, "precision", 0)?).unwrap_or_default().clamp(-300, 300);
    if let (Number::Int(whole), true, None) = (number, places >= 0, args.raw(1, "method")) {
        return Ok(Val::Int(whole));
    }
    let float = number.float();
    let power = 10f64.powi(places);
    Ok(Val::Float(match args.text(1, "method", "common")?.as_str() {
        "common" if places >= 0 => {
            let text = format!("{float:.*}", usize::try_from(places).unwrap_or_default());
            text.parse().unwrap_or(float)
        }
        "common" => (float * power).round_ties_even() / power,
        "ceil" => (float * power).ceil() / power,
        "floor" => (float * power).floor() / power,
        _ => bail!("method must be common, ceil or floor"),
    }))
}

/// Letters of units, largest first.
const UNITS: [(char, i32); 8] =
    [('Y', 80), ('Z', 70), ('E', 60), ('P', 50), ('T', 40), ('G', 30), ('M', 20), ('K', 10)];

fn readable(number: f64, args: &Args<'_, '_>) -> Result<String> {
    let bits = args.truth(0, "isbits", false)?;
    let unit = args.maybe_text(1, "unit")?.map(|unit| unit.to_uppercase());
    let base = if bits { "bits" } else { "Bytes" };
    let found = UNITS.iter().find(|(letter, power)| match &unit {
        Some(unit) => unit.starts_with(*letter),
        None => number >= 2f64.powi(*power),
    });
    Ok(match found {
        Some((letter, power)) => {
            format!("{:.2} {letter}{}", number / 2f64.powi(*power), if bits { "b" } else { "B" })
        }
        None => format!("{number:.2} {base}"),
    })
}

fn to_bytes(value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let text = show::text(value);
    let text = text.trim();
    let bits = args.truth(1, "isbits", false)?;
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let Ok(number) = digits.parse::<f64>() else {
        bail!("human_to_bytes() can't interpret following string: {text}");
    };
    let default = args.maybe_text(0, "default_unit")?.unwrap_or_default();
    let unit = if unit.trim().is_empty() { default.as_str() } else { unit.trim() };
    if unit.is_empty() {
        return Ok(Val::Int(number.round() as i128));
    }
    let letter = unit.chars().next().unwrap_or('B').to_ascii_uppercase();
    let rest: String = unit.chars().skip(1).collect();
    let wanted = if bits { "b" } else { "B" };
    let good_rest =
        rest.is_empty() || rest == wanted || rest.eq_ignore_ascii_case(if bits { "bit" } else { "byte" });
    if letter == 'B' {
        let good =
            unit.eq_ignore_ascii_case("b") || unit.eq_ignore_ascii_case(if bits { "bits" } else { "bytes" });
        if good {
            return Ok(Val::Int(number.round() as i128));
        }
    }
    match UNITS.iter().find(|(known, _)| *known == letter) {
        Some((_, power)) if good_rest => Ok(Val::Int((number * 2f64.powi(*power)).round() as i128)),
        _ => bail!(
            "human_to_bytes() failed to convert {text}. Value is not a valid string (expect KB, MB, GB … with {wanted})"
        ),
    }
}
