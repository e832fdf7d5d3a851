//! Whatever a relay says: the application hears of an error, the client lives, keeps its rooms, and comes back with
//! patience.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hither_client::{Client, Notice, Room};
use hither_protocol::deframe::Deframer;
use hither_protocol::frames::{Access, ClientFrame, Joined, Mode, RelayFrame, Welcome};
use hither_protocol::ids::{Channel, Epoch, Peer, RoomName, Seq};
use hither_protocol::limits::{MAX_CLIENT_FRAME_BYTES, MAX_RELAY_FRAME_BYTES};
use hither_protocol::varint;
use hither_protocol::{SUBPROTOCOL, VERSION};
use hither_relay::log::MemoryLog;
use hither_system_tests::node::TestNode;
use hither_system_tests::people::{opens, person, sees, state, within};
use hither_system_tests::wire::Wire;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// The channel of the room that the first Join names; the second one has the next.
const FIRST: u64 = 7;

const ROOMS: [&str; 2] = ["target", "bystander"];

/// A relay that behaves until both rooms are joined and then says what it was told to.
struct HostileRelay {
    address: SocketAddr,
    /// What to say to the next connection.
    line: Arc<Mutex<Message>>,
    visits: Arc<Mutex<Vec<Instant>>>,
}

impl HostileRelay {
    async fn listens(line: Message) -> HostileRelay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let line = Arc::new(Mutex::new(line));
        let visits = Arc::new(Mutex::new(Vec::new()));
        let (said, came) = (line.clone(), visits.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                came.lock().unwrap().push(Instant::now());
                let line = said.lock().unwrap().clone();
                tokio::spawn(serve(stream, line));
            }
        });
        HostileRelay { address, line, visits }
    }

    fn url(&self) -> String {
        format!("ws://{}/sync", self.address)
    }

    fn says(&self, line: Message) {
        *self.line.lock().unwrap() = line;
    }

    fn visits(&self) -> Vec<Instant> {
        self.visits.lock().unwrap().clone()
    }
}

fn encoded(frame: &RelayFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

fn welcome() -> RelayFrame {
    RelayFrame::Welcome(Welcome {
        version: VERSION,
        ping_interval_ms: 10_000,
        max_update: 8 << 20,
        max_presence: 4096,
        max_rooms: 1000,
    })
}

fn joined(room: &str, channel: u64) -> RelayFrame {
    RelayFrame::Joined(Joined {
        room: RoomName::new(room).unwrap(),
        channel: Channel(channel),
        peer: Peer(1),
        access: Access::ReadWrite,
        epoch: Epoch([3; 16]),
        head: Seq(0),
        mode: Mode::Reset,
    })
}

async fn shakes_hands(stream: TcpStream) -> Option<WebSocketStream<TcpStream>> {
    #[allow(clippy::result_large_err)] // the signature that tungstenite asks for
    let choose = |_: &Request, mut response: Response| {
        response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    };
    accept_hdr_async(stream, choose).await.ok()
}

async fn serve(stream: TcpStream, line: Message) -> Option<()> {
    let mut socket = shakes_hands(stream).await?;
    let mut deframer = Deframer::new(MAX_CLIENT_FRAME_BYTES);
    let mut rooms = 0;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Binary(message) = message else { continue };
        let frames: Vec<ClientFrame> =
            deframer.read(message).map(|body| ClientFrame::decode(body.unwrap()).unwrap()).collect();
        for frame in frames {
            let answer = match frame {
                ClientFrame::Hello { .. } => welcome(),
                ClientFrame::Join { room, .. } => {
                    rooms += 1;
                    joined(room.as_str(), FIRST + u64::from(room.as_str() != ROOMS[0]))
                }
                _ => continue,
            };
            socket.send(Message::Binary(encoded(&answer).into())).await.ok()?;
            if rooms == ROOMS.len() {
                rooms = 0;
                socket.send(line.clone()).await.ok()?;
            }
        }
    }
    Some(())
}

/// An update that inserts nothing hostile, to be cut and bent.
fn honest_update() -> Vec<u8> {
    // One client (5), one item at clock 0: the text "ab" at the end of the root "t"; nothing deleted.
    vec![1, 1, 5, 0, 4, 1, 1, b't', 2, b'a', b'b', 0]
}

fn update(seq: u64, update: impl Into<Bytes>) -> Vec<u8> {
    encoded(&RelayFrame::Update { channel: Channel(FIRST), seq: Seq(seq), update: update.into() })
}

/// Everything that is no word of the protocol, or the wrong one, with its name.
fn hostile_lines() -> Vec<(String, Message)> {
    let mut lines: Vec<(String, Message)> = Vec::new();
    let mut bytes = |name: &str, bytes: Vec<u8>| lines.push((name.into(), Message::Binary(bytes.into())));
    let mut rng = fastrand::Rng::with_seed(5);
    for n in 0..8 {
        // 0xff: never the type of a frame, so that chance does not make it a valid one.
        let mut noise: Vec<u8> = (0..rng.usize(3..3000)).map(|_| rng.u8(..)).collect();
        noise[..2].copy_from_slice(&[1, 0xff]);
        bytes(&format!("noise {n}"), noise);
    }
    bytes("an unknown frame", vec![1, 0x7f]);
    bytes("a client's frame", vec![2, 0x03, FIRST as u8]);
    bytes("an empty frame", vec![0]);
    bytes("a length without an end", vec![0xff; 12]);
    bytes("a length past the message", vec![200, 1, 0x44]);
    bytes("the words of y-protocols", vec![0, 0, 1, 0]);
    let too_long = |tag: u8, length: u64| {
        let mut body = vec![tag];
        varint::write(&mut body, length);
        body.push(1);
        let mut message = Vec::new();
        varint::write(&mut message, body.len() as u64);
        message.extend(body);
        message
    };
    bytes("a fragment of a frame one past the limit", too_long(0x22, MAX_RELAY_FRAME_BYTES as u64 + 1));
    bytes("a fragment of a frame of all bytes there are", too_long(0x22, u64::MAX));
    let mut huge = Vec::new();
    varint::write(&mut huge, MAX_RELAY_FRAME_BYTES as u64 + 1);
    bytes("a frame one past the limit", huge);
    bytes("a second Welcome", encoded(&welcome()));
    bytes("Joined twice", encoded(&joined(ROOMS[0], FIRST)));
    bytes("a gap in the log", update(2, honest_update()));
    bytes("an update at 0", update(0, honest_update()));
    bytes("a snapshot out of place", {
        let update = honest_update().into();
        encoded(&RelayFrame::Snapshot { channel: Channel(FIRST), seq: Seq(9), update })
    });
    bytes("an acknowledgement of nothing", {
        encoded(&RelayFrame::Ack { channel: Channel(FIRST), n: 9, seq: Seq(9) })
    });
    for cut in 0..honest_update().len() {
        bytes(&format!("an update cut at {cut}"), update(1, honest_update()[..cut].to_vec()));
    }
    bytes("nested without end", {
        let mut nested = vec![1, 1, 5, 0, 8, 1, 1, b't', 1];
        nested.extend([117, 1].repeat(200_000));
        update(1, nested)
    });
    bytes("an update that asks for terabytes", {
        update(
            1,
            vec![1, 1, 5, 0, 8, 1, 1, b't', 0xff, 0xff, 0xff, 0xff, 0x0f, 117, 0xff, 0xff, 0xff, 0xff, 0x0f],
        )
    });
    bytes(
        "a skip before everything",
        update(1, vec![1, 2, 5, 0, 10, 200, 1, 4, 1, 1, b't', 1, b'a', 0, 0, 0]),
    );
    let whole = encoded(&joined(ROOMS[0], FIRST));
    for cut in 1..whole.len() {
        bytes(&format!("Joined cut at {cut}"), whole[..cut].to_vec());
    }
    lines.push(("a text message".into(), Message::Text("hello".into())));
    lines
}

async fn protocol_error(notices: &mut broadcast::Receiver<Notice>, what: &str) -> String {
    within(&format!("an error after {what}"), async {
        loop {
            if let Notice::Error(error) = notices.recv().await.unwrap() {
                assert_eq!(error.code, "protocol", "{what}: {error}");
                return error.message;
            }
        }
    })
    .await
}

async fn lives(room: &Room, edit: usize) {
    room.change(move |draft| draft.push("lines", edit as f64)).await.unwrap().local().await.unwrap();
    assert_eq!(state(room).await["lines"].as_array().unwrap().len(), edit + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_words_are_an_error_and_every_room_goes_on() {
    let lines = hostile_lines();
    let hostile = HostileRelay::listens(lines[0].1.clone()).await;
    let wire = Wire::to(hostile.address).await;
    let client = Client::builder(wire.url()).connect(false).open().await.unwrap();
    let target = opens(&client, ROOMS[0], Some(json!({ "lines": [] }))).await;
    let bystander = opens(&client, ROOMS[1], Some(json!({ "lines": [] }))).await;
    let mut notices = target.notices();
    for (n, (what, line)) in lines.iter().enumerate() {
        hostile.says(line.clone());
        client.connect().await.unwrap();
        let message = protocol_error(&mut notices, what).await;
        assert!(!message.is_empty());
        // Only the moment of coming back is ours: by itself the client would wait.
        client.disconnect().await.unwrap();
        while notices.try_recv().is_ok() {}
        lives(&target, n).await;
        lives(&bystander, n).await;
    }
    println!("{} hostile lines", lines.len());

    // An honest relay after all of it: everything that was written is delivered.
    let node = TestNode::start(Arc::new(MemoryLog::new()));
    wire.lead_to(node.address());
    client.connect().await.unwrap();
    let reader = person(&node.url()).await;
    for room in [&target, &bystander] {
        within("the edits to be durable", room.saved()).await.unwrap();
        let copy = opens(&reader, room.name(), None).await;
        let expected = state(room).await;
        sees(&copy, "what was written meanwhile", |state| *state == expected).await;
        let written = expected["lines"].as_array().unwrap();
        assert_eq!(*written, (0..lines.len()).map(|n| json!(n)).collect::<Vec<_>>());
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_offends_is_visited_with_patience() {
    let hostile = HostileRelay::listens(Message::Binary(vec![1, 0xff].into())).await;
    let client = person(&hostile.url()).await;
    let target = opens(&client, ROOMS[0], Some(json!({ "lines": [] }))).await;
    let _bystander = opens(&client, ROOMS[1], None).await;
    let mut notices = target.notices();
    protocol_error(&mut notices, "an unknown frame").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    // The pause after an offence is random within 30 s: a third visit within 3 s has a chance of one in 200.
    let visits = hostile.visits().len();
    assert!(visits <= 4, "{visits} visits in three seconds");
    lives(&target, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_no_relay_is_waited_for_and_not_hammered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wire = Wire::to(listener.local_addr().unwrap()).await;
    let visits = Arc::new(Mutex::new(0));
    let counted = visits.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            *counted.lock().unwrap() += 1;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    let client = person(&wire.url()).await;
    let room = opens(&client, "board", Some(json!({ "lines": [] }))).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let came = *visits.lock().unwrap();
    // Waits are random up to 0.5, 1, 2, 4 s: eight visits in three seconds would be a very odd row of dice.
    assert!((1..=8).contains(&came), "{came} visits in three seconds");
    lives(&room, 0).await;

    let node = TestNode::start(Arc::new(MemoryLog::new()));
    wire.lead_to(node.address());
    client.network_changed().await.unwrap();
    within("the edit to be durable", room.saved()).await.unwrap();
    node.stop().await;
}
