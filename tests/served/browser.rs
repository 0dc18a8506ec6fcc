//! Somebody with a browser: a jar, a connection that is kept open, and a clock for both.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use sessile::{Clock, SystemClock};

use crate::client::{Answer, Client};
use crate::jar::{Jar, Site};

/// The name of the layer's cookie.
pub const NAME: &str = "__Host-sid";

/// What the `Cookie` field of a request with this id holds.
pub fn pair(id: &str) -> String {
    format!("{NAME}={id}")
}

/// A browser on one server. A clone has the same cookies, and a connection of its own.
pub struct Browser {
    pub jar: Jar,
    client: Client,
    address: SocketAddr,
    clock: Arc<dyn Clock>,
}

impl Clone for Browser {
    fn clone(&self) -> Self {
        let jar = self.jar.clone();
        Browser { jar, ..Browser::with_clock(self.address, self.clock.clone()) }
    }
}

impl Browser {
    pub fn with_clock(address: SocketAddr, clock: Arc<dyn Clock>) -> Browser {
        Browser { jar: Jar::default(), client: Client::new(address), address, clock }
    }

    /// On a server in another process, by the clock of the machine.
    pub fn new(address: SocketAddr) -> Browser {
        Browser::with_clock(address, Arc::new(SystemClock))
    }

    /// Opens the connection, as long as it is known who listens there.
    pub fn connect(mut self) -> Browser {
        self.client.connect().unwrap();
        self
    }

    pub fn now(&self) -> i64 {
        self.clock.wall().as_millis().div_euclid(1000)
    }

    /// A request that may meet a server which is being killed.
    pub fn try_ask(&mut self, method: &str, path: &str) -> io::Result<Answer> {
        let site = Site::new("http", &self.address.ip().to_string());
        let sent = self.jar.field(&site, path, self.now());
        let fields: Vec<(&str, &str)> = sent.iter().map(|sent| ("cookie", sent.as_str())).collect();
        let answer = self.client.ask(method, path, &fields)?;
        for cookie in answer.cookies() {
            assert!(self.jar.keep(&site, path, cookie, self.now()), "no browser takes {cookie:?}");
        }
        Ok(answer)
    }

    /// The session cookie of the layer.
    pub fn id(&self) -> Option<String> {
        self.jar.get(NAME).map(|cookie| cookie.value.clone())
    }

    #[track_caller]
    pub fn ask(&mut self, method: &str, path: &str) -> Answer {
        self.try_ask(method, path).unwrap()
    }

    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path)
    }

    #[track_caller]
    pub fn post(&mut self, path: &str) -> Answer {
        self.ask("POST", path)
    }

    /// A request with this in its `Cookie` field, whatever the jar holds; what comes is not kept.
    #[track_caller]
    pub fn send(&mut self, method: &str, path: &str, cookies: &str) -> Answer {
        self.client.ask(method, path, &[("cookie", cookies)]).unwrap()
    }

    /// Connections that it has opened.
    pub fn connections(&self) -> usize {
        self.client.opened
    }
}
