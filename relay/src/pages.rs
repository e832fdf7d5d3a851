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
/// themselves. Files below `assets/` with a hash in their name never change and are kept by browsers; all others are
/// asked for again, which costs an answer of "not modified".
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

/// Whether a build tool named this file by its content: `assets/index-B1x9Qz3k.js`, `assets/app.4f2a9c1d.css`. When in
/// doubt not: a page that is kept for a year although it changed is worse than a question too many. So dates and words,
/// also with a capital letter in front, are no hashes.
fn has_hash(path: &str) -> bool {
    let Some((dir, name)) = path.rsplit_once('/') else { return false };
    if !dir.split('/').any(|part| part == "assets") {
        return false;
    }
    let Some((stem, _)) = name.rsplit_once('.') else { return false };
    let Some((_, hash)) = stem.rsplit_once(['-', '.']) else { return false };
    let is_mixed = hash.contains(|c: char| c.is_ascii_lowercase())
        && hash.chars().skip(1).any(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
    hash.len() >= 8 && hash.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && is_mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_hash_are_told_from_others() {
        for hashed in [
            "/assets/index-B1x9Qz3k.js",
            "/app/assets/css/app.4f2a9c1d.css",
            "/assets/hither-rdS_PCbN.wasm",
            "/assets/style-DjMJRNrr.css",
        ] {
            assert!(has_hash(hashed), "{hashed}");
        }
        for plain in [
            "/",
            "/index.html",
            "/app-B1x9Qz3k.js",
            "/User-Handbook.pdf",
            "/assets/User-Handbook.pdf",
            "/photo-20240101.jpg",
            "/assets/photo-20240101.jpg",
            "/assets/my-document.js",
            "/assets/hither_wasm_bg.wasm",
            "/assets/a-b.js",
            "/assets/style.min.css",
        ] {
            assert!(!has_hash(plain), "{plain}");
        }
    }
}
