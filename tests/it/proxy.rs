//! A network between the program and its database that a test can break: a TCP proxy on loopback.

mod cuts;

use crate::support::World;
use sqlx::postgres::PgConnectOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Where the server listens.
#[derive(Clone, Debug)]
enum Upstream {
    Socket(PathBuf),
    Tcp(String),
}

impl Upstream {
    fn of(options: &PgConnectOptions) -> Self {
        match options.get_socket() {
            Some(folder) => Self::Socket(folder.join(format!(".s.PGSQL.{}", options.get_port()))),
            None => Self::Tcp(format!("{}:{}", options.get_host(), options.get_port())),
        }
    }
}

/// A way through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToProgram,
}

/// Which ways stand still.
#[derive(Clone, Copy, Debug, Default)]
struct Stalled {
    to_server: bool,
    to_program: bool,
}

impl Stalled {
    const fn is(self, way: Way) -> bool {
        match way {
            Way::ToServer => self.to_server,
            Way::ToProgram => self.to_program,
        }
    }
}

/// Forwards connections to the test server, until it is told otherwise.
pub(crate) struct Proxy {
    address: SocketAddr,
    upstream: Upstream,
    stalled: watch::Sender<Stalled>,
    /// How often the connections were frozen.
    frozen: watch::Sender<u32>,
    /// Each connection is cut when so many bytes went to the program.
    most: Arc<AtomicU64>,
    /// Dropping them cuts both their ends.
    connections: Arc<Mutex<JoinSet<()>>>,
    door: Door,
}

/// Whether new connections are taken.
enum Door {
    Open(JoinHandle<()>),
    /// Bound and not listening: who knocks is refused, and nobody else gets the port meanwhile.
    Shut(TcpSocket),
    /// On its way from one to the other.
    Between,
}

impl Proxy {
    /// A proxy to the test server that lets everything through.
    pub(crate) fn to(world: &World) -> Self {
        Self::upstream(Upstream::of(&world.server_options()))
    }

    /// A proxy to any server that lets everything through.
    pub(crate) fn to_address(address: SocketAddr) -> Self {
        Self::upstream(Upstream::Tcp(address.to_string()))
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts each connection from now on when so many bytes went through it to the program.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.most.store(bytes, Ordering::Relaxed);
    }

    fn upstream(upstream: Upstream) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = bound(any).expect("a port");
        let address = socket.local_addr().expect("an address");
        let mut proxy = Self {
            address,
            upstream,
            stalled: watch::Sender::new(Stalled::default()),
            frozen: watch::Sender::new(0),
            most: Arc::new(AtomicU64::new(u64::MAX)),
            connections: Arc::default(),
            door: Door::Shut(socket),
        };
        proxy.open();
        proxy
    }

    /// How many connections go through it.
    pub(crate) fn connections(&self) -> usize {
        let mut connections = self.connections.lock().expect("the connections");
        while connections.try_join_next().is_some() {}
        connections.len()
    }

    /// Cuts every connection; new ones are taken.
    pub(crate) fn cut(&self) {
        *self.connections.lock().expect("the connections") = JoinSet::new();
    }

    /// Refuses new connections; those there are go on.
    pub(crate) async fn refuse(&mut self) {
        let door = std::mem::replace(&mut self.door, Door::Between);
        self.door = match door {
            Door::Open(listening) => {
                listening.abort();
                let _ = listening.await;
                Door::Shut(bound(self.address).expect("the port again"))
            }
            other => other,
        };
    }

    /// Forwards nothing more in one direction, and keeps the connections.
    pub(crate) fn stall(&self, way: Way) {
        self.stalled.send_modify(|stalled| match way {
            Way::ToServer => stalled.to_server = true,
            Way::ToProgram => stalled.to_program = true,
        });
    }

    /// Keeps the connections there are and never forwards anything over them again, as if the server's machine were gone and
    /// something between acknowledged what is sent; new ones are taken.
    pub(crate) fn freeze(&self) {
        self.frozen.send_modify(|times| *times += 1);
    }

    /// Takes new connections and forwards everything again, also what waited.
    pub(crate) fn heal(&mut self) {
        self.stalled.send_replace(Stalled::default());
        self.open();
    }

    fn open(&mut self) {
        let door = std::mem::replace(&mut self.door, Door::Between);
        self.door = match door {
            Door::Shut(socket) => {
                let listener = socket.listen(1024).expect("listen");
                let (upstream, stalled) = (self.upstream.clone(), self.stalled.subscribe());
                let connections = Arc::clone(&self.connections);
                let (most, frozen) = (Arc::clone(&self.most), self.frozen.subscribe());
                Door::Open(tokio::spawn(async move {
                    while let Ok((program, _)) = listener.accept().await {
                        let carried = carry(program, upstream.clone(), stalled.clone(), most.load(Ordering::Relaxed));
                        let carried = until_frozen(Box::pin(carried), frozen.clone());
                        connections.lock().expect("the connections").spawn(carried);
                    }
                }))
            }
            other => other,
        };
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Door::Open(listening) = &self.door {
            listening.abort();
        }
    }
}

fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // The port is taken again while its cut connections still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// A connection that stays open and carries nothing more once it is frozen.
async fn until_frozen(mut carried: impl Future<Output = ()> + Unpin, mut frozen: watch::Receiver<u32>) {
    frozen.mark_unchanged();
    tokio::select! {
        () = &mut carried => {}
        _ = frozen.changed() => std::future::pending().await,
    }
}

/// One connection, until either end closes it.
async fn carry(program: TcpStream, upstream: Upstream, stalled: watch::Receiver<Stalled>, most: u64) {
    match upstream {
        Upstream::Socket(path) => {
            if let Ok(server) = UnixStream::connect(path).await {
                both_ways(program.into_split(), server.into_split(), stalled, most).await;
            }
        }
        Upstream::Tcp(address) => {
            if let Ok(server) = TcpStream::connect(address).await {
                both_ways(program.into_split(), server.into_split(), stalled, most).await;
            }
        }
    }
}

async fn both_ways(
    (from_program, to_program): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    (from_server, to_server): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    stalled: watch::Receiver<Stalled>,
    most: u64,
) {
    let there = forward(from_program, to_server, Way::ToServer, stalled.clone(), u64::MAX);
    let back = forward(from_server, to_program, Way::ToProgram, stalled, most);
    // What one end has closed the other has no use for: PostgreSQL's protocol knows no half-closed connection.
    tokio::select! { () = there => (), () = back => () }
}

/// Copies bytes until an end is closed; holds back what it read while this way stands still.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    mut stalled: watch::Receiver<Stalled>,
    mut most: u64,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let sent = count.min(usize::try_from(most).unwrap_or(usize::MAX));
        if stalled.wait_for(|stalled| !stalled.is(way)).await.is_err() || to.write_all(&buffer[..sent]).await.is_err() {
            return;
        }
        most -= sent as u64;
        if most == 0 {
            return;
        }
    }
}

impl World {
    /// The test's database, by way of a proxy.
    pub(crate) fn database_url_through(&self, proxy: &Proxy) -> String {
        self.database_url_at(proxy.address)
    }
}
