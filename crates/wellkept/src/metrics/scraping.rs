//! Scrapes what a Prometheus configuration names, and sends samples on to the receivers that it names.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wellkept_doors::{Doors, Format, From, Tap};
use wellkept_intake::remote_write::{Encoder as WireEncoder, OutgoingSeries, Version};
use wellkept_intake::{Limits, text};
use wellkept_model::{Batch, HistogramSample, Sample, SeriesData, Sink};
use wellkept_scrape::config::{Config, WireVersion};
use wellkept_scrape::manager::{Manager, Targets};
use wellkept_scrape::sender::Senders;
use wellkept_scrape::{Encoder, NewEncoder, NewParser, Outgoing, Outlet, Page, Parser, Pending, Scraped};

/// Longest wait until the queues of receivers have what was scraped, before it is stored here.
const QUEUE_PATIENCE: Duration = Duration::from_secs(1);
/// Most bytes of the queue of one receiver.
const QUEUE_BYTES: u64 = 512 << 20;

/// The scraper with its configuration.
pub(crate) struct Scraping {
    manager: Manager,
    senders: Arc<Senders>,
    shown: Mutex<String>,
}

impl Scraping {
    /// Nothing to scrape and nowhere to send yet.
    pub(crate) fn new(doors: Arc<Doors>, data_dir: &Path) -> Arc<Self> {
        let new_encoder: NewEncoder = Arc::new(|| Box::new(Wire(WireEncoder::default())));
        let senders = Arc::new(Senders::new(&data_dir.join("sending"), QUEUE_BYTES, new_encoder));
        let new_parser: NewParser = Arc::new(|| Box::new(Pages(text::Decoder::new(Limits::default()))));
        let manager = Manager::new(new_parser, Arc::new(Stored { doors, senders: Arc::clone(&senders) }));
        Arc::new(Self { manager, senders, shown: Mutex::default() })
    }

    /// Scrapes and sends as this configuration says from now on. `shown`: the configuration for people.
    pub(crate) async fn apply(&self, config: &Config, shown: String) {
        if let Err(errors) = self.senders.apply(&config.remote_writes, &config.global.external_labels).await {
            for error in errors {
                tracing::error!(%error, "a receiver of samples cannot be sent to");
            }
        }
        self.manager.apply(config);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    /// What goes to receivers.
    pub(crate) fn senders(&self) -> &Arc<Senders> {
        &self.senders
    }

    pub(crate) fn targets(&self) -> Targets {
        self.manager.targets()
    }

    /// The configuration as people wrote it, without what is secret in it.
    pub(crate) fn shown_config(&self) -> String {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores and queues what is in hand.
    pub(crate) async fn shutdown(&self) {
        self.manager.shutdown().await;
        self.senders.shutdown().await;
    }
}

/// Sends a batch of our own on to the receivers, where there are any. Never waits.
pub(crate) fn send_on(senders: &Senders, batch: &Batch) {
    if senders.is_empty() {
        return;
    }
    let mut series: Vec<Outgoing> = Vec::with_capacity(batch.samples.len());
    series.extend(batch.samples.iter().map(|(labels, value)| Outgoing {
        labels: labels.clone(),
        samples: vec![Sample { at: batch.at, value: *value }],
        histograms: Vec::new(),
    }));
    series.extend(batch.histograms.iter().map(|(labels, histogram)| Outgoing {
        labels: labels.clone(),
        samples: Vec::new(),
        histograms: vec![HistogramSample { at: batch.at, histogram: Arc::clone(histogram) }],
    }));
    senders.offer_series(&Arc::new(series));
}

/// Sends what was pushed on to the receivers.
pub(crate) struct Forward(pub(crate) Arc<Senders>);

impl Tap for Forward {
    fn is_open(&self) -> bool {
        !self.0.is_empty()
    }

    fn take(&self, series: Vec<SeriesData>) {
        let outgoing = series.into_iter().map(|s| Outgoing {
            labels: s.labels,
            samples: s.samples,
            histograms: s.histograms,
        });
        self.0.offer_series(&Arc::new(outgoing.collect()));
    }
}

/// The text of a configuration as it may be shown: not at all when a secret stands in it.
pub(crate) fn shown(text: &str) -> String {
    let secret = |line: &str| {
        let keys = ["password:", "credentials:", "bearer_token:", "secret:", "secret_key:", "headers:"];
        keys.iter().any(|k| line.contains(k)) || line.split("//").skip(1).any(|rest| rest.contains('@'))
    };
    if text.lines().any(secret) {
        return "# Not shown, because it holds secrets. Name them by file (password_file, credentials_file).\n"
            .to_owned();
    }
    text.to_owned()
}

/// Reads what targets answer.
struct Pages(text::Decoder);

impl Parser for Pages {
    fn parse(&mut self, page: &Page<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let format =
            text::Format::from_content_type(Some(page.media_type), None).map_err(|e| e.to_string())?;
        let options = text::Options { classic_too: page.classic_too, ..text::Options::scrape(page.at) };
        let decoded = self.0.decode(format, page.body, &options, sink);
        decoded.map(drop).map_err(|e| e.to_string())
    }
}

/// Writes requests for receivers.
struct Wire(WireEncoder);

impl Encoder for Wire {
    fn encode(&mut self, version: WireVersion, series: &[Outgoing]) -> Option<Vec<u8>> {
        let version = match version {
            WireVersion::V1 => Version::V1,
            WireVersion::V2 => Version::V2,
        };
        let outgoing = series.iter().map(|s| OutgoingSeries {
            labels: Some(&s.labels),
            samples: &s.samples,
            histograms: &s.histograms,
            exemplars: &[],
            metadata: None,
        });
        self.0.encode(version, outgoing).map(<[u8]>::to_vec)
    }
}

/// Stores what was scraped and offers it to the receivers.
struct Stored {
    doors: Arc<Doors>,
    senders: Arc<Senders>,
}

impl Outlet for Stored {
    fn put(&self, scraped: Scraped) -> Pending<'_, Result<(), String>> {
        let scraped = Arc::new(scraped);
        let queued = self.senders.offer(&scraped);
        let doors = Arc::clone(&self.doors);
        Box::pin(async move {
            // First there, then here: a kill between the two must not leave samples here that are never sent on.
            queued.within(QUEUE_PATIENCE).await;
            let stored = tokio::task::spawn_blocking(move || {
                let batch = &scraped.batch;
                let source = format!("scrape {}", batch.target.get("job"));
                let from = From { format: Format::Scrape, source: &source, now: batch.at };
                doors.take(&from, |sink| scraped.feed(sink))
            })
            .await;
            match stored {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}
