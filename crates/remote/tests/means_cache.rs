//! Steps inside a real Redis server: exactly the declared limit, and exactly the entry that was seen.

#[path = "../../collect/src/watch/testing.rs"]
mod servers;
mod world;

use std::time::Duration;

use servers::Redis;
use wellkept_model::keep::{Cache, Queue};
use wellkept_model::{ActionKind, ActionStatus, EntityId, Means, Undo};
use wellkept_resp::fingerprint;
use world::*;

fn world(server: &Redis, dead_letter: Option<&str>, takes_left: bool) -> World {
    let mut world = World::new();
    world.service("cache");
    let queue = Queue {
        limit: 10,
        takes_left,
        stuck: Duration::from_secs(30),
        consumer: None,
        dead_letter: dead_letter.map(str::to_owned),
    };
    let cache = Cache {
        service: "cache".into(),
        redis: server.address(),
        user: None,
        password_file: None,
        memory: Some(8 << 20),
        standby: false,
        queues: [("jobs".to_owned(), queue)].into(),
        every: Duration::from_secs(1),
        may: vec![],
    };
    world.keep.watched.caches.insert("cache".into(), cache);
    world
}

fn step(kind: ActionKind, means: &Means, back: &Means) -> wellkept_model::PlannedAction {
    let undo = Undo::Means { subject: back.to_string() };
    let step = action(kind, EntityId::service("cache"));
    wellkept_model::PlannedAction { subject: means.to_string(), undo, deadline_ms: 10_000, ..step }
}

#[tokio::test]
async fn an_entry_is_moved_aside_only_while_it_is_the_next_one_and_comes_back() {
    for takes_left in [false, true] {
        let server = Redis::start(&[]).await;
        let push = if takes_left { "RPUSH" } else { "LPUSH" };
        server.run(&[push, "jobs", "bad", "good"]);
        let world = world(&server, Some("dead"), takes_left);
        let of = |entry: &str| format!("jobs {}", fingerprint(entry.as_bytes()));
        let means = |entry: &str| (Means::DeadLetter(of(entry)), Means::Requeue(of(entry)));
        let hands = world.hands();
        let (aside, back) = means("good");
        let other = step(ActionKind::Isolate, &aside, &back);
        let done = hands.execute(id(1), &other, &[], now()).await;
        assert_eq!((done.status, done.text.key.as_str()), (ActionStatus::Failed, "outcome.entry_changed"));
        let (aside, back) = means("bad");
        let right = step(ActionKind::Isolate, &aside, &back);
        let done = hands.execute(id(2), &right, &[], now()).await;
        assert_eq!(done.status, ActionStatus::Succeeded, "{done:?}");
        assert_eq!(server.run(&["LRANGE", "jobs", "0", "-1"]), "good");
        assert_eq!(server.run(&["LRANGE", "dead", "0", "-1"]), "bad");
        let undone = hands.undo(id(2), &right, &[], now()).await;
        assert_eq!(undone.status, ActionStatus::RolledBack, "{undone:?}");
        let index = if takes_left { "0" } else { "-1" };
        assert_eq!(server.run(&["LINDEX", "jobs", index]), "bad");
        assert_eq!(server.run(&["LLEN", "dead"]), "0");
    }
}

#[tokio::test]
async fn an_entry_that_is_taken_and_put_back_is_waited_for() {
    let server = Redis::start(&[]).await;
    server.run(&["LPUSH", "taken", "bad"]);
    server.run(&["LPUSH", "jobs", "good"]);
    let world = world(&server, Some("dead"), false);
    let entry = format!("jobs {}", fingerprint(b"bad"));
    let aside = step(ActionKind::Isolate, &Means::DeadLetter(entry.clone()), &Means::Requeue(entry));
    let hands = world.hands();
    let (nobody, at) = (Vec::new(), now());
    let moving = hands.execute(id(1), &aside, &nobody, at);
    let put_back = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.run(&["LMOVE", "taken", "jobs", "LEFT", "RIGHT"]);
    };
    let (done, ()) = tokio::join!(moving, put_back);
    assert_eq!(done.status, ActionStatus::Succeeded, "{done:?}");
    assert_eq!(server.run(&["LRANGE", "dead", "0", "-1"]), "bad");
}

#[tokio::test]
async fn without_a_declared_list_nothing_is_moved() {
    let server = Redis::start(&[]).await;
    server.run(&["LPUSH", "jobs", "bad"]);
    server.run(&["LPUSH", "others", "bad"]);
    let print = fingerprint(b"bad");
    for (dead, entry) in [(None, format!("jobs {print}")), (Some("dead"), format!("others {print}"))] {
        let world = world(&server, dead, false);
        let means = Means::DeadLetter(entry);
        let done = world.hands().execute(id(1), &step(ActionKind::Isolate, &means, &means), &[], now()).await;
        assert_eq!((done.status, done.text.key.as_str()), (ActionStatus::Failed, "outcome.not_declared"));
    }
    assert_eq!((server.run(&["LLEN", "jobs"]), server.run(&["LLEN", "others"])), ("1".into(), "1".into()));
}

#[tokio::test]
async fn the_limit_is_set_to_the_declared_one_and_back_and_never_above() {
    let server = Redis::start(&["--maxmemory", "2mb"]).await;
    let world = world(&server, None, false);
    let limit = || server.run(&["CONFIG", "GET", "maxmemory"]);
    let means = |bytes: u64| Means::Memory(bytes.to_string());
    let hands = world.hands();
    let above = step(ActionKind::Reconfigure, &means(9 << 20), &means(1));
    let done = hands.execute(id(1), &above, &[], now()).await;
    assert_eq!((done.text.key.as_str(), limit().as_str()), ("outcome.not_declared", "maxmemory\n2097152"));
    let right = step(ActionKind::Reconfigure, &means(8 << 20), &means(2 << 20));
    assert_eq!(hands.execute(id(2), &right, &[], now()).await.status, ActionStatus::Succeeded);
    assert_eq!(limit(), "maxmemory\n8388608");
    assert_eq!(hands.undo(id(2), &right, &[], now()).await.status, ActionStatus::RolledBack);
    assert_eq!(limit(), "maxmemory\n2097152");
}
