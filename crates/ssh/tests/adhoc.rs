//! One command on several hosts, which are several loopback addresses.

mod bed;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bed::{Sshd, now};
use tokio::sync::mpsc;
use wellkept_ssh::adhoc::{EVENTS_MAX, Event, Host, Job, JobError, Outcome, Table};
use wellkept_ssh::{Command, CommandLine, End, Unattended};

/// `h1` to `hN`, on 127.0.0.1 and so on.
fn hosts(count: u8) -> (Vec<Sshd>, Vec<Host>) {
    let servers: Vec<Sshd> = (1..=count).map(|n| Sshd::with(&[], Ipv4Addr::new(127, 0, 0, n))).collect();
    let hosts = servers.iter().zip(1..).map(|(s, n)| Host { name: format!("h{n}"), route: vec![s.target()] });
    let hosts = hosts.collect();
    (servers, hosts)
}

fn job(hosts: Vec<Host>, line: &str) -> Job {
    let command = Command::new(CommandLine::line(line).expect("a line"));
    Job { hosts, command, who: None, forks: 4, serial: None, max_fail_percent: None }
}

/// Runs it and calls `look` with each event.
async fn run(job: &Job, stop: &Arc<AtomicBool>, mut look: impl FnMut(&Event)) -> Table {
    let (events, mut inbox) = mpsc::channel(EVENTS_MAX);
    let running = job.run(Arc::new(Unattended), now(), Arc::clone(stop), events);
    let looking = async {
        while let Some(event) = inbox.recv().await {
            look(&event);
        }
    };
    tokio::join!(running, looking).0.expect("a job")
}

/// `h1+ h2- h3?`: succeeded, failed, not begun.
fn shown(table: &Table) -> String {
    let row = |r: &Arc<wellkept_ssh::adhoc::Row>| match &r.outcome {
        Outcome::NotBegun => format!("{}?", r.host),
        _ if r.success() => format!("{}+", r.host),
        _ => format!("{}-", r.host),
    };
    table.rows.iter().map(row).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn every_host_runs_it_once_and_the_table_is_in_order() {
    let (servers, hosts) = hosts(5);
    let mut output = Vec::new();
    let table = run(&job(hosts, "echo $SSH_CONNECTION | cut -d' ' -f3"), &Arc::default(), |event| {
        if let Event::Output { host, piece } = event {
            output.push(format!("{host} {}", String::from_utf8_lossy(&piece.bytes).trim()));
        }
    })
    .await;
    assert_eq!((shown(&table).as_str(), table.exit_code()), ("h1+ h2+ h3+ h4+ h5+", 0));
    for (row, n) in table.rows.iter().zip(1..) {
        let Outcome::Ran(ran) = &row.outcome else { panic!("{row:?}") };
        assert_eq!(ran.stdout.text(), format!("127.0.0.{n}\n"));
    }
    output.sort();
    assert_eq!(output, (1..=5).map(|n| format!("h{n} 127.0.0.{n}")).collect::<Vec<_>>());
    assert!(servers.iter().all(|s| s.log().matches("Accepted publickey").count() == 1));
}

#[tokio::test]
async fn batches_come_one_after_the_other_until_too_many_fail() {
    let (_servers, hosts) = hosts(6);
    let line = "case $SSH_CONNECTION in *127.0.0.3*|*127.0.0.4*) exit 5;; esac";
    let mut told = Vec::new();
    let careful = Job { serial: Some(2), max_fail_percent: Some(49), ..job(hosts, line) };
    let table = run(&careful, &Arc::default(), |event| match event {
        Event::Batch { hosts } => told.push(hosts.join("+")),
        Event::Stopped { too_many_failed } => told.push(format!("stopped {too_many_failed}")),
        _ => {}
    })
    .await;
    assert_eq!(shown(&table), "h1+ h2+ h3- h4- h5? h6?");
    assert_eq!(told, ["h1+h2", "h3+h4", "stopped true"]);
    assert_eq!((table.failed(), table.exit_code()), (vec!["h3", "h4", "h5", "h6"], 2));
    let bold = Job { max_fail_percent: Some(100), ..careful };
    assert_eq!(shown(&run(&bold, &Arc::default(), |_| {}).await), "h1+ h2+ h3- h4- h5+ h6+");
}

#[tokio::test]
async fn no_more_hosts_run_at_once_than_forks() {
    let (servers, hosts) = hosts(6);
    let counter = servers[0].open_path("running");
    std::fs::create_dir(&counter).expect("dir");
    // The first waits until a second one runs beside it, so that two at once are seen whatever the machine is doing.
    let line = format!(
        "cd {} && touch $$ && while n=$(ls | wc -l); test $n -lt 2 && ! test -e ../met; do sleep 0.01; done; \
         touch ../met; echo $n; sleep 0.1; rm $$",
        counter.display()
    );
    let table = run(&Job { forks: 2, ..job(hosts, &line) }, &Arc::default(), |_| {}).await;
    let most = table.rows.iter().map(|row| {
        let Outcome::Ran(ran) = &row.outcome else { panic!("{row:?}") };
        ran.stdout.text().trim().parse::<usize>().expect("a number")
    });
    assert_eq!(most.max(), Some(2));
}

#[tokio::test]
async fn an_unreachable_host_is_one_line_of_the_table() {
    let (mut servers, hosts) = hosts(3);
    drop(servers.remove(1));
    let table = run(&job(hosts, "true"), &Arc::default(), |_| {}).await;
    assert_eq!((shown(&table).as_str(), table.exit_code()), ("h1+ h2- h3+", 4));
    assert!(matches!(table.rows[1].outcome, Outcome::NotReached(_)));
}

#[tokio::test]
async fn stopping_begins_no_further_host_and_lets_the_running_end() {
    let (_servers, hosts) = hosts(4);
    let stop = Arc::new(AtomicBool::new(false));
    let one_by_one = Job { forks: 1, ..job(hosts, "echo begun; sleep 0.3; exit 3") };
    let table = run(&one_by_one, &stop, |event| {
        if let Event::Output { .. } = event {
            stop.store(true, Ordering::SeqCst);
        }
    })
    .await;
    assert_eq!(shown(&table), "h1- h2? h3? h4?");
    assert!(matches!(&table.rows[0].outcome, Outcome::Ran(ran) if ran.end == End::Exited { status: 3 }));
}

#[tokio::test]
async fn a_job_without_hosts_or_with_one_twice_never_begins() {
    let (_servers, hosts) = hosts(1);
    let refused = async |job: Job| {
        let (events, _inbox) = mpsc::channel(1);
        job.run(Arc::new(Unattended), now(), Arc::default(), events).await.expect_err("refused")
    };
    assert_eq!(refused(job(Vec::new(), "true")).await, JobError::NoHosts);
    let twice = [hosts.clone(), hosts.clone()].concat();
    assert_eq!(refused(job(twice, "true")).await, JobError::Twice { name: "h1".into() });
    assert_eq!(refused(Job { forks: 0, ..job(hosts, "true") }).await, JobError::Zero { what: "forks" });
}
