//! A readable account of each call, written when the call is over.

mod results;
mod story;
mod words;

use std::collections::BTreeMap;
use std::io::{self, Write};

use uuid::Uuid;

use crate::event::analysis::Stop;
use crate::event::{Body, Event};
use story::Story;
use words::{bytes, count};

/// Bytes of messages and frames that are kept for calls that are not over, all together. Where
/// thousands are up at the same time, the later ones are told without.
const MAX_DETAILS: usize = 1 << 20;

/// Collects what is said about each call.
#[derive(Debug)]
pub struct Account {
    /// In boxes: the nodes of a tree are half empty.
    stories: BTreeMap<Uuid, Box<Story>>,
    told: u64,
    details: usize,
    bold: bool,
}

impl Account {
    /// With `styled`, headings are bold.
    pub const fn new(styled: bool) -> Self {
        Self { stories: BTreeMap::new(), told: 0, details: 0, bold: styled }
    }

    /// Takes an event; writes the account of the call that it ends.
    ///
    /// # Errors
    ///
    /// Those of `output`.
    pub fn event(&mut self, event: &Event, output: &mut impl Write) -> io::Result<()> {
        let is_late = event.session.as_ref().is_none_or(|session| !self.stories.contains_key(&session.id));
        if let Body::Finding { finding } = &event.body
            && is_late
        {
            let caller = event.session.as_ref().and_then(|session| session.client);
            let call = caller.map(|client| format!("Call of {client} that is over"));
            let client = finding.client.map(|client| format!("Client {client}"));
            writeln!(output, "{}", call.or(client).unwrap_or_else(|| "Log".into()))?;
            story::write_finding(finding, output)?;
            writeln!(output)?;
        } else if is_late && matches!(event.body, Body::Log { .. } | Body::RadiusExchange { .. }) {
            // What is still said about a call that was told makes no other call.
        } else if let Some(session) = &event.session {
            let is_over = matches!(event.body, Body::SessionEnd { .. });
            let story = self.stories.entry(session.id).or_insert_with(|| Box::new(Story::begin(event.ts)));
            self.details += story.take(event, session, MAX_DETAILS - self.details.min(MAX_DETAILS));
            if is_over && let Some(story) = self.stories.remove(&session.id) {
                self.details -= story.taken().min(self.details);
                self.tell(&story, output)?;
            }
        } else if let Body::AnalysisStop { analysis_stop } = &event.body {
            let mut rest: Vec<Box<Story>> = std::mem::take(&mut self.stories).into_values().collect();
            rest.sort_by_key(|story| story.began());
            for story in &rest {
                self.tell(story, output)?;
            }
            self.summary(analysis_stop, output)?;
        }
        Ok(())
    }

    fn tell(&mut self, story: &Story, output: &mut impl Write) -> io::Result<()> {
        self.told += 1;
        let (on, off) = if self.bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        writeln!(output, "{on}Call {}: {}{off}", self.told, story.heading())?;
        story.write(output)?;
        writeln!(output)
    }

    fn summary(&self, stop: &Stop, output: &mut impl Write) -> io::Result<()> {
        if stop.packets == 0 && !stop.documents.is_empty() {
            write!(output, "No packets")?;
        } else {
            write!(output, "{}", count(self.told, "call"))?;
        }
        if stop.packets > 0 || stop.documents.is_empty() {
            write!(output, " in {} ({})", count(stop.packets, "packet"), bytes(stop.bytes))?;
        }
        if let (Some(first), Some(last)) = (stop.first, stop.last) {
            write!(output, " from {first} to {last}")?;
        }
        writeln!(output)?;
        for document in &stop.documents {
            write!(output, "  {}: {}, {}", document.name, document.kind, count(document.records, "record"))?;
            writeln!(output, ", {} about remote access", document.observed)?;
            for (number, what) in [
                (document.damaged, "of them damaged or without a time"),
                (document.beyond, "more than is kept of one file"),
            ] {
                if number > 0 {
                    writeln!(output, "    {number} {what}")?;
                }
            }
            if let Some(problem) = &document.problem {
                writeln!(output, "    {problem}")?;
            }
        }
        let refused = &stop.refused;
        let notes = [
            (stop.copies, "captured more than once, counted once (--copies keep counts all)"),
            (stop.outside, "outside of --from and --until"),
            (refused.version_0 + refused.version_unknown, "GRE of another kind of tunnel"),
            (refused.not_pptp, "GRE version 1, but not PPTP"),
            (refused.short, "GRE shorter than its headers say, or cut by the snap length"),
            (refused.fragment_unmatched, "fragments of GRE without their first one"),
            (refused.flows_full, "of calls that did not fit into --max-sessions"),
            (stop.undecodable, "control segments or negotiation frames that cannot be read"),
        ];
        for (number, what) in notes {
            if number > 0 {
                writeln!(output, "  {number} {what}")?;
            }
        }
        Ok(())
    }
}
