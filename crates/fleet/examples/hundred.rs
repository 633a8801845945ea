//! Bench: a play of 100 `command` tasks on one host, a real sshd on loopback, with this program as its own helper.
//!
//! Workload: `command: /bin/true`, one after the other, as `strategy: linear` has it. Unit: seconds of the clock, from
//! reading the playbook to the recap, the best of five; the helper is there already from the second round on. The second
//! line is over a line on which each byte takes 20 ms. Baseline:
//! ansible-core with pipelining takes 20.5 s, with mitogen 5.8 s on the machine where this was measured first.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench reads the clock and prints its figures"
)]

#[path = "../../ssh/tests/bed/mod.rs"]
mod bed;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bed::Sshd;
use wellkept_fleet::desk::Nobody;
use wellkept_fleet::disk::{Disk, Machine};
use wellkept_fleet::play::{Assigner, Ended, Hands, Player, supported};
use wellkept_fleet::pool::Pool;
use wellkept_fleet::scene::Scene;
use wellkept_fleet::vault::Vault;
use wellkept_playbook::book::Loader;
use wellkept_playbook::run::{Options, Run};
use wellkept_ssh::config::Caller;

const TASKS: usize = 100;
const ROUNDS: usize = 5;
/// How long a byte takes on the slow line, in one direction.
const ONE_WAY: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some("helper") {
        let exe = std::env::current_exe().expect("our path");
        let served = wellkept_fleet::helper::serve(tokio::io::stdin(), tokio::io::stdout(), exe).await;
        std::process::exit(i32::from(served.is_err()));
    }
    let server = Sshd::start();
    let home = server.path("home");
    std::fs::create_dir_all(home.join(".ssh")).expect("home");
    std::fs::write(home.join(".ssh/known_hosts"), server.known_line(server.address)).expect("known");
    let hosts = format!(
        "h1 ansible_host={} ansible_port={} ansible_ssh_private_key_file={}\n",
        server.address.ip(),
        server.address.port(),
        server.path("user_key").display()
    );
    std::fs::write(server.path("hosts"), hosts).expect("hosts");
    let mut site = "- hosts: all\n  gather_facts: false\n  tasks:\n".to_owned();
    site.push_str(&"    - command: /bin/true\n".repeat(TASKS));
    std::fs::write(server.path("site.yml"), site).expect("site");
    measure(&server, &home, "the helper", false).await;
    let far = delayed(server.address);
    std::fs::write(home.join(".ssh/known_hosts"), server.known_line(far)).expect("known");
    let hosts = std::fs::read_to_string(server.path("hosts")).expect("hosts");
    let there = format!("ansible_port={}", server.address.port());
    let hosts = hosts.replace(&there, &format!("ansible_port={}", far.port()));
    std::fs::write(server.path("hosts"), hosts).expect("hosts");
    measure(&server, &home, &format!("the helper, {} ms away", 2 * ONE_WAY.as_millis()), false).await;
}

async fn measure(server: &Sshd, home: &Path, way: &str, plain: bool) {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        play(server.folder.path(), home, plain).await;
        times.push(begun.elapsed().as_secs_f64());
    }
    let best = times.iter().copied().fold(f64::MAX, f64::min);
    let first = times.first().copied().unwrap_or_default();
    println!("{TASKS} command tasks by {way:26} first {first:.3} s, best {best:.3} s");
}

/// A line on which every byte takes its time, in both directions.
fn delayed(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((server.ip(), 0)).expect("listen");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(server).expect("the server");
            for (from, to) in [(&client, &server), (&server, &client)] {
                pass(from.try_clone().expect("clone"), to.try_clone().expect("clone"));
            }
        }
    });
    address
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    to.set_nodelay(true).expect("no delay of its own");
    let (bytes, queue) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if bytes.send((Instant::now() + ONE_WAY, buffer[..read].to_vec())).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, bytes) in queue {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
        // The other side may have gone already.
        let _ = to.shutdown(Shutdown::Both);
    });
}

async fn play(folder: &Path, home: &Path, plain: bool) {
    let vault = Rc::new(Vault::default());
    let machine = Machine::new(Rc::clone(&vault), |_| None, Box::new(|_, _, _| None));
    let scene = Scene::read(Rc::new(Disk::new(vault)), Rc::new(machine), &["hosts".to_owned()], folder, None);
    let scene = scene.expect("an inventory");
    let mut loader = Loader::new(Rc::clone(&scene.engine), supported);
    let book = loader.playbook(&folder.join("site.yml").display().to_string()).expect("a playbook");
    let caller = Caller { user: bed::me(), home: home.to_owned(), ..Caller::default() };
    let pool = Arc::new(Pool::new(caller, Arc::new(Nobody), bed::now).expect("a pool"));
    let exe = std::env::current_exe().expect("our path");
    let hands = Arc::new(Hands::new(pool, Arc::new(Nobody), &exe, plain));
    let assigner = Assigner { engine: Rc::clone(&scene.engine), defaults: scene.defaults };
    let run = Run::new(scene.engine, loader, book, scene.inventory, Options::default());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let mut last = String::new();
    let mut say = |line: &str| {
        if line.contains("ok=") {
            line.clone_into(&mut last);
        }
    };
    let mut player = Player {
        run,
        assigner,
        hands,
        journal: None,
        now_ms: &now,
        say: &mut say,
        before: &mut |_, _| Ok(()),
    };
    assert_eq!(player.play().await.expect("played"), Ended::Done(0));
    assert!(last.contains(&format!("changed={TASKS}")), "{last}");
}
