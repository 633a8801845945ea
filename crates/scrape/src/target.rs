//! From what was found to what is scraped: labels, address, interval and limit of one target.
//!
//! Pure. The order is Prometheus 3's: labels that were found, then the job's defaults under reserved names, then
//! `relabel_configs`, which may change all of them; what begins with `__` is gone afterwards.

use std::time::Duration;

use wellkept_model::Labels;

use crate::config::ScrapeConfig;
use crate::duration;
use crate::relabel::LabelSet;
use crate::url::Url;

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAM: &str = "__param_";
const META: &str = "__meta_";

/// Something to scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Labels before relabeling, reserved ones included.
    pub discovered: Labels,
    /// Labels that its samples get.
    pub labels: Labels,
    /// Where it is asked.
    pub(crate) url: Url,
    /// Time between two scrapes.
    pub interval: Duration,
    /// How long a scrape may take.
    pub timeout: Duration,
}

impl Target {
    /// Where it is asked, as text.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// What makes it the same target after a reload: its labels and its address.
    pub(crate) fn key(&self) -> (Labels, String) {
        (self.labels.clone(), self.url())
    }

    /// Where in its interval this target is scraped: the same after every start, and spread evenly over targets.
    pub(crate) fn phase(&self) -> Duration {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut mix = |text: &str| {
            for byte in text.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        };
        self.labels.iter().for_each(|(name, value)| {
            mix(name);
            mix(value);
        });
        mix(&self.url());
        // The multiplication leaves the low bits weak.
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let interval = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(hash % interval)
    }
}

/// What became of an address that was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// It is scraped.
    Target(Box<Target>),
    /// A rule dropped it; these were its labels.
    Dropped(Labels),
    /// It cannot be scraped: its labels, and why.
    Refused(Labels, String),
}

/// Makes a target of an address with its labels.
#[must_use]
pub fn build(config: &ScrapeConfig, address: &str, labels: &[(String, String)]) -> Found {
    let mut set: LabelSet = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    set.set(ADDRESS, address);
    let mut default = |name: &str, value: &str| {
        if set.get(name).is_empty() {
            set.set(name, value);
        }
    };
    default("job", &config.job);
    default(INTERVAL, &duration::show(config.interval));
    default(TIMEOUT, &duration::show(config.timeout));
    default(PATH, &config.metrics_path);
    default(SCHEME, config.scheme.word());
    for (name, values) in &config.params {
        if let Some(first) = values.first() {
            default(&format!("{PARAM}{name}"), first);
        }
    }
    let discovered = set.clone().into_labels();
    if !set.relabel(&config.relabel) {
        return Found::Dropped(discovered);
    }
    match finish(config, set, &discovered) {
        Ok(target) => Found::Target(Box::new(target)),
        Err(why) => Found::Refused(discovered, why),
    }
}

fn finish(config: &ScrapeConfig, mut set: LabelSet, discovered: &Labels) -> Result<Target, String> {
    let address = set.get(ADDRESS).to_owned();
    if address.is_empty() {
        return Err("no address".to_owned());
    }
    if address.contains('/') {
        return Err(format!("{address:?} is not a valid hostname"));
    }
    let time = |name: &str, what: &str| {
        duration::parse(set.get(name))
            .filter(|d| !d.is_zero())
            .ok_or_else(|| format!("scrape {what} {:?} is no time above zero", set.get(name)))
    };
    let (interval, timeout) = (time(INTERVAL, "interval")?, time(TIMEOUT, "timeout")?);
    if timeout > interval {
        return Err(format!(
            "scrape timeout cannot be greater than scrape interval ({} > {})",
            set.get(TIMEOUT),
            set.get(INTERVAL)
        ));
    }
    let url = url(config, &set, &address)?;
    set.retain(|name| !name.starts_with(META));
    if set.get("instance").is_empty() {
        set.set("instance", &address);
    }
    set.retain(|name| !name.starts_with("__"));
    Ok(Target { discovered: discovered.clone(), labels: set.into_labels(), url, interval, timeout })
}

fn url(config: &ScrapeConfig, set: &LabelSet, address: &str) -> Result<Url, String> {
    let mut params = config.params.clone();
    for (label, value) in set.iter() {
        let Some(name) = label.strip_prefix(PARAM) else { continue };
        match params.iter_mut().find(|(n, _)| n == name).map(|(_, values)| values) {
            Some(values) => match values.first_mut() {
                Some(first) => value.clone_into(first),
                None => values.push(value.to_owned()),
            },
            None => params.push((name.to_owned(), vec![value.to_owned()])),
        }
    }
    params.sort();
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, values) in &params {
        for value in values {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    let path = set.get(PATH);
    let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
    let mark = match (query.is_empty(), path.contains('?')) {
        (true, _) => "",
        (false, false) => "?",
        (false, true) => "&",
    };
    let text = format!("{}://{address}{slash}{path}{mark}{query}", set.get(SCHEME));
    Url::parse(&text).map_err(|e| format!("the address of the target {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn job(keys: &str) -> ScrapeConfig {
        let text = format!("scrape_configs:\n  - job_name: j\n{keys}");
        let config = crate::config::parse("p.yml", &text, Path::new("/"), &|_| None).expect("a good file");
        config.scrapes.into_iter().next().expect("one job")
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[track_caller]
    fn target(keys: &str, labels: &[(&str, &str)]) -> Target {
        match build(&job(keys), "a:9100", &pairs(labels)) {
            Found::Target(target) => *target,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_target_gets_job_and_instance_and_keeps_its_reserved_labels_to_itself() {
        let target = target("", &[("env", "prod"), ("__meta_x", "y"), ("__z", "1")]);
        assert_eq!(target.labels, Labels::new([("job", "j"), ("instance", "a:9100"), ("env", "prod")]));
        assert_eq!(target.url(), "http://a:9100/metrics");
        assert_eq!(target.discovered.get("__scrape_interval__"), "1m");
        assert_eq!(target.discovered.get("__meta_x"), "y");
    }

    #[test]
    fn rules_can_change_address_path_parameters_and_times() {
        let target = target(
            "    params: { module: [http, x], y: [z] }
    relabel_configs:
      - { source_labels: [__address__], target_label: __param_target }
      - { source_labels: [__address__], target_label: instance }
      - { target_label: __address__, replacement: 'box:9115' }
      - { target_label: __metrics_path__, replacement: probe }
      - { target_label: __scheme__, replacement: https }
      - { target_label: __scrape_interval__, replacement: 30s }
      - { target_label: __param_module, replacement: 'a b' }\n",
            &[],
        );
        assert_eq!(target.url(), "https://box:9115/probe?module=a+b&module=x&target=a%3A9100&y=z");
        assert_eq!(target.labels.get("instance"), "a:9100");
        assert_eq!(target.interval, Duration::from_secs(30));
    }

    #[test]
    fn a_dropped_target_is_remembered_with_the_labels_that_were_found() {
        let job = job("    relabel_configs: [{ source_labels: [env], regex: test, action: drop }]\n");
        let Found::Dropped(labels) = build(&job, "a:1", &pairs(&[("env", "test")])) else {
            panic!("dropped")
        };
        assert_eq!((labels.get("__address__"), labels.get("env")), ("a:1", "test"));
    }

    #[test]
    fn what_cannot_be_scraped_is_refused_with_its_reason() {
        for (label, value, why) in [
            ("__address__", "", "no address"),
            ("__address__", "a/b", "not a valid hostname"),
            ("__scrape_interval__", "soon", "no time above zero"),
            ("__scrape_timeout__", "2m", "cannot be greater"),
            ("__scheme__", "ftp", "http:// or https://"),
        ] {
            let job =
                job(&format!("    relabel_configs: [{{ target_label: {label}, replacement: '{value}' }}]\n"));
            let Found::Refused(_, reason) = build(&job, "a:1", &[]) else { panic!("refused: {label}") };
            assert!(reason.contains(why), "{reason}");
        }
    }

    #[test]
    fn phases_are_the_same_each_time_and_spread_over_the_interval() {
        let job = job("    scrape_interval: 10s\n");
        let phase = |n: usize| match build(&job, &format!("host-{n}:9100"), &[]) {
            Found::Target(target) => target.phase(),
            other => panic!("{other:?}"),
        };
        assert_eq!(phase(1), phase(1));
        let mut tenths = [0; 10];
        for n in 0..1000 {
            let tenth = usize::try_from(phase(n).as_millis() / 1000).expect("below ten");
            tenths[tenth] += 1;
        }
        assert!(tenths.iter().all(|n| (50..200).contains(n)), "{tenths:?}");
    }
}
