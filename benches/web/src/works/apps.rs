//! The same small applications on axum: bare, on sessile, on tower-sessions.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use sessile::session::Sessions;
use sessile::web::SessionLayer;
use tower_sessions::cookie::time;
use tower_sessions::{Expiry, MemoryStore, SessionManagerLayer};

const KEY: &str = "visits";
const ANSWER: &str = "ok";
/// As sessile's own default.
const IDLE_DAYS: i64 = 14;

/// Never the same value twice in a row: setting what is there already may be no change.
static NEXT: AtomicU32 = AtomicU32::new(0);

async fn untouched() -> &'static str {
    ANSWER
}

/// No layer at all.
pub fn bare() -> Router {
    Router::new().route("/untouched", get(untouched))
}

/// A layer that does nothing: what axum itself takes for any layer.
pub fn layered() -> Router {
    bare().layer(tower_layer::Identity::new())
}

pub fn sessile(sessions: Sessions) -> Router {
    use sessile::Error;
    use sessile::session::Session;

    async fn read(session: Session) -> Result<&'static str, Error> {
        match session.get::<u32>(KEY)? {
            Some(_) => Ok(ANSWER),
            None => Ok("there is no value"),
        }
    }
    async fn change(session: Session) -> Result<&'static str, Error> {
        session.insert(KEY, NEXT.fetch_add(1, Relaxed))?;
        Ok(ANSWER)
    }
    Router::new()
        .route("/untouched", get(untouched))
        .route("/read", get(read))
        .route("/change", get(change))
        .layer(SessionLayer::new(sessions))
}

pub fn tower_sessions() -> Router {
    use tower_sessions::Session;
    use tower_sessions::session::Error;

    fn failed(error: Error) -> (StatusCode, String) {
        (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
    async fn read(session: Session) -> Result<&'static str, (StatusCode, String)> {
        match session.get::<u32>(KEY).await.map_err(failed)? {
            Some(_) => Ok(ANSWER),
            None => Ok("there is no value"),
        }
    }
    async fn change(session: Session) -> Result<&'static str, (StatusCode, String)> {
        session.insert(KEY, NEXT.fetch_add(1, Relaxed)).await.map_err(failed)?;
        Ok(ANSWER)
    }
    let layer = SessionManagerLayer::new(MemoryStore::default())
        .with_expiry(Expiry::OnInactivity(time::Duration::days(IDLE_DAYS)));
    Router::new()
        .route("/untouched", get(untouched))
        .route("/read", get(read))
        .route("/change", get(change))
        .layer(layer)
}
