//! Asks a service of somebody else and takes the time. Any HTTP answer counts as quick, except that one
//! to too many requests is told apart. A long time during which we were late ourselves counts as no look at all.

use wellkept_model::keep::Dependency;
use wellkept_model::observe::DependencySeen;

use super::{Shared, pause};
use crate::clock;
use crate::vantage::{Timed, timed};

/// The status of an answer to too many requests (RFC 6585).
const TOO_MANY: u16 = 429;

pub(super) async fn watch(shared: Shared, declared: Dependency) {
    let mut closely = shared.closely.subscribe();
    let (mut slow_in_a_row, mut quick_in_a_row, mut refused_in_a_row) = (0u32, 0u32, 0u32);
    // Beyond its limit it is slow, however long it takes.
    let limit = declared.slow.mul_f64(1.25);
    loop {
        let timed = timed(limit, shared.http.ask(&declared.http)).await;
        if timed.took > declared.slow && timed.is_worthless() {
            pause(declared.every, &mut closely).await;
            continue;
        }
        let Timed { answer, took, .. } = timed;
        let refused = matches!(&answer, Some(Ok(head)) if head.status == TOO_MANY);
        refused_in_a_row = if refused { refused_in_a_row.saturating_add(1) } else { 0 };
        let problem = match answer {
            Some(Ok(_)) => None,
            Some(Err(reason)) => Some(reason),
            None => Some(format!("no answer within {} s", limit.as_secs_f64())),
        };
        if problem.is_some() || took > declared.slow {
            (slow_in_a_row, quick_in_a_row) = (slow_in_a_row.saturating_add(1), 0);
        } else if refused {
            // Quick, and of no use.
            (slow_in_a_row, quick_in_a_row) = (0, 0);
        } else {
            (slow_in_a_row, quick_in_a_row) = (0, quick_in_a_row.saturating_add(1));
        }
        let seen = DependencySeen {
            at: clock::wall(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            slow_in_a_row,
            quick_in_a_row,
            problem,
            refused_in_a_row,
            fallback_ours: false,
        };
        shared.lock().dependencies.insert(declared.name.clone(), seen);
        let every =
            if slow_in_a_row == 1 || refused_in_a_row == 1 { super::CLOSE / 4 } else { declared.every };
        pause(every, &mut closely).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::watch::Sender;
    use wellkept_model::observe::DependencySeen;

    use super::*;
    use crate::health::HttpHead;
    use crate::watch::testing::{Nginx, wait_for};

    #[tokio::test]
    async fn a_real_server_that_has_enough_is_neither_slow_nor_well() {
        let server = Nginx::start("return 429;").await;
        let shared = Shared {
            seen: Arc::default(),
            pids: Arc::default(),
            closely: Arc::new(Sender::new(0)),
            http: HttpHead::default(),
            memory: None,
        };
        let declared = Dependency {
            name: "pay".into(),
            http: format!("http://127.0.0.1:{}/", server.port),
            slow: Duration::from_secs(5),
            used_by: vec![],
            fallback_on: None,
            fallback_off: None,
            every: Duration::from_millis(20),
            may: vec![],
        };
        let task = tokio::spawn(watch(shared.clone(), declared));
        let seen = async |holds: fn(&DependencySeen) -> bool| {
            wait_for("it is seen", async || shared.lock().dependencies.get("pay").cloned().filter(holds))
                .await
        };
        let refuses = seen(|d| d.refused_in_a_row >= 2).await;
        assert_eq!((refuses.slow_in_a_row, refuses.quick_in_a_row, refuses.problem), (0, 0, None));
        server.load("return 200;");
        assert_eq!(seen(|d| d.quick_in_a_row >= 2).await.refused_in_a_row, 0);
        task.abort();
    }
}
