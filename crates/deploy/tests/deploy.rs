//! Deployments on folders that stand for hosts: what is done, what is refused, and what goes back.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod stage;

use std::os::unix::fs::symlink;

use stage::{Folders, failed};
use wellkept_deploy::{Act, Answer, Asked, DeployError, Deployment, Status};
use wellkept_model::keep::{App, Command, WorseBy};

const HOSTS: [&str; 3] = ["h1", "h2", "h3"];

async fn go(world: &Folders, app: &App, act: Act, version: &str) -> (Status, Option<String>) {
    let house = world.house();
    let asked = world.asked(app, act, version, &HOSTS);
    let deployment = Deployment::begin(world, &house, &asked).await.unwrap();
    let (status, why) = deployment.run().await.unwrap();
    (status, why.map(|why| why.key))
}

async fn refused(world: &Folders, asked: &Asked<'_>) -> String {
    let house = world.house();
    match Deployment::begin(world, &house, asked).await {
        Err(DeployError::Refused(text)) => text.key,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was begun"),
    }
}

fn all_at(world: &Folders, link: Option<&str>) {
    for host in HOSTS {
        assert_eq!(world.current(host).as_deref(), link, "{host}");
        assert!(!world.is_marked(host), "{host}: no marker stays");
    }
}

/// A world in which 1.0 is everywhere.
async fn with_first() -> (Folders, App) {
    let world = Folders::new();
    let app = world.app();
    world.build("1.0", "well 1");
    assert_eq!(go(&world, &app, Act::Deploy, "1.0").await, (Status::Done, None), "{:?}", world.told);
    (world, app)
}

#[tokio::test]
async fn a_version_comes_to_all_hosts_and_the_one_before_comes_back() {
    let (world, app) = with_first().await;
    all_at(&world, Some("releases/1.0"));
    world.build("1.1", "well 2");
    assert_eq!(go(&world, &app, Act::Deploy, "1.1").await.0, Status::Done);
    all_at(&world, Some("releases/1.1"));
    assert_eq!(std::fs::read_to_string(world.host("h3").join("srv/running")).unwrap(), "well 2");
    assert_eq!(world.house().version_before().unwrap(), "1.0");
    assert_eq!(go(&world, &app, Act::Rollback, "1.0").await.0, Status::Done);
    all_at(&world, Some("releases/1.0"));
    assert_eq!(std::fs::read_to_string(world.host("h1").join("srv/running")).unwrap(), "well 1");
    let changes = world.changes.lock().unwrap();
    assert_eq!(changes[0], ("h1".into(), "-".into(), "1.0".into()));
    assert_eq!(changes.last().unwrap(), &("h3".into(), "1.1".into(), "1.0".into()));
}

#[tokio::test]
async fn a_canary_that_is_not_well_goes_back_and_the_others_are_untouched() {
    let (world, app) = with_first().await;
    world.build("1.1", "ill");
    let ended = go(&world, &app, Act::Deploy, "1.1").await;
    assert_eq!(ended, (Status::RolledBack, Some("deploy.ill".to_owned())));
    all_at(&world, Some("releases/1.0"));
    assert_eq!(std::fs::read_to_string(world.host("h1").join("srv/running")).unwrap(), "well 1");
    assert_eq!(world.releases("h2"), ["1.0"]);
    let past = world.house().past().unwrap();
    assert_eq!((past[0].status, past[0].head.version.as_str()), (Status::RolledBack, "1.1"));
}

#[tokio::test]
async fn a_later_batch_that_fails_takes_all_hosts_back() {
    let (world, app) = with_first().await;
    world.build("1.1", "well 2");
    world.trap("h3", "command", "srv/running", failed("no such service"));
    let ended = go(&world, &app, Act::Deploy, "1.1").await;
    assert_eq!(ended, (Status::RolledBack, Some("deploy.step".to_owned())));
    all_at(&world, Some("releases/1.0"));
}

#[tokio::test]
async fn where_there_was_no_release_there_is_none_again() {
    let world = Folders::new();
    let app = world.app();
    world.build("1.0", "ill");
    assert_eq!(go(&world, &app, Act::Deploy, "1.0").await.0, Status::RolledBack);
    all_at(&world, None);
}

#[tokio::test]
async fn more_errors_than_before_take_it_back_and_no_answer_is_no_proof() {
    let (world, mut app) = with_first().await;
    app.errors = Some(Folders::share(WorseBy::Added(0.01)));
    world.build("1.1", "well 2");
    for (answers, ended) in [
        (vec![Ok(Some(0.02)), Ok(Some(0.02)), Ok(Some(0.05))], "deploy.errors_worse"),
        (vec![Ok(None), Err("nobody".to_owned())], "deploy.errors_unknown"),
    ] {
        *world.errors.lock().unwrap() = answers;
        assert_eq!(go(&world, &app, Act::Deploy, "1.1").await, (Status::RolledBack, Some(ended.to_owned())));
        all_at(&world, Some("releases/1.0"));
    }
    *world.errors.lock().unwrap() =
        vec![Ok(Some(0.02)), Err("once".to_owned()), Ok(Some(0.03)), Ok(Some(0.025))];
    assert_eq!(go(&world, &app, Act::Deploy, "1.1").await.0, Status::Done);
    *world.errors.lock().unwrap() = vec![Err("nobody".to_owned())];
    world.build("1.2", "well 3");
    assert_eq!(refused(&world, &world.asked(&app, Act::Deploy, "1.2", &HOSTS)).await, "deploy.no_baseline");
}

#[tokio::test]
async fn a_wrong_checksum_and_links_that_lead_out_are_refused_before_a_host_is_touched() {
    let world = Folders::new();
    let mut app = world.app();
    world.build("1.0", "well");
    symlink("/etc", world.temp.path().join("builds/1.0/out")).unwrap();
    assert_eq!(refused(&world, &world.asked(&app, Act::Deploy, "1.0", &HOSTS)).await, "deploy.link_out");
    let archive = world.temp.path().join("builds/a.tar");
    let mut builder = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "x", "/etc").unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o644);
    builder.append_data(&mut header, "x/passwd", &b"evil"[..]).unwrap();
    builder.finish().unwrap();
    app.artefact.from = wellkept_model::keep::ArtefactFrom::File(archive.display().to_string());
    assert_eq!(refused(&world, &world.asked(&app, Act::Deploy, "1.0", &HOSTS)).await, "deploy.bad_archive");
    let mut asked = world.asked(&app, Act::Deploy, "1.0", &HOSTS);
    asked.sha256 = Some("0".repeat(64));
    assert_eq!(refused(&world, &asked).await, "deploy.wrong_checksum");
    asked.sha256 = Some("none".to_owned());
    assert_eq!(refused(&world, &asked).await, "deploy.no_checksum");
    assert!(world.calls.lock().unwrap().is_empty(), "no host was asked anything");
    for host in HOSTS {
        assert!(!world.at(host, "").exists());
    }
}

#[tokio::test]
async fn an_archive_that_arrives_otherwise_is_not_unpacked() {
    let (world, app) = with_first().await;
    world.build("1.1", "well 2");
    let other = serde_json::json!({"stat": {"exists": true, "checksum": "0".repeat(64)}});
    let serde_json::Value::Object(other) = other else { unreachable!() };
    world.trap("h1", "stat", "sha256", Answer::Done(other));
    assert_eq!(go(&world, &app, Act::Deploy, "1.1").await.0, Status::RolledBack);
    assert_eq!(world.releases("h1"), ["1.0"]);
    let incoming = std::fs::read_dir(world.at("h1", ".wellkept/incoming")).unwrap().count();
    assert_eq!(incoming, 0, "what was brought is gone");
}

#[tokio::test]
async fn two_deployments_at_once_are_refused_here_and_on_the_host() {
    let (world, app) = with_first().await;
    world.build("1.1", "well 2");
    let house = world.house();
    let asked = world.asked(&app, Act::Deploy, "1.1", &HOSTS);
    let first = Deployment::begin(&world, &house, &asked).await.unwrap();
    assert_eq!(refused(&world, &asked).await, "deploy.under_way");
    assert_eq!(first.run().await.unwrap().0, Status::Done);
    // Another controller has marked a host.
    world.build("1.2", "well 3");
    symlink("7 9.9 of shop by bob@elsewhere", world.at("h2", ".wellkept/deploying")).unwrap();
    let asked = world.asked(&app, Act::Deploy, "1.2", &HOSTS);
    assert_eq!(refused(&world, &asked).await, "deploy.marked");
    assert!(!world.is_marked("h1") && world.is_marked("h2"));
    assert_eq!(world.current("h1").as_deref(), Some("releases/1.1"));
}

#[tokio::test]
async fn a_marker_that_comes_between_look_and_mark_wins() {
    let (world, app) = with_first().await;
    world.build("1.1", "well 2");
    let house = world.house();
    let asked = world.asked(&app, Act::Deploy, "1.1", &HOSTS);
    let deployment = Deployment::begin(&world, &house, &asked).await.unwrap();
    symlink("7 9.9 of shop by bob@elsewhere", world.at("h2", ".wellkept/deploying")).unwrap();
    assert_eq!(deployment.run().await.unwrap().0, Status::RolledBack);
    assert!(world.is_marked("h2"), "another's marker stays");
    assert!(!world.is_marked("h1") && !world.is_marked("h3"), "ours are gone");
    assert_eq!(world.releases("h1"), ["1.0"], "nothing was brought");
}

#[tokio::test]
async fn while_the_stop_switch_is_on_nothing_begins_but_the_way_back() {
    let (world, app) = with_first().await;
    world.build("1.1", "well 2");
    assert_eq!(go(&world, &app, Act::Deploy, "1.1").await.0, Status::Done);
    world.build("1.2", "well 3");
    *world.halt.lock().unwrap() = Some(wellkept_model::Text::new("deploy.frozen"));
    assert_eq!(refused(&world, &world.asked(&app, Act::Deploy, "1.2", &HOSTS)).await, "deploy.frozen");
    all_at(&world, Some("releases/1.1"));
}

#[tokio::test]
async fn what_was_halted_goes_on_where_it_stopped_or_goes_back() {
    for back in [false, true] {
        let (world, app) = with_first().await;
        world.build("1.1", "well 2");
        let house = world.house();
        let asked = world.asked(&app, Act::Deploy, "1.1", &HOSTS);
        let deployment = Deployment::begin(&world, &house, &asked).await.unwrap();
        // Frozen in the first batch: it is left as it is.
        *world.halt.lock().unwrap() = Some(wellkept_model::Text::new("deploy.frozen"));
        assert_eq!(deployment.run().await.unwrap().0, Status::Interrupted);
        *world.halt.lock().unwrap() = None;
        assert_eq!(refused(&world, &asked).await, "deploy.interrupted");
        let taken = Deployment::resume(&world, &house, &app, false, back).await.unwrap();
        if back {
            assert_eq!(taken.go_back("ann").await.unwrap().0, Status::RolledBack);
            all_at(&world, Some("releases/1.0"));
        } else {
            assert_eq!(taken.run().await.unwrap().0, Status::Done);
            all_at(&world, Some("releases/1.1"));
        }
        assert!(Deployment::resume(&world, &house, &app, false, false).await.is_err(), "nothing is open");
    }
}

/// The journal of a deployment, cut after each of its lines: as if the process had been killed there.
#[tokio::test]
async fn killed_anywhere_it_can_go_on_and_can_go_back() {
    let (world, mut app) = with_first().await;
    let hook = |name: &str| Command {
        argv: ["sh", "-c", &format!("echo {name} >> ../../log"), "hook"].map(str::to_owned).to_vec(),
        within: std::time::Duration::from_secs(9),
    };
    app.before = Some(hook("before"));
    world.build("1.1", "well 2");
    assert_eq!(go(&world, &app, Act::Deploy, "1.1").await.0, Status::Done);
    let folder = world.temp.path().join("data/deploy/shop");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "jsonl"))
        .collect();
    names.sort();
    let path = names.last().unwrap().clone();
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let house = world.house();
    for cut in 1..lines.len() {
        for back in [true, false] {
            std::fs::write(&path, lines[..cut].join("\n")).unwrap();
            let taken = Deployment::resume(&world, &house, &app, false, back).await;
            let in_hook = lines[cut - 1].contains("\"begun\"") && lines[cut - 1].contains("\"before\"");
            if in_hook && !back {
                let Err(DeployError::Refused(text)) = taken else { panic!("a hook is not run twice") };
                assert_eq!(text.key, "deploy.doubt");
                continue;
            }
            let (status, _) = match back {
                true => taken.unwrap().go_back("ann").await.unwrap(),
                false => taken.unwrap().run().await.unwrap(),
            };
            match (back, in_hook) {
                (true, true) => assert_eq!(status, Status::Unknown, "cut after {}", lines[cut - 1]),
                (true, false) => assert_eq!(status, Status::RolledBack, "cut after {}", lines[cut - 1]),
                // The artefact is gone since the whole run; what needs no bringing goes on.
                (false, _) => assert_eq!(status, Status::Done, "cut after {}", lines[cut - 1]),
            }
        }
    }
}

#[tokio::test]
async fn a_hook_whose_end_nobody_knows_is_unknown_and_never_run_twice() {
    let (world, mut app) = with_first().await;
    app.before =
        Some(Command { argv: vec!["migrate".to_owned()], within: std::time::Duration::from_secs(9) });
    world.build("1.1", "well 2");
    world.trap("h1", "command", "migrate", Answer::Unknown("the line broke".to_owned()));
    let ended = go(&world, &app, Act::Deploy, "1.1").await;
    assert_eq!(ended, (Status::Unknown, Some("deploy.step_unknown".to_owned())));
    assert_eq!((world.runs("h1", "migrate"), world.current("h1").as_deref()), (1, Some("releases/1.0")));
    assert!(world.is_marked("h1"), "somebody has to look first");
    let asked = world.asked(&app, Act::Deploy, "1.1", &HOSTS);
    assert_eq!(refused(&world, &asked).await, "deploy.interrupted");
    let house = world.house();
    let taken = Deployment::resume(&world, &house, &app, false, true).await.unwrap();
    taken.settle("ann").await.unwrap();
    app.before = None;
    assert_eq!(go(&world, &app, Act::Deploy, "1.1").await.0, Status::Done);
}

#[tokio::test]
async fn a_host_that_cannot_be_put_back_is_told_and_stays_marked_until_it_is() {
    let (world, app) = with_first().await;
    world.build("1.1", "ill");
    for _ in 0..3 {
        world.trap("h1", "file", "releases/1.0\"", Answer::Unreachable("gone".to_owned()));
    }
    assert_eq!(go(&world, &app, Act::Deploy, "1.1").await.0, Status::Unknown);
    assert_eq!(world.current("h1").as_deref(), Some("releases/1.1"));
    assert!(world.keys().contains(&"deploy.not_back".to_owned()) && world.is_marked("h1"));
    let house = world.house();
    let taken = Deployment::resume(&world, &house, &app, false, true).await.unwrap();
    assert_eq!(taken.go_back("ann").await.unwrap().0, Status::RolledBack);
    all_at(&world, Some("releases/1.0"));
}

#[tokio::test]
async fn old_releases_go_but_never_the_current_one_or_the_one_before() {
    let (world, app) = with_first().await;
    for (version, content) in [("1.1", "well 2"), ("1.2", "well 3"), ("1.3", "well 4")] {
        world.build(version, content);
        std::fs::create_dir_all(world.at("h1", "releases/by-hand")).unwrap();
        assert_eq!(go(&world, &app, Act::Deploy, version).await.0, Status::Done);
    }
    assert_eq!(world.releases("h1"), ["1.2", "1.3", "by-hand"], "what is not ours stays");
    assert_eq!(world.releases("h2"), ["1.2", "1.3"]);
    let asked = world.asked(&app, Act::Rollback, "1.0", &HOSTS);
    assert_eq!(refused(&world, &asked).await, "deploy.no_release");
}

#[tokio::test]
async fn what_is_there_already_is_left_alone_and_a_version_has_one_content() {
    let (world, app) = with_first().await;
    let before = world.runs("h1", "srv/running");
    assert_eq!(go(&world, &app, Act::Deploy, "1.0").await.0, Status::Done);
    assert_eq!(world.runs("h1", "srv/running"), before, "nothing was restarted");
    world.build("1.0", "well, but another");
    let asked = world.asked(&app, Act::Deploy, "1.0", &HOSTS);
    assert_eq!(refused(&world, &asked).await, "deploy.other_content");
    std::fs::create_dir_all(world.at("h2", "releases/1.1")).unwrap();
    world.build("1.1", "well 2");
    let asked = world.asked(&app, Act::Deploy, "1.1", &HOSTS);
    assert_eq!(refused(&world, &asked).await, "deploy.foreign_release");
}

#[tokio::test]
async fn a_current_that_is_no_link_to_a_release_is_refused() {
    let (world, app) = with_first().await;
    world.build("1.1", "well 2");
    let asked = world.asked(&app, Act::Deploy, "1.1", &HOSTS);
    std::fs::remove_file(world.at("h3", "current")).unwrap();
    symlink("/etc", world.at("h3", "current")).unwrap();
    assert_eq!(refused(&world, &asked).await, "deploy.odd_current");
    std::fs::remove_file(world.at("h3", "current")).unwrap();
    std::fs::create_dir(world.at("h3", "current")).unwrap();
    assert_eq!(refused(&world, &asked).await, "deploy.no_link");
}

#[tokio::test]
async fn shared_names_outlive_releases_and_must_be_there() {
    let world = Folders::new();
    let mut app = world.app();
    app.shared = vec!["log/".to_owned(), "env".to_owned()];
    world.build("1.0", "well 1");
    let asked = world.asked(&app, Act::Deploy, "1.0", &HOSTS);
    assert_eq!(refused(&world, &asked).await, "deploy.no_shared");
    for host in HOSTS {
        std::fs::create_dir_all(world.at(host, "shared")).unwrap();
        std::fs::write(world.at(host, "shared/env"), "A=1").unwrap();
    }
    assert_eq!(go(&world, &app, Act::Deploy, "1.0").await.0, Status::Done);
    std::fs::write(world.at("h1", "current/log/x"), "line").unwrap();
    assert_eq!(std::fs::read_to_string(world.at("h1", "shared/log/x")).unwrap(), "line");
    assert_eq!(std::fs::read_to_string(world.at("h2", "current/env")).unwrap(), "A=1");
}

#[tokio::test]
async fn a_look_changes_nothing() {
    let (world, app) = with_first().await;
    world.build("1.1", "well 2");
    let house = world.house();
    let asked = world.asked(&app, Act::Deploy, "1.1", &HOSTS);
    let preview = Deployment::preview(&world, &house, &asked).await.unwrap();
    assert_eq!(preview.head.batches, [vec!["h1".to_owned()], vec!["h2".to_owned(), "h3".to_owned()]]);
    assert_eq!(preview.head.hosts[0].before.as_deref(), Some("1.0"));
    assert_eq!((world.releases("h1"), house.past().unwrap().len()), (vec!["1.0".to_owned()], 1));
    all_at(&world, Some("releases/1.0"));
}

#[tokio::test]
async fn an_address_is_fetched_once_and_only_with_a_checksum() {
    use sha2::{Digest, Sha256};
    let world = Folders::new();
    let mut app = world.app();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o4755);
    header.set_uid(4242);
    header.set_gid(4242);
    builder.append_data(&mut header, "shop-1.0/app", &b"well"[..]).unwrap();
    let archive = builder.into_inner().unwrap();
    let sha256: String = Sha256::digest(&archive).iter().map(|byte| format!("{byte:02x}")).collect();
    let site = stage::Site::of(200, archive);
    app.artefact.from =
        wellkept_model::keep::ArtefactFrom::Url(format!("http://{}/shop-{{version}}.tar", site.address));
    app.artefact.strip = 1;
    let mut asked = world.asked(&app, Act::Deploy, "1.0", &HOSTS);
    assert_eq!(refused(&world, &asked).await, "deploy.url_without_checksum");
    assert!(site.paths.lock().unwrap().is_empty(), "it was not even asked for");
    asked.sha256 = Some("1".repeat(64));
    assert_eq!(refused(&world, &asked).await, "deploy.wrong_checksum");
    asked.sha256 = Some(sha256.to_uppercase());
    let house = world.house();
    let deployment = Deployment::begin(&world, &house, &asked).await.unwrap();
    assert_eq!(deployment.run().await.unwrap().0, Status::Done);
    all_at(&world, Some("releases/1.0"));
    assert_eq!(
        *site.paths.lock().unwrap(),
        ["/shop-1.0.tar", "/shop-1.0.tar"],
        "once for each try, not for each host"
    );
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(world.at("h1", "current/app")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "no set-user-id bit gets to a host");
}

#[tokio::test]
async fn checks_are_asked_from_here_about_each_host() {
    use wellkept_model::keep::{AppCheck, Probe, Vantage};
    let (world, mut app) = with_first().await;
    let well = stage::Site::of(200, b"all is ok".to_vec());
    let check = |probe| AppCheck {
        probe,
        within: std::time::Duration::from_secs(5),
        failures: 1,
        vantage: Vantage::Controller,
    };
    let http = |contains: &str| Probe::Http {
        url: format!("http://{}/{{host}}", well.address),
        status: 200,
        contains: Some(contains.to_owned()),
    };
    app.health = vec![check(http("ok")), check(Probe::Tcp { address: well.address.to_string() })];
    world.build("1.1", "whatever");
    assert_eq!(go(&world, &app, Act::Deploy, "1.1").await.0, Status::Done);
    let paths = well.paths.lock().unwrap().clone();
    for path in ["/h1", "/h2", "/h3"] {
        assert!(paths.iter().any(|p| p == path), "{path} in {paths:?}");
    }
    app.health = vec![check(http("splendid"))];
    world.build("1.2", "whatever");
    assert_eq!(
        go(&world, &app, Act::Deploy, "1.2").await,
        (Status::RolledBack, Some("deploy.ill".to_owned()))
    );
    app.health = vec![check(Probe::Tcp { address: "127.0.0.1:1".to_owned() })];
    app.health[0].within = std::time::Duration::from_secs(1);
    assert_eq!(
        go(&world, &app, Act::Deploy, "1.2").await,
        (Status::RolledBack, Some("deploy.ill".to_owned()))
    );
    all_at(&world, Some("releases/1.1"));
}
