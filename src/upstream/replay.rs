//! Which requests may be sent a second time when a pooled connection ends under them (RFC 9110 section 9.2.2).
//!
//! A server may close an idle connection just as a request is written to it. A method that only reads can then be sent once
//! more; whether the connection gave such a failure is known to `connection`. Nothing that changes state is ever replayed,
//! though some of it would be idempotent: a proxy cannot know what a PUT or DELETE has set off.

use std::sync::Arc;

use http::header::UPGRADE;
use http::{Method, Request};
use http_body::Body as _;

use crate::observe::CountedRequest;

/// What the row says of such a request.
pub(super) const SENT_TWICE: &str =
    "the request was sent twice: a reused upstream connection ended before anything of its response came";

/// The request once more, if it may be sent again.
pub(super) fn copy_of(request: &Request<CountedRequest>) -> Option<Box<Request<CountedRequest>>> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !reads || !request.body().is_end_stream() || request.headers().contains_key(UPGRADE) {
        return None;
    }
    let mut copy = Box::new(Request::new(CountedRequest::empty(Arc::clone(request.body().traffic()))));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    Some(copy)
}
