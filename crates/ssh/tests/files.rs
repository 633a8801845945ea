//! Files to and from real servers: whole or not at all; and frames over a program's stdio.

mod bed;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use bed::proxy::Proxy;
use bed::{Sshd, open, run};
use tokio::time::timeout;
use wellkept_ssh::{CommandLine, Destination, End, Frames, Placing, TransferError};

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n * 31 % 251) as u8).collect()
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o7777
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("entry").file_name().into_string().expect("name")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_goes_there_and_back_with_its_checksum() {
    let server = Sshd::start();
    let sftp = server.connect().await.sftp().await.expect("sftp");
    for size in [0, 1, 32 * 1024, 32 * 1024 + 1, 5_000_003] {
        let (there, data) = (server.path("file").display().to_string(), bytes(size));
        let placing = Placing { read_back: true, ..Placing::default() };
        let sent = sftp.upload(&mut &data[..], &there, &placing).await.expect("sent");
        assert!(std::fs::read(&there).expect("read") == data, "{size}");
        assert!(run(server.folder.path(), &["sha256sum", "file"]).starts_with(&sent.sha256), "{sent:?}");
        let mut back = Vec::new();
        let got = sftp.download(&there, &mut back, u64::MAX).await.expect("got");
        assert!(back == data && got == sent, "{size}");
    }
}

#[tokio::test]
async fn an_upload_replaces_in_one_step_and_keeps_or_sets_the_mode() {
    let server = Sshd::start();
    let sftp = server.connect().await.sftp().await.expect("sftp");
    let folder = server.path("place");
    std::fs::create_dir(&folder).expect("dir");
    let path = folder.join("it's; a $(file) 名");
    let there = path.display().to_string();
    let put = async |text: &'static str, mode: Option<u32>| {
        sftp.upload(&mut text.as_bytes(), &there, &Placing { mode, ..Placing::default() })
            .await
            .expect("sent");
    };
    put("new", None).await;
    assert_eq!(mode(&path), 0o644);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("mode");
    let open = std::fs::File::open(&path).expect("open");
    put("newer", None).await;
    assert_eq!((mode(&path), bed::read(&path).as_str()), (0o640, "newer"));
    assert_eq!(
        std::io::read_to_string(open).expect("read"),
        "new",
        "who has it open still reads the old one"
    );
    put("newest", Some(0o4755)).await;
    assert_eq!(mode(&path), 0o4755);

    let linked = folder.join("linked");
    std::os::unix::fs::symlink("/etc/hostname", &linked).expect("link");
    sftp.upload(&mut &b"mine"[..], &linked.display().to_string(), &Placing::default()).await.expect("sent");
    assert!(!linked.is_symlink(), "the link was replaced, not followed");
    assert_eq!(names(&folder).len(), 2, "nothing else is left: {:?}", names(&folder));
}

#[tokio::test]
async fn a_failed_upload_leaves_what_was_there_and_nothing_else() {
    let server = Sshd::start();
    let sftp = server.connect().await.sftp().await.expect("sftp");
    let folder = server.path("place");
    std::fs::create_dir(&folder).expect("dir");
    std::fs::write(folder.join("kept"), "old").expect("write");
    let there = folder.join("kept").display().to_string();
    let small = Placing { max_bytes: 1000, ..Placing::default() };
    let error = sftp.upload(&mut &bytes(100_000)[..], &there, &small).await.expect_err("too long");
    assert!(matches!(error, TransferError::TooLong { max: 1000, .. }), "{error}");
    let error = sftp.upload(&mut &b"x"[..], "/nowhere/at/all", &small).await.expect_err("no directory");
    assert!(matches!(&error, TransferError::Host { absent: true, .. }), "{error}");
    let into = folder.join("sub");
    std::fs::create_dir(&into).expect("dir");
    let error =
        sftp.upload(&mut &b"x"[..], &into.display().to_string(), &small).await.expect_err("a directory");
    assert_eq!(error.destination(), Destination::Unchanged, "{error}");
    assert_eq!(bed::read(folder.join("kept")), "old");
    assert_eq!(names(&folder), ["kept", "sub"]);
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_the_old_file() {
    if bed::needs_root("a small disk") {
        return;
    }
    let server = Sshd::start();
    let disk = server.path("disk");
    std::fs::create_dir(&disk).expect("dir");
    run(server.folder.path(), &["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", "disk"]);
    std::fs::write(disk.join("kept"), "old").expect("write");
    let sftp = server.connect().await.sftp().await.expect("sftp");
    let there = disk.join("kept").display().to_string();
    let result = sftp.upload(&mut &bytes(1_000_000)[..], &there, &Placing::default()).await;
    let (left, kept) = (names(&disk), bed::read(disk.join("kept")));
    run(server.folder.path(), &["umount", "disk"]);
    let error = result.expect_err("no room");
    assert_eq!((error.destination(), kept.as_str()), (Destination::Unchanged, "old"), "{error}");
    assert_eq!(left, ["kept"]);
}

#[tokio::test]
async fn a_download_is_bounded() {
    let server = Sshd::start();
    let sftp = server.connect().await.sftp().await.expect("sftp");
    let endless = sftp.download("/dev/zero", &mut tokio::io::sink(), 1_000_000).await.expect_err("endless");
    assert!(matches!(endless, TransferError::TooLong { .. }), "{endless}");
    let mut small = Vec::new();
    let got = sftp.download("/proc/self/status", &mut small, 1_000_000).await.expect("a file without a size");
    assert!(got.bytes > 100 && small.starts_with(b"Name:"), "{got:?}");
}

#[tokio::test]
async fn paths_are_looked_at_made_and_removed() {
    let server = Sshd::start();
    let sftp = server.connect().await.sftp().await.expect("sftp");
    let folder = server.path("made").display().to_string();
    assert_eq!(sftp.about(&folder).await.expect("asked"), None);
    sftp.make_directory(&folder, 0o750).await.expect("made");
    assert_eq!(sftp.about(&folder).await.expect("asked").expect("there").mode, 0o040_750);
    let file = format!("{folder}/f");
    sftp.upload(&mut &b"1234"[..], &file, &Placing::default()).await.expect("sent");
    assert_eq!(sftp.about(&file).await.expect("asked").expect("there").size, 4);
    sftp.remove(&file).await.expect("removed");
    assert!(sftp.remove(&file).await.is_err());
}

#[tokio::test]
async fn a_line_that_is_cut_during_an_upload_leaves_the_old_file() {
    let server = Sshd::start();
    let proxy = Proxy::to(server.address);
    let connection = open(&[server.target_at(proxy.address)]).await.expect("a connection");
    let sftp = connection.sftp().await.expect("sftp");
    std::fs::write(server.path("kept"), "old").expect("write");
    let there = server.path("kept").display().to_string();
    // A source that never ends: the cut comes while it is being sent.
    let mut endless = tokio::io::repeat(7);
    let placing = Placing::default();
    let upload = sftp.upload(&mut endless, &there, &placing);
    let cutting = async {
        while names(server.folder.path()).iter().all(|n| !n.contains(".wellkept-")) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        proxy.cut();
    };
    let (result, ()) =
        timeout(Duration::from_secs(30), async { tokio::join!(upload, cutting) }).await.expect("an end");
    assert_eq!(result.expect_err("cut").destination(), Destination::Unchanged);
    assert_eq!(bed::read(server.path("kept")), "old");
}

#[tokio::test]
async fn a_server_without_sftp_says_so() {
    let server = Sshd::start();
    let config = bed::read(server.path("sshd_config")).replace("Subsystem sftp internal-sftp\n", "");
    std::fs::write(server.path("sshd_config"), config).expect("write");
    let refused = server.connect().await.sftp().await.err().expect("none");
    assert!(matches!(refused, TransferError::NoSftp(End::NotRun(_))), "{refused}");
}

#[tokio::test]
async fn frames_go_to_a_program_and_back() {
    let server = Sshd::start();
    let connection = server.connect().await;
    let echo = CommandLine::line("cat").expect("a line");
    let mut pipe = connection.pipe(&echo).await.expect("started");
    let mut frames =
        Frames::greet(&mut pipe.reader, &mut pipe.writer, 3, 1_000_000).await.expect("its own hello");
    for size in [0, 5, 700_000] {
        let sent = bytes(size);
        let (sending, got) = tokio::join!(async { sent.clone() }, async {
            frames.send(&sent).await.expect("sent");
            frames.receive().await.expect("whole").expect("a frame")
        });
        assert!(got == sending, "{size}");
    }
    assert_eq!(pipe.finish().await.end, End::Exited { status: 0 });

    let chatty = CommandLine::line("echo Welcome; echo oops >&2; exit 3").expect("a line");
    let mut pipe = connection.pipe(&chatty).await.expect("started");
    let error = Frames::greet(&mut pipe.reader, &mut pipe.writer, 3, 1000).await.err().expect("no helper");
    assert!(error.to_string().contains("Welcome"), "{error}");
    let ran = pipe.finish().await;
    assert_eq!((ran.end, ran.stderr.text().as_str()), (End::Exited { status: 3 }, "oops\n"));
}
