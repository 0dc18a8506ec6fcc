//! As much of an HTTP/1.1 client as it takes: one connection, kept open, one request after the
//! other. Knows no cookies.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server that does not answer for so long never will: a deadlock is to fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// All fields of a name, which is given in lower case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter().filter(|(field, _)| field == name);
        fields.next().map(|(_, value)| value.as_str())
    }

    pub fn cookies(&self) -> Vec<&str> {
        self.all("set-cookie").collect()
    }

    /// Whether there is a cookie, and it takes one away.
    pub fn removes(&self) -> bool {
        self.cookies().iter().any(|cookie| cookie.contains("Max-Age=0"))
    }

    /// Whether a cookie is given.
    pub fn sets(&self) -> bool {
        !self.cookies().is_empty() && !self.removes()
    }
}

/// One connection, which is opened with the first request and again when the server has closed it.
pub struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
    /// Connections that were opened so far.
    pub opened: usize,
}

impl Client {
    pub fn new(address: SocketAddr) -> Client {
        Client { address, stream: None, opened: 0 }
    }

    fn stream(&mut self) -> io::Result<BufReader<TcpStream>> {
        if let Some(stream) = self.stream.take() {
            return Ok(stream);
        }
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        self.opened += 1;
        Ok(BufReader::new(stream))
    }

    pub fn connect(&mut self) -> io::Result<()> {
        let stream = self.stream()?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Sends the request and reads the answer. After an error nobody knows whether it was served.
    pub fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> io::Result<Answer> {
        let mut stream = self.stream()?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("content-length: 0\r\n\r\n");
        stream.get_mut().write_all(head.as_bytes())?;
        let answer = read(&mut stream)?;
        if answer.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        // The server is gone in the middle of its answer, or before it.
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn read(stream: &mut impl BufRead) -> io::Result<Answer> {
    let first = line(stream)?;
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status line: {first:?}"));
    let mut headers = Vec::new();
    loop {
        let line = line(stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: String::new() };
    let length = answer.header("content-length").map(|length| length.parse().unwrap());
    let mut body = vec![0; length.expect("every answer here says how long it is")];
    stream.read_exact(&mut body)?;
    answer.body = String::from_utf8(body).unwrap();
    Ok(answer)
}
