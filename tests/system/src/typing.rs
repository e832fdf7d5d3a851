//! Authors who type a history through Hither clients into the text `text` of a room.

use crate::delay::DelayWire;
use crate::history::{History, Step, Typed};
use crate::people::{opens, person_with_disk, within};
use hither_client::{Client, Node, Op, Receipt, Room};
use hither_protocol::scan::scan;
use serde_json::json;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Steps of one of several authors that may be on their way to the relay. Past 32 a client begins to merge what it
/// sends, and the wire counts updates for steps.
const AHEAD: usize = 16;

/// Someone who has typed.
pub struct Author {
    /// Their client.
    pub client: Client,
    /// Where it keeps the room.
    pub file: PathBuf,
    /// Their room.
    pub desk: Room,
    paper: Node,
    typed: Typed,
    /// What holds others' work back until the test lets it through; none for who types alone.
    wire: Option<DelayWire>,
    /// Of the document: where two type at one place at once, Yjs puts the smaller id first.
    id: u64,
    on_the_way: VecDeque<Receipt>,
    /// Steps made, and steps of the other that were let through.
    done: usize,
    delivered: usize,
}

/// Types a history: one author alone, or two of whom each types on exactly what they had seen when they typed it.
/// Returns when everything is durable on the relay and everybody has the same text: the history's end.
pub async fn types(url: &str, room: &str, dir: &Path, history: &History) -> (Vec<Author>, String) {
    let authors = match history.agents {
        1 => vec![alone(url, room, dir, history).await],
        2 => Vec::from(together(url, room, dir, history).await),
        more => panic!("{more} authors: the wire tells two apart, not more"),
    };
    for author in &authors {
        // Far more than a request: this may be a long history.
        tokio::time::timeout(Duration::from_secs(240), author.desk.saved()).await.unwrap().unwrap();
    }
    let end = history.end.clone().unwrap_or_else(|| authors[0].typed.text());
    for author in &authors {
        // Not `assert_eq`: these texts are long.
        assert!(
            text(&author.desk).await == end,
            "an author has another text at the end than {}",
            history.origin
        );
    }
    (authors, end)
}

/// The text of a room.
pub async fn text(room: &Room) -> String {
    let json = room.get("text").await.unwrap().map(|value| value.to_json());
    json.as_ref().and_then(|json| json.as_str()).unwrap_or_default().to_owned()
}

async fn alone(url: &str, room: &str, dir: &Path, history: &History) -> Author {
    let mut author = Author::sits_down(url, None, room, dir.join("author.hither")).await;
    for step in &history.steps {
        author.types(step).await;
    }
    author
}

async fn together(url: &str, room: &str, dir: &Path, history: &History) -> [Author; 2] {
    let mut authors = [
        Author::sits_down(url, Some(DelayWire::to(url).await), room, dir.join("one.hither")).await,
        Author::sits_down(url, Some(DelayWire::to(url).await), room, dir.join("two.hither")).await,
    ];
    for (author, name) in authors.iter_mut().zip(["one", "two"]) {
        author.signs(name).await;
    }
    for author in &authors {
        author.lets_through(1).await;
    }
    // Recordings have places where both typed at once, and were made with the first author's text before the second's.
    authors.sort_by_key(|author| author.id);

    // How many steps of each author are known at each step, itself included.
    let mut known: Vec<[usize; 2]> = Vec::with_capacity(history.steps.len());
    let mut meetings = 0;
    for step in &history.steps {
        let (me, other) = (step.agent, 1 - step.agent);
        let mut sees = [0, 0];
        for parent in &step.parents {
            sees = [sees[0].max(known[*parent][0]), sees[1].max(known[*parent][1])];
        }
        assert_eq!(sees[me], authors[me].done, "an author knows what they did themselves");
        if sees[other] > authors[me].delivered {
            authors[me].sees(sees[other]).await;
            meetings += 1;
        }
        authors[me].types(step).await;
        sees[me] = authors[me].done;
        known.push(sees);
    }
    assert!(meetings > 10, "the authors saw each other's work {meetings} times");
    let done = [authors[0].done, authors[1].done];
    authors[0].sees(done[1]).await;
    authors[1].sees(done[0]).await;
    authors
}

impl Author {
    async fn sits_down(url: &str, wire: Option<DelayWire>, room: &str, file: PathBuf) -> Author {
        let url = wire.as_ref().map_or_else(|| url.to_owned(), DelayWire::url);
        let client = person_with_disk(&url, &file).await;
        // Declared, not planted: empty containers need no update.
        let desk = opens(&client, room, Some(json!({ "text": { "text": "" }, "authors": {} }))).await;
        within("an author to be in sync", desk.synced()).await.unwrap();
        let paper = desk.node("text").await.unwrap().unwrap();
        let (typed, on_the_way) = (Typed::default(), VecDeque::new());
        Author { client, file, desk, paper, typed, wire, id: 0, on_the_way, done: 0, delivered: 0 }
    }

    /// Writes their name; by that edit their document's id is seen.
    async fn signs(&mut self, name: &str) {
        let name = name.to_owned();
        let signed = self.desk.change(move |draft| draft.set(["authors", &name], true)).await.unwrap();
        let update = self.desk.export().await.unwrap();
        let ids: Vec<u64> = scan(&update).unwrap().inserts.clients().collect();
        assert_eq!(ids.len(), 1, "nobody else's work was delivered yet");
        self.id = ids[0];
        signed.server().await.unwrap();
    }

    async fn lets_through(&self, updates: usize) {
        let reached = self.wire.as_ref().unwrap().let_go(updates).await;
        while self.desk.cursor().await.unwrap().is_none_or(|cursor| cursor.seq < reached) {
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
    }

    /// Waits until this many steps of the other are in the document, and no more.
    async fn sees(&mut self, others: usize) {
        self.lets_through(others - self.delivered).await;
        self.delivered = others;
        self.typed = Typed::new(&text(&self.desk).await);
    }

    async fn types(&mut self, step: &Step) {
        let mut ops = Vec::new();
        for (position, deleted, inserted) in &step.patches {
            let (index, deleted) = self.typed.patch(*position, *deleted, inserted);
            ops.push(Op::TextSplice { node: self.paper, index, deleted, text: inserted.clone() });
        }
        let receipt = self.desk.apply(ops).await.unwrap();
        self.done += 1;
        if self.wire.is_some() {
            self.on_the_way.push_back(receipt);
            if self.on_the_way.len() > AHEAD {
                self.on_the_way.pop_front().unwrap().server().await.unwrap();
            }
        }
    }
}
