//! Servers on loopback, in this process: axum and actix-web, each on threads of its own, ended when
//! dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use axum::Router;
use sessile::session::{Sessions, SessionsBuilder};
use sessile::testing::ManualClock;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::browser::Browser;
use crate::shop::{Gates, Shop, router};

/// A server with sessions in memory, whose clock stands still until it is moved.
pub struct Server {
    pub address: SocketAddr,
    pub sessions: Sessions,
    pub clock: ManualClock,
    end: Option<Box<dyn FnOnce() + Send>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// `run` serves on its thread: it sends the address, and how to end it.
    pub fn start(
        change: impl FnOnce(SessionsBuilder) -> SessionsBuilder,
        run: impl FnOnce(Sessions, mpsc::Sender<(SocketAddr, Box<dyn FnOnce() + Send>)>)
        + Send
        + 'static,
    ) -> Server {
        let clock = ManualClock::new();
        let of_store = clock.clone();
        let builder = Sessions::builder().store(|store| store.clock(of_store));
        let sessions = change(builder).in_memory().unwrap();
        let (send, receive) = mpsc::channel();
        let given = sessions.clone();
        let thread = std::thread::spawn(move || run(given, send));
        let (address, end) = receive.recv().unwrap();
        Server { address, sessions, clock, end: Some(end), thread: Some(thread) }
    }

    /// The shop on axum.
    pub fn axum(change: impl FnOnce(SessionsBuilder) -> SessionsBuilder) -> Server {
        Server::start(change, |sessions, ready| {
            let (end, ending) = watch::channel(false);
            let shop = Shop { sessions, gates: Gates::default(), ending: ending.clone() };
            let runtime = runtime();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let end = Box::new(move || end.send(true).unwrap());
                ready.send((address, end)).unwrap();
                serve(listener, router(shop), ending).await;
            });
        })
    }

    pub fn browser(&self) -> Browser {
        Browser::with_clock(self.address, Arc::new(self.clock.clone()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || std::thread::panicking());
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// Serves until told to end, and then until what is under way has been answered.
pub async fn serve(listener: TcpListener, router: Router, mut ending: watch::Receiver<bool>) {
    let until = async move { drop(ending.wait_for(|ending| *ending).await) };
    axum::serve(listener, router).with_graceful_shutdown(until).await.unwrap();
}
