//! The application on axum that these tests talk to: `Router::layer(SessionLayer::new(sessions))`
//! with the cookie as it is by default.
//!
//! What waits, waits for another request, never for time: see [`Gates`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path as At, State};
use axum::routing::{get, post};
use sessile::Error;
use sessile::session::{Redeemed, Session, Sessions};
use sessile::web::SessionLayer;
use tokio::sync::{Semaphore, watch};

type Answer = Result<String, Error>;

/// What a handler of `/slow` waits for, by name.
#[derive(Clone, Default)]
pub struct Gates(Arc<Mutex<HashMap<String, Arc<Gate>>>>);

struct Gate {
    reached: Semaphore,
    open: Semaphore,
}

impl Gates {
    fn gate(&self, name: &str) -> Arc<Gate> {
        let new = || Arc::new(Gate { reached: Semaphore::new(0), open: Semaphore::new(0) });
        self.0.lock().unwrap().entry(name.to_owned()).or_insert_with(new).clone()
    }

    /// Says that somebody is here, and waits to be let through.
    pub async fn pass(&self, name: &str) {
        let gate = self.gate(name);
        gate.reached.add_permits(1);
        gate.open.acquire().await.unwrap().forget();
    }

    pub async fn reached(&self, name: &str) {
        self.gate(name).reached.acquire().await.unwrap().forget();
    }

    pub fn open(&self, name: &str) {
        self.gate(name).open.add_permits(1);
    }
}

/// What the handlers share. `ending` turns true when the server has been told to end.
#[derive(Clone)]
pub struct Shop {
    pub sessions: Sessions,
    pub gates: Gates,
    pub ending: watch::Receiver<bool>,
}

/// The application, with its sessions.
pub fn router(shop: Shop) -> Router {
    let layer = SessionLayer::new(shop.sessions.clone());
    Router::new()
        .route("/", get(async || "welcome"))
        .route("/me", get(me))
        .route("/all", get(all))
        .route("/set/{key}/{value}", post(set))
        .route("/add/{key}", post(add))
        .route("/login/{who}", post(login))
        .route("/logout", post(logout))
        .route("/slow/{gate}/{action}", post(slow))
        .route("/reached/{gate}", get(reached))
        .route("/open/{gate}", post(open))
        .route("/last", post(last))
        .route("/sessions", get(own_sessions))
        .route("/revoke-others", post(revoke_others))
        .route("/revoke-owner/{who}", post(revoke_owner))
        .route("/revoke-all", post(revoke_all))
        .route("/issue/{name}/{value}/{attempts}", post(issue))
        .route("/redeem/{name}/{value}", post(redeem))
        .route("/sessions-of/{who}", get(sessions_of))
        .route("/count", get(count))
        .layer(layer)
        .with_state(shop)
}

async fn me(session: Session) -> Answer {
    Ok(session.subject()?.unwrap_or_else(|| "nobody".to_owned()))
}

/// All values, which are numbers, as `key=value` by line.
async fn all(session: Session) -> Answer {
    let lines = session.iter()?.map(|(key, value)| format!("{key}={value}\n"));
    Ok(lines.collect())
}

/// Lets others go ahead between the read and the save, so that requests do overlap.
async fn set(session: Session, At((key, value)): At<(String, u64)>) -> Answer {
    session.load().await?;
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    session.insert(&*key, value)?;
    Ok("set".to_owned())
}

async fn add(session: Session, At(key): At<String>) -> Answer {
    let sum = session.update(&*key, |number: &mut u64| {
        *number += 1;
        *number
    })?;
    Ok(sum.to_string())
}

async fn login(session: Session, At(who): At<String>) -> Answer {
    session.login(who)?;
    Ok("in".to_owned())
}

async fn logout(session: Session) -> Answer {
    session.logout()?;
    Ok("out".to_owned())
}

/// Does something with the session, and answers when the gate is opened; `logout` waits first.
async fn slow(
    State(shop): State<Shop>,
    session: Session,
    At((gate, action)): At<(String, String)>,
) -> Answer {
    session.load().await?;
    match action.as_str() {
        "write" => session.insert("slow", 1)?,
        "logout" => {}
        who => session.login(who)?,
    }
    shop.gates.pass(&gate).await;
    if action == "logout" {
        session.logout()?;
    }
    Ok("at last".to_owned())
}

async fn reached(State(shop): State<Shop>, At(gate): At<String>) -> &'static str {
    shop.gates.reached(&gate).await;
    "reached"
}

async fn open(State(shop): State<Shop>, At(gate): At<String>) -> &'static str {
    shop.gates.open(&gate);
    "open"
}

/// Writes when the server has been told to end.
async fn last(State(shop): State<Shop>, session: Session) -> Answer {
    let mut ending = shop.ending.clone();
    shop.gates.gate("last").reached.add_permits(1);
    ending.wait_for(|ending| *ending).await.unwrap();
    session.insert("last", 1)?;
    Ok("written".to_owned())
}

/// The fingerprints of one's own sessions, the current one with a star.
async fn own_sessions(State(shop): State<Shop>, session: Session) -> Answer {
    let (Some(key), Some(who)) = (session.key()?, session.subject()?) else {
        return Ok(String::new());
    };
    let listed = shop.sessions.list_of_async(who).await?;
    let star = |info: &sessile::Key| if *info == key { "*" } else { "" };
    let lines =
        listed.iter().map(|info| format!("{}{}\n", info.key.fingerprint(), star(&info.key)));
    Ok(lines.collect())
}

async fn revoke_others(session: Session) -> Answer {
    Ok(session.revoke_others()?.to_string())
}

async fn revoke_owner(State(shop): State<Shop>, At(who): At<String>) -> Answer {
    Ok(shop.sessions.revoke_owner_async(who).await?.to_string())
}

async fn revoke_all(State(shop): State<Shop>) -> Answer {
    shop.sessions.revoke_all_async().await?;
    Ok("gone".to_owned())
}

async fn issue(
    State(shop): State<Shop>,
    At((name, value, attempts)): At<(String, String, u32)>,
) -> Answer {
    let hour = std::time::Duration::from_secs(3600);
    shop.sessions.issue_async(name, value, hour, attempts).await?;
    Ok("issued".to_owned())
}

async fn redeem(State(shop): State<Shop>, At((name, value)): At<(String, String)>) -> Answer {
    Ok(match shop.sessions.redeem_async(name, value).await? {
        Redeemed::Right => "right".to_owned(),
        Redeemed::Wrong { left } => format!("wrong {left}"),
        Redeemed::Absent => "absent".to_owned(),
    })
}

async fn sessions_of(State(shop): State<Shop>, At(who): At<String>) -> Answer {
    Ok(shop.sessions.list_of_async(who).await?.len().to_string())
}

async fn count(State(shop): State<Shop>) -> Answer {
    Ok(shop.sessions.count()?.to_string())
}
