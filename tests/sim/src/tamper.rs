//! Planted mistakes on the way between relay and client: frames are taken apart, wronged and put together again.

use crate::{bug::Bug, world::World};
use bytes::Bytes;
use hither_protocol::{
    deframe::Deframer,
    frames::{ClientFrame, RelayFrame},
    ids::Seq,
    limits::MAX_RELAY_FRAME_BYTES,
};

impl World {
    /// `None`: the message never arrives.
    pub(crate) fn tamper_up(&mut self, message: Bytes) -> Option<Bytes> {
        let is_meant = self.options.has_bug(Bug::LostPush) || self.options.has_bug(Bug::SwappedPushes);
        // A message of one long frame may be part of several.
        if !is_meant || message.len() > 60_000 {
            return Some(message);
        }
        let mut frames: Vec<ClientFrame> = Deframer::new(MAX_RELAY_FRAME_BYTES)
            .read(message)
            .filter_map(|body| ClientFrame::decode(body.ok()?).ok())
            .collect();
        let pushes: Vec<usize> =
            (0..frames.len()).filter(|&index| matches!(frames[index], ClientFrame::Push { .. })).collect();
        if !pushes.is_empty() && self.errs(Bug::LostPush, 6) {
            return None;
        }
        if let [first, second, ..] = pushes[..]
            && self.errs(Bug::SwappedPushes, 2)
            && let (before, after) = frames.split_at_mut(second)
            && let (ClientFrame::Push { update: one, .. }, ClientFrame::Push { update: other, .. }) =
                (&mut before[first], &mut after[0])
        {
            std::mem::swap(one, other);
        }
        let mut out = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut out));
        Some(out.into())
    }

    /// `None`: nothing is left of the message.
    pub(crate) fn tamper_down(&mut self, wire: u64, message: Bytes) -> Option<Bytes> {
        let is_meant = matches!(
            self.options.bug,
            Some(
                Bug::SkippedUpdate
                    | Bug::RepeatedUpdate
                    | Bug::SwappedUpdates
                    | Bug::WrongUpdate
                    | Bug::AckOfTheNextPush
                    | Bug::AckSkipsAhead
                    | Bug::LostAck
                    | Bug::LostSnapshot
                    | Bug::LostLeave
                    | Bug::LostPresence
            )
        );
        // A message of one long frame may be part of several.
        if !is_meant || message.len() > 60_000 {
            return Some(message);
        }
        let mut frames: Vec<RelayFrame> = Deframer::new(MAX_RELAY_FRAME_BYTES)
            .read(message)
            .filter_map(|body| RelayFrame::decode(body.ok()?).ok())
            .collect();
        self.wrong(wire, &mut frames);
        let mut out = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut out));
        (!out.is_empty()).then(|| out.into())
    }

    fn wrong(&mut self, wire: u64, frames: &mut Vec<RelayFrame>) {
        let mut index = 0;
        while index < frames.len() {
            let is_update = matches!(frames[index], RelayFrame::Update { .. });
            if is_update && self.errs(Bug::SkippedUpdate, 10) {
                frames.remove(index);
                continue;
            }
            if is_update && self.errs(Bug::RepeatedUpdate, 10) {
                frames.insert(index, frames[index].clone());
                index += 1;
            }
            if is_update
                && matches!(frames.get(index + 1), Some(RelayFrame::Update { .. }))
                && self.errs(Bug::SwappedUpdates, 2)
            {
                frames.swap(index, index + 1);
                index += 1;
            }
            let errs_wrong = is_update && self.errs(Bug::WrongUpdate, 4);
            let errs_next = self.errs(Bug::AckOfTheNextPush, 4);
            let errs_ahead = self.errs(Bug::AckSkipsAhead, 4);
            match &mut frames[index] {
                RelayFrame::Update { update, .. } => {
                    let last = self.wires.get_mut(&wire).map(|wire| &mut wire.last_update);
                    if let Some(last) = last {
                        let this = last.replace(update.clone());
                        if let (true, Some(other)) = (errs_wrong, this) {
                            *update = other;
                        }
                    }
                }
                RelayFrame::Ack { n, .. } if errs_next => *n += 1,
                RelayFrame::Ack { seq, .. } if errs_ahead => *seq = Seq(seq.0 + 1),
                _ => {}
            }
            let is_gone = match &frames[index] {
                RelayFrame::Ack { .. } => self.errs(Bug::LostAck, 8),
                RelayFrame::Snapshot { .. } => self.errs(Bug::LostSnapshot, 1),
                RelayFrame::Presence { state, .. } if state.is_empty() => self.errs(Bug::LostLeave, 1),
                RelayFrame::Presence { .. } => self.errs(Bug::LostPresence, 4),
                _ => false,
            };
            if is_gone {
                frames.remove(index);
                continue;
            }
            index += 1;
        }
    }
}
