//! A wire that holds what a relay says about rooms until the test lets it go, frame by frame: latency under control.
//!
//! ```text
//!   client ────────────────────────────────────────► relay
//!   client ◄── let_go ── held: Update, Ack, … ◄───── relay
//!          ◄──────────── Welcome, Joined, Ping … ◄──
//! ```
//!
//! An acknowledgement says two things: that a push is durable, and where in the log it stands. The first is passed on
//! at once (with the place that the client has reached anyway), the second waits for its turn, as the protocol allows;
//! otherwise an author whom nothing reaches for a while would have to stop and merge.

use crate::people::within;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hither_protocol::SUBPROTOCOL;
use hither_protocol::deframe::Deframer;
use hither_protocol::frames::RelayFrame;
use hither_protocol::ids::Seq;
use hither_protocol::limits::MAX_RELAY_FRAME_BYTES;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{accept_hdr_async, connect_async};

/// The wire; for one client and one room.
pub struct DelayWire {
    url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    held: Mutex<Held>,
    came: Notify,
}

#[derive(Default)]
struct Held {
    frames: VecDeque<RelayFrame>,
    /// The place that the client has reached.
    reached: Seq,
    to_client: Option<mpsc::UnboundedSender<RelayFrame>>,
}

impl DelayWire {
    /// A wire to the relay at `url`.
    pub async fn to(url: &str) -> DelayWire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("ws://{}/sync", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let (relay, carried) = (url.to_owned(), shared.clone());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            carry(stream, &relay, &carried).await;
        });
        DelayWire { url: own, shared }
    }

    /// The address of `/sync` through this wire.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Delivers the next updates of others, and what stands between and right behind them. Returns the place in the
    /// log that the client reaches by that.
    pub async fn let_go(&self, updates: usize) -> Seq {
        let mut left = updates;
        within("updates to let go", async {
            loop {
                let came = self.shared.came.notified();
                {
                    let mut held = self.shared.held.lock().unwrap();
                    while let Some(frame) = held.frames.front() {
                        if matches!(frame, RelayFrame::Update { .. }) {
                            if left == 0 {
                                return held.reached;
                            }
                            left -= 1;
                        }
                        let frame = held.frames.pop_front().unwrap();
                        held.deliver(frame);
                    }
                    if left == 0 {
                        return held.reached;
                    }
                }
                came.await;
            }
        })
        .await
    }
}

impl Held {
    fn deliver(&mut self, frame: RelayFrame) {
        match &frame {
            RelayFrame::Update { seq, .. } => self.reached = *seq,
            RelayFrame::Ack { seq, .. } => self.reached = self.reached.max(*seq),
            _ => {}
        }
        self.to_client.as_ref().unwrap().send(frame).unwrap();
    }

    fn take(&mut self, frame: RelayFrame) {
        match &frame {
            RelayFrame::Ack { channel, n, .. } => {
                let early = RelayFrame::Ack { channel: *channel, n: *n, seq: self.reached };
                self.to_client.as_ref().unwrap().send(early).unwrap();
                self.frames.push_back(frame);
            }
            RelayFrame::Update { .. } => self.frames.push_back(frame),
            _ => self.deliver(frame),
        }
    }
}

async fn carry(stream: TcpStream, relay: &str, shared: &Shared) {
    stream.set_nodelay(true).unwrap();
    #[allow(clippy::result_large_err)] // the signature that tungstenite asks for
    let choose = |_: &Request, mut response: Response| {
        response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    };
    let client = accept_hdr_async(stream, choose).await.unwrap();
    let mut request = relay.into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
    let (relay, _) = connect_async(request).await.unwrap();
    let (mut to_relay, mut from_relay) = relay.split();
    let (mut to_client, mut from_client) = client.split();
    let (sender, mut frames) = mpsc::unbounded_channel();
    shared.held.lock().unwrap().to_client = Some(sender);

    let up = async {
        while let Some(Ok(message)) = from_client.next().await {
            if to_relay.send(message).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        let mut deframer = Deframer::new(MAX_RELAY_FRAME_BYTES);
        while let Some(Ok(message)) = from_relay.next().await {
            let Message::Binary(message) = message else { continue };
            let mut held = shared.held.lock().unwrap();
            for body in deframer.read(message) {
                held.take(RelayFrame::decode(body.unwrap()).unwrap());
            }
            drop(held);
            shared.came.notify_one();
        }
    };
    let deliver = async {
        while let Some(frame) = frames.recv().await {
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            if to_client.send(Message::Binary(Bytes::from(bytes))).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
        () = deliver => {}
    }
}
