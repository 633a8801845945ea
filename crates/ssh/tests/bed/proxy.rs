//! Our own fault proxy: passes bytes between a client and a server until it is told to cut the line.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct State {
    streams: Vec<TcpStream>,
    frozen: bool,
    over: bool,
}

/// Cuts, or freezes, all connections that go through it.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
        let address = listener.local_addr().expect("address");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) =
                    (client.expect("accepted"), TcpStream::connect(server).expect("server"));
                if shared.lock().expect("nobody panics").over {
                    return;
                }
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().expect("clone"), to.try_clone().expect("clone"));
                    shared.lock().expect("nobody panics").streams.push(from.try_clone().expect("clone"));
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || pass(from, to, &shared));
                }
            }
        });
        Self { address, state }
    }

    /// Both sides see the end of the line.
    pub(crate) fn cut(&self) {
        for stream in self.state.lock().expect("nobody panics").streams.drain(..) {
            // One that has ended already is what we want.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// From now on nothing passes, and nobody is told: a cable that was pulled.
    pub(crate) fn freeze(&self) {
        self.state.lock().expect("nobody panics").frozen = true;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.lock().expect("nobody panics").over = true;
        self.cut();
        let _ = TcpStream::connect(self.address);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: &Mutex<State>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if state.lock().expect("nobody panics").frozen {
            continue;
        }
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
