//! Which status an error of the store is answered with.

use http::StatusCode;

use crate::error::Error;

/// 503 for what passes by itself or with another process (`is_full`, `is_disk_full`,
/// `is_closed`), 401 where a login is required, 400 for what was interrupted, else 500.
pub(crate) fn status_of(error: &Error) -> StatusCode {
    if error.is_full() || error.is_disk_full() || error.is_closed() {
        StatusCode::SERVICE_UNAVAILABLE
    } else if error.is_login_required() {
        StatusCode::UNAUTHORIZED
    } else if error.is_interrupted() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}
