//! Logs: what happened though no rule speaks of it, in the words that clients of the feed know.

use std::sync::Arc;

use wire::{Operation, Record};

use crate::{
    Log, Program, Subject,
    attribution::{Attributor, event_data, shown_path},
    names::{self, Socket},
};

impl Attributor {
    /// A program that has started.
    pub(crate) fn start_log(
        &mut self,
        record: &Record,
        subject: Subject<'_>,
        caller: &Program,
        program: &Program,
    ) -> Log {
        let mut log = self.log(record, subject);
        log.ancestors = self.ancestors(record);
        log.source.clone_from(&caller.path);
        log.parent_process_name.clone_from(&caller.path);
        log.process_name.clone_from(&program.path);
        log.resource = program.command_line();
        log.event_data = event_data(&log.data);
        log
    }

    /// What else was seen. Of a connection there are two: that of the call, and that of the protocol.
    pub(crate) fn logs(&mut self, record: &Record, subject: Subject<'_>) -> Vec<Log> {
        let mut log = self.log(record, subject);
        log.ancestors = self.ancestors(record);
        let actor = self.actor(record);
        log.source = actor.command_line();
        log.process_name.clone_from(&actor.path);
        log.parent_process_name = self
            .program(record.parent_exec, record.host_ppid)
            .map(|parent| parent.path.clone())
            .unwrap_or_default();
        log.resource = resource(record);
        if record.operation == Operation::Exec {
            log.source.clone_from(&actor.path);
            log.parent_process_name.clone_from(&actor.path);
            log.process_name.clone_from(&log.resource);
        }
        finish(&mut log, record);
        let mut logs = vec![log];
        if let Some((data, resource)) = Socket::of(record).connection(record) {
            let mut log = logs[0].clone();
            log.data = data;
            log.resource = resource;
            finish(&mut log, record);
            logs.push(log);
        }
        logs
    }

    /// What all logs have.
    fn log(&self, record: &Record, subject: Subject<'_>) -> Log {
        let mut log = self.scene(record, subject);
        log.kind = match subject {
            Subject::Container(_) => "ContainerLog".into(),
            Subject::Host => "HostLog".into(),
        };
        log.operation = names::operation(record.operation).into();
        log.data = names::call(record);
        // A connection that does not block is on its way.
        log.result = match (record.operation, -record.result) {
            (Operation::SocketConnect, libc::EINPROGRESS) => names::result(0),
            _ => names::result(record.result),
        };
        log
    }

    /// The acting program; its short name, if that is all that is known.
    pub(crate) fn actor(&mut self, record: &Record) -> Arc<Program> {
        self.program(record.exec, record.host_pid)
            .unwrap_or_else(|| Arc::new(Program { path: record.comm.clone(), args: Vec::new() }))
    }
}

fn finish(log: &mut Log, record: &Record) {
    log.event_data = event_data(&log.data);
    if log.operation == "Network" {
        log.event_data.extend(event_data(&log.resource));
    }
    if record.repeats > 0 {
        log.event_data.insert("Repeats".into(), record.repeats.to_string());
    }
}

fn resource(record: &Record) -> String {
    match record.operation {
        Operation::Capable => names::capability(record.detail[0]),
        Operation::SocketCreate => Socket::of(record).created(),
        Operation::SocketConnect
        | Operation::SocketSendmsg
        | Operation::SocketBind
        | Operation::SocketListen
        | Operation::SocketAccept => Socket::of(record).end(&record.path),
        Operation::DnsQuery => Socket::of(record).server(),
        _ => shown_path(record),
    }
}

#[cfg(test)]
mod tests;
