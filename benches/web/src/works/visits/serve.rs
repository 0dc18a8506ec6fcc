//! The servers: the shop's `GET /visits`, on sessile and on tower-sessions. Each is a process that
//! prints its port and serves until it is killed.

use std::io::Write;
use std::path::Path;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Router, serve};
use fred::prelude::{ClientLike, Config, Pool, ServerConfig};
use serde_json::json;
use sessile::session::{SessionKey, Sessions};
use sessile::web::{Cookie, SessionLayer};
use tokio::net::TcpListener;
use tokio::runtime;
use tower_sessions_0_14::cookie::time;
use tower_sessions_0_14::{Expiry, MemoryStore, SessionManagerLayer, SessionStore};
use tower_sessions_redis_store::RedisStore;

use super::redis::socket;
use crate::Result;

const VISITS: SessionKey<u64> = SessionKey::new("visits");
const IDLE_DAYS: i64 = 14;
/// Connections to Redis: as many as the store's own documentation takes.
const CONNECTIONS: usize = 6;

pub fn sessile(dir: &Path, _: usize) -> Result<()> {
    async fn visits(session: sessile::session::Session) -> Result<Response, sessile::Error> {
        let visits = session.update(VISITS, |visits| {
            *visits += 1;
            *visits
        })?;
        Ok(Json(json!({ "visits": visits })).into_response())
    }
    let sessions = Sessions::builder().open(dir)?;
    let cookie = Cookie::builder().name("sid").secure(false).allow_plain_http().build()?;
    let router = Router::new()
        .route("/visits", get(visits))
        .layer(SessionLayer::new(sessions).cookie(cookie));
    runtime()?.block_on(run(router))
}

pub fn memory(_: &Path, _: usize) -> Result<()> {
    runtime()?.block_on(run(tower_sessions(MemoryStore::default())))
}

pub fn redis(dir: &Path, _: usize) -> Result<()> {
    let server = ServerConfig::Unix { path: socket(dir) };
    let config = Config { server, ..Config::default() };
    runtime()?.block_on(async {
        let pool = Pool::new(config, None, None, None, CONNECTIONS)?;
        pool.init().await?;
        run(tower_sessions(RedisStore::new(pool))).await
    })
}

fn tower_sessions(store: impl SessionStore + Clone) -> Router {
    use tower_sessions_0_14::Session;
    use tower_sessions_0_14::session::Error;

    async fn count(session: Session) -> Result<u64, Error> {
        let visits = session.get("visits").await?.unwrap_or(0) + 1;
        session.insert("visits", visits).await?;
        Ok(visits)
    }
    async fn visits(session: Session) -> Response {
        match count(session).await {
            Ok(visits) => Json(json!({ "visits": visits })).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
    let layer = SessionManagerLayer::new(store)
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(time::Duration::days(IDLE_DAYS)));
    Router::new().route("/visits", get(visits)).layer(layer)
}

fn runtime() -> Result<runtime::Runtime> {
    Ok(runtime::Builder::new_multi_thread().enable_all().build()?)
}

async fn run(router: Router) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(serve(listener, router).await?)
}
