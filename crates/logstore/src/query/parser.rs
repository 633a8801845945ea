//! From words and signs to a query: recursive descent with a bound on depth.

use regex::bytes::RegexBuilder;
use wellkept_model::{MatchOp, Matcher};

use super::condition::{duration_s, size};
use super::lexer::{Token, tokens};
use super::required::required;
use super::{
    AggregateFunction, Comparison, Condition, DEPTH_MAX, Grouping, LineQuery, LogQuery, MetricQuery, Operand,
    QUERY_MAX, QueryError, REGEX_SIZE_MAX, RangeFunction, STAGES_MAX, Stage,
};

/// Largest `k` of `topk`.
const TOP_MAX: usize = 10_000;

/// Parses a query.
///
/// # Errors
/// [`QueryError`] with place and what would be accepted.
pub fn parse(query: &str) -> Result<LogQuery, QueryError> {
    let mut parser = Parser::new(query)?;
    let found = match parser.peek() {
        Token::Word(_) | Token::Sign("(") => LogQuery::Metric(parser.metric(0)?),
        _ => LogQuery::Lines(parser.lines()?.0),
    };
    parser.end()?;
    Ok(found)
}

/// Parses a query that gives lines. The empty text gives all lines; a quoted text alone those that hold it.
///
/// # Errors
/// [`QueryError`] with place and what would be accepted.
pub fn parse_lines(query: &str) -> Result<LineQuery, QueryError> {
    let mut parser = Parser::new(query)?;
    let (lines, _) = parser.lines()?;
    parser.end()?;
    Ok(lines)
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
}

impl Parser {
    fn new(query: &str) -> Result<Self, QueryError> {
        if query.len() > QUERY_MAX {
            return Err(QueryError {
                at: QUERY_MAX,
                found: format!("a query of {} bytes", query.len()),
                expected: format!("at most {QUERY_MAX} bytes"),
            });
        }
        Ok(Self { tokens: tokens(query)?, next: 0 })
    }

    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |t| &t.1)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |t| t.0)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(s) if *s == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(w) if w.eq_ignore_ascii_case(word))
    }

    fn skip(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.next += usize::from(found);
        found
    }

    fn skip_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.next += usize::from(found);
        found
    }

    fn wrong<T>(&self, expected: impl Into<String>) -> Result<T, QueryError> {
        Err(QueryError { at: self.at(), found: self.peek().name(), expected: expected.into() })
    }

    fn expect(&mut self, sign: &str, what: &str) -> Result<(), QueryError> {
        if self.skip(sign) { Ok(()) } else { self.wrong(format!("`{sign}` {what}")) }
    }

    fn end(&self) -> Result<(), QueryError> {
        if *self.peek() == Token::End {
            Ok(())
        } else {
            self.wrong("the end, or a stage that begins with `|`")
        }
    }

    fn name(&mut self, what: &str) -> Result<String, QueryError> {
        match self.peek() {
            Token::Word(word) if !word.starts_with(|c: char| c.is_ascii_digit()) => {
                let word = word.clone();
                self.next += 1;
                Ok(word)
            }
            _ => self.wrong(what),
        }
    }

    fn text(&mut self, what: &str) -> Result<Vec<u8>, QueryError> {
        match self.peek() {
            Token::Text(text) => {
                let text = text.clone();
                self.next += 1;
                Ok(text)
            }
            _ => self.wrong(format!("a quoted text {what}")),
        }
    }

    fn utf8(&mut self, what: &str) -> Result<String, QueryError> {
        let at = self.at();
        String::from_utf8(self.text(what)?).map_err(|_| QueryError {
            at,
            found: "bytes that are not UTF-8".to_owned(),
            expected: format!("a UTF-8 text {what}"),
        })
    }

    /// Selector, stages, and the range in brackets if there is one.
    fn lines(&mut self) -> Result<(LineQuery, Option<i64>), QueryError> {
        let mut out = LineQuery::default();
        if self.is("{") {
            out.selector = self.selector()?;
        } else if matches!(self.peek(), Token::Text(_)) {
            out.stages.push(self.contains(false)?);
        }
        let mut range = None;
        loop {
            if out.stages.len() >= STAGES_MAX {
                return self.wrong(format!("at most {STAGES_MAX} stages"));
            }
            if range.is_none() && self.is("[") {
                range = Some(self.range()?);
                continue;
            }
            match self.stage()? {
                Some(stage) => out.stages.push(stage),
                None => return Ok((out, range)),
            }
        }
    }

    fn selector(&mut self) -> Result<Vec<Matcher>, QueryError> {
        let mut out = Vec::new();
        self.expect("{", "before the matchers of a selector")?;
        while !self.skip("}") {
            if out.len() >= STAGES_MAX {
                return self.wrong(format!("at most {STAGES_MAX} matchers"));
            }
            let at = self.at();
            let name = self.name("a label's name, or `}`")?;
            let op = self.match_op()?;
            let value = self.utf8("as the label's value")?;
            out.push(matcher(at, &name, op, &value)?);
            if !self.skip(",") && !self.is("}") {
                return self.wrong("`,` or `}` behind a matcher");
            }
        }
        Ok(out)
    }

    fn match_op(&mut self) -> Result<MatchOp, QueryError> {
        let op = match self.peek() {
            Token::Sign("=" | "==") => MatchOp::Equal,
            Token::Sign("!=") => MatchOp::NotEqual,
            Token::Sign("=~") => MatchOp::Regex,
            Token::Sign("!~") => MatchOp::NotRegex,
            _ => return self.wrong("one of `=` `!=` `=~` `!~`"),
        };
        self.next += 1;
        Ok(op)
    }

    fn stage(&mut self) -> Result<Option<Stage>, QueryError> {
        if self.skip("|=") {
            return self.contains(false).map(Some);
        }
        if self.skip("!=") {
            return self.contains(true).map(Some);
        }
        if self.skip("|~") {
            return self.pattern(false).map(Some);
        }
        if self.skip("!~") {
            return self.pattern(true).map(Some);
        }
        if !self.skip("|") {
            return Ok(None);
        }
        if self.skip_word("json") {
            return Ok(Some(Stage::Json));
        }
        if self.skip_word("logfmt") {
            return Ok(Some(Stage::Logfmt));
        }
        Ok(Some(Stage::Labels(self.condition(0)?)))
    }

    fn contains(&mut self, negated: bool) -> Result<Stage, QueryError> {
        let mut texts = vec![self.text("to look for")?];
        while self.skip_word("or") {
            texts.push(self.text("to look for")?);
        }
        Ok(Stage::Contains { texts, negated })
    }

    fn pattern(&mut self, negated: bool) -> Result<Stage, QueryError> {
        let at = self.at();
        let pattern = self.utf8("with a regular expression")?;
        let regex =
            RegexBuilder::new(&pattern).size_limit(REGEX_SIZE_MAX).build().map_err(|e| QueryError {
                at,
                found: format!("the pattern `{pattern}`"),
                expected: format!(
                    "a regular expression without look-around that compiles to at most 1 MiB ({e})"
                ),
            })?;
        Ok(Stage::Pattern { required: required(&pattern), regex, negated })
    }

    fn condition(&mut self, depth: usize) -> Result<Condition, QueryError> {
        let mut left = self.conjunction(depth)?;
        while self.skip_word("or") {
            left = Condition::Or(Box::new(left), Box::new(self.conjunction(depth)?));
        }
        Ok(left)
    }

    fn conjunction(&mut self, depth: usize) -> Result<Condition, QueryError> {
        let mut left = self.comparison(depth)?;
        let mut count = 1;
        while self.skip_word("and") || self.skip(",") {
            count += 1;
            if count > STAGES_MAX {
                return self.wrong(format!("at most {STAGES_MAX} conditions in a row"));
            }
            left = Condition::And(Box::new(left), Box::new(self.comparison(depth)?));
        }
        Ok(left)
    }

    fn comparison(&mut self, depth: usize) -> Result<Condition, QueryError> {
        if depth >= DEPTH_MAX {
            return self.wrong(format!("nesting of at most {DEPTH_MAX}"));
        }
        if self.skip("(") {
            let inner = self.condition(depth + 1)?;
            self.expect(")", "behind the condition")?;
            return Ok(inner);
        }
        let at = self.at();
        let name = self.name("`json`, `logfmt`, or a label's name")?;
        let value = self.tokens.get(self.next + 1).map_or(&Token::End, |t| &t.1);
        if matches!(value, Token::Text(_)) || self.is("=~") || self.is("!~") {
            let op = self.match_op()?;
            let value = self.utf8("as the label's value")?;
            return Ok(Condition::Text(matcher(at, &name, op, &value)?));
        }
        let comparison = self.compare_op()?;
        let operand = self.operand()?;
        Ok(Condition::Number { name, comparison, operand })
    }

    fn compare_op(&mut self) -> Result<Comparison, QueryError> {
        let found = match self.peek() {
            Token::Sign("=" | "==") => Comparison::Equal,
            Token::Sign("!=") => Comparison::NotEqual,
            Token::Sign(">") => Comparison::Greater,
            Token::Sign(">=") => Comparison::AtLeast,
            Token::Sign("<") => Comparison::Less,
            Token::Sign("<=") => Comparison::AtMost,
            _ => return self.wrong("one of `=` `==` `!=` `=~` `!~` `>` `>=` `<` `<=`"),
        };
        self.next += 1;
        Ok(found)
    }

    fn operand(&mut self) -> Result<Operand, QueryError> {
        let negative = self.skip("-");
        let Token::Word(word) = self.peek().clone() else {
            return self.wrong("a quoted text, a number, a duration (`5m`) or a size (`4KiB`)");
        };
        let sign = if negative { -1.0 } else { 1.0 };
        let number = word.parse().ok().filter(|n: &f64| n.is_finite()).map(|n| Operand::Number(sign * n));
        let duration = || duration_s(&word).map(|n| Operand::Duration(sign * n));
        let size = || size(&word).map(|n| Operand::Size(sign * n));
        match number.or_else(duration).or_else(size) {
            Some(operand) => {
                self.next += 1;
                Ok(operand)
            }
            None => self.wrong("a quoted text, a number, a duration (`5m`) or a size (`4KiB`)"),
        }
    }

    /// `[5m]`, in nanoseconds.
    fn range(&mut self) -> Result<i64, QueryError> {
        self.expect("[", "before a duration")?;
        let Token::Word(word) = self.peek().clone() else { return self.wrong("a duration such as `5m`") };
        let Some(seconds) = duration_s(&word).filter(|s| *s > 0.0 && *s <= 366.0 * 86_400.0) else {
            return self.wrong("a duration such as `5m`, at most 366d");
        };
        self.next += 1;
        self.expect("]", "behind the duration")?;
        Ok((seconds * 1e9) as i64)
    }

    fn metric(&mut self, depth: usize) -> Result<MetricQuery, QueryError> {
        if depth >= DEPTH_MAX {
            return self.wrong(format!("nesting of at most {DEPTH_MAX}"));
        }
        let mut left = if self.skip("(") {
            let inner = self.metric(depth + 1)?;
            self.expect(")", "behind the query")?;
            inner
        } else {
            self.call(depth)?
        };
        let is_comparison = |p: &Self| matches!(p.peek(), Token::Sign(">" | ">=" | "<" | "<=" | "==" | "!="));
        while is_comparison(self) {
            let comparison = self.compare_op()?;
            let Operand::Number(number) = self.operand()? else {
                return self.wrong("a number without a unit");
            };
            left = MetricQuery::Filter { inner: Box::new(left), comparison, number };
        }
        Ok(left)
    }

    fn call(&mut self, depth: usize) -> Result<MetricQuery, QueryError> {
        let Token::Word(word) = self.peek().clone() else { return self.wrong(FUNCTIONS) };
        let range = match word.as_str() {
            "count_over_time" => Some(RangeFunction::Count),
            "rate" => Some(RangeFunction::Rate),
            "bytes_over_time" => Some(RangeFunction::Bytes),
            "bytes_rate" => Some(RangeFunction::BytesRate),
            _ => None,
        };
        if let Some(function) = range {
            self.next += 1;
            return self.over_time(function);
        }
        let mut function = match word.as_str() {
            "sum" => AggregateFunction::Sum,
            "min" => AggregateFunction::Min,
            "max" => AggregateFunction::Max,
            "avg" => AggregateFunction::Average,
            "count" => AggregateFunction::Count,
            "topk" => AggregateFunction::Top(0),
            "bottomk" => AggregateFunction::Bottom(0),
            _ => return self.wrong(FUNCTIONS),
        };
        self.next += 1;
        let before = self.grouping()?;
        self.expect("(", "behind the function")?;
        match &mut function {
            AggregateFunction::Top(k) | AggregateFunction::Bottom(k) => {
                *k = self.count()?;
                self.expect(",", "behind the number of series")?;
            }
            _ => {}
        }
        let inner = Box::new(self.metric(depth + 1)?);
        self.expect(")", "behind the query")?;
        let grouping = match before {
            Some(grouping) => grouping,
            None => self.grouping()?.unwrap_or_default(),
        };
        Ok(MetricQuery::Aggregate { function, grouping, inner })
    }

    fn over_time(&mut self, function: RangeFunction) -> Result<MetricQuery, QueryError> {
        self.expect("(", "behind the function")?;
        let (lines, range) = self.lines()?;
        let Some(range_ns) = range else { return self.wrong("a range such as `[5m]`") };
        self.expect(")", "behind the lines")?;
        Ok(MetricQuery::Range { function, lines, range_ns })
    }

    fn count(&mut self) -> Result<usize, QueryError> {
        let Token::Word(word) = self.peek().clone() else { return self.wrong("a number of series") };
        match word.parse() {
            Ok(k) if (1..=TOP_MAX).contains(&k) => {
                self.next += 1;
                Ok(k)
            }
            _ => self.wrong(format!("a number of series from 1 to {TOP_MAX}")),
        }
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, QueryError> {
        let is_by = self.is_word("by");
        if !is_by && !self.is_word("without") {
            return Ok(None);
        }
        self.take();
        self.expect("(", "before the labels")?;
        let mut names = Vec::new();
        while !self.skip(")") {
            if names.len() >= STAGES_MAX {
                return self.wrong(format!("at most {STAGES_MAX} labels"));
            }
            names.push(self.name("a label's name, or `)`")?);
            if !self.skip(",") && !self.is(")") {
                return self.wrong("`,` or `)` behind a label");
            }
        }
        Ok(Some(if is_by { Grouping::By(names) } else { Grouping::Without(names) }))
    }
}

const FUNCTIONS: &str = "a selector `{…}`, or one of count_over_time, rate, bytes_over_time, bytes_rate, sum, min, \
                         max, avg, count, topk, bottomk";

fn matcher(at: usize, name: &str, op: MatchOp, value: &str) -> Result<Matcher, QueryError> {
    Matcher::new(name, op, value).map_err(|e| QueryError {
        at,
        found: e.to_string(),
        expected: "a regular expression without look-around that compiles to at most 1 MiB".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_loki_users_type_is_accepted() {
        for query in [
            r#"{service="app", host=~"web.*"}"#,
            r#"{service="app"} |= "timeout" | level="error""#,
            r#"{} |= "a" or "b" != `c\d` |~ "(?i)x+" !~ "y""#,
            r#"{a="b",} | json | status >= 500 and duration > 1s or size<4KiB, (x!="y" or z=~".*")"#,
            r#"{a!="b"} | logfmt | template="0011223344556677""#,
            r#"count_over_time({a="b"}[5m])"#,
            r#"rate({a="b"} |= "x" | json [1h30m])"#,
            r#"sum by (level, host) (rate({a="b"}[5m])) > 0.5"#,
            r#"topk(3, sum(bytes_over_time({a="b"}[1d])) by (host))"#,
            r#"avg without (pod) (bytes_rate({}[10s]))"#,
            r#""just a text""#,
            "",
        ] {
            if let Err(e) = parse(query) {
                panic!("{query}: {e}");
            }
        }
    }

    #[test]
    fn what_is_refused_names_its_place_and_what_is_accepted() {
        let check = |query: &str, at: usize, expected: &str| {
            let e = parse(query).unwrap_err();
            assert_eq!(e.at, at, "{query}: {e}");
            assert!(e.expected.contains(expected), "{query}: {e}");
        };
        check(r#"{a="b""#, 6, "`,` or `}`");
        check(r#"{a~"b"}"#, 2, "a name, a number");
        check(r#"{a="b"} |= x"#, 11, "a quoted text");
        check(r#"{a="b"} | status > "#, 19, "a number");
        check(r#"{a=~"("}"#, 1, "regular expression");
        check(r#"{a="b"} |~ "(""#, 11, "regular expression");
        check(r#"rate({a="b"})"#, 12, "[5m]");
        check(r#"summ(rate({a="b"}[5m]))"#, 0, "count_over_time");
        check(r#"{a="b"} trailing"#, 8, "the end");
        check(r#"{a="b} "#, 3, "closing");
        check(&"(".repeat(100), DEPTH_MAX, "nesting");
        check(&format!("{{}} | {}", "(".repeat(100)), 5 + DEPTH_MAX, "nesting");
        check(&"x".repeat(QUERY_MAX + 1), QUERY_MAX, "bytes");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(query in "\\PC{0,60}") {
            let _ = parse(&query);
        }

        #[test]
        fn any_words_are_parsed_or_refused_without_a_panic(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "a", "=", "\"b\"", "|=", "|", "json", "(", ")", "[5m]", "rate", "sum", "by", ",", ">", "5",
                    "or", "and", "!=", "topk", "`x`",
                ]),
                0..20,
            ),
        ) {
            let _ = parse(&words.join(" "));
        }
    }
}
