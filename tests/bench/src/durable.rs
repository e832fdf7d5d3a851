//! What only a server does that answers when an edit is on its disk: how soon it answers, how many it takes, and how
//! it starts over many rooms.

use crate::Failed;
use crate::crowd::{Person, now_us};
use crate::report::{Row, median};
use crate::server::{Kind, Programs, Server, cpu_seconds};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hither_protocol::VERSION;
use hither_protocol::deframe::Deframer;
use hither_protocol::frames::{ClientFrame, Joined, RelayFrame};
use hither_protocol::ids::RoomName;
use hither_protocol::limits::MAX_RELAY_FRAME_BYTES;
use std::io::Write as _;
use std::time::{Duration, Instant};
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Rooms on one socket while the store is filled.
const ROOMS_A_SOCKET: usize = 1_000;

/// Milliseconds of one write of 4 KiB with fdatasync behind it, so many times a second, on the disk of the temporary
/// files: the median of 200. A disk and a processor that idle in between take longer than busy ones.
async fn sync_ms(rate: u64) -> Result<f64, Failed> {
    let path = std::env::temp_dir().join(format!("hither-bench-{}.sync", std::process::id()));
    let mut file = std::fs::File::create(&path)?;
    let begin = tokio::time::Instant::now();
    let mut times = Vec::new();
    for index in 0..200 {
        sleep_until(begin + Duration::from_micros(index * 1_000_000 / rate)).await;
        let begin = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(path)?;
    Ok(median(times.into_iter()))
}

/// How long one writer at `rate` updates a second waits for each acknowledgement, in syncs of this disk at that rate.
pub(crate) async fn acknowledgement(
    kind: Kind,
    programs: &Programs,
    rate: u64,
    count: u64,
) -> Result<Row, Failed> {
    let sync_before = sync_ms(rate).await?;
    let server = Server::start(kind, programs).await?;
    let mut writer = Person::enter(&server, "acknowledged", 1).await?;
    let begin = tokio::time::Instant::now();
    let mut waits = Vec::new();
    for index in 0..count {
        sleep_until(begin + Duration::from_micros(index * 1_000_000 / rate)).await;
        let sent = Instant::now();
        writer.write(1, now_us()).await?;
        while writer.acknowledged <= index {
            timeout(Duration::from_secs(20), writer.read()).await??;
        }
        waits.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    // The disk is shared: what a sync costs is asked before and after.
    let sync = sync_before.midpoint(sync_ms(rate).await?);
    waits.sort_by(f64::total_cmp);
    let mut row = Row::new(waits[waits.len() / 2] / sync);
    row.note("p50_ms", waits[waits.len() / 2]);
    row.note("p99_ms", waits[waits.len() * 99 / 100]);
    row.note("sync_ms", sync);
    Ok(row)
}

/// Writers of as many rooms, `rate` updates a second from all of them together; how many were acknowledged a second.
pub(crate) async fn many_rooms(
    programs: &Programs,
    rooms: u64,
    rate: u64,
    seconds: u64,
) -> Result<Row, Failed> {
    let server = Server::start(Kind::Hither, programs).await?;
    let mut writers = Vec::new();
    for room in 0..rooms {
        writers.push(Person::enter(&server, &format!("durable-{room}"), room + 1).await?);
    }
    let each = rate * seconds / rooms;
    let (me, begin) = (std::process::id(), tokio::time::Instant::now());
    let before = (server.cpu_seconds()?, cpu_seconds(me)?);
    let tasks = writers.into_iter().enumerate().map(|(index, mut writer)| async move {
        let mut written = 0;
        let mut sent = std::collections::VecDeque::new();
        let mut waits = Vec::new();
        let first = begin + Duration::from_micros(index as u64 * 1_000_000 / rate);
        while writer.acknowledged < each {
            let next = first + Duration::from_micros(written * 1_000_000 * rooms / rate);
            let mut turn = false;
            tokio::select! {
                read = timeout(Duration::from_secs(60), writer.read()) => read??,
                () = sleep_until(next), if written < each => turn = true,
            }
            if turn {
                written += 1;
                sent.push_back(Instant::now());
                writer.write(1, now_us()).await?;
            }
            while written - (sent.len() as u64) < writer.acknowledged {
                if let Some(sent) = sent.pop_front() {
                    waits.push(sent.elapsed().as_secs_f64() * 1e3);
                }
            }
        }
        Ok::<_, Failed>(waits)
    });
    let done = futures_util::future::try_join_all(tasks).await?;
    let took = begin.elapsed().as_secs_f64();
    let mut waits: Vec<f64> = done.into_iter().flatten().collect();
    waits.sort_by(f64::total_cmp);
    let mut row = Row::new((each * rooms) as f64 / took);
    row.note("p50_ms", waits[waits.len() / 2]);
    row.note("p99_ms", waits[waits.len() * 99 / 100]);
    row.note("server_cpu_share", (server.cpu_seconds()? - before.0) / took);
    row.note("generator_cpu_share", (cpu_seconds(me)? - before.1) / took);
    Ok(row)
}

/// Milliseconds from starting the process to its first answer about a room, with `rooms` on disk.
pub(crate) async fn start(programs: &Programs, rooms: usize, runs: usize) -> Result<Row, Failed> {
    let mut server = Server::start(Kind::Hither, programs).await?;
    let empty = server.resident_kb()?;
    for first in (0..rooms).step_by(ROOMS_A_SOCKET) {
        fill(&server, first, ROOMS_A_SOCKET.min(rooms - first)).await?;
    }
    let mut waits = Vec::new();
    let mut resident = 0;
    for _ in 0..runs {
        let begin = Instant::now();
        server.restart().await?;
        let mut person = Person::enter(&server, "many-7", 9).await?;
        timeout(Duration::from_secs(20), person.catch_up()).await??;
        waits.push(begin.elapsed().as_secs_f64() * 1e3);
        resident = server.resident_kb()?;
        if person.received != 1 {
            return Err(format!("{} updates in a room of one", person.received).into());
        }
    }
    let mut row = Row::new(median(waits.into_iter()));
    row.note("resident_mb", resident as f64 / 1024.0);
    row.note("resident_mb_without_rooms", empty as f64 / 1024.0);
    Ok(row)
}

/// Writes one update into each of `count` rooms, through one socket.
async fn fill(server: &Server<'_>, first: usize, count: usize) -> Result<(), Failed> {
    let mut request = format!("ws://{}/sync", server.address).into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", hither_protocol::SUBPROTOCOL.parse()?);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
    let mut hello = Vec::new();
    ClientFrame::Hello { version: VERSION, client: "hither-bench".into() }.encode(&mut hello);
    socket.send(Message::Binary(hello.into())).await?;
    for rooms in (first..first + count).collect::<Vec<_>>().chunks(100) {
        let mut message = Vec::new();
        for room in rooms {
            let room = RoomName::new(&format!("many-{room}"))?;
            ClientFrame::Join { room, token: Bytes::new(), cursor: None }.encode(&mut message);
        }
        socket.send(Message::Binary(message.into())).await?;
    }
    let mut deframer = Deframer::new(MAX_RELAY_FRAME_BYTES);
    let mut acknowledged = 0;
    while acknowledged < count {
        let message = timeout(Duration::from_secs(60), socket.next()).await?.ok_or("the relay hung up")??;
        let Message::Binary(message) = message else { continue };
        let mut answer = Vec::new();
        for body in deframer.read(message) {
            match RelayFrame::decode(body?)? {
                RelayFrame::Joined(Joined { channel, .. }) => {
                    let update = crate::crowd::keystroke(1, 0, now_us()).into();
                    ClientFrame::Push { channel, n: 1, update }.encode(&mut answer);
                }
                RelayFrame::Ack { .. } => acknowledged += 1,
                RelayFrame::Nack { reason, .. } | RelayFrame::Refused { reason, .. } => {
                    return Err(format!("refused: {reason}").into());
                }
                _ => {}
            }
        }
        if !answer.is_empty() {
            socket.send(Message::Binary(answer.into())).await?;
        }
    }
    Ok(())
}
