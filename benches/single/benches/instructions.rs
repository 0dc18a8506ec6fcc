//! How many instructions one call each takes: the same on a busy machine as on a quiet one, so a
//! slow-down is seen however noisy the machine is. Waits for no disk and starts no threads.
//!
//! `instructions.csv` holds what was counted last; `check` beside it compares.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderValue, Request};
use axum::routing::get;
use gungraun::{library_benchmark, library_benchmark_group, main};
use sessile::session::{Session, Sessions};
use sessile::web::SessionLayer;
use sessile::{Background, Durability, Key, Store};
use tower_service::Service;

/// Calls that are counted together: what a call takes now and then is in it.
const CALLS: usize = 1000;
const SESSIONS: u64 = 2000;

type Value = (u64, String, Vec<(u32, u32)>);

fn value(number: u64) -> Value {
    (number, format!("visitor {number:012}"), (0..8).map(|item| (item, 1)).collect())
}

fn key(number: u64) -> Key {
    Key::of(number.to_le_bytes())
}

/// A folder that goes when the counting ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let name = format!("sessile-instructions-{}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Bench {
    // Dropped before its folder.
    store: Store<Value>,
    values: Vec<Value>,
    keys: Vec<Key>,
    _folder: Folder,
}

fn open(folder: &Folder, level: Durability) -> Store<Value> {
    let builder = Store::builder().background(Background::Callers).durability(level);
    builder.open(folder.path()).expect("a temporary folder opens")
}

fn filled(level: Durability) -> Bench {
    let folder = Folder::new();
    let store = open(&folder, level);
    for number in 0..SESSIONS {
        store.insert(key(number), value(number)).expect("there is room");
    }
    let numbers = || (0..SESSIONS).take(CALLS);
    let bench = Bench {
        store,
        values: numbers().map(|number| value(number + 1)).collect(),
        keys: numbers().map(key).collect(),
        _folder: folder,
    };
    // What the first call of its kind sets up is not counted.
    assert!(bench.store.get(&key(SESSIONS - 1)).expect("it reads").is_some());
    bench
}

fn warm() -> Bench {
    filled(Durability::Memory)
}

fn strange() -> Bench {
    let mut bench = warm();
    bench.keys = (SESSIONS..).take(CALLS).map(key).collect();
    bench
}

fn cold() -> Bench {
    let mut bench = warm();
    bench.store.close().expect("it closes");
    bench.store = open(&bench._folder, Durability::Memory);
    assert!(bench.store.get(&key(SESSIONS - 1)).expect("it reads").is_some());
    bench
}

fn process() -> Bench {
    filled(Durability::Process)
}

fn strange_at_process() -> Bench {
    Bench { keys: (SESSIONS..).take(CALLS).map(key).collect(), ..process() }
}

#[library_benchmark]
#[bench::get_warm(warm())]
#[bench::get_miss(strange())]
#[bench::get_cold(cold())]
fn read(bench: Bench) -> Bench {
    for key in &bench.keys {
        black_box(bench.store.get(black_box(key)).is_ok());
    }
    bench
}

#[library_benchmark]
#[bench::insert_memory(strange())]
#[bench::insert_process(strange_at_process())]
fn insert(mut bench: Bench) -> Bench {
    for (key, value) in bench.keys.iter().zip(std::mem::take(&mut bench.values)) {
        black_box(bench.store.insert(black_box(*key), value).is_ok());
    }
    bench
}

#[library_benchmark]
#[bench::update_memory(warm())]
#[bench::update_process(process())]
fn update(bench: Bench) -> Bench {
    for key in &bench.keys {
        black_box(bench.store.update(black_box(key), |value| value.0 += 1).is_ok());
    }
    bench
}

/// An application with the requests that it is about to get.
struct App {
    router: Router,
    requests: Vec<Request<Body>>,
    _folder: Folder,
}

async fn untouched() -> &'static str {
    "ok"
}

async fn seen(session: Session) -> Result<&'static str, sessile::Error> {
    let visits = session.get::<u64>("visits")?;
    Ok(if visits.is_some() { "again" } else { "new" })
}

async fn changed(session: Session) -> Result<&'static str, sessile::Error> {
    session.insert("visits", 7_u64)?;
    Ok("ok")
}

fn routes() -> Router {
    Router::new()
        .route("/untouched", get(untouched))
        .route("/read", get(seen))
        .route("/change", get(changed))
}

/// Drives what is ready at once.
fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

fn app(path: &'static str, level: Option<Durability>) -> App {
    let folder = Folder::new();
    let sessions = Sessions::builder().store(|store| store.background(Background::Callers));
    let sessions = match level {
        Some(level) => sessions.durability(level).open(folder.path()),
        None => sessions.in_memory(),
    };
    let mut router = routes().layer(SessionLayer::new(sessions.expect("sessions open")));
    let mut cookies = Vec::new();
    for _ in 0..64 {
        let request = Request::get("/change").body(Body::empty()).expect("a request");
        let response = now(router.call(request)).expect("an answer");
        let cookie = response.headers()[SET_COOKIE].to_str().expect("text").to_owned();
        let pair = cookie.split(';').next().expect("a pair");
        cookies.push(HeaderValue::from_str(pair).expect("a header"));
    }
    let mut app = App { router, requests: requests(path, &cookies, 64), _folder: folder };
    serve(&mut app);
    app.requests = requests(path, &cookies, CALLS);
    app
}

fn requests(path: &str, cookies: &[HeaderValue], count: usize) -> Vec<Request<Body>> {
    let cookies = cookies.iter().cycle().take(count);
    let request = |cookie| Request::get(path).header(COOKIE, cookie).body(Body::empty());
    cookies.map(|cookie| request(cookie).expect("a request")).collect()
}

/// The same without sessions: to be taken off the others.
fn bare() -> App {
    let cookies = [HeaderValue::from_static("a=b")];
    let requests = requests("/untouched", &cookies, CALLS);
    App { router: routes(), requests, _folder: Folder::new() }
}

fn serve(app: &mut App) {
    for request in std::mem::take(&mut app.requests) {
        let response = now(app.router.call(request)).expect("an answer");
        assert!(response.status().is_success());
        black_box(response);
    }
}

#[library_benchmark]
#[bench::request_bare(bare())]
#[bench::request_untouched(app("/untouched", None))]
#[bench::request_read(app("/read", None))]
#[bench::request_change(app("/change", None))]
#[bench::request_change_process(app("/change", Some(Durability::Process)))]
fn request(mut app: App) -> App {
    serve(&mut app);
    app
}

library_benchmark_group!(name = costs, benchmarks = [read, insert, update, request]);
main!(library_benchmark_groups = costs);
