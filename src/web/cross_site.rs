//! A layer that refuses what another site makes a browser send. Knows neither cookies nor
//! sessions: it reads `Sec-Fetch-Site`, `Origin` and the host.

mod rules;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::error::Result;

/// Refuses unsafe requests (any method but `GET`, `HEAD`, `OPTIONS` and `TRACE`) that a page of
/// another origin makes a browser send with the cookies of this one: 403, and no body.
///
/// | the request says | it passes |
/// |---|---|
/// | `Sec-Fetch-Site: same-origin` or `none` (typed in, a bookmark) | yes |
/// | `Sec-Fetch-Site` with `same-site`, `cross-site` or anything else | if `Origin` is one of the allowed origins |
/// | no `Sec-Fetch-Site`, but an `Origin` | if that is allowed, or its host and port are the request's |
/// | neither | yes: it comes from no browser of these years, or from no browser |
/// | either of them twice | no |
///
/// `Origin: null` counts as another origin. Browsers since 2023 all send `Sec-Fetch-Site`, over
/// HTTPS and to loopback hosts; `Origin` is for older ones, and for plain HTTP. Comparing that with
/// the host leaves two gaps. A server behind a proxy does not know whether it was reached over
/// HTTPS, so a page from `http://` on the same host passes unless the URI says `https`; HSTS closes
/// that. And a proxy that sends another `Host` on makes same-origin posts of old browsers fail: put
/// one's own origin among the allowed ones, or let the proxy keep `Host`.
///
/// A handler that changes something on `GET`, a WebSocket's handshake included, is not protected.
///
/// Costs a look into the headers and allocates nothing.
///
/// ```
/// use sessile::web::CrossSiteLayer;
///
/// # fn main() -> sessile::Result<()> {
/// let layer = CrossSiteLayer::new().allowed_origins(["https://accounts.example.com"])?;
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct CrossSiteLayer {
    allowed: Arc<[Box<[u8]>]>,
}

impl CrossSiteLayer {
    /// One that lets no other origin in.
    pub fn new() -> Self {
        CrossSiteLayer::default()
    }

    /// The other origins that may send anything, in place of those named before: scheme, host and,
    /// where it is not the scheme's own, port, as browsers write them (`https://example.com`).
    ///
    /// # Errors
    /// `is_config` for what no browser writes: a path or a slash at the end, upper case, a port
    /// that is the default, `null`, a `*`.
    pub fn allowed_origins<S: AsRef<str>>(
        mut self,
        origins: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let origins = origins.into_iter();
        let checked = origins.map(|origin| {
            rules::check_origin(origin.as_ref())?;
            Ok(origin.as_ref().as_bytes().into())
        });
        self.allowed = checked.collect::<Result<_>>()?;
        Ok(self)
    }
}

impl<S> Layer<S> for CrossSiteLayer {
    type Service = CrossSite<S>;

    fn layer(&self, inner: S) -> CrossSite<S> {
        CrossSite { inner, allowed: Arc::clone(&self.allowed) }
    }
}

/// The service that [`CrossSiteLayer`] makes of another one.
#[derive(Clone, Debug)]
pub struct CrossSite<S> {
    inner: S,
    allowed: Arc<[Box<[u8]>]>,
}

impl<S, B, R> Service<Request<B>> for CrossSite<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = CrossSiteFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (method, uri) = (request.method(), request.uri());
        let passes = rules::passes(method, uri, request.headers(), &self.allowed);
        CrossSiteFuture { inner: passes.then(|| self.inner.call(request)) }
    }
}

pin_project! {
    /// The answer of a [`CrossSite`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct CrossSiteFuture<F> {
        // `None` for what is refused.
        #[pin]
        inner: Option<F>,
    }
}

impl<F, R, E> Future for CrossSiteFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if let Some(inner) = self.project().inner.as_pin_mut() {
            return inner.poll(context);
        }
        let mut refusal = Response::new(R::default());
        *refusal.status_mut() = StatusCode::FORBIDDEN;
        Poll::Ready(Ok(refusal))
    }
}
