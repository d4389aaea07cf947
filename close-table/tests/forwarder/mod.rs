//! What is between a client and its server, and may fail.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Forwards what comes on a connection to another that it makes to the server, in both directions.
pub(crate) struct Forwarder {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Connections so far.
    made: AtomicUsize,
    /// The first of them do not forward any more.
    stopped: AtomicUsize,
}

impl Forwarder {
    pub(crate) fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("an address");
        let counts = Arc::new(Counts::default());
        let accepted = counts.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let number = accepted.made.fetch_add(1, Ordering::SeqCst);
                let (client, server) = (Arc::new(client), Arc::new(server));
                for (from, to) in [(client.clone(), server.clone()), (server, client)] {
                    let counts = accepted.clone();
                    thread::spawn(move || forward(&from, &to, number, &counts));
                }
            }
        });
        Forwarder { address, counts }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it was given.
    pub(crate) fn connections(&self) -> usize {
        self.counts.made.load(Ordering::SeqCst)
    }

    /// Forwards nothing more on the connections that there are, and leaves them open. Those to come are as good as ever.
    pub(crate) fn stop(&self) {
        self.counts.stopped.store(self.connections(), Ordering::SeqCst);
    }
}

fn forward(from: &TcpStream, to: &TcpStream, number: usize, counts: &Counts) {
    to.set_nodelay(true).ok();
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = { from }.read(&mut buffer) {
        if number < counts.stopped.load(Ordering::SeqCst) {
            // Nobody is told, and nothing is read.
            loop {
                thread::park();
            }
        }
        if { to }.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    if number >= counts.stopped.load(Ordering::SeqCst) {
        to.shutdown(std::net::Shutdown::Write).ok();
    }
}
