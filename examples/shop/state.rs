//! What the shop keeps, and the changes it makes to it. Knows the store; no HTTP and no HTML.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sessile::{Error, Expiry, Id, Key, Stats, Store};

use crate::captcha::{CAPTCHA_LIFETIME, Captcha, Verdict};

/// Most things in one cart.
pub const CART_COUNT_MAX: usize = 20;
/// Most visitors and captchas together: a flood is refused, nobody is put out for it.
const RECORD_COUNT_MAX: u64 = 2_000_000;
/// How long to wait for another process, one that is just ending say, to let the directory go.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Changes whenever `Record`, or anything inside it, does.
const SCHEMA_TAG: u64 = 1;

/// What the store holds. One type for all, so that a change may span several kinds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Record {
    /// Under the key of the id in a browser's cookie.
    Visitor(Visitor),
    /// Under [`captcha_key`] of the id in the page.
    Captcha(Captcha),
}

/// What the shop knows of one browser.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Visitor {
    /// Who has logged in, as they called themselves.
    pub user: Option<String>,
    /// How often this browser was here.
    pub visits: u64,
    /// At most [`CART_COUNT_MAX`], oldest first.
    pub cart: Vec<String>,
    /// Whether a captcha was solved.
    pub human: bool,
}

/// What a change came to.
pub struct Done<R> {
    /// What the change returned.
    pub result: R,
    /// The id to give to the browser, if it needs a new one.
    pub new_id: Option<Id>,
}

/// The shop behind the counter: a handle on the store, cheap to clone.
#[derive(Clone)]
pub struct Shop {
    store: Store<Record>,
}

impl Shop {
    /// Opens the store in `directory`, making it if it is missing.
    pub fn open(directory: &Path) -> Result<Shop, Error> {
        let store = Store::builder()
            .max_sessions(RECORD_COUNT_MAX)
            .wait_for_lock(LOCK_WAIT)
            .schema_tag(SCHEMA_TAG)
            .open(directory)?;
        Ok(Shop { store })
    }

    pub async fn close(&self) -> Result<(), Error> {
        self.store.close_async().await
    }

    pub fn stats(&self) -> Stats {
        self.store.stats()
    }

    /// The visitor with this id; `None` if nobody has it, or no longer.
    pub fn visitor(&self, id: Option<&Id>) -> Result<Option<Visitor>, Error> {
        let Some(id) = id else { return Ok(None) };
        Ok(match self.store.get(&id.key())?.as_deref() {
            Some(Record::Visitor(visitor)) => Some(visitor.clone()),
            _ => None,
        })
    }

    /// Changes the visitor with this id; `None` if nobody has it.
    pub async fn change_known<R: Unpin>(
        &self,
        id: &Id,
        change: impl Fn(&mut Visitor) -> R,
    ) -> Result<Option<R>, Error> {
        let key = id.key();
        let changed = self.store.update_async(&key, |record| match record {
            Record::Visitor(visitor) => Some(change(visitor)),
            Record::Captcha(_) => None,
        });
        changed.await.map(Option::flatten)
    }

    /// Changes the visitor with this id. If nobody has it the change is made to a new visitor,
    /// under a new id: one that a browser made up is never adopted.
    pub async fn change<R: Unpin>(
        &self,
        id: Option<&Id>,
        change: impl Fn(&mut Visitor) -> R,
    ) -> Result<Done<R>, Error> {
        if let Some(id) = id
            && let Some(result) = self.change_known(id, &change).await?
        {
            return Ok(Done { result, new_id: None });
        }
        let mut visitor = Visitor::default();
        let result = change(&mut visitor);
        let id = self.create(|| Record::Visitor(visitor.clone()), Id::key, Expiry::Default).await?;
        Ok(Done { result, new_id: Some(id) })
    }

    /// Puts the visitor under a new id, with a name, and ends the old id: both or neither, after
    /// a crash too. Whoever planted the old id holds nothing then. What an anonymous visitor
    /// collected is kept; what another user did is not handed over.
    pub async fn login(&self, id: Option<&Id>, user: &str) -> Result<Id, Error> {
        let new = Id::new()?;
        let keys: Vec<Key> = [&new].into_iter().chain(id).map(Id::key).collect();
        let login = self.store.transact_async(&keys, |slots| {
            let old = if keys.len() > 1 { slots.get(1) } else { None };
            let known = match old {
                Some(Record::Visitor(visitor)) => Some(visitor.clone()),
                _ => None,
            };
            if known.is_some() {
                slots.remove(1);
            }
            let mut visitor = known.unwrap_or_default();
            if visitor.user.as_deref().is_some_and(|other| other != user) {
                visitor = Visitor { visits: visitor.visits, ..Visitor::default() };
            }
            visitor.user = Some(user.to_owned());
            slots.insert(0, Record::Visitor(visitor), Expiry::Default);
        });
        login.await?;
        Ok(new)
    }

    /// Ends the visitor with this id. On disk when it returns, whether this call did it or an
    /// earlier one.
    pub async fn logout(&self, id: &Id) -> Result<(), Error> {
        self.store.remove_async(&id.key()).await.map(drop)
    }

    /// A new captcha. It ends by itself.
    pub async fn new_captcha(&self) -> Result<Id, Error> {
        let captcha = Captcha::draw()?;
        let expiry = Expiry::After(CAPTCHA_LIFETIME);
        self.create(|| Record::Captcha(captcha.clone()), captcha_key, expiry).await
    }

    /// The captcha with this id, if it has not ended.
    pub fn captcha(&self, id: &Id) -> Result<Option<Captcha>, Error> {
        Ok(match self.store.get(&captcha_key(id))?.as_deref() {
            Some(Record::Captcha(captcha)) => Some(captcha.clone()),
            _ => None,
        })
    }

    /// Whether `code` is that of the captcha: true for one caller, once. A wrong code uses up an
    /// attempt. In the same step the visitor, if there is one, is marked as human.
    pub async fn answer(
        &self,
        visitor: Option<&Id>,
        captcha: &Id,
        code: &str,
    ) -> Result<bool, Error> {
        let keys: Vec<Key> =
            [captcha_key(captcha)].into_iter().chain(visitor.map(Id::key)).collect();
        let answer = self.store.transact_async(&keys, |slots| {
            let Some(Record::Captcha(captcha)) = slots.get(0) else { return false };
            let mut captcha = captcha.clone();
            let verdict = captcha.judge(code);
            match verdict {
                Verdict::Wrong => slots.set(0, Record::Captcha(captcha)),
                Verdict::Right | Verdict::Spent => slots.remove(0),
            }
            let right = verdict == Verdict::Right;
            let known = if keys.len() > 1 { slots.get(1).cloned() } else { None };
            if let (true, Some(Record::Visitor(visitor))) = (right, known) {
                slots.set(1, Record::Visitor(Visitor { human: true, ..visitor }));
            }
            right
        });
        answer.await
    }

    /// Files a record under a new id that nobody has.
    async fn create(
        &self,
        record: impl Fn() -> Record,
        key: impl Fn(&Id) -> Key,
        expiry: Expiry,
    ) -> Result<Id, Error> {
        loop {
            let id = Id::new()?;
            if self.store.create_with_async(key(&id), record(), expiry).await? {
                return Ok(id);
            }
        }
    }
}

/// Captchas have names of their own: the id of one, sent as a cookie, finds nothing.
fn captcha_key(id: &Id) -> Key {
    Key::of(["captcha/", id.expose()].concat())
}
