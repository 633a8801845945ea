//! Getting in: keys, agents, certificates, passwords, jump hosts; and who is refused before a credential is offered.

mod bed;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use bed::{JANE, JANES_PASSWORD, Sshd, keygen, needs_root, open, open_with, read, run, sh};
use wellkept_ssh::hosts::store::HostKeys;
use wellkept_ssh::hosts::{HostKeyRefusal, fingerprint};
use wellkept_ssh::{ConnectError, Prompts, Retry, Secret, Target, UserName};

/// Gives one passphrase and one password, and counts how often it was asked.
#[derive(Default)]
struct Person {
    passphrase: Option<&'static str>,
    password: Option<&'static str>,
    asked: std::sync::Arc<AtomicU32>,
}

impl Prompts for Person {
    fn passphrase(&self, _: &Path, _: u32) -> Option<Secret> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.passphrase.map(Secret::new)
    }

    fn password(&self, _: &str, attempt: u32) -> Option<Secret> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // The first one is mistyped.
        if attempt == 0 { Some(Secret::new("wrong")) } else { self.password.map(Secret::new) }
    }
}

fn key_only(server: &Sshd, name: &str) -> Target {
    let mut target = server.target();
    target.identity.key_files = vec![server.path(name)];
    std::fs::copy(server.path(&format!("{name}.pub")), server.path("authorized_keys")).expect("copy");
    target
}

#[tokio::test]
async fn keys_of_every_usual_kind_let_us_in() {
    let server = Sshd::start();
    for (kind, name) in [("ed25519", "a"), ("ecdsa", "b"), ("rsa", "c")] {
        keygen(server.folder.path(), kind, name, "");
        let connection = open(&[key_only(&server, name)]).await.expect(kind);
        let ran = sh(&connection, "echo in").await;
        assert_eq!((ran.stdout.text().as_str(), ran.end.success()), ("in\n", true), "{kind}");
    }
    assert!(server.log().contains("rsa-sha2-512") || server.log().contains("RSA"), "{}", server.log());
}

#[tokio::test]
async fn older_forms_of_private_keys_are_read() {
    let server = Sshd::start();
    for (form, name) in [("PEM", "p"), ("PKCS8", "q")] {
        run(server.folder.path(), &["ssh-keygen", "-q", "-t", "rsa", "-m", form, "-N", "", "-f", name]);
        open(&[key_only(&server, name)]).await.expect(form);
    }
}

#[tokio::test]
async fn an_encrypted_key_asks_for_its_passphrase_only_when_the_host_wants_it() {
    let server = Sshd::start();
    keygen(server.folder.path(), "ed25519", "locked", "open sesame");
    keygen(server.folder.path(), "ed25519", "foreign", "open sesame");
    let mut target = key_only(&server, "locked");
    target.identity.key_files.insert(0, server.path("foreign"));
    let person = Person { passphrase: Some("open sesame"), ..Person::default() };
    let asked = std::sync::Arc::clone(&person.asked);
    open_with(target.clone(), person).await.expect("in");
    assert_eq!(asked.load(Ordering::SeqCst), 1, "the foreign key was not opened");

    let wrong = Person { passphrase: Some("wrong"), ..Person::default() };
    let denied = open_with(target, wrong).await.expect_err("a wrong passphrase").to_string();
    assert!(denied.contains("the passphrase is wrong"), "{denied}");
    assert!(!denied.contains("sesame"), "{denied}");
}

#[tokio::test]
async fn a_private_key_that_others_may_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let server = Sshd::start();
    std::fs::set_permissions(server.path("user_key"), PermissionsExt::from_mode(0o644)).expect("mode");
    let denied = open(&[server.target()]).await.expect_err("refused");
    assert!(denied.to_string().contains("others may read it"), "{denied}");
    assert_eq!(denied.retry(), Retry::Never);
}

struct Agent {
    child: Child,
    socket: std::path::PathBuf,
}

impl Agent {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("agent");
        let mut command = Command::new("ssh-agent");
        let child =
            command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().expect("ssh-agent");
        while !socket.exists() {
            std::thread::yield_now();
        }
        Self { child, socket }
    }

    fn add(&self, key: &Path) {
        let mut command = Command::new("ssh-add");
        let out = command.arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).output().expect("ssh-add");
        assert!(out.status.success(), "{out:?}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn an_agent_signs_and_only_listed_keys_of_it_when_told_so() {
    let server = Sshd::start();
    let agent = Agent::start(server.folder.path());
    keygen(server.folder.path(), "rsa", "r", "");
    let mut target = key_only(&server, "r");
    for name in ["user_key", "r"] {
        agent.add(&server.path(name));
    }
    // Without its private half in a file, only the agent can have signed.
    std::fs::remove_file(server.path("r")).expect("remove");
    target.identity.key_files.clear();
    target.identity.agent = Some(agent.socket.clone());
    open(&[target.clone()]).await.expect("by any key of the agent");

    target.identity.only_listed = true;
    target.identity.key_files = vec![server.path("user_key")];
    let denied = open(&[target.clone()]).await.expect_err("the right key is not listed").to_string();
    assert_eq!(denied.matches("of the agent").count(), 1, "{denied}");
    target.identity.key_files = vec![server.path("r")];
    open(&[target]).await.expect("the listed key, by its public half");
}

#[tokio::test]
async fn a_certificate_of_a_user_lets_us_in() {
    let server = Sshd::with(&[], Ipv4Addr::LOCALHOST);
    let folder = server.folder.path();
    keygen(folder, "ed25519", "ca", "");
    for (kind, name) in [("ed25519", "u"), ("rsa", "v")] {
        keygen(folder, kind, name, "");
        run(folder, &["ssh-keygen", "-q", "-s", "ca", "-I", "me", "-n", &bed::me(), &format!("{name}.pub")]);
        std::fs::write(
            server.path("authorized_keys"),
            format!("cert-authority {}", read(server.path("ca.pub"))),
        )
        .expect("write");
        let mut target = server.target();
        target.identity.key_files = vec![server.path(name)];
        open(std::slice::from_ref(&target)).await.expect("the certificate beside the key");
        std::fs::rename(server.path(&format!("{name}-cert.pub")), server.path("elsewhere.pub"))
            .expect("rename");
        assert!(open(std::slice::from_ref(&target)).await.is_err(), "the bare key is nobody's");
        target.identity.certificate_files = vec![server.path("elsewhere.pub")];
        open(&[target]).await.expect("the listed certificate");
    }
}

#[tokio::test]
async fn an_unknown_host_is_refused_with_its_fingerprint_and_may_be_accepted_once() {
    let server = Sshd::start();
    let mut target = server.target();
    target.host_keys = HostKeys::file(server.path("fresh"), true);
    let refused = open(std::slice::from_ref(&target)).await.expect_err("unknown");
    assert_eq!(refused.retry(), Retry::Never);
    let ConnectError::HostKey(refusal) = refused else { panic!("{refused}") };
    let HostKeyRefusal::Unknown { host, fingerprint: shown, key, .. } = *refusal else { panic!("{refusal}") };
    let real = run(server.folder.path(), &["ssh-keygen", "-lf", "host_key.pub"]);
    assert!(real.contains(&shown), "{real} {shown}");
    assert!(!server.log().contains("Accepted"), "no credential was offered: {}", server.log());

    target.host_keys.accept(&host, &key, [9; 20]).expect("accepted");
    let connection = open(&[target]).await.expect("known now");
    assert_eq!(connection.host_key(), Some(fingerprint(&key)));
    assert!(read(server.path("fresh")).starts_with("|1|"));
}

#[tokio::test]
async fn a_changed_or_revoked_key_is_refused_before_any_credential() {
    let server = Sshd::start();
    let target = server.target();
    let entry = format!("[127.0.0.1]:{}", server.address.port());
    keygen(server.folder.path(), "ed25519", "other", "");
    keygen(server.folder.path(), "ecdsa", "other_kind", "");
    for other in ["other.pub", "other_kind.pub"] {
        std::fs::write(&target.host_keys.files[0], format!("{entry} {}", read(server.path(other))))
            .expect("write");
        let refused = open(std::slice::from_ref(&target)).await.expect_err("changed");
        let ConnectError::HostKey(refusal) = refused else { panic!("{refused}") };
        assert!(matches!(*refusal, HostKeyRefusal::Changed { .. }), "{refusal}");
    }
    let key = read(server.path("host_key.pub"));
    std::fs::write(&target.host_keys.files[0], format!("{entry} {key}@revoked * {key}")).expect("write");
    let refused = open(std::slice::from_ref(&target)).await.expect_err("revoked").to_string();
    assert!(refused.contains("revoked"), "{refused}");
    assert!(!server.log().contains("Accepted"), "{}", server.log());
}

#[tokio::test]
async fn of_several_host_keys_the_known_kind_is_asked_for() {
    let server = Sshd::start();
    keygen(server.folder.path(), "rsa", "host_rsa", "");
    let config =
        format!("HostKey {}\n{}", server.path("host_rsa").display(), read(server.path("sshd_config")));
    std::fs::write(server.path("sshd_config"), config).expect("write");
    let target = server.target();
    let entry = format!("[127.0.0.1]:{}", server.address.port());
    std::fs::write(&target.host_keys.files[0], format!("{entry} {}", read(server.path("host_rsa.pub"))))
        .expect("write");
    open(&[target]).await.expect("by its RSA key, although it has an Ed25519 key");
}

#[tokio::test]
async fn a_certificate_of_a_host_is_accepted_for_its_names_only() {
    let server = Sshd::start();
    let folder = server.folder.path();
    keygen(folder, "ed25519", "ca", "");
    let config = format!(
        "HostCertificate {}\n{}",
        server.path("host_key-cert.pub").display(),
        read(server.path("sshd_config"))
    );
    std::fs::write(server.path("sshd_config"), config).expect("write");
    let target = server.target();
    std::fs::write(
        &target.host_keys.files[0],
        format!("@cert-authority 127.0.0.* {}", read(server.path("ca.pub"))),
    )
    .expect("write");
    for (names, accepted) in [("127.0.0.1", true), ("other.example.org", false)] {
        run(folder, &["ssh-keygen", "-q", "-s", "ca", "-I", "h", "-h", "-n", names, "host_key.pub"]);
        match open(std::slice::from_ref(&target)).await {
            Ok(_) => assert!(accepted, "{names}"),
            Err(refused) => {
                assert!(!accepted && refused.to_string().contains("it is for other"), "{refused}")
            }
        }
    }
    std::fs::write(&target.host_keys.files[0], server.known_line(server.address)).expect("write");
    open(&[target]).await.expect("who trusts no authority sees the plain key");
}

#[tokio::test]
async fn over_jump_hosts_each_host_is_checked() {
    let (first, second, last) = (Sshd::start(), Sshd::start(), Sshd::start());
    let route = [first.target(), second.target(), last.target()];
    let connection = open(&route).await.expect("over two jump hosts");
    let ran = sh(&connection, "echo $SSH_CONNECTION").await;
    assert!(ran.stdout.text().contains(&last.address.port().to_string()), "{ran:?}");

    let mut wrong = route.clone();
    wrong[1].host_keys = first.target().host_keys;
    let refused = open(&wrong).await.expect_err("the second is not known");
    assert!(matches!(refused, ConnectError::HostKey(_)), "{refused}");
    assert_eq!(second.log().matches("Accepted publickey").count(), 1, "nothing was offered to it this time");

    let closed = Sshd::with(&["AllowTcpForwarding no"], Ipv4Addr::LOCALHOST);
    let refused = open(&[closed.target(), last.target()]).await.expect_err("it passes nobody on");
    assert!(matches!(refused, ConnectError::NotPassedOn { .. }), "{refused}");
}

#[tokio::test]
async fn a_password_and_answers_let_us_in() {
    if needs_root("a login with a password") {
        return;
    }
    for settings in [&["PasswordAuthentication yes"][..], &["UsePAM yes", "KbdInteractiveAuthentication yes"]]
    {
        let server = Sshd::with_people(settings);
        let mut target = server.target();
        target.user = UserName::new(JANE).expect("a name");
        target.identity.key_files.clear();
        let person = Person { password: Some(JANES_PASSWORD), ..Person::default() };
        let connection = open_with(target.clone(), person).await.expect("at the second attempt");
        assert_eq!(sh(&connection, "id -un").await.stdout.text(), "jane\n");

        let denied = open_with(target, Person::default()).await.expect_err("no password").to_string();
        assert!(denied.contains("refused") && !denied.contains("wrong"), "{denied}");
    }
}

#[tokio::test]
async fn a_host_that_wants_two_proofs_gets_both() {
    if needs_root("a login with a password") {
        return;
    }
    let server =
        Sshd::with_people(&["PasswordAuthentication yes", "AuthenticationMethods publickey,password"]);
    let mut target = server.target();
    target.user = UserName::new(JANE).expect("a name");
    let denied = open(std::slice::from_ref(&target)).await.expect_err("the key alone").to_string();
    assert!(denied.contains("accepted, but not enough"), "{denied}");
    let person = Person { password: Some(JANES_PASSWORD), ..Person::default() };
    open_with(target, person).await.expect("key and password");
}

#[tokio::test]
async fn what_is_switched_off_is_not_tried() {
    let server = Sshd::start();
    let mut target = server.target();
    target.identity.public_key = false;
    let denied = open(&[target]).await.expect_err("nothing is left").to_string();
    assert!(denied.contains("nothing to try") && denied.contains("it takes: publickey"), "{denied}");
}

#[tokio::test]
async fn nobody_there_is_told_at_once() {
    let server = Sshd::start();
    let target = server.target();
    drop(server);
    let refused = open(&[target]).await.expect_err("nobody");
    assert_eq!(refused.retry(), Retry::Later, "{refused}");
}
