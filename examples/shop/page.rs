//! The page that a person sees. Pure: a visitor goes in, HTML comes out, everything escaped.

use std::fmt::Write as _;

use serde::Serialize;
use sessile::Id;

use crate::captcha::CODE_LETTERS;
/// Most things in one cart.
pub const CART_COUNT_MAX: usize = 20;

pub const STYLE: &str = include_str!("shop.css");
/// Makes forms answer in place. The page works without it.
pub const SCRIPT: &str = include_str!("shop.js");

/// What lies on the shelf, and a word about each.
const SHELF: &[(&str, &str)] = &[
    ("Rye bread", "baked this morning"),
    ("Plum jam", "from the garden"),
    ("Green tea", "first harvest"),
    ("Blue cheese", "rather strong"),
    ("Honey", "lime blossom"),
    ("Olive oil", "cold pressed"),
];

/// What the page shows of a visitor.
#[derive(Default)]
pub struct Visitor {
    /// Who has logged in, as they called themselves.
    pub user: Option<String>,
    /// How often this browser was here.
    pub visits: u64,
    /// At most [`CART_COUNT_MAX`], oldest first.
    pub cart: Vec<String>,
    /// Whether a captcha was solved.
    pub human: bool,
    /// Where this user has logged in.
    pub sessions: Vec<Own>,
}

/// One session of a user. Times are milliseconds since 1970.
#[derive(Serialize)]
pub struct Own {
    /// What it is revoked by.
    pub handle: String,
    pub fingerprint: String,
    pub created: i64,
    pub last_seen: i64,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// What the last form came to, told after the redirect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    Right,
    Wrong,
    Full,
}

impl Notice {
    /// Where to send the browser so that it shows the notice.
    pub fn path(self) -> &'static str {
        match self {
            Notice::Right => "/?captcha=right#captcha",
            Notice::Wrong => "/?captcha=wrong#captcha",
            Notice::Full => "/?cart=full#cart",
        }
    }

    /// The notice that a query asks for.
    pub fn of(query: Option<&str>) -> Option<Notice> {
        match query? {
            "captcha=right" => Some(Notice::Right),
            "captcha=wrong" => Some(Notice::Wrong),
            "cart=full" => Some(Notice::Full),
            _ => None,
        }
    }
}

/// The whole page. `captcha` is the one to solve, if there is one.
pub fn render(visitor: &Visitor, captcha: Option<&Id>, notice: Option<Notice>) -> String {
    let visits = match visitor.visits {
        1 => "Your <b>first</b> visit".to_owned(),
        visits => format!("Visit number <b>{visits}</b>"),
    };
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The Corner Shop</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/shop.css">
<script src="/shop.js" defer></script>
</head>
<body>
<header>
<h1>The Corner Shop</h1>
<p id="visits">{visits}</p>
</header>
<main>
<section id="shelf">
<h2>On the shelf</h2>
{shelf}</section>
<div>
<section id="cart">
{cart}</section>
<section id="login">
{login}</section>
<section id="captcha">
{captcha}</section>
</div>
</main>
<footer>
<p>Your visits, name and cart are kept by <b>sessile</b>, inside this very process. Kill it, start
it again, reload: they are still here.</p>
<p><a href="/me">me</a> <a href="/stats">stats</a> <a href="/healthz">health</a></p>
</footer>
</body>
</html>
"#,
        shelf = shelf(),
        cart = cart(&visitor.cart, notice),
        login = login(visitor),
        captcha = solve(captcha, notice),
    )
}

fn shelf() -> String {
    let mut html = String::from("<ul>\n");
    for (item, about) in SHELF {
        let _ = writeln!(
            html,
            r#"<li><span><b>{item}</b><small>{about}</small></span>
<form method="post" action="/cart" data-answer="cart">
<button name="item" value="{item}" aria-label="Add {item} to the cart">Add</button>
</form></li>"#
        );
    }
    html + "</ul>\n"
}

/// The cart, equal things in one line, in the order in which they came.
fn cart(items: &[String], notice: Option<Notice>) -> String {
    let mut lines: Vec<(&str, usize)> = Vec::new();
    for item in items {
        match lines.iter_mut().find(|(name, _)| name == item) {
            Some((_, count)) => *count += 1,
            None => lines.push((item, 1)),
        }
    }
    let mut html = format!(
        "<h2>Your cart <small id=\"cart-count\">{} of {CART_COUNT_MAX}</small></h2>\n<ul id=\"cart-lines\">\n",
        items.len()
    );
    for (name, count) in lines {
        let _ = writeln!(html, "<li><span>{}</span><span>× {count}</span></li>", escape(name));
    }
    html.push_str("</ul>\n<p id=\"cart-note\" class=\"note\" role=\"status\">");
    html.push_str(match notice {
        Some(Notice::Full) => "It is full.",
        _ if items.is_empty() => "Nothing in it yet.",
        _ => "",
    });
    html.push_str("</p>\n");
    html.push_str(
        r#"<form method="post" action="/cart/empty" data-answer="cart"><button class="quiet">Empty it</button></form>
"#,
    );
    html
}

fn login(visitor: &Visitor) -> String {
    let Some(user) = &visitor.user else {
        return r#"<h2>Who are you?</h2>
<form method="post" action="/login" class="row">
<input name="user" required maxlength="60" autocomplete="username" placeholder="Your name" aria-label="Your name">
<button>Log in</button>
</form>
"#
        .to_owned();
    };
    format!(
        r#"<h2>Hello, {}</h2>
<p>You are logged in. Logging out ends it for good: for this browser and for every copy of its cookie.</p>
<form method="post" action="/logout"><button>Log out</button></form>
{}"#,
        escape(user),
        places(&visitor.sessions)
    )
}

/// Where a user has logged in, with a button against each of the others, and one against all.
fn places(sessions: &[Own]) -> String {
    let mut html = String::from("<h3 id=\"sessions\">Where you are logged in</h3>\n<ul>\n");
    for Own { handle, fingerprint, created, last_seen, current } in sessions {
        let which = if *current { "this browser" } else { "another browser" };
        let (since, seen) = (age(*created, *last_seen), "seen last");
        let _ = write!(
            html,
            "<li><span>{which} <small>{fingerprint}, {seen} {since} after it began</small></span>"
        );
        if !current {
            let _ = write!(
                html,
                r#"<form method="post" action="/sessions/revoke"><input type="hidden" name="handle" value="{handle}"><button class="quiet">Log out</button></form>"#
            );
        }
        html.push_str("</li>\n");
    }
    html.push_str("</ul>\n");
    if sessions.len() > 1 {
        html.push_str(
            r#"<form method="post" action="/sessions/revoke-others"><button class="quiet">Log out everywhere else</button></form>
"#,
        );
    }
    html
}

/// The time between two instants, as a person says it.
fn age(from: i64, to: i64) -> String {
    let minutes = (to - from).max(0) / 60_000;
    match minutes {
        0 => "less than a minute".to_owned(),
        1 => "a minute".to_owned(),
        2..120 => format!("{minutes} minutes"),
        120..2880 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

fn solve(captcha: Option<&Id>, notice: Option<Notice>) -> String {
    let Some(id) = captcha else {
        return "<h2>You are human</h2>\n<p>You have read the letters, so it must be true.</p>\n"
            .to_owned();
    };
    let id = id.expose();
    let note = match notice {
        Some(Notice::Right) => "That was right.",
        Some(Notice::Wrong) => "That was not it. Here is another.",
        _ => "",
    };
    format!(
        r#"<h2>Are you human?</h2>
<form method="post" action="/captcha" data-answer="captcha">
<img id="captcha-picture" src="/captcha/{id}.svg" width="240" height="80" alt="A picture of {CODE_LETTERS} letters and digits">
<input type="hidden" name="id" value="{id}">
<div class="row">
<input name="code" required maxlength="12" autocomplete="off" autocapitalize="characters" spellcheck="false" placeholder="What do you read?" aria-label="What do you read in the picture?">
<button>Check</button>
</div>
<p id="captcha-note" class="note" role="status">{note}</p>
</form>
"#
    )
}

/// Text as HTML, in elements and in quoted attributes.
fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_in_comes_out_as_text() {
        let evil = "<script>alert('\"&\"')</script>";
        let visitor = Visitor {
            user: Some(evil.to_owned()),
            cart: vec![evil.to_owned()],
            ..Visitor::default()
        };
        let html = render(&visitor, None, None);
        assert!(!html.contains("<script>"));
        assert_eq!(html.matches("&lt;script&gt;alert(&#39;&quot;&amp;&quot;&#39;)").count(), 2);
    }

    #[test]
    fn every_other_session_has_a_button_against_it() {
        let own = |handle: &str, current| Own {
            handle: handle.to_owned(),
            fingerprint: "f".to_owned(),
            created: 0,
            last_seen: 0,
            current,
        };
        let html = places(&[own("a1", false), own("b2", true), own("c3", false)]);
        for (handle, count) in [("a1", 1), ("b2", 0), ("c3", 1)] {
            let field = format!(r#"name="handle" value="{handle}""#);
            assert_eq!(html.matches(&field).count(), count, "{handle}");
        }
        assert_eq!(html.matches(r#"action="/sessions/revoke""#).count(), 2);
    }

    #[test]
    fn equal_things_share_a_line() {
        let html = cart(&["tea", "jam", "tea"].map(str::to_owned), None);
        assert!(html.contains("<span>tea</span><span>× 2</span>") && html.contains("3 of 20"));
    }
}
