//! Listening TCP sockets straight from the kernel (`NETLINK_SOCK_DIAG`).
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

/// A listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listening {
    pub(super) local: SocketAddr,
    pub(super) uid: u32,
    pub(super) inode: u64,
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
        for family in [rustix::net::AddressFamily::INET, rustix::net::AddressFamily::INET6] {
            self.ask(family, &mut found)?;
        }
        found.sort_unstable();
        Ok(found)
    }

    fn ask(&mut self, family: AddressFamily, found: &mut Vec<Listening>) -> io::Result<()> {
        let family = u8::try_from(family.as_raw()).map_err(io::Error::other)?;
        sendto(&self.socket, &request(family), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        loop {
            let (len, _) = recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty())?;
            let piece = self.buffer.get(..len).unwrap_or_default();
            if piece.is_empty() || take(piece, found)? {
                return Ok(());
            }
        }
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn request(family: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + 56);
    bytes.extend(72u32.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, IPPROTO_TCP, 0, 0]);
    bytes.extend(LISTENING.to_ne_bytes());
    bytes.extend([0; 48]);
    bytes
}

/// Takes the messages of one piece; true after the last one.
fn take(piece: &[u8], found: &mut Vec<Listening>) -> io::Result<bool> {
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
            SOCK_DIAG_BY_FAMILY if found.len() < SOCKETS_MAX * 2 => found.extend(socket(body)),
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// `struct inet_diag_msg`: the ports and addresses stand in network order, the rest as the machine has it.
fn socket(body: &[u8]) -> Option<Listening> {
    let port = u16::from_be_bytes([*body.get(4)?, *body.get(5)?]);
    let address = body.get(8..24)?;
    let ip = match u16::from(*body.first()?) {
        f if f == AddressFamily::INET.as_raw() => {
            IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(address.get(..4)?).ok()?))
        }
        f if f == AddressFamily::INET6.as_raw() => {
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?))
        }
        _ => return None,
    };
    let (uid, inode) = (u32_at(body, 64)?, u32_at(body, 68)?);
    Some(Listening { local: SocketAddr::new(ip, port), uid, inode: u64::from(inode) })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
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
        assert!(take(&bytes, &mut found).is_err());
        assert!(found.is_empty());
        assert!(!take(&[], &mut found).expect("nothing is no error"));
    }
}
