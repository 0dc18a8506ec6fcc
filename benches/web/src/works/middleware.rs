//! What a layer of sessions adds to a request: applications called in process, without sockets,
//! on one thread, with requests that are there before the clock runs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderValue, Request, StatusCode};
use sessile::Durability;
use sessile::session::Sessions;
use tokio::runtime::{self, Runtime};
use tower_service::Service;

use super::{Bench, apps};
use crate::measure::{Spread, above, rounds};
use crate::report::{Goal, Line, Rival};
use crate::{Failure, Result};

/// Sessions that take turns.
const SESSIONS: usize = 64;
/// Requests that lie ready at a time: few enough to stay in the caches.
const BATCH: usize = 256;

/// One application with the cookies of its sessions.
struct App {
    router: Router,
    cookies: Vec<HeaderValue>,
}

/// What is measured: where sessile's sessions live, the path, and the goals.
struct Variant {
    what: &'static str,
    path: &'static str,
    home: Home,
    microseconds: f64,
    ratio: Option<f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Home {
    InMemory,
    Directory(Durability),
}

#[rustfmt::skip]
const VARIANTS: &[Variant] = &[
    Variant { what: "untouched", path: "/untouched", home: Home::InMemory, microseconds: 0.3, ratio: Some(0.3) },
    Variant { what: "one read", path: "/read", home: Home::InMemory, microseconds: 1.0, ratio: Some(0.7) },
    Variant { what: "one change, no directory", path: "/change", home: Home::InMemory, microseconds: 2.0, ratio: Some(0.8) },
    Variant { what: "one change at Memory", path: "/change", home: Home::Directory(Durability::Memory), microseconds: 2.0, ratio: Some(0.8) },
    Variant { what: "one change at Process", path: "/change", home: Home::Directory(Durability::Process), microseconds: 5.0, ratio: None },
];

pub fn run(bench: &Bench, print: &mut dyn FnMut(Line)) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread().build()?;
    let mut bare = App { router: apps::bare(), cookies: vec![HeaderValue::from_static("a=b")] };
    let mut layered = App { router: apps::layered(), cookies: bare.cookies.clone() };
    let mut theirs = App::new(&runtime, apps::tower_sessions())?;
    for variant in VARIANTS {
        let sessions = variant.home.open(bench)?;
        let mut ours = App::new(&runtime, apps::sessile(sessions.clone()))?;
        bare.cookies.clone_from(&ours.cookies);
        layered.cookies.clone_from(&ours.cookies);
        let apps = [&mut bare, &mut layered, &mut ours, &mut theirs];
        print(variant.measure(bench, &runtime, apps)?);
        sessions.close()?;
    }
    Ok(())
}

impl Home {
    fn open(self, bench: &Bench) -> Result<Sessions> {
        Ok(match self {
            Home::InMemory => Sessions::builder().in_memory()?,
            Home::Directory(level) => {
                Sessions::builder().durability(level).open(bench.scratch.fresh())?
            }
        })
    }
}

impl Variant {
    fn measure(
        &self,
        bench: &Bench,
        runtime: &Runtime,
        [bare, layered, ours, theirs]: [&mut App; 4],
    ) -> Result<Line> {
        let calls = bench.size.calls;
        let [bare, layered, ours, theirs] = rounds(
            bench.size.rounds,
            [
                &mut |_| bare.time(runtime, "/untouched", calls),
                &mut |_| layered.time(runtime, "/untouched", calls),
                &mut |_| ours.time(runtime, self.path, calls),
                &mut |_| theirs.time(runtime, self.path, calls),
            ],
        )?;
        let (ours, theirs) = (above(&ours, &bare), above(&theirs, &bare));
        let figure = Spread::of(ours.iter().copied());
        let mut line = Line::new("middleware", self.what, "µs", figure)
            .goal(Some(Goal::AtMost(self.microseconds)));
        line.rival = Some(Rival {
            name: "tower-sessions in memory",
            figure: Spread::of(theirs.iter().copied()).median,
            ratio: Spread::of_ratio(&ours, &theirs),
            goal: self.ratio.map(Goal::AtMost),
        });
        line.more.push(("empty-layer", Spread::of(above(&layered, &bare)).median));
        line.more.push(("bare", Spread::of(bare).median));
        Ok(line)
    }
}

impl App {
    /// Makes the sessions, as browsers would.
    fn new(runtime: &Runtime, mut router: Router) -> Result<Self> {
        let mut cookies = Vec::with_capacity(SESSIONS);
        for _ in 0..SESSIONS {
            let request = Request::builder().uri("/change").body(Body::empty())?;
            let response = runtime.block_on(router.call(request))?;
            let cookie = response.headers().get(SET_COOKIE).ok_or("a session has no cookie")?;
            let pair = cookie.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            cookies.push(HeaderValue::from_bytes(pair)?);
        }
        Ok(App { router, cookies })
    }

    /// Microseconds for one call.
    fn time(&mut self, runtime: &Runtime, path: &'static str, calls: usize) -> Result<f64> {
        let mut cookies = self.cookies.iter().cycle();
        let mut spent = Duration::ZERO;
        for _ in 0..calls / BATCH {
            let requests = cookies
                .by_ref()
                .take(BATCH)
                .map(|cookie| Request::get(path).header(COOKIE, cookie).body(Body::empty()))
                .collect::<Result<Vec<_>, _>>()?;
            let router = &mut self.router;
            spent += runtime.block_on(async {
                let begun = Instant::now();
                for request in requests {
                    let response = router.call(request).await?;
                    if response.status() != StatusCode::OK
                        || response.headers().contains_key(SET_COOKIE) && path == "/read"
                    {
                        return Err("the application does not answer as it should".into());
                    }
                    black_box(response);
                }
                Ok::<_, Failure>(begun.elapsed())
            })?;
        }
        Ok(spent.as_secs_f64() * 1e6 / (calls / BATCH * BATCH) as f64)
    }
}
