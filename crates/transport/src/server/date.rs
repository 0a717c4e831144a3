//! The `Date` of responses that have none: made once a second on each thread.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

/// The time as a field's value (RFC 9110 §5.6.7).
pub(super) fn now() -> HeaderValue {
    thread_local! {
        static LAST: RefCell<(u64, HeaderValue)> = const { RefCell::new((u64::MAX, HeaderValue::from_static(""))) };
    }
    let time = SystemTime::now();
    let second = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LAST.with_borrow_mut(|(last, value)| {
        if *last != second
            && let Ok(fresh) = HeaderValue::from_str(&httpdate::fmt_http_date(time))
        {
            (*last, *value) = (second, fresh);
        }
        value.clone()
    })
}
