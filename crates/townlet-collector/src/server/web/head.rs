//! The head of a request: its first line and its headers (RFC 9112).

use super::response::Response;

/// Headers of one request, at most.
const MAX_HEADERS: usize = 64;

/// The answer to lines that end with LF alone.
pub(super) const BARE_LF: &str = "a line of a head ends with CR and LF";

/// True where a line ends with LF alone. RFC 9112, section 2.2, lets a reader take
/// that for an end, and others do not: behind such a proxy, one could hide a request.
pub(super) fn has_bare_lf(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', bytes).any(|at| at == 0 || bytes[at - 1] != b'\r')
}

#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    headers: Vec<(Box<str>, Box<[u8]>)>,
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    minor: u8,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

impl Head {
    /// Reads the head at the start of `bytes`, which has its empty line. Says how
    /// long it is, or what to answer.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, usize), Response> {
        if has_bare_lf(bytes) {
            return Err(Response::error(400, BARE_LF));
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Response::error(431, &format!("more than {MAX_HEADERS} headers")));
            }
            Err(httparse::Error::Version) => return Err(Response::error(505, "only HTTP/1.1 is spoken here")),
            Ok(httparse::Status::Partial) | Err(_) => return Err(Response::error(400, "not a request of HTTP/1.1")),
        };
        let (authority, target) = split_authority(request.path.unwrap_or_default())?;
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut head = Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            headers: request.headers.iter().map(|header| (header.name.into(), header.value.into())).collect(),
            minor: request.version.unwrap_or_default(),
        };
        // RFC 9112, section 3.2.
        if head.minor == 1 && head.values("host").count() != 1 {
            return Err(Response::error(400, "exactly one Host header is needed"));
        }
        if let Some(authority) = authority {
            head.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
            head.headers.push(("host".into(), authority.as_bytes().into()));
        }
        Ok((head, length))
    }

    fn values<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let same = move |(key, _): &&(Box<str>, Box<[u8]>)| key.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| &**value)
    }

    /// The first value of this name that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.values(name).next().and_then(|value| std::str::from_utf8(value).ok()).map(str::trim)
    }

    /// True where `word` stands in the list that the headers of this name are.
    pub(super) fn lists(&self, name: &str, word: &str) -> bool {
        self.values(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(','))
            .any(|one| one.trim().eq_ignore_ascii_case(word))
    }

    /// The value of a query parameter, percent-decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.as_deref()?.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)?;
        percent_decoded(value)
    }

    /// True where the client takes another answer on this connection.
    pub(super) fn keeps_alive(&self) -> bool {
        self.minor == 1 && !self.lists("connection", "close")
    }

    /// True where the client waits for leave to send its body.
    pub(super) fn expects_leave(&self) -> bool {
        self.minor == 1 && self.lists("expect", "100-continue")
    }

    /// RFC 9112, section 6. What two readers could read differently is refused,
    /// because a proxy may be one of them.
    pub(super) fn framing(&self) -> Result<Framing, Response> {
        let mut codings = self.values("transfer-encoding");
        let mut lengths = self.values("content-length");
        match (codings.next(), lengths.next()) {
            (Some(_), Some(_)) => Err(Response::error(400, "both Transfer-Encoding and Content-Length")),
            (Some(coding), None) => {
                if !coding.trim_ascii().eq_ignore_ascii_case(b"chunked") || codings.next().is_some() {
                    return Err(Response::error(501, "no other Transfer-Encoding than chunked is understood"));
                }
                if self.minor == 0 {
                    return Err(Response::error(400, "HTTP/1.0 knows no Transfer-Encoding"));
                }
                Ok(Framing::Chunked)
            }
            (None, Some(length)) => {
                let text = std::str::from_utf8(length).unwrap_or_default().trim();
                let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                match text.parse() {
                    Ok(length) if plain && lengths.next().is_none() => Ok(Framing::Length(length)),
                    // More digits than fit: larger than any limit.
                    Err(_) if plain && lengths.next().is_none() => Ok(Framing::Length(u64::MAX)),
                    _ => Err(Response::error(400, "Content-Length is not one number")),
                }
            }
            (None, None) => Ok(Framing::Length(0)),
        }
    }
}

/// The authority of a target in absolute form, which stands above `Host`, and the path as it
/// would stand in origin form (RFC 9112, section 3.2.2: every server has to accept both).
fn split_authority(target: &str) -> Result<(Option<&str>, &str), Response> {
    let Some((scheme, rest)) = target.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?'])) else {
        return Ok((None, target));
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let is_http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    // RFC 9110, section 4.2: no empty host, and names before an `@` are an attempt to deceive.
    if !is_http || authority.is_empty() || authority.contains('@') {
        return Err(Response::error(400, "the target is no path, and no http URL with a host"));
    }
    // A path that is empty is `/`; nothing is served there, with a query or without.
    Ok((Some(authority), if path.starts_with('/') { path } else { "/" }))
}

/// None where what is decoded is no UTF-8, or a `%` is followed by no byte.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(bytes.next()?)? << 4 | digit(bytes.next()?)?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(rest: &str) -> Result<Head, u16> {
        let text = format!("POST /a/b?x=1&token=a%20b%2F HTTP/1.1\r\nHost: h\r\n{rest}\r\n");
        Head::parse(text.as_bytes())
            .map(|(head, length)| {
                assert_eq!(length, text.len());
                head
            })
            .map_err(|answer| answer.status)
    }

    #[test]
    fn a_request_is_read_as_it_was_sent() {
        let read = head("X-A: 1\r\nCONNECTION: foo, Close\r\n").unwrap();
        assert_eq!(
            (read.method.as_str(), read.path.as_str(), read.query.as_deref()),
            ("POST", "/a/b", Some("x=1&token=a%20b%2F"))
        );
        assert_eq!(read.header("x-a"), Some("1"));
        assert_eq!(read.parameter("token").as_deref(), Some("a b/"));
        assert_eq!(read.parameter("y"), None);
        assert!(!read.keeps_alive() && head("").unwrap().keeps_alive());
        assert_eq!(percent_decoded("%"), None);
        assert_eq!(percent_decoded("%+1"), None);
        assert_eq!(percent_decoded("%ff"), None);
    }

    #[test]
    fn a_body_has_one_length_or_none_is_read() {
        let framing = |rest| head(rest).unwrap().framing().map_err(|answer| answer.status);
        assert_eq!(framing(""), Ok(Framing::Length(0)));
        assert_eq!(framing("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing("Content-Length: 99999999999999999999999\r\n"), Ok(Framing::Length(u64::MAX)));
        assert_eq!(framing("Transfer-Encoding: chunked\r\n"), Ok(Framing::Chunked));
        for (rest, status) in [
            ("Content-Length: 12\r\nContent-Length: 12\r\n", 400),
            ("Content-Length: 12, 12\r\n", 400),
            ("Content-Length: +12\r\n", 400),
            ("Content-Length: \r\n", 400),
            ("Content-Length: 12\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Transfer-Encoding: gzip, chunked\r\n", 501),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
        ] {
            assert_eq!(framing(rest), Err(status), "{rest:?}");
        }
    }

    #[test]
    fn a_target_in_absolute_form_is_the_path_and_the_host_in_one() {
        let read = |target: &str| {
            let text = format!("GET {target} HTTP/1.1\r\nHost: other\r\n\r\n");
            Head::parse(text.as_bytes()).map_err(|answer| answer.status).map(|(head, _)| {
                let host: Vec<_> = head.values("host").map(|host| String::from_utf8_lossy(host).into_owned()).collect();
                (host.join(","), head.path.clone(), head.query.clone())
            })
        };
        let is = |host: &str, path: &str, query: Option<&str>| Ok((host.into(), path.into(), query.map(Into::into)));
        assert_eq!(read("http://a:80/x/y?z=/1"), is("a:80", "/x/y", Some("z=/1")));
        assert_eq!(read("HTTPS://[::1]:80/"), is("[::1]:80", "/", None));
        assert_eq!(read("http://a"), is("a", "/", None));
        assert_eq!(read("http://a?x"), is("a", "/", None));
        assert_eq!(read("/x?u=http://b/"), is("other", "/x", Some("u=http://b/")));
        assert_eq!(read("/x://y"), is("other", "/x://y", None));
        for wrong in ["http://", "http:///x", "http://me@a/x", "ftp://a/x", "://a/x"] {
            assert_eq!(read(wrong), Err(400), "{wrong}");
        }
    }

    proptest::proptest! {
        /// Whatever comes, there is a head or an answer, and a head ends where it was said to.
        #[test]
        fn whatever_the_bytes_there_is_a_head_or_an_answer(
            begin in "(GET|POST|X) [ -~]{0,20} HTTP/1\\.[01]|[ -~]{0,20}",
            headers in proptest::collection::vec(
                "(Host|Content-Length|Transfer-Encoding|Connection|Upgrade): ?[ -~]{0,12}|[\\x00-\\xff]{0,20}", 0..6),
        ) {
            let text = format!("{begin}\r\n{}\r\n\r\n", headers.join("\r\n"));
            match Head::parse(text.as_bytes()) {
                Ok((head, length)) => {
                    proptest::prop_assert!(length <= text.len() && text.as_bytes()[..length].ends_with(b"\n"));
                    let _ = (head.framing(), head.keeps_alive(), head.parameter("token"), head.lists("upgrade", "x"));
                }
                Err(answer) => proptest::prop_assert!(matches!(answer.status, 400 | 431 | 505)),
            }
        }
    }

    #[test]
    fn what_is_no_request_is_answered_as_that() {
        let parse = |text: &str| Head::parse(text.as_bytes()).map(|_| ()).map_err(|answer| answer.status);
        assert_eq!(parse("GET / HTTP/1.1\r\n\r\n"), Err(400), "no host");
        assert_eq!(parse("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), Err(400));
        assert_eq!(parse("GET / HTTP/1.0\r\n\r\n"), Ok(()));
        assert_eq!(parse("GET / HTTP/1.0\n\r\n"), Err(400));
        assert_eq!(parse("GET / HTTP/1.0\r\nX: a\nY: b\r\n\r\n"), Err(400));
        assert_eq!(parse("PRI * HTTP/2.0\r\n\r\n"), Err(505));
        assert_eq!(parse("\u{16}\u{3}\u{1}\r\n\r\n"), Err(400));
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(64));
        assert_eq!(parse(&many), Err(431));
    }
}
