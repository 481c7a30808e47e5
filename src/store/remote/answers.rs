//! The error answers of services: a message of one line in the server's words, and whether a retry can help.
//!
//! HTTP services answer with a status and a body of XML, JSON, HTML or plain text ([`server_error`]). For other
//! protocols, [`failure`] looks into opendal's errors: opendal marks all errors of Redis as temporary, even a wrong
//! password.
//!
//! **Invariant.** A message is one line without secrets. Its words are the server's, the system's or opendal's.

use std::error::Error as StdError;
use std::io;
use std::iter;
use std::time::Duration;

#[cfg(feature = "over-http")]
use http::StatusCode;
use opendal::{Error, ErrorKind};
#[cfg(feature = "over-http")]
use serde_json::Value;

use super::health::Failure;

/// The number of characters of a message that are shown.
const MAX_MESSAGE: usize = 300;

/// A read or write that failed.
pub(super) fn failure(error: &Error, stall: Duration) -> Failure {
    if let Some(failure) = unreachable(error).or_else(|| redis(error)).or_else(|| memcached(error)) {
        return failure;
    }
    // The retry layer marks errors as persistent after its last attempt. A wrong configuration stays wrong.
    let temporary = (error.is_temporary() || error.is_persistent()) && error.kind() != ErrorKind::ConfigInvalid;
    Failure { message: describe(error, stall), temporary, denied: error.kind() == ErrorKind::PermissionDenied }
}

/// The message of a request without an answer.
pub(super) fn no_answer_message(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
}

/// opendal's message about wrong options.
pub(super) fn option_error(error: &Error) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    one_line(&format!("{}{source}", error.message()))
}

/// An error in one line: what the service or the system said, without opendal's additions.
fn describe(error: &Error, stall: Duration) -> String {
    let source = causes(error).last();
    let text = match (error.message(), source) {
        (message, _) if message.contains("timeout reached") => no_answer_message(stall),
        ("signing http request", Some(source)) => format!("no usable credentials: {source}"),
        ("", Some(source)) => source.to_string(),
        (message, None) => message.to_owned(),
        (message, Some(source)) => format!("{message}: {source}"),
    };
    one_line(&text)
}

fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // The HTTP client adds the URL, which may contain a signature.
    let line = line.split(" for url (").next().unwrap_or_default();
    line.chars().take(MAX_MESSAGE).collect()
}

/// The causes of an error, from the outermost.
fn causes(error: &dyn StdError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    iter::successors(error.source(), |&error| error.source())
}

/// The innermost cause, without the system's error number.
pub(super) fn innermost_message(error: &dyn StdError) -> String {
    let text = causes(error).last().map_or_else(|| error.to_string(), ToString::to_string);
    let text = text.split(" (os error").next().unwrap_or_default();
    text.split(" for url (").next().unwrap_or_default().to_owned()
}

/// A closed port or an unknown host: a retry will not help.
fn unreachable(error: &Error) -> Option<Failure> {
    let io = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>())?;
    let is_unreachable = matches!(
        io.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
    ) || io.to_string().contains("failed to lookup address");
    is_unreachable.then(|| Failure { message: one_line(&innermost_message(io)), temporary: false, denied: false })
}

/// The failure in an error of Redis: a code in capitals, and text.
#[cfg(feature = "redis")]
fn redis(error: &Error) -> Option<Failure> {
    /// The server starts, is busy, or is being replaced.
    const TEMPORARY: [&str; 6] = ["LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "ASK"];
    let cause = causes(error).find_map(|cause| cause.downcast_ref::<redis::RedisError>())?;
    if cause.is_connection_refusal() {
        return Some(Failure { message: one_line(&innermost_message(cause)), temporary: false, denied: false });
    }
    let code = cause.code()?;
    let message = one_line(&format!("{code} {}", cause.detail().unwrap_or_default()));
    Some(Failure { message, temporary: TEMPORARY.contains(&code), denied: matches!(code, "NOPERM" | "READONLY") })
}

#[cfg(not(feature = "redis"))]
fn redis(_: &Error) -> Option<Failure> {
    None
}

/// The failure in an answer of Memcached: a number. opendal drops the text.
fn memcached(error: &Error) -> Option<Failure> {
    let status = memcached_status(error)?;
    let (words, temporary) = match status {
        0x03 => ("the value is too large", false),
        0x04 => ("invalid arguments", false),
        0x20 => ("authentication failed", false),
        0x21 => ("authentication is incomplete", false),
        0x81 => ("unknown command", false),
        0x82 => ("out of memory", true),
        0x85 | 0x86 => ("busy", true),
        _ => ("unexpected answer", false),
    };
    let message = format!("{words} (Memcached status {status:#04x})");
    Some(Failure { message, temporary, denied: false })
}

/// The status in Memcached's answer. opendal has it only in the text of its error.
pub(super) fn memcached_status(error: &Error) -> Option<u16> {
    if error.message() != "unexpected status received" {
        return None;
    }
    let text = error.to_string();
    let (_, rest) = text.split_once("message: ")?;
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

/// The error for an unsuccessful answer over HTTP.
///
/// S3's codes: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>; Azure's:
/// <https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes>
#[cfg(feature = "over-http")]
pub(super) fn server_error(status: StatusCode, body: &str, service: &str) -> Error {
    let Words { code, text } = words(body);
    let reason = status.canonical_reason().unwrap_or("unknown status");
    let message = match (code.as_str(), text.as_str()) {
        ("", "") => reason.to_owned(),
        ("", text) => format!("{reason}: {text}"),
        (code, "") => code.to_owned(),
        (code, text) => format!("{code}: {text}"),
    };
    let (kind, temporary) = match (status.as_u16(), code.as_str()) {
        _ if is_no_container(&code, &text) => (ErrorKind::ConfigInvalid, false),
        (404, _) => (ErrorKind::NotFound, false),
        // Azure's answer for a wrong key.
        (403, _) if text.contains("failed to authenticate") => (ErrorKind::ConfigInvalid, false),
        (403, "AccessDenied" | "Forbidden" | "forbidden" | "PERMISSION_DENIED" | "access_denied" | "") => {
            (ErrorKind::PermissionDenied, false)
        }
        (403, "AuthorizationFailure" | "AuthorizationPermissionMismatch") => (ErrorKind::PermissionDenied, false),
        (429, _) | (_, "SlowDown" | "RequestTimeout" | "ServerBusy") => (ErrorKind::RateLimited, true),
        (408 | 423 | 499 | 500 | 502 | 503 | 504, _) => (ErrorKind::Unexpected, true),
        // GitHub's cache replaces no entry.
        (409, _) if service == "ghac" => (ErrorKind::AlreadyExists, false),
        _ => (ErrorKind::ConfigInvalid, false),
    };
    Error::new(kind, format!("{} (HTTP {})", one_line(&message), status.as_u16())).with_temporary(temporary)
}

/// Whether the bucket itself is missing, and not an object in it.
#[cfg(feature = "over-http")]
fn is_no_container(code: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    let is_missing = text.contains("not exist") || text.contains("not found");
    matches!(code, "NoSuchBucket" | "ContainerNotFound" | "FilesystemNotFound" | "ShareNotFound" | "no_such_bucket")
        || (is_missing
            && (text.contains("bucket does") || text.contains("container does") || text == "bucket not found"))
}

#[cfg(feature = "over-http")]
#[derive(Default)]
struct Words {
    code: String,
    text: String,
}

/// The code and the text of an error answer.
#[cfg(feature = "over-http")]
fn words(body: &str) -> Words {
    if let Ok(json) = serde_json::from_str::<Value>(body) {
        return json_words(&json);
    }
    let tag = |name: &str| element(body, name).map(unescape).unwrap_or_default();
    let (code, text) = (tag("Code"), tag("Message"));
    if !code.is_empty() {
        return Words { code, text };
    }
    // A web page. Its title often begins with the status.
    let title = ["title", "TITLE"].iter().find_map(|name| element(body, name)).map(unescape);
    let title =
        title.map(|title| title.trim_start_matches(|first: char| first.is_ascii_digit() || first == ' ').to_owned());
    Words { code: String::new(), text: title.or_else(|| plain_text(body)).unwrap_or_default() }
}

/// `{"error": {"code": …, "message": …}}` as at Google, or the same without `error`. Services use different names.
#[cfg(feature = "over-http")]
fn json_words(json: &Value) -> Words {
    let error = json.get("error").filter(|error| error.is_object()).unwrap_or(json);
    let first = |names: &[&str]| names.iter().find_map(|name| error[*name].as_str()).unwrap_or_default().to_owned();
    let code = first(&["code", "status", "reason", "error"]);
    Words { code, text: first(&["message", "msg", "error_description", "description", "detail"]) }
}

/// The text of a proxy in between: a body of plain words, without markup or binary data.
#[cfg(feature = "over-http")]
fn plain_text(body: &str) -> Option<String> {
    let text = body.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_text = !text.is_empty() && !text.contains(['<', '{', '\u{fffd}']) && !text.contains(char::is_control);
    is_text.then(|| text.chars().take(120).collect())
}

/// The text of the first element of this name.
#[cfg(feature = "over-http")]
fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.trim())
}

#[cfg(feature = "over-http")]
fn unescape(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&#34;", "\""), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(5);

    #[test]
    fn a_closed_port_is_not_tried_again() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = Error::new(ErrorKind::Unexpected, "io").set_source(refused).with_temporary(true);
        assert_eq!(
            failure(&error, STALL),
            Failure { message: "connection refused".into(), temporary: false, denied: false }
        );
        let url = Error::new(ErrorKind::Unexpected, "error sending request for url (http://host/x?sig=hunter2)");
        assert_eq!(failure(&url, STALL).message, "error sending request");
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let error = Error::new(ErrorKind::Unexpected, "io").set_source(reset).with_temporary(true);
        assert!(failure(&error, STALL).temporary);
    }

    #[test]
    fn the_status_of_memcached_becomes_words() {
        let error = |status: &str| {
            let error = Error::new(ErrorKind::Unexpected, "unexpected status received").with_context("message", status);
            failure(&error, STALL)
        };
        let full = error("130");
        assert_eq!((full.message.as_str(), full.temporary), ("out of memory (Memcached status 0x82)", true));
        assert!(!error("32").temporary);
        assert_eq!(memcached_status(&Error::new(ErrorKind::Unexpected, "other")), None);
    }

    #[cfg(feature = "over-http")]
    mod over_http {
        use super::*;

        fn answer(status: u16, body: &str) -> (ErrorKind, bool, String) {
            let error = server_error(StatusCode::from_u16(status).unwrap(), body, "s3");
            (error.kind(), error.is_temporary(), error.message().to_owned())
        }

        #[test]
        fn errors_contain_the_server_s_own_words() {
            let body = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code>\
                        <Message>The &quot;signature&quot; differs.</Message><Resource>/b</Resource></Error>";
            let said = "SignatureDoesNotMatch: The \"signature\" differs. (HTTP 403)";
            assert_eq!(answer(403, body), (ErrorKind::ConfigInvalid, false, said.into()));
            let busy = "Service Unavailable: busy (HTTP 503)";
            assert_eq!(answer(503, "busy"), (ErrorKind::Unexpected, true, busy.into()));
            assert_eq!(answer(502, "<html>").2, "Bad Gateway (HTTP 502)");
            let page = "<html><head><title>401 Not Authorized</title></head></html>";
            assert_eq!(answer(401, page).2, "Unauthorized: Not Authorized (HTTP 401)");
            let json = r#"{"error": {"code": 401, "message": "Invalid\nCredentials", "status": "UNAUTHENTICATED"}}"#;
            assert_eq!(answer(401, json).2, "UNAUTHENTICATED: Invalid Credentials (HTTP 401)");
            let json = r#"{"code": "bad_auth_token", "message": "", "status": 401}"#;
            assert_eq!(answer(401, json), (ErrorKind::ConfigInvalid, false, "bad_auth_token (HTTP 401)".into()));
        }

        #[test]
        fn a_missing_object_differs_from_a_missing_bucket() {
            assert_eq!(answer(404, "<Code>NoSuchKey</Code>").0, ErrorKind::NotFound);
            assert_eq!(answer(404, "<Code>NoSuchBucket</Code>").0, ErrorKind::ConfigInvalid);
            assert_eq!(answer(404, "<Code>BlobNotFound</Code>").0, ErrorKind::NotFound);
            assert_eq!(answer(404, "<Code>ContainerNotFound</Code>").0, ErrorKind::ConfigInvalid);
            let json = |text: &str| format!(r#"{{"error": {{"code": 404, "message": "{text}"}}}}"#);
            assert_eq!(answer(404, &json("The specified bucket does not exist.")).0, ErrorKind::ConfigInvalid);
            assert_eq!(answer(404, &json("No such object: bucket/x")).0, ErrorKind::NotFound);
        }

        #[test]
        fn a_denied_request_differs_from_a_wrong_key() {
            assert_eq!(answer(403, "<Code>AccessDenied</Code>").0, ErrorKind::PermissionDenied);
            assert_eq!(answer(403, "<Code>InvalidAccessKeyId</Code>").0, ErrorKind::ConfigInvalid);
            assert_eq!(answer(400, "<Code>ExpiredToken</Code>").0, ErrorKind::ConfigInvalid);
            let wrong =
                "<Code>AuthorizationFailure</Code><Message>Server failed to authenticate the request.</Message>";
            assert_eq!(answer(403, wrong).0, ErrorKind::ConfigInvalid);
        }
    }
}
