//! HTTP: what web frameworks need to know of this crate. Knows no bytes on disk and no map.
//!
//! With the feature `axum`, [`Error`](crate::Error) is a response: 503 where it passes by itself
//! or elsewhere, 500 for the rest, and never a body, since its message is for the operator.

mod axum;
