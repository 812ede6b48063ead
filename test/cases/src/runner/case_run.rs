//! One case: its containers, its steps, what was seen of them.

use std::{
    collections::HashMap,
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    agent::{Agent, Answer},
    container::Life,
    events::{Mark, Stream, short},
    name_server::NameServer,
    program::{Ended, Program},
    report::Verdict,
    rootfs::Images,
    spec,
};
use crate::{
    format::{AgentAction, Case, Counted, EventPattern, Expectation, HOST, Seen, Step},
    requirement::Requirement,
};

/// An alert is there within this time of the step's end.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many events tell enough in a line of the report.
const SHOWN: usize = 6;

pub(crate) struct CaseRun<'a> {
    case: &'a Case,
    agent: &'a mut Agent,
    images: &'a mut Images,
    /// Containers that there have been.
    lives: &'a mut u32,
    running: HashMap<&'a str, Life>,
    name_servers: HashMap<&'a str, NameServer>,
    background: HashMap<&'a str, (Program, Mark)>,
    /// Patterns that nothing may match until the case ends.
    never: Vec<(usize, Stream, &'a EventPattern, Mark)>,
    began: Mark,
    /// The agent's accounts before the case.
    accounts: HashMap<(String, String), u64>,
}

impl<'a> CaseRun<'a> {
    /// Makes the state from which the first step begins.
    pub(crate) fn prepare(
        case: &'a Case,
        agent: &'a mut Agent,
        images: &'a mut Images,
        lives: &'a mut u32,
    ) -> Result<Self> {
        agent.make_clean(&case.agent)?;
        let mut run = Self {
            case,
            began: agent.events.mark(),
            agent,
            images,
            lives,
            running: HashMap::new(),
            name_servers: HashMap::new(),
            background: HashMap::new(),
            never: Vec::new(),
            accounts: HashMap::new(),
        };
        if let Err(error) = run.fill() {
            run.clean_up();
            return Err(error);
        }
        Ok(run)
    }

    fn fill(&mut self) -> Result<()> {
        let case = self.case;
        if case.steps.iter().any(|step| matches!(step, Step::Counted(_))) {
            self.accounts = self.agent.accounts()?;
        }
        if self.needs_names() {
            self.name_servers.insert(HOST, NameServer::start(None)?);
        }
        let mut lives = Vec::new();
        for container in case.containers.iter().filter(|container| container.started) {
            *self.lives += 1;
            lives.push((&*container.name, Life::prepare(container, *self.lives, self.images)?));
        }
        let (environment, hooks) = (self.agent.environment(), self.agent.hooks());
        let started: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = lives
                .into_iter()
                .map(|(name, mut life)| {
                    let (environment, hooks) = (&environment, &hooks);
                    scope.spawn(move || {
                        let ended = life.start(environment, hooks);
                        (name, life, ended)
                    })
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        for (name, life, ended) in started {
            let pid = life.pid();
            self.running.insert(name, life);
            let ended = ended?;
            ensure!(ended.exit == 0, "container {name} did not start: {}", ended.stderr.trim());
            self.serve_names_to(name, pid)?;
        }
        for policy in &case.policies {
            if let Answer::Refused(why) = self.agent.apply(policy)? {
                bail!("a policy was refused: {}", why.trim());
            }
        }
        Ok(())
    }

    fn needs_names(&self) -> bool {
        self.case.requires.contains(&Requirement::Dns)
    }

    fn serve_names_to(&mut self, container: &'a str, pid: Option<u32>) -> Result<()> {
        if self.needs_names() && pid.is_some() {
            let server = NameServer::start(pid)
                .with_context(|| format!("name server of container {container}"))?;
            self.name_servers.insert(container, server);
        }
        Ok(())
    }

    /// All steps, up to the first unmet expectation.
    pub(crate) fn perform(&mut self) -> Verdict {
        let case = self.case;
        for (place, step) in case.steps.iter().enumerate() {
            if let Err(error) = self.step(place, step) {
                return Verdict::Failed(format!(
                    "step {} ({}): {error:#}",
                    place + 1,
                    shortened(&step.summary())
                ));
            }
        }
        if let Err(error) = self.nothing_forbidden() {
            return Verdict::Failed(format!("{error:#}"));
        }
        Verdict::Passed
    }

    fn step(&mut self, place: usize, step: &'a Step) -> Result<()> {
        let mut since = self.agent.events.mark();
        let ended = match step {
            Step::Run { argv, place, tty, uid, background, .. } => {
                self.run(argv, place, *tty, *uid, background.as_deref())?
            }
            Step::Wait { name, .. } => {
                let (program, began) = self
                    .background
                    .remove(name.as_str())
                    .with_context(|| format!("no program {name} in the background"))?;
                since = began;
                Some(program.finish()?)
            }
            Step::Start { container, .. } => Some(self.start(container)?),
            Step::Stop { container, .. } => {
                self.stop(container)?;
                None
            }
            Step::Apply { policy, .. } => match self.agent.apply(policy)? {
                Answer::Enforced => None,
                Answer::Refused(why) => bail!("refused: {}", why.trim()),
            },
            Step::Reject { policy, error, .. } => {
                let Answer::Refused(why) = self.agent.apply(policy)? else {
                    bail!("the policy was taken");
                };
                if let Some(wanted) = error.as_ref().filter(|wanted| !wanted.matches(&why)) {
                    bail!("error: wanted {wanted}, got: {}", why.trim());
                }
                None
            }
            Step::Delete { policy, .. } => {
                self.agent.delete(policy)?;
                None
            }
            Step::Agent { action, .. } => {
                self.act(*action)?;
                None
            }
            Step::Config { keys, .. } => {
                self.agent.change(keys)?;
                None
            }
            Step::Counted(counted) => {
                self.count(counted)?;
                None
            }
        };
        let Some(seen) = step.seen() else { return Ok(()) };
        self.forbid(place, seen, since);
        if let Some(ended) = ended {
            check(&seen.expect, &ended)?;
        }
        self.await_events(seen, since)
    }

    fn run(
        &mut self,
        argv: &[String],
        place: &str,
        tty: bool,
        uid: u32,
        background: Option<&'a str>,
    ) -> Result<Option<Ended>> {
        let environment = self.agent.environment();
        let command = if place == HOST {
            on_the_host(argv, uid, tty, &environment)?
        } else {
            self.life(place)?.program(argv, uid, tty, &environment)?
        };
        let began = self.agent.events.mark();
        let mut program = match Program::start(command, tty)? {
            Ok(program) => program,
            Err(ended) => return Ok(Some(ended)),
        };
        match background {
            Some(name) => {
                program.await_line()?;
                self.background.insert(name, (program, began));
                Ok(None)
            }
            None => Ok(Some(program.finish()?)),
        }
    }

    fn life(&self, name: &str) -> Result<&Life> {
        self.running.get(name).with_context(|| format!("the container {name} does not run"))
    }

    fn start(&mut self, name: &'a str) -> Result<Ended> {
        ensure!(!self.running.contains_key(name), "the container {name} runs already");
        let declared = self
            .case
            .containers
            .iter()
            .find(|container| container.name == name)
            .with_context(|| format!("no container {name}"))?;
        *self.lives += 1;
        let mut life = Life::prepare(declared, *self.lives, self.images)?;
        let ended = life.start(&self.agent.environment(), &self.agent.hooks());
        let pid = life.pid();
        self.running.insert(name, life);
        let ended = ended?;
        if ended.exit == 0 {
            self.serve_names_to(name, pid)?;
        }
        Ok(ended)
    }

    fn stop(&mut self, name: &str) -> Result<()> {
        self.name_servers.remove(name);
        let life = self.running.remove(name);
        life.with_context(|| format!("the container {name} does not run"))?.end()
    }

    fn act(&mut self, action: AgentAction) -> Result<()> {
        match action {
            AgentAction::Stop => self.agent.stop(),
            AgentAction::Kill => self.agent.kill(),
            AgentAction::Start => self.agent.start()?,
            AgentAction::Restart => {
                self.agent.stop();
                self.agent.start()?;
            }
        }
        Ok(())
    }

    /// Asks until the account is as wanted: events may still be on their way.
    fn count(&mut self, counted: &Counted) -> Result<()> {
        let Counted { policy, action, equals, at_least } = counted;
        let key = (policy.clone(), action.clone());
        let before = self.accounts.get(&key).copied().unwrap_or(0);
        let since = Instant::now();
        loop {
            let now = self.agent.accounts()?.get(&key).copied().unwrap_or(0);
            let count = now.saturating_sub(before);
            if equals.is_none_or(|equals| count == equals)
                && at_least.is_none_or(|least| count >= least)
            {
                return Ok(());
            }
            ensure!(since.elapsed() < PATIENCE, "the agent counted {count}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn forbid(&mut self, place: usize, seen: &'a Seen, since: Mark) {
        let alerts = seen.no_alerts.iter().map(|pattern| (Stream::Alerts, pattern));
        let logs = seen.no_logs.iter().map(|pattern| (Stream::Logs, pattern));
        let messages = seen.no_messages.iter().map(|pattern| (Stream::Messages, pattern));
        self.never.extend(
            alerts
                .chain(logs)
                .chain(messages)
                .map(|(stream, pattern)| (place, stream, pattern, since)),
        );
    }

    fn await_events(&self, seen: &Seen, since: Mark) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let events = &self.agent.events;
        for (stream, patterns) in [
            (Stream::Alerts, &seen.alerts),
            (Stream::Logs, &seen.logs),
            (Stream::Messages, &seen.messages),
        ] {
            for pattern in patterns {
                let left = deadline.saturating_duration_since(Instant::now());
                if !events.await_match(stream, pattern, since, left) {
                    bail!(
                        "not seen in {stream:?}: {pattern}\nseen instead:\n{}",
                        events.summary(stream, since, SHOWN)
                    );
                }
            }
        }
        Ok(())
    }

    fn nothing_forbidden(&self) -> Result<()> {
        if self.never.is_empty() {
            return Ok(());
        }
        self.agent.events.settle();
        for (place, stream, pattern, since) in &self.never {
            if let Some(event) = self.agent.events.find(*stream, pattern, *since) {
                bail!(
                    "step {} ({}): seen in {stream:?} although forbidden: {pattern}\n{}",
                    place + 1,
                    shortened(&self.case.steps[*place].summary()),
                    short(&event.fields)
                );
            }
        }
        Ok(())
    }

    /// What was seen, for the one who looks into the failure.
    pub(crate) fn leave_evidence(&self, out: &Path) {
        let directory = out.join(&self.case.name);
        let events = self.agent.events.json_lines(self.began);
        let write = || {
            fs::create_dir_all(&directory)?;
            fs::write(directory.join("events.jsonl"), events)
        };
        if let Err(error) = write() {
            eprintln!("cannot keep the events: {error}");
        }
    }

    /// Ends what the case left running and deletes its policies.
    pub(crate) fn clean_up(&mut self) {
        for (_, (program, _)) in self.background.drain() {
            program.kill();
        }
        self.name_servers.clear();
        std::thread::scope(|scope| {
            for (name, life) in self.running.drain() {
                scope.spawn(move || {
                    if let Err(error) = life.end() {
                        eprintln!("container {name} stays: {error:#}");
                    }
                });
            }
        });
        if self.case.requires.contains(&Requirement::Host) {
            // Throttling and learned state of the host would outlive the case.
            self.agent.distrust();
        }
        self.agent.delete_all();
    }
}

impl Case {
    /// Whether the case makes sense only with an agent.
    pub(crate) fn needs_agent(&self) -> bool {
        let step_needs_it = |step: &Step| {
            let speaks_of_events = step.seen().is_some_and(|seen| {
                let Seen { alerts, no_alerts, logs, no_logs, messages, no_messages, .. } = seen;
                [alerts, no_alerts, logs, no_logs, messages, no_messages]
                    .iter()
                    .any(|patterns| !patterns.is_empty())
            });
            let runs = matches!(
                step,
                Step::Run { .. } | Step::Wait { .. } | Step::Start { .. } | Step::Stop { .. }
            );
            speaks_of_events || !runs
        };
        !self.policies.is_empty() || self.steps.iter().any(step_needs_it)
    }
}

fn on_the_host(
    argv: &[String],
    uid: u32,
    tty: bool,
    environment: &[(&str, String)],
) -> Result<Command> {
    let (program, arguments) = argv.split_first().context("an empty command line")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env_clear();
    for variable in spec::variables(environment) {
        if let Some((name, value)) = variable.split_once('=') {
            command.env(name, value);
        }
    }
    if tty {
        command.env("TERM", "xterm");
    }
    if uid != 0 {
        command.uid(uid).gid(uid);
    }
    Ok(command)
}

fn check(expected: &Expectation, ended: &Ended) -> Result<()> {
    let Expectation { exit, stdout, stderr } = expected;
    if let Some(wanted) = exit.filter(|wanted| !wanted.matches(ended.exit)) {
        bail!("exit: wanted {wanted}, got {}; {}", ended.exit, said(ended));
    }
    if let Some(wanted) = stdout.as_ref().filter(|wanted| !wanted.matches(&ended.stdout)) {
        bail!("stdout: wanted {wanted}; {}", said(ended));
    }
    if let Some(wanted) = stderr.as_ref().filter(|wanted| !wanted.matches(&ended.stderr)) {
        bail!("stderr: wanted {wanted}; {}", said(ended));
    }
    Ok(())
}

fn said(ended: &Ended) -> String {
    format!("stdout {:?}, stderr {:?}", shortened(&ended.stdout), shortened(&ended.stderr))
}

/// As much of a text as a line of the report can take.
fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
