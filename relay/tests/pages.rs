//! What is served beside the doors: health and web pages.
#![allow(clippy::unwrap_used)]

mod support;

use hither_relay::{config::Config, log::MemoryLog};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use support::{SOON, TestRelay};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{Error, client::IntoClientRequest};

/// A plain GET: the head in lower case and the body.
async fn get(relay: &TestRelay, path: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect(relay.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn health_is_told() {
    let relay = TestRelay::start().await;
    assert_eq!(get(&relay, "/healthz", "").await.1, "ok\n");
    assert_eq!(get(&relay, "/readyz", "").await.1, "ready\n");
    assert!(get(&relay, "/nowhere", "").await.0.starts_with("http/1.1 404"));
}

/// What a stranger gets who wants in.
async fn refusal(relay: &TestRelay, path: &str) -> u16 {
    let mut request = format!("ws://{}{path}", relay.address).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "hither.v1".parse().unwrap());
    match tokio_tungstenite::connect_async(request).await {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn at_its_most_connections_a_relay_says_so_and_is_seen_to_live() {
    let mut config = Config::default();
    config.limits.node.connections = 3;
    config.limits.node.spare_connections = 2;
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), config).await;
    let mut members = vec![relay.member("r").await, relay.member("r").await, relay.member("r").await];
    let told = async {
        for _ in 0..5 {
            assert_eq!(get(&relay, "/healthz", "").await.1, "ok\n");
            assert!(get(&relay, "/readyz", "").await.0.starts_with("http/1.1 503"), "it takes nobody");
            assert_eq!(refusal(&relay, "/sync").await, 503);
            assert_eq!(refusal(&relay, "/yjs/r").await, 503);
        }
        // Whoever is in is not in the way of the next answer, even if it stays connected.
        let mut idle = TcpStream::connect(relay.address).await.unwrap();
        idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        idle.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("ok\n"), "{answer}");
    };
    tokio::time::timeout(SOON, told).await.expect("answers in time");
    members.truncate(1);
    let left = Instant::now();
    while !get(&relay, "/readyz", "").await.0.starts_with("http/1.1 200") {
        assert!(left.elapsed() < SOON, "the place of who has left stays taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    relay.member("r").await;
}

#[tokio::test]
async fn pages_have_the_right_types_and_caching_and_unknown_paths_get_the_index() {
    let dir = std::env::temp_dir().join(format!("hither-pages-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("assets")).unwrap();
    std::fs::write(dir.join("index.html"), "<p>index").unwrap();
    std::fs::write(dir.join("assets/app-B1x9Qz3k.js"), "1").unwrap();
    std::fs::write(dir.join("hither_bg.wasm"), "\0asm").unwrap();
    let config = Config { serve: Some(dir.clone()), ..Config::default() };
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), config).await;

    let (head, body) = get(&relay, "/", "").await;
    assert!(head.contains("content-type: text/html") && head.contains("cache-control: no-cache"), "{head}");
    assert_eq!(body, "<p>index");
    let (head, _) = get(&relay, "/assets/app-B1x9Qz3k.js", "").await;
    assert!(head.contains("javascript") && head.contains("immutable"), "{head}");
    let (head, _) = get(&relay, "/hither_bg.wasm", "").await;
    assert!(head.contains("content-type: application/wasm") && head.contains("no-cache"), "{head}");
    let (head, body) = get(&relay, "/boards/7", "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(body, "<p>index");
    let (head, _) = get(&relay, "/assets/old-B1x9Qz3k.js", "").await;
    assert!(head.starts_with("http/1.1 404") && !head.contains("immutable"), "a script is no page: {head}");
    assert_eq!(get(&relay, "/healthz", "").await.1, "ok\n");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn only_pages_of_allowed_origins_may_connect() {
    let config = Config { allow_origin: vec!["https://good.example".into()], ..Config::default() };
    let relay = TestRelay::with(Arc::new(MemoryLog::new()), config).await;
    for path in ["/sync", "/yjs/r"] {
        let mut request = format!("ws://{}{path}", relay.address).into_client_request().unwrap();
        request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
        match tokio_tungstenite::connect_async(request.clone()).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), 403),
            other => panic!("{other:?}"),
        }
        request.headers_mut().insert("origin", "https://good.example".parse().unwrap());
        assert!(tokio_tungstenite::connect_async(request).await.is_ok());
    }
    // Programs that are no browsers send no origin.
    relay.member("r").await;
}
