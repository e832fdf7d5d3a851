//! Coming into rooms: with a long history, after missing something, and many at once.

use crate::Failed;
use crate::crowd::{LETTERS, Person, now_us};
use crate::report::{Row, median};
use crate::server::{Kind, Programs, Server};
use crate::speech::Known;
use hither_protocol::id_set::IdSet;
use hither_protocol::ids::{Cursor, Seq};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

const LIMIT: Duration = Duration::from_secs(120);
/// Updates on their way to the reader, at most, while a history is written. y-sweet drops what a connection does not take
/// at once beyond 1,024 messages.
const ON_THEIR_WAY: u64 = 500;
const WRITER: u64 = 1;

/// A server with rooms in which one author has written.
pub(crate) struct Written<'a> {
    server: Server<'a>,
    updates: u64,
    /// The log's name and head where there is one.
    head: Cursor,
    /// Somebody is in every room: some servers forget a room that everybody has left.
    keepers: Vec<Person>,
}

impl<'a> Written<'a> {
    /// Writes `updates` small updates into each of `rooms` rooms, and waits until others could have them all.
    pub(crate) async fn begin(
        kind: Kind,
        programs: &'a Programs,
        rooms: usize,
        updates: u64,
    ) -> Result<Written<'a>, Failed> {
        let server = Server::start(kind, programs).await?;
        let mut head = None;
        let mut keepers = Vec::new();
        for room in 0..rooms {
            let room = format!("old-{room}");
            let mut reader = Person::enter(&server, &room, WRITER + 1).await?;
            let mut writer = Person::enter(&server, &room, WRITER).await?;
            timeout(LIMIT, reader.catch_up()).await??;
            timeout(LIMIT, writer.catch_up()).await??;
            let mut written = 0;
            let mut give_up = Instant::now() + LIMIT;
            while written < updates {
                let count = 100.min(updates - written);
                writer.write(count, now_us()).await?;
                written += count;
                // Everything that anybody is sent must be read by somebody, or the server's queues fill.
                let on_their_way = if written == updates { 0 } else { ON_THEIR_WAY };
                while reader.received + on_their_way < written {
                    let before = reader.received;
                    tokio::select! {
                        read = reader.read() => read?,
                        read = writer.read() => read?,
                        // A server that has lost something may go on saying other things, to the writer for one.
                        () = sleep_until(give_up) => {
                            return Err(format!("{before} of {written} updates arrived, and no more").into());
                        }
                    }
                    if reader.received > before {
                        give_up = Instant::now() + LIMIT;
                    }
                }
            }
            head = Some(reader.cursor);
            keepers.push(reader);
        }
        let head = head.ok_or("no room")?;
        // What a server does when a room falls quiet (compaction, writing) is not part of the next join.
        sleep(kind.settles_within() + Duration::from_secs(2)).await;
        Ok(Written { server, updates, head, keepers })
    }

    /// How long a newcomer needs until everything is here.
    pub(crate) async fn join(&mut self, cold: bool, runs: usize) -> Result<Row, Failed> {
        let (mut waits, mut cpus, mut bytes) = (Vec::new(), Vec::new(), 0);
        for _ in 0..runs {
            if cold {
                self.keepers.clear();
                self.server.restart().await?;
            }
            let before = self.server.cpu_seconds()?;
            let begin = Instant::now();
            let person = self.arrive(&Known::default()).await?;
            waits.push(begin.elapsed().as_secs_f64() * 1e3);
            cpus.push((self.server.cpu_seconds()? - before) * 1e3);
            bytes = person.bytes;
        }
        self.check(Known::default(), self.updates).await?;
        let mut row = Row::new(median(waits.into_iter()));
        row.note("server_cpu_ms", median(cpus.into_iter()));
        row.note("kb", bytes as f64 / 1024.0);
        Ok(row)
    }

    /// What it costs the server when somebody comes back who missed the last `missing` updates.
    pub(crate) async fn rejoin(&mut self, missing: u64, times: usize) -> Result<Row, Failed> {
        let known = self.all_but(missing);
        let mut bytes = 0;
        let before = self.server.cpu_seconds()?;
        let begin = Instant::now();
        for _ in 0..times {
            bytes = self.arrive(&known).await?.bytes;
        }
        let wait = begin.elapsed().as_secs_f64() * 1e3 / times as f64;
        let mut row = Row::new((self.server.cpu_seconds()? - before) * 1e3 / times as f64);
        self.check(known, missing).await?;
        row.note("ms", wait);
        row.note("kb", bytes as f64 / 1024.0);
        Ok(row)
    }

    /// `people` of `rooms` rooms come back at once, each having missed the last `missing` updates.
    pub(crate) async fn reconnect(
        &mut self,
        rooms: usize,
        people: usize,
        missing: u64,
        runs: usize,
    ) -> Result<Row, Failed> {
        let mut waits = Vec::new();
        let mut cpus = Vec::new();
        for _ in 0..runs {
            let known = Known { cursor: None, ..self.all_but(missing) };
            let before = self.server.cpu_seconds()?;
            let begin = Instant::now();
            let arrivals = (0..people).map(|index| {
                let (server, known) = (&self.server, &known);
                async move {
                    let author = WRITER + 1 + index as u64;
                    let room = format!("old-{}", index % rooms);
                    let mut person = Person::come_back(server, &room, author, known).await?;
                    timeout(LIMIT, person.catch_up()).await??;
                    Ok::<_, Failed>(person)
                }
            });
            let done = futures_util::future::try_join_all(arrivals).await?;
            waits.push(begin.elapsed().as_secs_f64() * 1e3);
            cpus.push((self.server.cpu_seconds()? - before) * 1e3);
            drop(done);
            sleep(Duration::from_millis(500)).await;
        }
        let mut row = Row::new(median(waits.into_iter()));
        row.note("server_cpu_ms", median(cpus.into_iter()));
        Ok(row)
    }

    fn all_but(&self, missing: u64) -> Known {
        let has = self.updates - missing;
        let is_hither = self.server.kind.is_hither();
        Known {
            cursor: is_hither.then_some(Cursor { seq: Seq(has), ..self.head }),
            vector: vec![(WRITER, has * LETTERS)],
            remembers: false,
        }
    }

    async fn arrive(&self, known: &Known) -> Result<Person, Failed> {
        let mut person = Person::come_back(&self.server, "old-0", WRITER + 2, known).await?;
        timeout(LIMIT, person.catch_up()).await??;
        Ok(person)
    }

    /// Whoever comes has `missing` updates in the end, no letter less. Apart from what is timed: looking costs time.
    async fn check(&self, known: Known, missing: u64) -> Result<(), Failed> {
        let person = self.arrive(&Known { remembers: true, ..known }).await?;
        let letters = person.contents.as_ref().map(IdSet::len);
        // A log that was compacted past the cursor gives all of it: more is right, less is not.
        if letters < Some(missing * LETTERS) {
            return Err(format!("{letters:?} letters arrived instead of {}", missing * LETTERS).into());
        }
        Ok(())
    }
}
