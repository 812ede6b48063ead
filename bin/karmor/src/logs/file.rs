//! `karmor logs --file`: what an agent has written to its `logPath`, or `karmor logs --json` has printed.

use feed::proto::feeder::{Alert, Log};
use jiff::Timestamp;
use serde_json::Value;

use super::{Event, Printer};
use crate::{
    command::{Filter, LogOptions},
    event::Fields,
    source::Lines,
};

/// Prints the alerts and logs of all files, at most `--limit` of them.
pub(super) fn show(options: &LogOptions, printer: &mut Printer<'_>) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let since = options.since.map_or(i64::MIN, |since| since.micros(now));
    let until = options.until.map_or(i64::MAX, |until| until.micros(now));
    let (mut lines, mut received, mut unreadable) = (Lines::of(&options.file), 0, None);
    while options.limit == 0 || received < options.limit {
        let Some(line) = lines.step()? else { break };
        let read = line.and_then(|value| event(value).ok_or_else(|| "a line".to_owned()));
        let event = match read {
            Ok(event) => event,
            Err(place) => {
                let (count, _) = unreadable.get_or_insert((0_u64, place));
                *count += 1;
                continue;
            }
        };
        if is_wanted(&event, options.log_filter) && (since..until).contains(&time(&event)) {
            received += 1;
            printer.print(&event)?;
        }
    }
    if let Some((count, place)) = unreadable {
        eprintln!("{count} lines are no events, the first at {place}");
    }
    Ok(())
}

/// In either spelling of fields.
fn event(value: Value) -> Option<Event> {
    if Fields::of(&value)?.is_alert() {
        serde_json::from_value::<Alert>(value).ok().map(|alert| Event::Alert(Box::new(alert)))
    } else {
        serde_json::from_value::<Log>(value).ok().map(|log| Event::Log(Box::new(log)))
    }
}

fn is_wanted(event: &Event, filter: Filter) -> bool {
    match event {
        Event::Alert(_) => filter != Filter::System,
        Event::Log(_) => filter != Filter::Policy,
        Event::Message(_) => false,
    }
}

/// Microseconds since 1970; those of an event without a time are before all others.
fn time(event: &Event) -> i64 {
    let text = match event {
        Event::Alert(alert) => &alert.updated_time,
        Event::Log(log) => &log.updated_time,
        Event::Message(message) => &message.updated_time,
    };
    text.parse::<Timestamp>().map_or(i64::MIN, Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_agents_own_file_holds_what_clients_are_told() {
        let log = telemetry::Log {
            timestamp: 7,
            updated_time: "1970-01-01T00:00:07.000001Z".into(),
            host_pid: 77,
            host_ppid: 76,
            pid: 5,
            ppid: 4,
            uid: 1000,
            tty: "pts0".into(),
            node_id: "id".into(),
            user_name: "root".into(),
            event_data: [("Lsm".to_owned(), "FILE_OPEN".to_owned())].into(),
            ancestors: vec!["/bin/sh".into()],
            ..telemetry::Log::default()
        };
        let alert = telemetry::Alert {
            policy_name: "p".into(),
            tag_list: vec!["t".into()],
            rule_path: "spec.file".into(),
            max_alerts_per_sec: 3,
            event: log.clone(),
            ..telemetry::Alert::default()
        };
        let Some(Event::Alert(read)) = event(serde_json::to_value(&alert).unwrap()) else {
            panic!()
        };
        assert_eq!(*read, Alert::from(alert));
        assert_eq!(time(&Event::Alert(read.clone())), 7_000_001);
        let Some(Event::Log(of_log)) = event(serde_json::to_value(&log).unwrap()) else { panic!() };
        assert_eq!(*of_log, Log::from(log));
        // As clients print it, but for the fields that they do not print.
        let printed = serde_json::to_value(&*read).unwrap();
        let Some(Event::Alert(again)) = event(printed) else { panic!() };
        let plain = Alert { rule_path: String::new(), ancestors: vec![], ..*read };
        assert_eq!(*again, plain);
        assert!(event(json!([])).is_none() && event(json!({"PID": "x"})).is_none());
    }
}
