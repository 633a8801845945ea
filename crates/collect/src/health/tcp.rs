//! A TCP connection is accepted.

use tokio::net::TcpStream;

/// Connects and hangs up.
pub(super) async fn check(address: &str) -> Result<(), String> {
    connect(address).await.map(drop)
}

/// A connection; the reason in a few words when there is none.
pub(super) async fn connect(address: &str) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|e| reason(&e))
}

/// Without the operating system's error number, which says nothing to people.
fn reason(error: &std::io::Error) -> String {
    let text = match error.kind() {
        std::io::ErrorKind::ConnectionRefused => return "connection refused".to_owned(),
        _ => error.to_string(),
    };
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_open_port_passes_and_a_closed_one_is_refused() {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("it is bound").to_string();
        assert_eq!(check(&address).await, Ok(()));
        drop(socket);
        assert_eq!(check(&address).await, Err("connection refused".to_owned()));
        assert!(check("no port here").await.is_err());
    }
}
