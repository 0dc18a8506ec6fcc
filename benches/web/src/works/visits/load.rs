//! The visitors: 64 connections that stay open, a session on each, one request after the other.
//! Every answer is checked: a server that loses a count fails.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime;

use crate::measure::quantile;
use crate::{Failure, Result};

const VISITORS: usize = 64;
/// What goes before, and does not count.
const WARM_UP: Duration = Duration::from_millis(300);
const MEASURED: Duration = Duration::from_secs(1);

/// Prints all requests made; of those that count requests a second, and median and 99th percentile
/// of the latency in microseconds.
pub fn main(_: &Path, port: usize) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port)?));
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (all, mut latencies) = runtime.block_on(async {
        let begun = Instant::now();
        let visitors: Vec<_> = (0..VISITORS).map(|_| tokio::spawn(visit(address, begun))).collect();
        let (mut all, mut latencies) = (0, Vec::new());
        for visitor in visitors {
            let (count, of_one) = visitor.await??;
            all += count;
            latencies.extend(of_one);
        }
        Ok::<_, Failure>((all, latencies))
    })?;
    latencies.sort_by(f64::total_cmp);
    let per_second = latencies.len() as f64 / MEASURED.as_secs_f64();
    let (median, late) = (quantile(&latencies, 0.5), quantile(&latencies, 0.99));
    println!("{all} {per_second} {median} {late}");
    Ok(())
}

/// One visitor, from the first request to the end of the time: how many requests it made, and the
/// latencies, in microseconds, of those that ended in the time that counts.
async fn visit(address: SocketAddr, begun: Instant) -> Result<(u64, Vec<f64>)> {
    let mut visitor = Visitor {
        stream: TcpStream::connect(address).await?,
        received: Vec::with_capacity(1024),
        request: request(None),
        visits: 0,
    };
    visitor.stream.set_nodelay(true)?;
    let mut latencies = Vec::with_capacity(4096);
    loop {
        let sent = Instant::now();
        visitor.call().await?;
        let now = Instant::now();
        if now - begun >= WARM_UP + MEASURED {
            return Ok((visitor.visits, latencies));
        }
        if now - begun >= WARM_UP {
            latencies.push((now - sent).as_secs_f64() * 1e6);
        }
    }
}

struct Visitor {
    stream: TcpStream,
    received: Vec<u8>,
    request: String,
    /// What the last answer said.
    visits: u64,
}

fn request(cookie: Option<&str>) -> String {
    let cookie = cookie.map(|pair| format!("Cookie: {pair}\r\n")).unwrap_or_default();
    format!(
        "GET /visits HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: visitor\r\n\
         Accept: application/json\r\n{cookie}\r\n"
    )
}

impl Visitor {
    async fn call(&mut self) -> Result<()> {
        self.stream.write_all(self.request.as_bytes()).await?;
        self.received.clear();
        let (head, end) = loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err("the server has closed a connection".into());
            }
            if let Some(parts) = complete(&self.received)? {
                break parts;
            }
        };
        let text = std::str::from_utf8(&self.received)?;
        let (head, body) = text.split_at(head);
        if !head.starts_with("HTTP/1.1 200 ") || text.len() != end {
            return Err(format!("the server answers {text:?}").into());
        }
        self.visits += 1;
        if body != format!("{{\"visits\":{}}}", self.visits) {
            return Err(format!("visit {} is answered with {body:?}", self.visits).into());
        }
        // A browser keeps what it is given, first or anew.
        if let Some(cookie) = field(head, "set-cookie") {
            self.request = request(cookie.split(';').next());
        }
        Ok(())
    }
}

/// Where the body begins and ends, if all of it is there.
fn complete(received: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(head) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&received[..head])?;
    let length: usize = field(text, "content-length").ok_or("an answer has no length")?.parse()?;
    let end = head + 4 + length;
    Ok((received.len() >= end).then_some((head + 4, end)))
}

/// A field of the head; both servers write their names in small letters.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
