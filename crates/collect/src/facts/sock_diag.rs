//! TCP sockets straight from the kernel: who listens, and which connections wait for an answer (`NETLINK_SOCK_DIAG`).
//!
//! `/proc/net/tcp` walks the hash table of all connections, which takes milliseconds on a machine with much memory.
//! Asked for listening sockets alone, the kernel walks their own small table: cheap enough for every round, so that
//! a new listener is seen within a second. Kernels without this door (`tcp_diag` not built) leave the tables.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// Longest answer that is taken in one piece, bytes; the kernel uses at most 32 KiB.
const PIECE_MAX: usize = 64 << 10;
/// Most sockets of one family.
const SOCKETS_MAX: usize = 4096;
/// The kernel answers within the call; this is for one that does not.
const PATIENCE: Duration = Duration::from_millis(200);

const HEADER: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const IPPROTO_TCP: u8 = 6;
/// The bit of state 10.
const LISTENING: u32 = 1 << 10;
/// The bits of states 1 and 2: established, and asked for but not answered.
const CONNECTED: u32 = 1 << 1 | 1 << 2;
const SYN_SENT: u8 = 2;
/// The attribute with `struct tcp_info`, and the bit that asks for it.
const INFO: u16 = 2;
const WITH_INFO: u8 = 1 << (INFO - 1);
/// Where `struct tcp_info` has the milliseconds since data was sent and received last.
const LAST_SENT: usize = 44;
const LAST_RECEIVED: usize = 52;
/// And where it has the bytes that the other side has confirmed (its beginning counts as one), and those that came.
const BYTES_ACKED: usize = 120;
const BYTES_RECEIVED: usize = 128;
/// Length of `struct inet_diag_msg`, after which attributes follow.
const MESSAGE: usize = 72;

/// A listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listening {
    pub(super) local: SocketAddr,
    pub(super) uid: u32,
    pub(super) inode: u64,
}

/// A connection on which the last word was said on this side: it waits for an answer, or for being let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asking {
    pub(super) remote: SocketAddr,
    pub(super) inode: u64,
    /// For how long, milliseconds; 0 when that is not known.
    pub(super) for_ms: u64,
}

/// The door, kept open.
#[derive(Debug)]
pub(super) struct Diag {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Diag {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(SOCK_DIAG))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket, buffer: vec![0; PIECE_MAX] })
    }

    /// All listening TCP sockets of our network namespace, sorted.
    ///
    /// # Errors
    /// When the kernel has no such door, or does not answer. The door should then be closed.
    pub(super) fn listening(&mut self) -> io::Result<Vec<Listening>> {
        let mut found = Vec::new();
        self.ask(LISTENING, 0, socket, &mut found)?;
        found.sort_unstable();
        Ok(found)
    }

    /// Connections of our network namespace that wait for an answer. The kernel walks its table of all connections for
    /// this, so it is not for every round.
    ///
    /// # Errors
    /// As [`Self::listening`].
    pub(super) fn asking(&mut self) -> io::Result<Vec<Asking>> {
        let mut found = Vec::new();
        self.ask(CONNECTED, WITH_INFO, asking, &mut found)?;
        Ok(found)
    }

    fn ask<T>(
        &mut self,
        states: u32,
        extensions: u8,
        read: fn(&[u8]) -> Option<T>,
        found: &mut Vec<T>,
    ) -> io::Result<()> {
        for family in [AddressFamily::INET, AddressFamily::INET6] {
            let family = u8::try_from(family.as_raw()).map_err(io::Error::other)?;
            self.ask_family(&request(family, states, extensions), read, found)?;
        }
        Ok(())
    }

    fn ask_family<T>(
        &mut self,
        request: &[u8],
        read: fn(&[u8]) -> Option<T>,
        found: &mut Vec<T>,
    ) -> io::Result<()> {
        sendto(&self.socket, request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        loop {
            let (len, _) = recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty())?;
            let piece = self.buffer.get(..len).unwrap_or_default();
            if piece.is_empty() || take(piece, read, found)? {
                return Ok(());
            }
        }
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn request(family: u8, states: u32, extensions: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + 56);
    bytes.extend(72u32.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, IPPROTO_TCP, extensions, 0]);
    bytes.extend(states.to_ne_bytes());
    bytes.extend([0; 48]);
    bytes
}

/// Takes the messages of one piece; true after the last one.
fn take<T>(piece: &[u8], read: fn(&[u8]) -> Option<T>, found: &mut Vec<T>) -> io::Result<bool> {
    let mut rest = piece;
    while let (Some(len), Some(kind)) = (u32_at(rest, 0), u16_at(rest, 4)) {
        let len = usize::try_from(len).unwrap_or(0);
        let Some(body) = rest.get(HEADER..len) else { return Err(io::Error::other("a cut-off answer")) };
        match kind {
            DONE => return Ok(true),
            ERROR => {
                let code = u32_at(body, 0).map_or(0, u32::cast_signed);
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            SOCK_DIAG_BY_FAMILY if found.len() < SOCKETS_MAX * 2 => found.extend(read(body)),
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// `struct inet_diag_msg`: the ports and addresses stand in network order, the rest as the machine has it.
fn socket(body: &[u8]) -> Option<Listening> {
    let local = address(body, 4, 8)?;
    let (uid, inode) = (u32_at(body, 64)?, u32_at(body, 68)?);
    Some(Listening { local, uid, inode: u64::from(inode) })
}

/// A connection whose last word is ours, by the times in its `struct tcp_info`.
fn asking(body: &[u8]) -> Option<Asking> {
    let (remote, inode) = (address(body, 6, 24)?, u64::from(u32_at(body, 68)?));
    if body.get(1) == Some(&SYN_SENT) {
        return Some(Asking { remote, inode, for_ms: connecting_ms(body) });
    }
    let info = attribute(body.get(MESSAGE..)?, INFO)?;
    let (sent, received) = (u32_at(info, LAST_SENT)?, u32_at(info, LAST_RECEIVED)?);
    // The times are those of the kernel's ticks: a first question follows its connection within one. Where a later question
    // follows an answer as fast, it is taken for answered: a wait is missed then, and none is invented.
    let first =
        u64_at(info, BYTES_ACKED).is_some_and(|acked| acked > 1) && u64_at(info, BYTES_RECEIVED) == Some(0);
    (sent < received || first).then_some(Asking { remote, inode, for_ms: u64::from(sent) })
}

/// For how long a connection was asked for, at least: the kernel asks again after one second, then after two more, …
fn connecting_ms(body: &[u8]) -> u64 {
    let again = body.get(3).map_or(0, |times| u32::from(*times).min(10));
    1000 * ((1_u64 << again) - 1)
}

/// The first attribute of this kind.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    while let (Some(len), Some(kind)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let len = usize::from(len);
        let body = rest.get(4..len)?;
        if kind == wanted {
            return Some(body);
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

/// Port and address at these places of `struct inet_diag_msg`.
fn address(body: &[u8], port_at: usize, address_at: usize) -> Option<SocketAddr> {
    let port = u16::from_be_bytes([*body.get(port_at)?, *body.get(port_at + 1)?]);
    let address = body.get(address_at..address_at + 16)?;
    let ip = match u16::from(*body.first()?) {
        f if f == AddressFamily::INET.as_raw() => {
            IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(address.get(..4)?).ok()?))
        }
        f if f == AddressFamily::INET6.as_raw() => {
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_this_test_are_found_in_both_families_when_the_kernel_has_the_door() {
        let Ok(mut diag) = Diag::open() else { return };
        let sockets = ["127.0.0.1:0", "[::1]:0"].map(std::net::TcpListener::bind);
        let found = match diag.listening() {
            Ok(found) => found,
            // Said by kernels without tcp_diag.
            Err(e) => return assert_eq!(e.kind(), io::ErrorKind::NotFound, "{e}"),
        };
        for socket in sockets.into_iter().flatten() {
            let address = socket.local_addr().expect("it is bound");
            assert!(found.iter().any(|l| l.local == address && l.inode > 0), "{address}");
        }
    }

    #[test]
    fn a_cut_off_answer_is_an_error_and_no_socket() {
        let mut found = Vec::new();
        let mut bytes = Vec::from(100u32.to_ne_bytes());
        bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        bytes.extend([0; 20]);
        assert!(take(&bytes, socket, &mut found).is_err());
        assert!(found.is_empty());
        assert!(!take(&[], socket, &mut found).expect("nothing is no error"));
    }
}
