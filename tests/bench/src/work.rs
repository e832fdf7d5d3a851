//! What is measured, in which order, with how much of everything.

use crate::Failed;
use crate::crowd::Person;
use crate::durable;
use crate::fanout::{self, Shape};
use crate::history::Written;
use crate::report::{Report, Row};
use crate::server::{Kind, Programs, Server};
use std::path::PathBuf;
use std::time::Duration;

/// How much of everything. The shapes are those of the goals; what is less is how long and how often.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Amount {
    /// Shows that the benchmark works, not how fast anything is.
    Small,
    /// Minutes: for a look.
    Quick,
    /// For the record.
    Full,
}

struct Size {
    runs: usize,
    seconds: u64,
    rooms: usize,
    crowd: usize,
    rounds: u64,
    idle: usize,
    histories: &'static [u64],
    missing: &'static [u64],
    rejoins: usize,
    reconnects: usize,
    acknowledgements: u64,
    durable_rooms: u64,
    rooms_on_disk: usize,
}

const SMALL: Size = Size {
    runs: 1,
    seconds: 1,
    rooms: 10,
    crowd: 50,
    rounds: 20,
    idle: 100,
    histories: &[500],
    missing: &[10],
    rejoins: 3,
    reconnects: 50,
    acknowledgements: 20,
    durable_rooms: 20,
    rooms_on_disk: 500,
};
const QUICK: Size = Size {
    runs: 3,
    seconds: 1,
    rooms: 200,
    crowd: 500,
    rounds: 300,
    idle: 10_000,
    histories: &[10_000, 100_000],
    missing: &[10, 1_000, 10_000],
    rejoins: 20,
    reconnects: 1_000,
    acknowledgements: 300,
    durable_rooms: 1_000,
    rooms_on_disk: 100_000,
};
const FULL: Size = Size {
    runs: 5,
    seconds: 5,
    rounds: 2_000,
    missing: &[1, 10, 100, 1_000, 10_000],
    rejoins: 100,
    acknowledgements: 1_000,
    ..QUICK
};

pub(crate) struct Plan {
    pub(crate) programs: Programs,
    pub(crate) amount: Amount,
    /// Works by their names in the JSON; none for all.
    pub(crate) only: Vec<String>,
    pub(crate) json: Option<PathBuf>,
}

/// Runs everything and prints it.
pub(crate) async fn run(plan: Plan) -> Result<(), Failed> {
    let size = match plan.amount {
        Amount::Small => SMALL,
        Amount::Quick => QUICK,
        Amount::Full => FULL,
    };
    let programs = &plan.programs;
    let kinds = programs.kinds();
    let wanted = |id: &str| plan.only.is_empty() || plan.only.iter().any(|only| only == id);
    let mut report = Report::default();

    let Size { runs, seconds, rooms, crowd, .. } = size;
    for (id, title, rooms, people, writers, rate) in [
        ("fanout-one-room", "fan-out, 1 room of 50, 5 write".to_owned(), 1, 50, 5, 100),
        ("fanout-many-rooms", format!("fan-out, {rooms} rooms of 5, 1 writes"), rooms, 5, 1, 20),
        ("fanout-crowd", format!("fan-out, 1 room of {crowd}, 1 writes"), 1, crowd, 1, 10),
    ] {
        if !wanted(id) {
            continue;
        }
        report.begin(id, &title, "deliveries per CPU second of the server");
        for kind in &kinds {
            let shape = Shape { rooms, people, writers, rate, seconds };
            report.add(kind.name(), fanout::steady(*kind, programs, shape, runs).await);
        }
    }
    if wanted("closed-loop") {
        report.begin(
            "closed-loop",
            "closed loop, 1 room of 20, all write",
            "deliveries per CPU second of the server",
        );
        for kind in &kinds {
            report.add(kind.name(), fanout::closed_loop(*kind, programs, 20, size.rounds, runs).await);
        }
    }
    if wanted("idle") {
        let title = format!("{} idle joined connections in 100 rooms", size.idle);
        report.begin("idle", &title, "KB of resident memory each");
        for kind in &kinds {
            report.add(kind.name(), idle(*kind, programs, size.idle).await);
        }
    }
    coming_in(&size, programs, &kinds, &wanted, &mut report).await;
    if wanted("acknowledgement") {
        report.begin("acknowledgement", "acknowledgement at 100 updates a second", "syncs of this disk, p50");
        // Without a disk it is the way there and back.
        for kind in [Kind::Hither, Kind::HitherMemory] {
            let row = durable::acknowledgement(kind, programs, 100, size.acknowledgements).await;
            report.add(kind.name(), row);
        }
    }
    if wanted("durable-rooms") {
        let rate = 20 * size.durable_rooms;
        let title = format!("{rate} durable updates a second over {} rooms", size.durable_rooms);
        report.begin("durable-rooms", &title, "acknowledged a second");
        let row = durable::many_rooms(programs, size.durable_rooms, rate, seconds.max(3)).await;
        report.add(Kind::Hither.name(), row);
    }
    if wanted("start") {
        let title = format!("start with {} rooms on disk", size.rooms_on_disk);
        report.begin("start", &title, "ms to the first answer about a room");
        report.add(Kind::Hither.name(), durable::start(programs, size.rooms_on_disk, runs).await);
    }
    match &plan.json {
        Some(file) => report.write(file),
        None => Ok(()),
    }
}

/// How somebody comes into a room that was written.
enum Entry {
    Warm,
    Cold,
    Missing(u64),
}

struct Work {
    id: String,
    title: String,
    unit: &'static str,
    entry: Entry,
    found: Vec<(Kind, Result<Row, Failed>)>,
}

/// Join, rejoin, reconnect: they share the rooms that were written.
async fn coming_in(
    size: &Size,
    programs: &Programs,
    kinds: &[Kind],
    wanted: &impl Fn(&str) -> bool,
    report: &mut Report,
) {
    let keepers: Vec<Kind> = kinds.iter().copied().filter(|kind| !kind.is_bare()).collect();
    let longest = size.histories.iter().max().copied().unwrap_or_default();
    for updates in size.histories {
        let mut works = Vec::new();
        for (temperature, entry) in [("warm", Entry::Warm), ("cold", Entry::Cold)] {
            let id = format!("join-{updates}-{temperature}");
            let title = format!("join of {updates} small updates, {temperature}");
            works.push(Work { id, title, unit: "ms", entry, found: vec![] });
        }
        if *updates == longest {
            for missing in size.missing {
                let id = format!("rejoin-{missing}");
                let title = format!("rejoin after missing {missing} of {updates} updates");
                let entry = Entry::Missing(*missing);
                works.push(Work { id, title, unit: "CPU ms of the server", entry, found: vec![] });
            }
        }
        works.retain(|work| wanted(&work.id));
        if works.is_empty() {
            continue;
        }
        for kind in &keepers {
            let mut written = match Written::begin(*kind, programs, 1, *updates).await {
                Ok(written) => written,
                Err(reason) => {
                    let reason = reason.to_string();
                    works.iter_mut().for_each(|work| work.found.push((*kind, Err(reason.clone().into()))));
                    continue;
                }
            };
            for work in &mut works {
                let row = match work.entry {
                    Entry::Warm => written.join(false, size.runs).await,
                    // A server that forgets has nothing to come back with.
                    Entry::Cold if !kind.keeps_rooms() => continue,
                    Entry::Cold => written.join(true, size.runs).await,
                    Entry::Missing(missing) => written.rejoin(missing, size.rejoins).await,
                };
                work.found.push((*kind, row));
            }
        }
        for work in works {
            report.begin(&work.id, &work.title, work.unit);
            work.found.into_iter().for_each(|(kind, row)| report.add(kind.name(), row));
        }
    }
    if wanted("reconnect") {
        let people = size.reconnects;
        let rooms = people.div_ceil(10);
        report.begin(
            "reconnect",
            &format!("{people} clients of {rooms} rooms come back at once"),
            "ms until all are in sync",
        );
        for kind in keepers {
            let row = async {
                let mut written = Written::begin(kind, programs, rooms, 100).await?;
                written.reconnect(rooms, people, 10, size.runs).await
            };
            report.add(kind.name(), row.await);
        }
    }
}

/// What a connection costs that is in a room and silent.
async fn idle(kind: Kind, programs: &Programs, connections: usize) -> Result<Row, Failed> {
    let server = Server::start(kind, programs).await?;
    let enters = async |room: usize, id: u64| {
        let mut person = Person::enter(&server, &format!("idle-{room}"), id).await?;
        person.catch_up().await?;
        Ok::<_, Failed>(person)
    };
    // Not every server answers everybody.
    let limit = Duration::from_secs(20);
    for room in 0..100 {
        tokio::time::timeout(limit, enters(room, 1)).await??;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = server.resident_kb()?;
    let mut people = Vec::with_capacity(connections);
    for index in 0..connections {
        people.push(tokio::time::timeout(limit, enters(index % 100, index as u64 + 2)).await??);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(Row::new(server.resident_kb()?.saturating_sub(before) as f64 / connections as f64))
}
