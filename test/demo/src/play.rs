//! How a scene goes: the forbidden works, the policy comes, the permitted works, the forbidden is caught, the policy
//! goes. What was seen is compared with what was expected.

use std::process::Command;

use anyhow::{Context, Result, bail};
use comfy_table::{Table, presets};

use crate::{
    alerts::{Alert, Alerts},
    container::{self, Ended, NAME, Shell},
    scenes::{By, Caught, Outcome, Scene},
    screen::{Screen, said},
};

/// Where the policies lie, seen from the working directory.
const POLICIES: &str = "policies/examples";
/// Lines of a program's output that are shown.
const SHOWN_LINES: usize = 2;

const PERMITTED: &str = "permitted";
const REFUSED: &str = "refused, alert";
const REPORTED: &str = "permitted, alert";

/// A line of the closing table.
struct Row {
    action: String,
    policy: &'static str,
    expected: &'static str,
    seen: String,
}

/// A performance and its record.
pub(crate) struct Play {
    screen: Screen,
    shell: Shell,
    alerts: Alerts,
    rows: Vec<Row>,
    execs: usize,
}

impl Play {
    pub(crate) fn new(screen: Screen, shell: Shell, alerts: Alerts) -> Self {
        Self { screen, shell, alerts, rows: Vec::new(), execs: 0 }
    }

    pub(crate) fn perform(&mut self, scene: &Scene) -> Result<()> {
        self.screen.heading(scene.title);
        let before: Vec<i32> =
            scene.caught.iter().map(|caught| self.without_policy(caught)).collect::<Result<_>>()?;
        let works = before.iter().filter(|status| **status == 0).count();
        let all = scene.caught.len();
        self.screen.note(&format!("Without the policy {works} of {all} forbidden actions work."));

        self.karmor("add", scene.policy)?;
        let begin = self.alerts.count();
        let first_row = self.rows.len();
        for command in scene.permitted {
            self.permitted(scene, command)?;
        }
        let mut first_caught = None;
        for (caught, before) in scene.caught.iter().zip(before) {
            let at = self.caught(scene, caught, before)?;
            first_caught = first_caught.or(at);
        }
        // Alerts come in the order of what raised them: one before the first that is due belongs to a permitted action.
        let early = first_caught.unwrap_or(begin) - begin;
        if let Some(alert) = self.alerts.since(begin)[..early].first() {
            let resource = alert.resource.clone();
            self.rows[first_row].seen = format!("permitted, but an alert about {resource}");
        }
        self.karmor("delete", scene.policy)
    }

    /// The table; true if everything was as expected.
    pub(crate) fn close(&mut self) -> Result<bool> {
        self.screen.heading("The first alert in full, as `karmor logs` prints it");
        for line in self.alerts.first_in_full()?.lines() {
            said(line);
        }
        self.screen.heading("Result");
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["ACTION", "POLICY", "EXPECTED", "SEEN", ""]);
        for row in &self.rows {
            let verdict = self.screen.verdict(row.seen == row.expected);
            table.add_row([&row.action, row.policy, row.expected, &row.seen, &verdict]);
        }
        println!("{}", table.trim_fmt());
        let good = self.rows.iter().filter(|row| row.seen == row.expected).count();
        let all = self.rows.len();
        println!("\n{good} of {all} actions ended as expected.");
        Ok(good == all)
    }

    /// The exit status without the policy.
    fn without_policy(&self, caught: &Caught) -> Result<i32> {
        self.shell.run(caught.command).map(|ended| ended.status)
    }

    fn permitted(&mut self, scene: &Scene, command: &str) -> Result<()> {
        self.screen.command(command);
        let ended = self.shell.run(command)?;
        self.show(&ended);
        let seen = if ended.status == 0 { PERMITTED } else { "refused" };
        self.note(command, scene, PERMITTED, seen.to_owned());
        Ok(())
    }

    /// The place of its alert, if it came.
    fn caught(&mut self, scene: &Scene, caught: &Caught, before: i32) -> Result<Option<usize>> {
        let count = self.alerts.count();
        let (line, ended) = match caught.by {
            By::Shell => {
                self.screen.command(caught.command);
                (caught.command.to_owned(), self.shell.run(caught.command)?)
            }
            By::Runtime => {
                self.execs += 1;
                let line = format!("ctr task exec {NAME} {}", caught.command);
                self.screen.command(&line);
                (line, container::exec(&format!("exec-{}", self.execs), caught.command)?)
            }
        };
        self.show(&ended);
        let (expected, action) = match caught.outcome {
            Outcome::Refused => (REFUSED, "Block"),
            Outcome::Reported => (REPORTED, "Audit"),
        };
        let wanted = |alert: &Alert| {
            alert.policy == scene.policy
                && alert.operation == caught.operation
                && alert.action == action
                && alert.resource.contains(caught.resource)
                && (caught.operation == "Process" || alert.source.starts_with(caught.program()))
        };
        let at = self.alerts.wait(count, wanted)?;
        let seen = match (before, ended.status, at) {
            (1.., ..) => "refused without the policy too".to_owned(),
            (_, status, alert) => {
                let verdict = if status == 0 { "permitted" } else { "refused" };
                let alert = if alert.is_some() { "alert" } else { "no alert" };
                format!("{verdict}, {alert}")
            }
        };
        self.note(&line, scene, expected, seen);
        Ok(at)
    }

    fn show(&self, ended: &Ended) {
        for line in ended.output.lines().take(SHOWN_LINES) {
            said(line);
        }
        if ended.status == 0 {
            self.screen.permitted("permitted");
        } else {
            self.screen.refused(&format!("refused (exit status {})", ended.status));
        }
    }

    fn note(&mut self, action: &str, scene: &Scene, expected: &'static str, seen: String) {
        self.rows.push(Row { action: action.to_owned(), policy: scene.policy, expected, seen });
    }

    fn karmor(&self, verb: &str, policy: &str) -> Result<()> {
        let file = format!("{POLICIES}/{policy}.yaml");
        self.screen.command(&format!("karmor vm policy {verb} {file}"));
        let output = Command::new("karmor")
            .args(["vm", "policy", verb, &file])
            .output()
            .context("cannot start karmor")?;
        said(String::from_utf8_lossy(&output.stdout).trim());
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}
