//! A small shop on one binary: axum in front, sessile inside, no second process.
//!
//! `cargo run --release --example shop --features axum -- --data DIR --listen ADDRESS`
//!
//! This file knows how the program starts and ends; `routes` has what it answers and what it keeps
//! of a visitor, `page` and `captcha` what a person sees.

mod captcha;
mod page;
mod routes;

use std::error::Error;
use std::future::{Future, IntoFuture, poll_fn};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing::level_filters::LevelFilter;

use sessile::session::Sessions;

/// Sessions and captchas together: a flood is refused, nobody is put out for it.
const RECORDS_MAX: u64 = 2_000_000;
/// How long to wait for another process, one that is just ending say, to let the directory go.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How long requests under way may take once the program has been told to end.
const DRAIN: Duration = Duration::from_secs(5);

const USAGE: &str = "\
A small shop that keeps its sessions in sessile.

usage: shop [--data DIR] [--listen ADDRESS]
  --data DIR        where the store lives    (default ./shop-data)
  --listen ADDRESS  host and port, 0 for any (default 127.0.0.1:3000)

The environment variable SHOP_LOG sets what is logged: error, warn, info, debug, trace.
";

type Failure = Box<dyn Error + Send + Sync>;

struct Arguments {
    data: PathBuf,
    listen: String,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            let _ = std::io::stdout().write_all(USAGE.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("shop: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let level = std::env::var("SHOP_LOG").ok().and_then(|level| level.parse::<LevelFilter>().ok());
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .with_writer(std::io::stderr)
        .init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What was asked for; `None` for help.
fn parse(mut given: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut arguments =
        Arguments { data: PathBuf::from("shop-data"), listen: "127.0.0.1:3000".to_owned() };
    while let Some(argument) = given.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        if name == "--help" || name == "-h" {
            return Ok(None);
        }
        if name != "--data" && name != "--listen" {
            return Err(format!("unknown argument {argument:?}"));
        }
        let value = value.or_else(|| given.next()).filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| format!("{name} needs a value"))?;
        match name {
            "--data" => arguments.data = PathBuf::from(value),
            _ => arguments.listen = value,
        }
    }
    Ok(Some(arguments))
}

/// Opens the store, serves until told to end, closes the store.
fn run(arguments: &Arguments) -> Result<(), Failure> {
    let sessions = Sessions::builder()
        .max_sessions(RECORDS_MAX)
        .store(|store| store.wait_for_lock(LOCK_WAIT))
        .open(&arguments.data)?;
    tracing::info!(data = %arguments.data.display(), records = sessions.stats().sessions, "store open");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(&sessions, &arguments.listen));
    // Closed whatever happened: what is in the log's buffer must not depend on how we end.
    let closed = runtime.block_on(sessions.close_async());
    runtime.shutdown_timeout(Duration::from_secs(1));
    served?;
    closed?;
    tracing::info!("store closed");
    Ok(())
}

async fn serve(sessions: &Sessions, listen: &str) -> Result<(), Failure> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        tracing::warn!("{address} is not loopback, and cookies travel over plain HTTP");
    }
    let told = told_to_end()?;
    let (end, ending) = oneshot::channel::<()>();
    let server = axum::serve(listener, routes::router(sessions)?)
        .with_graceful_shutdown(async { drop(ending.await) });
    let server = tokio::spawn(server.into_future());
    // A reader of the line may be gone already; the server serves all the same.
    let _ = writeln!(std::io::stdout(), "listening on http://{address}");

    told.await;
    tracing::info!("ending");
    drop(end);
    match tokio::time::timeout(DRAIN, server).await {
        Ok(served) => served??,
        Err(_) => tracing::warn!("some requests did not end in {DRAIN:?}; they are cut off"),
    }
    Ok(())
}

/// Ready at the first Ctrl-C or SIGTERM; both are caught from the moment of the call.
fn told_to_end() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(poll_fn(move |context| match interrupt.poll_recv(context) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => terminate.poll_recv(context).map(drop),
    }))
}
