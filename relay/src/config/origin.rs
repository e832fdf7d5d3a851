//! An origin as browsers write it: `https://example.org`, `http://127.0.0.1:8080`, `null`.
//!
//! The header `Origin` is compared byte by byte, so what an operator wrote some other way would never match: it is
//! brought into this form, or refused.

/// The origin that is meant; `None` if that is none.
pub(super) fn parse(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    // What pages in files and in sandboxes say.
    if text == "null" {
        return Some(text);
    }
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    // Colons inside brackets belong to an address.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        // Names with other letters travel as xn--….
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    };
    let port = port.map(str::parse::<u16>).transpose().ok()?;
    if !is_scheme || !is_host {
        return None;
    }
    Some(match port {
        // Browsers leave out the port that goes without saying.
        None => format!("{scheme}://{host}"),
        Some(port) if matches!((scheme, port), ("http", 80) | ("https", 443)) => format!("{scheme}://{host}"),
        Some(port) => format!("{scheme}://{host}:{port}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_what_a_browser_says() {
        for (written, meant) in [
            ("https://example.org", "https://example.org"),
            (" https://example.org/ ", "https://example.org"),
            ("HTTPS://Example.org:443", "https://example.org"),
            ("http://localhost:80/", "http://localhost"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("http://[::1]", "http://[::1]"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("null", "null"),
        ] {
            assert_eq!(parse(written).as_deref(), Some(meant), "{written}");
        }
    }

    #[test]
    fn what_no_browser_says_is_refused() {
        for written in [
            "",
            "*",
            "example.org",
            "example.org:443",
            "https://",
            "https://example.org/app",
            "https://example.org//",
            "https://example.org:port",
            "https://example.org:70000",
            "https://user@example.org",
            "https://*.example.org",
            "https://b\u{fc}cher.example",
            "https://exa mple.org",
            "https://[::1",
            "https://[example]",
            "://example.org",
            "1://example.org",
        ] {
            assert_eq!(parse(written), None, "{written}");
        }
    }
}
