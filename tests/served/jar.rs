//! A cookie jar that keeps the rules of RFC 6265bis as browsers do: what is taken, what is replaced,
//! what is sent where and until when.
//!
//! Knows no sockets, reads no clock, and leaves out what needs a page around it: SameSite, the
//! list of public suffixes, scripts.

/// Browsers keep no cookie longer than 400 days.
const AGE_SECONDS_MAX: i64 = 400 * 24 * 3600;
const PAIR_BYTES_MAX: usize = 4096;
const ATTRIBUTE_BYTES_MAX: usize = 1024;

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Site {
    pub https: bool,
    pub host: String,
}

impl Site {
    pub fn new(scheme: &str, host: &str) -> Site {
        Site { https: scheme == "https", host: host.to_ascii_lowercase() }
    }

    /// Whether cookies with `Secure` go there: over TLS, and to this very machine.
    fn is_trustworthy(&self) -> bool {
        let host = self.host.as_str();
        let is_local = host == "localhost" || host.ends_with(".localhost") || host == "[::1]";
        self.https || is_local || (is_address(host) && host.starts_with("127."))
    }

    /// Whether it is the domain or a host below it.
    fn is_within(&self, domain: &str) -> bool {
        let below = self.host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        self.host == domain || (below && !is_address(&self.host))
    }
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok()
}

/// A cookie as it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    pub name: String,
    pub value: String,
    pub domain: String,
    pub host_only: bool,
    pub path: String,
    pub secure: bool,
    pub http_only: bool,
    /// In seconds of Unix time; `None` until the browser is closed.
    pub until: Option<i64>,
}

/// The cookies of one browser, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Jar(Vec<Kept>);

/// What stands behind the first `;`.
#[derive(Default)]
struct Attributes {
    max_age: Option<i64>,
    expires: Option<i64>,
    domain: Option<String>,
    /// As written; `None` without the attribute.
    path: Option<String>,
    secure: bool,
    http_only: bool,
}

impl Attributes {
    fn parse(text: &str) -> Attributes {
        let mut found = Attributes::default();
        for part in text.split(';').skip(1) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (blank(name).to_ascii_lowercase(), blank(value));
            if value.len() > ATTRIBUTE_BYTES_MAX {
                continue;
            }
            match name.as_str() {
                "max-age" => found.max_age = seconds(value).or(found.max_age),
                "expires" => found.expires = date(value).or(found.expires),
                "domain" => {
                    let value = value.strip_prefix('.').unwrap_or(value);
                    found.domain = Some(value.to_ascii_lowercase());
                }
                "path" => found.path = Some(value.to_owned()),
                "secure" => found.secure = true,
                "httponly" => found.http_only = true,
                _ => {}
            }
        }
        found
    }

    /// When the cookie ends. `Max-Age` counts, wherever it stands; `Expires` only without it.
    fn until(&self, now: i64) -> Option<i64> {
        let from_age = self.max_age.map(|age| match age {
            ..=0 => i64::MIN,
            _ => now + age.min(AGE_SECONDS_MAX),
        });
        from_age.or(self.expires.map(|date| date.min(now + AGE_SECONDS_MAX)))
    }
}

impl Jar {
    /// Takes a `Set-Cookie` field of a response. False if a browser would drop it.
    pub fn keep(&mut self, site: &Site, path: &str, field: &str, now: i64) -> bool {
        match judge(site, path, field, now) {
            Some(cookie) => self.put(site, cookie, now),
            None => false,
        }
    }

    fn put(&mut self, site: &Site, cookie: Kept, now: i64) -> bool {
        self.drop_ended(now);
        let shadows = |other: &Kept| {
            other.secure && other.name == cookie.name && site.is_within(&other.domain)
        };
        if !site.is_trustworthy() && self.0.iter().any(shadows) {
            return false;
        }
        let same = |other: &Kept| {
            (&other.name, &other.domain, &other.path, other.host_only)
                == (&cookie.name, &cookie.domain, &cookie.path, cookie.host_only)
        };
        match self.0.iter().position(same) {
            // In its place: one that is replaced is as old as it was.
            Some(at) => self.0[at] = cookie,
            None => self.0.push(cookie),
        }
        self.drop_ended(now);
        true
    }

    fn drop_ended(&mut self, now: i64) {
        self.0.retain(|cookie| cookie.until.is_none_or(|until| until > now));
    }

    /// What the `Cookie` field of a request there holds; `None` if it has none.
    pub fn field(&mut self, site: &Site, path: &str, now: i64) -> Option<String> {
        self.drop_ended(now);
        let goes = |cookie: &&Kept| {
            let host = if cookie.host_only {
                site.host == cookie.domain
            } else {
                site.is_within(&cookie.domain)
            };
            host && is_below(path, &cookie.path) && (!cookie.secure || site.is_trustworthy())
        };
        let mut sent: Vec<&Kept> = self.0.iter().filter(goes).collect();
        // Longer paths first, then the older; the sort is stable.
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs = sent.iter().map(|cookie| match cookie.name.as_str() {
            "" => cookie.value.clone(),
            name => format!("{name}={}", cookie.value),
        });
        let pairs: Vec<String> = pairs.collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The cookie of a name, where there is one of it only.
    pub fn get(&self, name: &str) -> Option<&Kept> {
        let mut named = self.0.iter().filter(|cookie| cookie.name == name);
        named.next().filter(|_| named.next().is_none())
    }

    /// The browser is closed and opened again.
    pub fn close(&mut self) {
        self.0.retain(|cookie| cookie.until.is_some());
    }
}

/// The cookie of a `Set-Cookie` field, unless a browser would drop it.
fn judge(site: &Site, path: &str, field: &str, now: i64) -> Option<Kept> {
    if field.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return None;
    }
    let pair = field.split(';').next()?;
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    let (name, value) = (blank(name), blank(value));
    if name.len() + value.len() > PAIR_BYTES_MAX || (name.is_empty() && value.is_empty()) {
        return None;
    }
    let attributes = Attributes::parse(field);
    let domain = attributes.domain.as_deref().filter(|domain| !domain.is_empty());
    if domain.is_some_and(|domain| !site.is_within(domain)) {
        return None;
    }
    let until = attributes.until(now);
    let given = attributes.path.as_deref();
    let cookie = Kept {
        name: name.to_owned(),
        value: value.to_owned(),
        domain: domain.unwrap_or(&site.host).to_owned(),
        host_only: domain.is_none(),
        path: given.filter(|path| path.starts_with('/')).unwrap_or(folder(path)).to_owned(),
        secure: attributes.secure,
        http_only: attributes.http_only,
        until,
    };
    let fine = (!cookie.secure || site.is_trustworthy()) && keeps_promise(&cookie, given);
    fine.then_some(cookie)
}

/// Whether what the prefix of a name promises holds.
fn keeps_promise(cookie: &Kept, path: Option<&str>) -> bool {
    let named = match cookie.name.is_empty() {
        true => cookie.value.to_ascii_lowercase(),
        false => cookie.name.to_ascii_lowercase(),
    };
    let (host, secure) = (named.starts_with("__host-"), named.starts_with("__secure-"));
    let fine = match (host, secure) {
        (true, _) => cookie.secure && cookie.host_only && path == Some("/"),
        (_, true) => cookie.secure,
        _ => return true,
    };
    fine && !cookie.name.is_empty()
}

/// Where a cookie without `Path` goes: to what lies beside the page.
fn folder(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || folder.ends_with('/') || rest.starts_with('/'))
}

fn blank(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A number of seconds; one that does not fit is as far away as can be. `None` for what is none.
fn seconds(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let far = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(far))
}

/// A date as servers write it, in any of the forms that browsers have borne so far.
fn date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    let is_part = |byte: char| byte.is_ascii_alphanumeric() || byte == ':';
    for token in text.split(|byte| !is_part(byte)).filter(|token| !token.is_empty()) {
        let number = || token.parse::<i64>().ok().filter(|_| token.len() <= 4);
        let letters = token.get(..3).unwrap_or(token).to_ascii_lowercase();
        let is_month = || MONTHS.iter().position(|name| *name == letters);
        if time.is_none() && token.contains(':') {
            let parts: Vec<i64> = token.split(':').filter_map(|part| part.parse().ok()).collect();
            let &[hour, minute, second] = parts.as_slice() else { return None };
            time = Some((hour, minute, second));
        } else if day.is_none() && token.len() <= 2 && number().is_some() {
            day = number();
        } else if month.is_none() && is_month().is_some() {
            month = is_month().map(|at| at as i64 + 1);
        } else if year.is_none() {
            year = number().map(|year| match year {
                0..=69 => year + 2000,
                70..=99 => year + 1900,
                _ => year,
            });
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    let fine = hour < 24 && minute < 60 && second < 60 && (1..=31).contains(&day) && year >= 1601;
    fine.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March here, so that the odd day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let since_march = (month + 9) % 12;
    let day_of_year = (153 * since_march + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}
