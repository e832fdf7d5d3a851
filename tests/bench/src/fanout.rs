//! Passing on: how many deliveries a server makes of a CPU second, and how late they are.

use crate::Failed;
use crate::crowd::{Person, now_us};
use crate::report::{Row, median};
use crate::server::{Kind, Programs, Server, cpu_seconds};
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// Who writes how much to whom.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) rooms: usize,
    /// In each room.
    pub(crate) people: usize,
    /// Of the people.
    pub(crate) writers: usize,
    /// Updates a second of each writer.
    pub(crate) rate: u64,
    pub(crate) seconds: u64,
}

/// Writers at a steady rate.
pub(crate) async fn steady(
    kind: Kind,
    programs: &Programs,
    shape: Shape,
    runs: usize,
) -> Result<Row, Failed> {
    let mut found = Vec::new();
    for _ in 0..runs {
        let server = Server::start(kind, programs).await?;
        found.push(steady_once(&server, shape).await?);
    }
    Ok(summary(&found))
}

/// `people` in one room, who all write one update, wait for everybody else's, and write the next.
pub(crate) async fn closed_loop(
    kind: Kind,
    programs: &Programs,
    people: usize,
    rounds: u64,
    runs: usize,
) -> Result<Row, Failed> {
    let mut found = Vec::new();
    for _ in 0..runs {
        let server = Server::start(kind, programs).await?;
        let everybody =
            enter(&server, Shape { rooms: 1, people, writers: people, rate: 0, seconds: 0 }).await?;
        let others = people as u64 - 1;
        let tasks = everybody.into_iter().map(|mut person| async move {
            let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
            for round in 1..=rounds {
                person.write(1, now_us()).await?;
                while person.received < others * round {
                    tokio::time::timeout_at(deadline, person.read()).await??;
                }
            }
            Ok::<_, Failed>(person)
        });
        found.push(measure(&server, tasks).await?);
    }
    let mut row = summary(&found);
    row.note("round_ms", median(found.iter().map(|run| run.seconds * 1e3 / rounds as f64)));
    Ok(row)
}

struct Run {
    deliveries: u64,
    seconds: f64,
    server_cpu: f64,
    generator_cpu: f64,
    p99_ms: f64,
}

fn summary(runs: &[Run]) -> Row {
    let mut row = Row::new(median(runs.iter().map(|run| run.deliveries as f64 / run.server_cpu.max(0.01))));
    row.note("p99_ms", median(runs.iter().map(|run| run.p99_ms)));
    row.note("server_cpu_share", median(runs.iter().map(|run| run.server_cpu / run.seconds)));
    row.note("generator_cpu_share", median(runs.iter().map(|run| run.generator_cpu / run.seconds)));
    row
}

async fn enter(server: &Server<'_>, shape: Shape) -> Result<Vec<Person>, Failed> {
    let mut everybody = Vec::with_capacity(shape.rooms * shape.people);
    for room in 0..shape.rooms {
        for _ in 0..shape.people {
            let author = everybody.len() as u64 + 1;
            let mut person = Person::enter(server, &format!("room-{room}"), author).await?;
            tokio::time::timeout(Duration::from_secs(30), person.catch_up()).await??;
            everybody.push(person);
        }
    }
    Ok(everybody)
}

async fn steady_once(server: &Server<'_>, shape: Shape) -> Result<Run, Failed> {
    let Shape { people, writers, rate, seconds, .. } = shape;
    let everybody = enter(server, shape).await?;
    let updates = rate * seconds;
    let is_hither = server.kind.is_hither();
    let begin = tokio::time::Instant::now() + Duration::from_millis(100);
    let tasks = everybody.into_iter().enumerate().map(|(index, mut person)| {
        let writes = index % people < writers;
        let expected = updates * (writers - usize::from(writes)) as u64;
        async move {
            let mut written = 0;
            // Writers take turns within the interval, or every burst would be one.
            let first = begin + Duration::from_micros(index as u64 * 7_919 % (1_000_000 / rate));
            let deadline = begin + Duration::from_secs(seconds + 60);
            while person.received < expected
                || (writes && (written < updates || (is_hither && person.acknowledged < written)))
            {
                let next = first + Duration::from_micros(written * 1_000_000 / rate);
                let mut turn = false;
                tokio::select! {
                    read = person.read() => read?,
                    () = sleep_until(next), if writes && written < updates => turn = true,
                    () = sleep_until(deadline) => return Err::<Person, Failed>(format!(
                        "{} of {expected} updates arrived", person.received).into()),
                }
                if turn {
                    written += 1;
                    person.write(1, now_us()).await?;
                }
            }
            if person.received > expected {
                return Err(format!("{} updates arrived, {expected} were written", person.received).into());
            }
            Ok(person)
        }
    });
    measure(server, tasks).await
}

async fn measure<T>(server: &Server<'_>, tasks: impl Iterator<Item = T>) -> Result<Run, Failed>
where
    T: Future<Output = Result<Person, Failed>>,
{
    let me = std::process::id();
    let (server_before, me_before, begin) = (server.cpu_seconds()?, cpu_seconds(me)?, Instant::now());
    let done = futures_util::future::try_join_all(tasks).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let (server_cpu, generator_cpu) = (server.cpu_seconds()? - server_before, cpu_seconds(me)? - me_before);
    let deliveries = done.iter().map(|person| person.received).sum();
    let mut latencies: Vec<u32> = done.into_iter().flat_map(|person| person.latencies_us).collect();
    latencies.sort_unstable();
    let p99 = latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default();
    Ok(Run { deliveries, seconds, server_cpu, generator_cpu, p99_ms: f64::from(p99) / 1e3 })
}
