//! What axum 0.8 needs beside the layer: the session as an extractor, the crate's error as a
//! response.

use ::axum::extract::FromRequestParts;
use ::axum::http::StatusCode;
use ::axum::http::request::Parts;
use ::axum::response::{IntoResponse, Response};

use crate::error::Error;
use crate::session::Session;
use crate::web::status::status_of;

/// 503 for what passes by itself or with another process (`is_full`, `is_disk_full`,
/// `is_closed`), 401 where a login is required, 400 for what was interrupted, else 500; the body is
/// empty. Log the error first: the response does not tell it.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        status_of(&self).into_response()
    }
}

/// There is no [`SessionLayer`](super::SessionLayer) around the route: a mistake of the program,
/// answered with 500.
#[derive(Clone, Copy, Debug)]
pub struct NoSessionLayer;

impl IntoResponse for NoSessionLayer {
    fn into_response(self) -> Response {
        let text = "no session: the router has no `SessionLayer` around this route";
        (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
    }
}

/// Costs a copy of a handle; nothing is loaded until the session is looked at.
impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = NoSessionLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoSessionLayer> {
        parts.extensions.get::<Session>().cloned().ok_or(NoSessionLayer)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use ::axum::Router;
    use ::axum::body::Body;
    use ::axum::http::Request;
    use tower_service::Service;

    use super::*;
    use crate::error::ErrorKind;
    use crate::web::CrossSiteLayer;

    #[test]
    fn r10_the_layer_fits_a_router() {
        let mut router: Router = Router::new().layer(CrossSiteLayer::new());
        for (method, status) in [("POST", 403), ("GET", 404)] {
            let request = Request::builder().method(method).header("sec-fetch-site", "cross-site");
            let answer = router.call(request.body(Body::empty()).unwrap());
            let Poll::Ready(answer) = pin!(answer).poll(&mut Context::from_waker(Waker::noop()))
            else {
                panic!("nothing waits here");
            };
            assert_eq!(answer.unwrap().status().as_u16(), status, "{method}");
        }
    }

    #[test]
    fn what_passes_is_503_and_the_rest_is_500() {
        let cases = [
            (ErrorKind::Full, 503),
            (ErrorKind::DiskFull, 503),
            (ErrorKind::Closed, 503),
            (ErrorKind::LoginRequired, 401),
            (ErrorKind::Interrupted, 400),
            (ErrorKind::Poisoned, 500),
            (ErrorKind::Corrupt, 500),
            (ErrorKind::Config, 500),
        ];
        for (kind, status) in cases {
            let response = Error::new(kind, "a message for the operator").into_response();
            assert_eq!(response.status().as_u16(), status, "{kind:?}");
            assert!(response.headers().is_empty(), "{kind:?}");
        }
    }
}
