//! Values that count once and belong to no session: captchas, codes sent by mail, links.

use sha2::{Digest, Sha256};

use crate::backend::Purpose;
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::log::Durability;
use crate::record::expiry::Expiry;
use crate::session::delta::check_growth;
use crate::session::manager::Sessions;
use crate::session::record::{Kind, OneShot, Record, one_shot_key};

/// Separates these digests from every other use of SHA-256.
const DOMAIN: &[u8] = b"sessile/once/v1\0";

/// What a candidate for a one-shot value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// The value, for the first and only time: it is gone now.
    Right,
    /// Another one. So many more wrong ones are borne; after the last the value is gone.
    Wrong {
        /// Attempts that are left.
        left: u32,
    },
    /// There is no such value, or no longer.
    Absent,
}

impl Sessions {
    /// Keeps a value under a name of the application's choosing, replacing any: whoever names it
    /// within `ttl`, with at most `attempts` tries in all, is right, once. Of the value only a
    /// salted digest is kept. That keeps a long one secret from whoever steals the files; six digits
    /// can be found by trying, for as long as they count.
    ///
    /// # Errors
    /// `is_config` for no attempts or a `ttl` that makes no sense. Those of the store.
    pub fn issue(
        &self,
        name: impl AsRef<str>,
        value: impl AsRef<[u8]>,
        ttl: std::time::Duration,
        attempts: u32,
    ) -> Result<()> {
        crate::backend::block_on(self.issue_async(name, value, ttl, attempts))
    }

    /// See [`issue`](Self::issue).
    ///
    /// # Errors
    /// As `issue`.
    pub async fn issue_async(
        &self,
        name: impl AsRef<str>,
        value: impl AsRef<[u8]>,
        ttl: std::time::Duration,
        attempts: u32,
    ) -> Result<()> {
        self.keep_one_shot(name.as_ref(), value.as_ref(), None, ttl, attempts).await
    }

    /// Like [`issue`](Self::issue), for a value that the server must be able to show: a captcha is
    /// drawn from it. It is kept as it is.
    ///
    /// # Errors
    /// As `issue`; `is_too_large` beyond `max_value_bytes`.
    pub fn issue_visible(
        &self,
        name: impl AsRef<str>,
        value: impl AsRef<str>,
        ttl: std::time::Duration,
        attempts: u32,
    ) -> Result<()> {
        crate::backend::block_on(self.issue_visible_async(name, value, ttl, attempts))
    }

    /// See [`issue_visible`](Self::issue_visible).
    ///
    /// # Errors
    /// As `issue`.
    pub async fn issue_visible_async(
        &self,
        name: impl AsRef<str>,
        value: impl AsRef<str>,
        ttl: std::time::Duration,
        attempts: u32,
    ) -> Result<()> {
        let value = value.as_ref();
        let visible = Some(value.into());
        self.keep_one_shot(name.as_ref(), value.as_bytes(), visible, ttl, attempts).await
    }

    async fn keep_one_shot(
        &self,
        name: &str,
        value: &[u8],
        visible: Option<Box<str>>,
        ttl: std::time::Duration,
        attempts: u32,
    ) -> Result<()> {
        if attempts == 0 {
            return Err(Error::config("a one-shot value of no attempts could not be redeemed"));
        }
        crate::record::expiry::check("ttl", ttl)?;
        let kept = visible.as_deref().map_or(0, str::len);
        let most = self.shared().settings.max_value_bytes;
        check_growth("the one-shot value", 0, kept, most)?;
        let salt: [u8; 16] = Entropy::System
            .bytes()
            .map_err(|error| Error::io("the operating system gave no random bytes", error))?;
        let digest = digest(&salt, name, value);
        let record = Record(Kind::OneShot(OneShot { salt, digest, visible, attempts }));
        let keys = [one_shot_key(name)];
        let shared = self.shared();
        let [key] = keys;
        let put = shared.transact(Purpose::Add(key), &keys, |slots| {
            slots.insert(0, record.clone(), Expiry::After(ttl));
        });
        put.await?;
        shared.backend.reach(shared.settings.write_level).await
    }

    /// Whether `candidate` is the value under a name. To one caller only the answer is
    /// [`Redeemed::Right`], however many ask at once, and after a crash too.
    ///
    /// # Errors
    /// Those of the store. With `is_unknown` the value is gone now, but may be back after a crash.
    pub fn redeem(&self, name: impl AsRef<str>, candidate: impl AsRef<[u8]>) -> Result<Redeemed> {
        crate::backend::block_on(self.redeem_async(name, candidate))
    }

    /// See [`redeem`](Self::redeem).
    ///
    /// # Errors
    /// As `redeem`.
    pub async fn redeem_async(
        &self,
        name: impl AsRef<str>,
        candidate: impl AsRef<[u8]>,
    ) -> Result<Redeemed> {
        let (name, candidate) = (name.as_ref(), candidate.as_ref());
        let shared = self.shared();
        let mut redeemed = Redeemed::Absent;
        let keys = [one_shot_key(name)];
        let judge = shared.transact(Purpose::End, &keys, |slots| {
            slots.discard();
            redeemed = Redeemed::Absent;
            let Some(Kind::OneShot(one)) = slots.get(0).map(|record| &record.0) else { return };
            // Digests: how far two of them agree tells nothing of the value.
            if one.digest == digest(&one.salt, name, candidate) {
                redeemed = Redeemed::Right;
                slots.remove(0);
                return;
            }
            let left = one.attempts.saturating_sub(1);
            redeemed = Redeemed::Wrong { left };
            let record = Record(Kind::OneShot(OneShot { attempts: left, ..one.clone() }));
            if left == 0 { slots.remove(0) } else { slots.set(0, record) }
        });
        judge.await?;
        let settings = &shared.settings;
        let level: Durability = match redeemed {
            Redeemed::Wrong { left: 1.. } => settings.write_level,
            // A value that is not there any more is not to be there after a crash either.
            _ => settings.removal_level,
        };
        shared.backend.reach(level).await?;
        Ok(redeemed)
    }

    /// The value under a name, if it was issued to be shown.
    ///
    /// # Errors
    /// Those of the store.
    pub fn peek(&self, name: impl AsRef<str>) -> Result<Option<String>> {
        let key = one_shot_key(name.as_ref());
        let record = crate::backend::block_on(self.shared().backend.peek(&key))?;
        Ok(match record.as_ref().map(|record| &record.0) {
            Some(Kind::OneShot(one)) => one.visible.as_deref().map(str::to_owned),
            _ => None,
        })
    }
}

fn digest(salt: &[u8; 16], name: &str, value: &[u8]) -> [u8; 32] {
    let digest = Sha256::new()
        .chain_update(DOMAIN)
        .chain_update(salt)
        .chain_update((name.len() as u64).to_le_bytes())
        .chain_update(name)
        .chain_update(value)
        .finalize();
    digest.into()
}
