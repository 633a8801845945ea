//! Asks the kernel for one link by name (rtnetlink), also in a network namespace.
//!
//! A socket belongs for ever to the namespace in which it was made. So a thread of its own enters the namespace once,
//! makes the socket and ends; after that a look costs two calls of the kernel and no program is started.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with, sockopt,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where `ip netns` keeps named namespaces.
const NAMESPACES: &str = "/run/netns";
/// The kernel answers at once; this is only a net below it.
const WITHIN: Duration = Duration::from_secs(1);
const ANSWER_MAX: usize = 16 << 10;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_QDISC: u16 = 6;
const IFF_UP: u32 = 0x1;
const IFF_LOWER_UP: u32 = 0x1_0000;
/// Lengths of the kernel's two heads.
const MESSAGE_HEAD: usize = 16;
const LINK_HEAD: usize = 16;

/// One link as the kernel tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) up: bool,
    pub(super) carrier: bool,
    pub(super) queue: String,
    /// Largest packet, bytes.
    pub(super) mtu: u32,
}

/// A way to ask.
pub(super) struct Links {
    namespace: Option<PathBuf>,
    /// The socket, with the identity of the namespace that it was made in.
    socket: Option<(OwnedFd, u64)>,
}

impl Links {
    pub(super) fn new(namespace: Option<&str>) -> Self {
        Self { namespace: namespace.map(|n| PathBuf::from(NAMESPACES).join(n)), socket: None }
    }

    /// One link; `None` when there is none of this name. Blocks for microseconds.
    pub(super) fn ask(&mut self, name: &str) -> io::Result<Option<Link>> {
        let inode = match &self.namespace {
            Some(path) => std::fs::metadata(path)?.ino(),
            None => 0,
        };
        let socket = match self.socket.take() {
            // A namespace that was made anew under the same name is another one.
            Some((socket, of)) if of == inode => socket,
            _ => self.connect()?,
        };
        send(&socket, &request(name), SendFlags::empty())?;
        let mut buffer = vec![0u8; ANSWER_MAX];
        let (len, _) = recv(&socket, &mut buffer, RecvFlags::empty())?;
        self.socket = Some((socket, inode));
        parse(buffer.get(..len).unwrap_or_default())
    }

    fn connect(&self) -> io::Result<OwnedFd> {
        inside(self.namespace.clone(), open)?
    }
}

/// Does something in a network namespace; `None`: in our own.
pub(crate) fn inside<T: Send + 'static>(
    namespace: Option<PathBuf>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let Some(path) = namespace else { return Ok(work()) };
    let thread = std::thread::Builder::new().name("namespace".to_owned());
    let done = thread.spawn(move || -> io::Result<T> {
        let namespace = File::open(path)?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(work())
    });
    done?.join().map_err(|_| io::Error::other("the thread ended early"))?
}

/// Where a named namespace is.
pub(super) fn namespace_path(name: &str) -> PathBuf {
    PathBuf::from(NAMESPACES).join(name)
}

fn open() -> io::Result<OwnedFd> {
    // Protocol 0 of this family is the one about links and routes.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(WITHIN))?;
    Ok(socket)
}

fn request(name: &str) -> Vec<u8> {
    let attribute = 4 + name.len() + 1;
    let len = MESSAGE_HEAD + LINK_HEAD + attribute.next_multiple_of(4);
    let mut out = Vec::with_capacity(len);
    out.extend(u32::try_from(len).unwrap_or(u32::MAX).to_ne_bytes());
    out.extend(RTM_GETLINK.to_ne_bytes());
    out.extend(NLM_F_REQUEST.to_ne_bytes());
    out.extend([0; 8]);
    out.extend([0; LINK_HEAD]);
    out.extend(u16::try_from(attribute).unwrap_or(u16::MAX).to_ne_bytes());
    out.extend(IFLA_IFNAME.to_ne_bytes());
    out.extend(name.as_bytes());
    out.resize(len, 0);
    out
}

fn parse(answer: &[u8]) -> io::Result<Option<Link>> {
    let half = |at: usize| Some(u16::from_ne_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    let cut = || io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is cut");
    match half(4).ok_or_else(cut)? {
        NLMSG_ERROR => {
            let code = word(MESSAGE_HEAD).ok_or_else(cut)?.cast_signed();
            let error = io::Error::from_raw_os_error(code.saturating_neg());
            let none = error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error());
            if none { Ok(None) } else { Err(error) }
        }
        RTM_NEWLINK => {
            let flags = word(MESSAGE_HEAD + 8).ok_or_else(cut)?;
            let queue = attribute(answer, IFLA_QDISC).unwrap_or_default();
            let queue = String::from_utf8_lossy(queue).trim_end_matches('\0').to_owned();
            let mtu =
                attribute(answer, IFLA_MTU).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes);
            Ok(Some(Link { mtu, up: flags & IFF_UP != 0, carrier: flags & IFF_LOWER_UP != 0, queue }))
        }
        other => Err(io::Error::new(io::ErrorKind::InvalidData, format!("an answer of kind {other}"))),
    }
}

fn attribute(answer: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut at = MESSAGE_HEAD + LINK_HEAD;
    loop {
        let len = usize::from(u16::from_ne_bytes(answer.get(at..at + 2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(answer.get(at + 2..at + 4)?.try_into().ok()?);
        if len < 4 {
            return None;
        }
        if kind == wanted {
            return answer.get(at + 4..at + len);
        }
        at += len.next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_of_this_host_is_known_and_no_other_name_is() {
        let mut links = Links::new(None);
        let first = links.ask("lo").expect("the kernel answers");
        assert!(first.is_some_and(|l| !l.queue.is_empty()));
        assert_eq!(links.ask("no-such-link").expect("the kernel answers"), None);
        assert!(links.ask("lo").expect("the same socket answers again").is_some());
    }

    #[test]
    fn a_namespace_that_is_not_there_is_an_error() {
        assert!(Links::new(Some("wellkept-no-such")).ask("lo").is_err());
    }

    #[test]
    fn cut_answers_are_refused() {
        for len in 0..28 {
            assert!(
                parse(&[16u8, 0, 0, 0, 16, 0].iter().copied().cycle().take(len).collect::<Vec<_>>()).is_err()
            );
        }
    }
}
