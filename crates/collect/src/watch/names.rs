//! Asks a resolver for names straight at its address, with a query of our own: the system's resolver may have a cache.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use wellkept_model::keep::Resolves;
use wellkept_model::observe::NamesSeen;

use super::{Shared, pause};
use crate::clock;

/// Longest time to wait for one answer.
const WITHIN: Duration = Duration::from_secs(1);
/// Names that are asked for in one look; the next look goes on with the next ones.
const NAMES_AT_ONCE: usize = 5;
/// Longest answer over UDP that we read.
const ANSWER_MAX: usize = 4096;

pub(super) async fn watch(shared: Shared, service: String, declared: Resolves) {
    let mut closely = shared.closely.subscribe();
    let names: Vec<(&String, &IpAddr)> = declared.names.iter().collect();
    let (mut from, mut wrong_in_a_row) = (0usize, 0u32);
    let mut wrong: BTreeMap<String, String> = BTreeMap::new();
    let mut id = (clock::wall().0 & 0xffff) as u16;
    loop {
        let mut answers = 0usize;
        let asked = names.iter().cycle().skip(from).take(names.len().min(NAMES_AT_ONCE));
        for (name, want) in asked {
            id = id.wrapping_mul(25173).wrapping_add(13849);
            match ask(declared.at, name, **want, id).await {
                Ok(()) => {
                    answers += 1;
                    wrong.remove(*name);
                }
                Err(Wrong { text, answered }) => {
                    answers += usize::from(answered);
                    wrong.insert((*name).clone(), text);
                }
            }
        }
        from = if names.is_empty() { 0 } else { (from + NAMES_AT_ONCE) % names.len() };
        wrong_in_a_row = if wrong.is_empty() { 0 } else { wrong_in_a_row.saturating_add(1) };
        let seen = NamesSeen {
            at: clock::wall(),
            wrong: wrong.clone(),
            silent: answers == 0 && !names.is_empty(),
            wrong_in_a_row,
        };
        shared.lock().names.insert(service.clone(), seen);
        pause(declared.every, &mut closely).await;
    }
}

/// What came instead of the wanted address.
struct Wrong {
    text: String,
    answered: bool,
}

async fn ask(at: SocketAddr, name: &str, want: IpAddr, id: u16) -> Result<(), Wrong> {
    let silent = |text: String| Wrong { text, answered: false };
    let exchange = async {
        let local: SocketAddr = match at {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(local).await?;
        // Only answers of this address reach a connected socket.
        socket.connect(at).await?;
        socket.send(&query(name, want, id)).await?;
        let mut buffer = vec![0; ANSWER_MAX];
        loop {
            let len = socket.recv(&mut buffer).await?;
            let answer = buffer.get(..len).unwrap_or_default();
            if answer.get(..2) == Some(&id.to_be_bytes()) {
                return Ok::<_, std::io::Error>(parse(answer));
            }
        }
    };
    let answer = match tokio::time::timeout(WITHIN, exchange).await {
        Err(_) => return Err(silent("no answer".to_owned())),
        Ok(Err(e)) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
            return Err(silent("refused".to_owned()));
        }
        Ok(Err(e)) => return Err(silent(e.to_string())),
        Ok(Ok(answer)) => answer,
    };
    let told = |text: &str| Wrong { text: text.to_owned(), answered: true };
    match answer {
        Some(Answer { code: 0, addresses }) if addresses.contains(&want) => Ok(()),
        Some(Answer { code: 0, addresses }) if addresses.is_empty() => Err(told("no address")),
        Some(Answer { code: 0, addresses }) => {
            let all: Vec<_> = addresses.iter().take(3).map(ToString::to_string).collect();
            Err(told(&all.join(", ")))
        }
        Some(Answer { code: 2, .. }) => Err(told("SERVFAIL")),
        Some(Answer { code: 3, .. }) => Err(told("NXDOMAIN")),
        Some(Answer { code: 5, .. }) => Err(told("REFUSED")),
        Some(Answer { code, .. }) => Err(told(&format!("code {code}"))),
        None => Err(told("an answer that cannot be read")),
    }
}

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

/// A question for one name (RFC 1035, section 4.1), recursion desired.
fn query(name: &str, want: IpAddr, id: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend(id.to_be_bytes());
    out.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        // The keep file refuses longer ones.
        out.push(u8::try_from(label.len()).unwrap_or(63));
        out.extend(label.bytes().take(63));
    }
    out.push(0);
    let kind = if want.is_ipv4() { TYPE_A } else { TYPE_AAAA };
    out.extend(kind.to_be_bytes());
    out.extend(1u16.to_be_bytes());
    out
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: u8,
    addresses: Vec<IpAddr>,
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let number = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let code = bytes.get(3)? & 0x0f;
    let is_answer = bytes.get(2)? & 0x80 != 0;
    let (questions, answers) = (number(4)?, number(6)?);
    let mut at = 12;
    for _ in 0..questions {
        at = after_name(bytes, at)? + 4;
    }
    let mut addresses = Vec::new();
    for _ in 0..answers {
        at = after_name(bytes, at)?;
        let (kind, len) = (number(at)?, usize::from(number(at + 8)?));
        let data = bytes.get(at + 10..at + 10 + len)?;
        if kind == TYPE_A
            && let Ok(four) = <[u8; 4]>::try_from(data)
        {
            addresses.push(IpAddr::from(four));
        } else if kind == TYPE_AAAA
            && let Ok(sixteen) = <[u8; 16]>::try_from(data)
        {
            addresses.push(IpAddr::from(sixteen));
        }
        at += 10 + len;
    }
    is_answer.then_some(Answer { code, addresses })
}

/// Where a name that begins at `at` ends; a pointer ends it.
fn after_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let len = *bytes.get(at)?;
        match len {
            0 => return Some(at + 1),
            1..=63 => at += 1 + usize::from(len),
            _ => return Some(at + 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every question with these bytes after the question.
    fn reply(question: &[u8], code: u8, count: u8, records: &[u8]) -> Vec<u8> {
        let mut out = question.to_vec();
        (out[2], out[3], out[7]) = (0x81, 0x80 | code, count);
        out.extend(records);
        out
    }

    const RECORD: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 9, 1, 2];

    #[test]
    fn an_address_is_found_behind_an_alias() {
        let want: IpAddr = "10.9.1.2".parse().expect("an address");
        let question = query("db.shop.test", want, 7);
        let alias = [0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12];
        let answer = parse(&reply(&question, 0, 2, &[&alias[..], &RECORD[..]].concat()));
        assert_eq!(answer, Some(Answer { code: 0, addresses: vec![want] }));
        assert_eq!(parse(&reply(&question, 3, 0, &[])), Some(Answer { code: 3, addresses: vec![] }));
    }

    #[test]
    fn cut_answers_are_refused_and_never_read_beyond_their_end() {
        let question = query("db.shop.test", Ipv4Addr::LOCALHOST.into(), 7);
        let whole = reply(&question, 0, 1, &RECORD);
        for len in 0..whole.len() {
            assert_eq!(parse(&whole[..len]), None, "{len}");
        }
        assert_eq!(parse(&question), None, "a question is no answer");
    }

    #[tokio::test]
    async fn a_server_is_asked_and_its_answer_compared() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let at = server.local_addr().expect("it is bound");
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((len, from)) = server.recv_from(&mut buffer).await {
                let _ = server.send_to(&reply(&buffer[..len], 0, 1, &RECORD), from).await;
            }
        });
        assert!(ask(at, "db.shop.test", "10.9.1.2".parse().expect("an address"), 9).await.is_ok());
        let wrong = ask(at, "db.shop.test", "10.9.1.3".parse().expect("an address"), 9).await;
        assert_eq!(wrong.err().map(|w| w.text), Some("10.9.1.2".to_owned()));
    }

    #[tokio::test]
    async fn nobody_there_is_told_as_silence() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let at = socket.local_addr().expect("it is bound");
        drop(socket);
        let wrong = ask(at, "x", Ipv4Addr::LOCALHOST.into(), 1).await;
        assert!(wrong.is_err_and(|w| !w.answered));
    }
}
