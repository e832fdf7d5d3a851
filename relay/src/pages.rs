//! The web pages beside the doors: a directory, served so that a build tool's output works as it is.

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, StatusCode, header::CACHE_CONTROL},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use std::path::Path;
use tower_http::services::{ServeDir, ServeFile};

/// Serves a directory. Unknown paths without an extension get `index.html`, for pages that route by
/// themselves. Files with a hash in their name never change and are kept by browsers; all others are asked for
/// again, which costs an answer of "not modified".
pub(crate) fn serve(dir: &Path) -> Router {
    let index = ServeFile::new(dir.join("index.html"));
    let unknown = Router::new().fallback(async move |request: Request<Body>| {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default();
        if name.contains('.') {
            return StatusCode::NOT_FOUND.into_response();
        }
        match index.clone().try_call(request).await {
            Ok(page) => page.into_response(),
            Err(_) => StatusCode::NOT_FOUND.into_response(),
        }
    });
    let files = ServeDir::new(dir).precompressed_br().precompressed_gzip().fallback(unknown);
    Router::new().fallback_service(files).layer(middleware::from_fn(cache))
}

async fn cache(request: Request<Body>, next: Next) -> Response {
    let is_hashed = has_hash(request.uri().path());
    let mut response = next.run(request).await;
    let is_page =
        response.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let value = if is_hashed && !is_page && response.status().is_success() {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(value));
    response
}

/// Whether a file's name carries a hash, as build tools write it: `index-B1x9Qz3k.js`, `app.4f2a9c1d.css`.
fn has_hash(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, _)) = name.rsplit_once('.') else { return false };
    let Some((_, hash)) = stem.rsplit_once(['-', '.']) else { return false };
    hash.len() >= 8
        && hash.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && hash.chars().any(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_hash_are_told_from_others() {
        for hashed in ["/assets/index-B1x9Qz3k.js", "/app.4f2a9c1d.css", "/hither-DkJ30a_1.wasm"] {
            assert!(has_hash(hashed), "{hashed}");
        }
        for plain in
            ["/", "/index.html", "/my-document.js", "/hither_wasm_bg.wasm", "/a-b.js", "/style.min.css"]
        {
            assert!(!has_hash(plain), "{plain}");
        }
    }
}
