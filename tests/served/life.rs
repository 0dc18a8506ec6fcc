//! The shop in a process of its own: started over a directory, killed in the middle of load, or
//! told to end.
//!
//! Knows not what is asked of it; that, and what must hold afterwards, is in the files that use it.

use std::io::{self, BufRead, BufReader, Lines, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use sessile::session::{Sessions, WhenOwnerFull};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::browser::Browser;
use crate::server::{runtime, serve};
use crate::shop::{Gates, Shop, router};
use crate::support::{Temp, child, job};

const LISTENING: &str = "listening on ";

/// The server of the tests below: durability as it is by default.
#[test]
#[ignore = "run by the tests about kills, in a process of its own"]
fn server() {
    let Some(directory) = job() else { return };
    // Whoever has started it is gone, and nobody is left to end it.
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(3);
    });
    let builder = Sessions::builder().max_per_owner(200, WhenOwnerFull::Refuse);
    let sessions = builder.open(directory).unwrap();
    let (end, ending) = watch::channel(false);
    runtime().block_on(async {
        let mut told = signal(SignalKind::terminate()).unwrap();
        tokio::spawn(async move {
            told.recv().await;
            end.send_replace(true);
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("\n{LISTENING}{}", listener.local_addr().unwrap());
        let gates = Gates::default();
        let shop = Shop { sessions: sessions.clone(), gates, ending: ending.clone() };
        serve(listener, router(shop), ending).await;
        sessions.close_async().await.unwrap();
    });
    // Not by way of a destructor, which would close it as well.
    std::process::exit(0);
}

/// A server process, from its start until it is killed or ends.
pub struct Life {
    address: SocketAddr,
    child: Child,
    /// The process ends when this does.
    _stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Life {
    pub fn start(temp: &Temp) -> Life {
        let mut child = child("life::server", temp.path().to_str().unwrap()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stdin = child.stdin.take().unwrap();
        let said = lines.by_ref().map_while(Result::ok);
        let address = said.into_iter().find_map(|line| line.strip_prefix(LISTENING)?.parse().ok());
        Life { address: address.expect("it listens"), child, _stdin: stdin, lines }
    }

    pub fn browser(&self) -> Browser {
        Browser::new(self.address).connect()
    }

    /// SIGKILL: nothing of the process gets to do anything any more.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, as an operator's supervisor sends it.
    pub fn tell_to_end(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) -> ExitStatus {
        self.lines.by_ref().for_each(drop);
        self.child.wait().unwrap()
    }

    /// Runs `work` on each of the clients, which is told how to say that it has come further, and
    /// kills the server after so many steps. The work ends with the first request that fails.
    pub fn kill_under_load<C: Send, R: Send>(
        &mut self,
        clients: Vec<C>,
        steps: u64,
        work: impl Fn(C, &dyn Fn()) -> R + Sync,
    ) -> Vec<R> {
        let (send, receive) = mpsc::channel();
        thread::scope(|scope| {
            let start = |client: C| {
                let (send, work) = (send.clone(), &work);
                scope.spawn(move || work(client, &|| send.send(()).unwrap_or_default()))
            };
            let threads: Vec<_> = clients.into_iter().map(start).collect();
            drop(send);
            receive.iter().take(steps as usize).count();
            self.kill();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many lives a test has: from `SESSILE_SERVED_ROUNDS` if that is set.
pub fn rounds(few: u64) -> u64 {
    let given = std::env::var("SESSILE_SERVED_ROUNDS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(few)
}
