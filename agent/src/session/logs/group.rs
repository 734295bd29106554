//! The processes of one call, and what they said about it.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::Arc;

use uuid::Uuid;

use super::super::call::Serial;
use super::super::phase::Phases;
use super::{Id, Speaker};
use crate::event::log::Join;
use crate::event::session::{Cause, Mppe, Phase, Process};
use crate::event::{Party, SessionRef};
use crate::observation::Log;
use crate::time::Timestamp;

/// A worker starts pppd at once, so that few other processes begin in between.
const NEIGHBOURS: u32 = 4;

/// The processes of one call.
#[derive(Debug)]
pub(super) struct Group {
    id: Uuid,
    /// Its log began after it.
    is_of_the_middle: bool,
    pub(super) host: Option<String>,
    pub(super) begun: Timestamp,
    pub(super) last: Timestamp,
    /// Programs and their process ids, in the order in which they spoke.
    pub(super) processes: Vec<(Cow<'static, str>, Option<u32>)>,
    /// What their lines are known by.
    pub(super) voices: Vec<Speaker>,
    /// The call on the wire that is over.
    pub(super) past: Option<Arc<SessionRef>>,
    /// Phases that lines told of, to be reported.
    pub(super) steps: Vec<(Phase, Cause, Option<Party>)>,
    /// Which pppd is in the group is a guess so far.
    pub(super) guess: bool,
    /// Lines told that the end began.
    pub(super) closing: bool,
    /// It is watched for silence, because its call may be over.
    pub(super) is_swept: bool,
    /// Times that it was looked at since, and had said nothing.
    pub(super) looks: u8,
    /// pppd said that it exits.
    pub(super) pppd_exits: bool,
    /// It said something, or its call ended, since that was looked at last.
    pub(super) is_fresh: bool,
    /// The call on the wire, and what joined them.
    pub(super) call: Option<(Serial, Join)>,
    pub(super) client: Option<Ipv4Addr>,
    pub(super) call_ids: Option<(u16, u16)>,
    pub(super) user: Option<String>,
    pub(super) interface: Option<String>,
    pub(super) local: Option<Ipv4Addr>,
    pub(super) remote: Option<Ipv4Addr>,
    /// The address that the worker is going to give.
    pub(super) promised: Option<Ipv4Addr>,
    pub(super) auth_protocol: Option<String>,
    pub(super) mppe: Option<Mppe>,
    /// The worker said that it starts pppd.
    pub(super) starts_pppd: bool,
    pub(super) phases: Phases,
    /// Whether `session.start` was written.
    pub(super) announced: bool,
    /// Whether `session.up` was written.
    pub(super) up_announced: bool,
    /// Whether `session.end` was written.
    pub(super) ended: bool,
    /// Why it ended, by the first message that told.
    pub(super) ending: Option<Cause>,
    /// The first message that tells a cause.
    pub(super) decisive: Option<String>,
}

impl Group {
    /// A group whose first line is `log`.
    pub(super) fn begin(at: Timestamp, number: Id, log: &Log) -> Self {
        let pid = log.pid.unwrap_or(0);
        let host = log.host.as_deref().unwrap_or_default();
        let name = format!("log:{host}:{}:{pid}:{}:{number}", log.program, at.unix_ns());
        let phase = if log.program == "pptpd" { Phase::Control } else { Phase::Lcp };
        Self {
            id: Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()),
            is_of_the_middle: log
                .message
                .as_ref()
                .is_none_or(|message| message.id != super::lines::WORKER_STARTED),
            host: log.host.clone(),
            begun: at,
            last: at,
            processes: Vec::new(),
            voices: Vec::new(),
            past: None,
            steps: Vec::new(),
            guess: false,
            closing: false,
            is_swept: false,
            looks: 0,
            pppd_exits: false,
            is_fresh: true,
            call: None,
            client: None,
            call_ids: None,
            user: None,
            interface: None,
            local: None,
            remote: None,
            promised: None,
            auth_protocol: None,
            mppe: None,
            starts_pppd: false,
            phases: Phases::begin(phase, at),
            announced: false,
            up_announced: false,
            ended: false,
            ending: None,
            decisive: None,
        }
    }

    /// What events say about the session, where no call of the wire does.
    pub(super) fn reference(&self) -> Arc<SessionRef> {
        let (client_call_id, server_call_id) = self.call_ids.unzip();
        Arc::new(SessionRef {
            id: self.id,
            client: self.client,
            server: None,
            client_call_id,
            server_call_id,
            interface: self.interface.clone(),
            user: self.user.clone(),
        })
    }

    /// A process speaks for the first time.
    pub(super) fn add(&mut self, program: Cow<'static, str>, pid: Option<u32>) {
        if !self.processes.iter().any(|known| known.0 == program && known.1 == pid)
            && self.processes.len() < 8
        {
            self.processes.push((program, pid));
        }
    }

    /// The processes, for events.
    pub(super) fn processes(&self) -> Vec<Process> {
        let named = self.processes.iter().filter_map(|(program, pid)| {
            Some(Process { program: program.clone().into_owned(), pid: (*pid)? })
        });
        named.collect()
    }

    fn has(&self, program: &str) -> bool {
        self.processes.iter().any(|(known, _)| known == program)
    }

    /// Whether the program said that it starts, or did more than that.
    pub(super) fn has_started(&self, program: &str) -> bool {
        self.ended
            || (self.has(program) && (self.interface.is_some() || self.closing || self.phases.is_ending()))
    }

    /// Whether a process of this program may belong to the group.
    pub(super) fn takes(&self, program: &str) -> bool {
        !self.ended && (!self.has(program) || program == "pptp")
    }

    /// How far the id of a worker is from that of a pppd behind it, where one of them is this process and the
    /// other one is alone in the group.
    pub(super) fn distance_to(&self, program: &str, pid: u32) -> Option<u32> {
        let [(known, Some(other))] = self.processes.as_slice() else { return None };
        let (worker, pppd) = match (&**known, program) {
            ("pptpd", "pppd") if self.is_of_the_middle => (*other, pid),
            ("pppd", "pptpd") => (pid, *other),
            _ => return None,
        };
        let distance = pppd.checked_sub(worker).filter(|distance| (1..=NEIGHBOURS).contains(distance))?;
        (!self.ended && self.call.is_none()).then_some(distance)
    }

    /// Whether its pppd said that it exits, if there ever was one.
    pub(super) fn has_exited(&self) -> bool {
        self.pppd_exits || !self.has("pppd")
    }

    /// Whether its worker said that it starts pppd, and no pppd is known.
    pub(super) fn lacks_pppd(&self) -> bool {
        self.starts_pppd && !self.has("pppd")
    }

    /// Whether the process that says this is one that the group is about to start.
    pub(super) fn waits_for(&self, log: &Log) -> bool {
        if self.ended || self.closing || self.phases.is_ending() {
            return false;
        }
        match &*log.program {
            "pppd" => self.starts_pppd && !self.has("pppd"),
            // pptp-linux has two processes, which pppd starts, or which start pppd.
            "pptp" => self.has("pppd") && !self.has("pptpd"),
            // What the worker's child says before it becomes pppd.
            "pptpd" if super::lines::is_of_launcher(log) => self.starts_pppd && !self.has("pppd"),
            _ => false,
        }
    }
}
