//! A summary for people and for programs.

use std::io::{self, Write};

use anstyle::Style;
use serde_json::{Map, Value, json};

use super::{
    doing::{Doing, Kind},
    model::{Count, Summary},
};
use crate::{
    event::Place,
    source::Ended,
    table,
    terminal::{shown, time_of_day},
};

const TITLE: Style = Style::new().bold();

pub(super) fn json(summary: &Summary, ended: &Ended) -> Value {
    let workloads = summary.workloads.iter().map(|(place, doings)| {
        let mut object = Map::new();
        object.insert("NamespaceName".into(), json!(place.namespace));
        object.insert("PodName".into(), json!(place.pod));
        object.insert("ContainerName".into(), json!(place.container));
        object.insert("HostName".into(), json!(place.host));
        for kind in Kind::ALL {
            let lines = doings.iter().filter(|(doing, _)| doing.kind == kind);
            let lines: Value = lines.map(|(doing, count)| line(doing, count)).collect();
            object.insert(kind.as_str().to_owned(), lines);
        }
        Value::Object(object)
    });
    json!({
        "Workloads": workloads.collect::<Vec<_>>(),
        "From": summary.first,
        "To": summary.last,
        "Events": ended.events,
        "Unreadable": ended.unreadable,
        "PassedOver": summary.passed_over,
        "LeftOut": summary.left_out,
        "ConnectionLost": ended.lost,
    })
}

fn line(doing: &Doing, count: &Count) -> Value {
    let mut line = json!({
        "Process": doing.process,
        "Resource": doing.object,
        "Count": count.times,
        "Failed": count.failed,
        "Last": count.last,
    });
    if matches!(doing.kind, Kind::Denied | Kind::Audited) {
        line["PolicyName"] = json!(doing.policy);
        line["Operation"] = json!(doing.operation);
    }
    line
}

pub(super) fn text(summary: &Summary, ended: &Ended, out: &mut dyn Write) -> io::Result<()> {
    for (place, doings) in &summary.workloads {
        writeln!(out, "{TITLE}== {} =={TITLE:#}", title(place))?;
        for kind in Kind::ALL {
            let mut lines: Vec<_> = doings.iter().filter(|(doing, _)| doing.kind == kind).collect();
            lines.sort_by_key(|(_, count)| std::cmp::Reverse(count.times));
            let rows = lines.into_iter().map(|(doing, count)| cells(doing, count));
            table::titled(out, kind.as_str(), header(kind), rows)?;
        }
        writeln!(out)?;
    }
    write!(out, "{} events", ended.events)?;
    if !summary.first.is_empty() {
        write!(out, " from {} to {}", summary.first, summary.last)?;
    }
    writeln!(out)?;
    let notes = [
        (summary.left_out, "events tell of more different things than are kept"),
        (ended.lost, "times the connection was lost, and events with it"),
    ];
    for (number, note) in notes.into_iter().filter(|(number, _)| *number > 0) {
        writeln!(out, "note: {number} {note}")?;
    }
    if let Some(place) = &ended.first_unreadable {
        writeln!(out, "note: {} lines are no events, the first at {place}", ended.unreadable)?;
    }
    Ok(())
}

fn title(place: &Place) -> String {
    let name = shown(&place.name).into_owned();
    if place.pod.is_empty() { name } else { format!("{name} of pod {}", shown(&place.pod)) }
}

fn header(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Denied | Kind::Audited => {
            &["POLICY", "OPERATION", "PROCESS", "RESOURCE", "COUNT", "LAST"]
        }
        Kind::Ran => &["BY", "PROGRAM", "COUNT", "FAILED", "LAST"],
        Kind::Read | Kind::Wrote => &["PROCESS", "FILE", "COUNT", "FAILED", "LAST"],
        Kind::Connected | Kind::Listened => &["PROCESS", "ADDRESS", "COUNT", "FAILED", "LAST"],
        Kind::Socket => &["PROCESS", "SOCKET", "COUNT", "FAILED", "LAST"],
        Kind::Capability => &["PROCESS", "CAPABILITY", "COUNT", "FAILED", "LAST"],
        Kind::Syscall => &["PROCESS", "SYSCALL", "COUNT", "FAILED", "LAST"],
    }
}

fn cells(doing: &Doing, count: &Count) -> Vec<String> {
    let text = |text: &str| shown(text).into_owned();
    let times = count.times.to_string();
    let (process, object) = (text(&doing.process), text(&doing.object));
    // The day is in the last line.
    let last = time_of_day(&count.last).to_owned();
    match doing.kind {
        Kind::Denied | Kind::Audited => {
            vec![text(&doing.policy), text(&doing.operation), process, object, times, last]
        }
        _ => vec![process, object, times, count.failed.to_string(), last],
    }
}
