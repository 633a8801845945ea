//! The HTTP doors, as the API wants them.

use std::sync::Arc;

use wellkept_api::{Door, Push, PushReply, Refusal, RefusalKind};
use wellkept_doors::{Body, Doors, Format};
use wellkept_model::Text;
use wellkept_tsdb::Store;

/// The doors of the store behind HTTP.
pub(crate) struct HttpDoors {
    pub(crate) doors: Arc<Doors>,
    pub(crate) store: Arc<Store>,
}

impl wellkept_api::Doors for HttpDoors {
    fn push(&self, push: Push) -> PushReply {
        let format = match push.door {
            Door::RemoteWrite => Format::RemoteWrite,
            Door::Import => Format::Text,
            Door::Otlp => Format::Otlp,
            Door::Influx => Format::Influx,
        };
        let pushed = self.doors.push(&Body {
            format,
            content_type: &push.content_type,
            content_encoding: &push.content_encoding,
            parameters: &push.parameters,
            bytes: &push.body,
            now: push.now,
        });
        PushReply {
            status: pushed.status,
            headers: pushed.headers,
            content_type: pushed.content_type,
            body: pushed.body,
        }
    }

    fn flush(&self) -> Result<(), Refusal> {
        self.store.commit().and_then(|_| self.store.write_block()).map(drop).map_err(|e| refusal(&e))
    }

    fn snapshot(&self) -> Result<String, Refusal> {
        Err(Refusal { kind: RefusalKind::NotFound, text: Text::new("refused.no_snapshot") })
    }
}

fn refusal(error: &dyn std::error::Error) -> Refusal {
    Refusal { kind: RefusalKind::Unavailable, text: Text::new("refused.store").with("error", error) }
}
