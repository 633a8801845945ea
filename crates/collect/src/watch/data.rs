//! Runs a declared test of data, rarely: it may read all of it.

use std::time::Duration;

use wellkept_model::keep::DataTest;
use wellkept_model::observe::DataSeen;

use super::{Shared, program};
use crate::clock;

/// How soon a failed test is made again: the data may have been put right.
const AGAIN: Duration = Duration::from_secs(15);

pub(super) async fn watch(shared: Shared, declared: DataTest) {
    let mut seen = DataSeen::default();
    loop {
        seen = look(&declared, seen).await;
        let failed = seen.failure.is_some();
        shared.lock().data.insert(declared.name.clone(), seen.clone());
        tokio::time::sleep(if failed { AGAIN.min(declared.every) } else { declared.every }).await;
    }
}

async fn look(declared: &DataTest, before: DataSeen) -> DataSeen {
    let at = clock::wall();
    match program::run(&declared.test.argv, declared.test.within).await {
        Ok(ran) if ran.good => DataSeen { at, ..DataSeen::default() },
        Ok(ran) => {
            let words = program::last_words(&format!("{}\n{}", ran.output, ran.errors));
            DataSeen { at, failure: Some(words), since: before.since.or(Some(at)), problem: None }
        }
        // One that could not be made says nothing; what was known holds.
        Err(problem) => DataSeen { at, problem: Some(problem), ..before },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::testing::Redis;
    use wellkept_model::keep::Command;

    #[tokio::test]
    async fn a_real_file_that_was_damaged_is_told_until_it_is_whole_again() {
        let server = Redis::start(&[]).await;
        server.run(&["SET", "a", &"x".repeat(1000)]);
        server.run(&["SAVE"]);
        let file = server.dir.join("dump.rdb");
        let argv = vec!["redis-check-rdb".to_owned(), file.to_string_lossy().into_owned()];
        let test = Command { argv, within: Duration::from_secs(30) };
        let (name, service, every) = ("d".into(), "cache".into(), Duration::from_secs(60));
        let declared = DataTest { name, service, test, every };
        let good = look(&declared, DataSeen::default()).await;
        assert_eq!((good.failure.as_ref(), good.problem.as_ref()), (None, None));
        let whole = std::fs::read(&file).expect("read");
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0xff;
        std::fs::write(&file, &damaged).expect("written");
        let bad = look(&declared, good).await;
        assert!(bad.failure.is_some() && bad.since == Some(bad.at), "{bad:?}");
        let still = look(&declared, bad.clone()).await;
        assert_eq!(still.since, bad.since);
        std::fs::write(&file, &whole).expect("written");
        assert_eq!(look(&declared, still).await.failure, None);
    }

    #[tokio::test]
    async fn a_test_that_cannot_be_made_says_nothing() {
        let test = Command { argv: vec!["/nowhere".into()], within: Duration::from_secs(1) };
        let (name, service, every) = ("d".into(), "db".into(), Duration::from_secs(60));
        let seen = look(&DataTest { name, service, test, every }, DataSeen::default()).await;
        assert!(seen.failure.is_none() && seen.problem.is_some());
    }
}
