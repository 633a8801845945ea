//! Recorded cases in folders: reads them into a [`Scene`], and gives the answer that a scorer reads.
//!
//! Two layouts are known, told apart by what lies in the folder: a wide table of services with a matrix of calls, and
//! one table of pods with spans and logs. The caller reads files ([`CaseFiles`]); here they are only parsed, within
//! bounds. What a case folder says about its true cause is never read.

mod answer;
mod files;
mod pods;
mod services;
mod table;
mod template;
mod time;

pub use answer::Answer;
pub use files::{CaseError, CaseFiles};

use crate::scene::Scene;

/// Reads one case.
///
/// `name`: the last parts of its path; a last part that is a date with hour and minute (`2022-08-22_03_53`) is the time
/// of the alarm.
///
/// # Errors
/// [`CaseError`] when the folder has none of the known layouts, or a file in it cannot be read.
pub fn read(name: &str, files: &impl CaseFiles) -> Result<Scene, CaseError> {
    if files.read("metrics.csv").is_some() {
        services::read(files)
    } else if files.read("metric.csv.gz").is_some() {
        pods::read(name, files)
    } else {
        Err(CaseError::Layout)
    }
}

/// How a scorer's list of truths calls the case in the folder `path`: by the last three parts of its path where services
/// lie (`high_traffic/test/issue_1`), by the last two where pods lie (`trainticket/2023-01-29_10_12`).
#[must_use]
pub fn key(path: &str, files: &impl CaseFiles) -> String {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    let wanted = if files.read("metrics.csv").is_some() { 3 } else { 2 };
    parts.get(parts.len().saturating_sub(wanted)..).unwrap_or_default().join("/")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use wellkept_model::TimestampMs;

    use super::*;
    use crate::{MetricKind, rank};

    /// Files by path relative to the case folder.
    #[derive(Default)]
    struct Files(BTreeMap<String, Vec<u8>>);

    impl Files {
        fn with(mut self, path: &str, text: &str) -> Self {
            let bytes = if path.ends_with(".gz") { pack(text.as_bytes()) } else { text.as_bytes().to_vec() };
            self.0.insert(path.to_owned(), bytes);
            self
        }
    }

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    impl CaseFiles for Files {
        fn read(&self, path: &str) -> Option<Vec<u8>> {
            self.0.get(path).cloned()
        }

        fn list(&self, path: &str) -> Vec<String> {
            let below = self.0.keys().filter_map(|p| p.strip_prefix(path)?.strip_prefix('/'));
            below.filter_map(|p| p.split('/').next()).map(str::to_owned).collect()
        }
    }

    const HEADER: &str = "microservice,web,db,web\nmetric,latency,latency,requests\nstatistic,Average,Average,Sum\nunix_timestamp,,,\n";

    fn services() -> Files {
        let rows = |ill: bool| {
            (0..20)
                .map(|i| format!("{}.0,0.1,0.01,10\n", i * 300 + if ill { 9_000 } else { 0 }))
                .collect::<String>()
        };
        let bad = "15000.0,2.1,2.0,10\n15300.0,2.1,,10\n";
        Files::default()
            .with("metrics.csv", &format!("{HEADER}{}{bad}", rows(true)))
            .with("../../noissue/metrics.csv.gz", &format!("{HEADER}{}", rows(false)))
            .with("../../graph.csv", ",web,db\nweb,0.0,1.0\ndb,0.0,0.0\n")
            .with(
                "target.json",
                r#"{"target": {"node": "web", "metric": "latency", "agg": "Average", "timestamp": 15010}}"#,
            )
    }

    #[test]
    fn a_folder_of_services_becomes_a_scene() {
        let scene = read("load/test/issue_1", &services()).unwrap();
        assert_eq!(scene.alarm.entity.as_deref(), Some("web"));
        assert_eq!(
            (scene.alarm.at, scene.alarm.kind),
            (Some(TimestampMs(15_010_000)), Some(MetricKind::Latency))
        );
        assert_eq!((scene.series.len(), scene.calls.len()), (3, 1));
        assert_eq!((scene.series[1].reference.len(), scene.series[1].samples.len()), (20, 21));
        let ranking = rank(&scene);
        assert_eq!(
            (ranking.onset, ranking.candidates[0].entity.as_str()),
            (Some(TimestampMs(15_000_000)), "db")
        );
    }

    #[test]
    fn normal_operation_of_another_load_serves_where_its_own_is_missing() {
        let mut files = services();
        let normal = files.0.remove("../../noissue/metrics.csv.gz").unwrap();
        files.0.insert("../../../other/noissue/metrics.csv.gz".to_owned(), normal);
        assert_eq!(read("load/test/issue_1", &files).unwrap().series[0].reference.len(), 20);
    }

    #[test]
    fn a_folder_of_pods_becomes_a_scene() {
        let metric = "Time,TimeStamp,PodName,CpuUsageRate(%),NodeCpuUsageRate(%)\n2022-08-22 03:52:01 +0000 UTC,1,a-579b9bff58-t2dbm,5,9\n";
        let trace = "TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration\n\
                     t,1,root,a-579b9bff58-t2dbm,get,0,100,0\nt,2,1,b-579b9bff58-t2dbm,find,10,90,0\n";
        let log = "Timestamp,TimeUnixNano,Node,PodName,Container,TraceID,SpanID,Log\nx,50,n,b,c,t,2,INFO find.rs:7 done\n";
        let files = Files::default()
            .with("metric.csv.gz", metric)
            .with("trace.csv.gz", trace)
            .with("log.csv.gz", log)
            .with("dependency.csv", "Source,Target,Weight\na,b,1\na,10.0.0.1,1\n")
            .with("../faultfree/2022-08-22_metric.csv.gz", metric)
            .with("../faultfree/2022-08-22_trace.csv.gz", trace);
        let scene = read("shop/2022-08-22_03_53", &files).unwrap();
        assert_eq!(scene.alarm.at, Some(TimestampMs(1_661_140_380_000)));
        assert_eq!((scene.series.len(), scene.calls.len()), (1, 1));
        assert_eq!((scene.series[0].entity.as_str(), scene.series[0].reference.len()), ("a", 1));
        assert_eq!((scene.since.spans.len(), scene.since.events.len(), scene.normal.len()), (2, 1, 1));
        assert_eq!(scene.names.name(scene.since.events[0].what), "INFO find.rs:7");
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_named() {
        let why = |files: &Files| read("x", files).unwrap_err().to_string();
        assert!(why(&Files::default()).contains("holds no case"));
        let mut files = services();
        files.0.remove("target.json");
        assert_eq!(why(&files), "target.json is missing");
        assert!(why(&files.with("target.json", "{}")).contains("expected an object `target`"));
        let mut files = Files::default();
        files.0.insert("metric.csv.gz".to_owned(), b"\x1f\x8b no gzip".to_vec());
        assert!(why(&files).contains("metric.csv.gz is not usable"), "{}", why(&files));
    }

    #[test]
    fn the_key_is_the_end_of_the_path() {
        assert_eq!(key("/data/petshop/load/test/issue_1/", &services()), "load/test/issue_1");
        assert_eq!(key("./shop/2022-08-22_03_53", &Files::default()), "shop/2022-08-22_03_53");
        assert_eq!(key("one", &Files::default()), "one");
    }

    proptest! {
        #[test]
        fn any_text_in_any_file_is_read_or_refused(texts in prop::collection::vec("(\\PC|\"|,|\n|\r|[0-9.-]){0,60}", 5)) {
            let [a, b, c, d, e] = texts.try_into().unwrap();
            let files = services().with("metrics.csv", &format!("{HEADER}{a}")).with("../../graph.csv", &b);
            if let Ok(scene) = read("load/test/issue_1", &files) {
                prop_assert!(rank(&scene).candidates.iter().all(|c| c.score <= 1.0));
            }
            let files = Files::default()
                .with("metric.csv.gz", &format!("Time,PodName,cpu\n{c}"))
                .with("trace.csv.gz", &format!("TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano\n{d}"))
                .with("log.csv.gz", &format!("TraceID,SpanID,TimeUnixNano,Log\n{e}"));
            if let Ok(scene) = read("shop/2022-08-22_03_53", &files) {
                prop_assert!(rank(&scene).candidates.iter().all(|c| c.score <= 1.0));
            }
        }
    }
}
