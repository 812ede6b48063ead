//! What came of a step, read from the lines it printed.

use std::fmt;

/// How many checks passed, failed and were skipped.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
    /// What failed, one line each.
    pub(super) failures: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl Tally {
    pub(super) fn passed() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self { failed: 1, failures: vec![why.into()], ..Self::default() }
    }

    pub(super) fn skipped() -> Self {
        Self { skipped: 1, ..Self::default() }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }
}

/// How a program says what came of its checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// By its exit status alone: one check.
    Status,
    /// As tests of Rust do, asked to show what passed tests printed.
    Libtest,
    /// `FAIL  name: why` and, at its end, `N passed, N failed, N skipped`.
    Sums,
    /// As cargo-deny does: `bans ok, licenses FAILED`, on standard error.
    Deny,
}

/// Follows the lines of one program.
#[derive(Debug)]
pub(super) struct Listener {
    voice: Voice,
    tally: Tally,
    /// Inside what passed tests printed.
    successes: bool,
    /// Tests that passed, says the program, but found nothing to test.
    empty: usize,
}

impl Listener {
    pub(super) fn new(voice: Voice) -> Self {
        Self { voice, tally: Tally::default(), successes: false, empty: 0 }
    }

    /// Takes a line in; whether a person wants to see it.
    pub(super) fn hear(&mut self, line: &str) -> bool {
        match self.voice {
            Voice::Status => true,
            Voice::Libtest => self.hear_libtest(line),
            Voice::Sums => {
                self.hear_sums(line);
                true
            }
            Voice::Deny => {
                self.hear_deny(line);
                true
            }
        }
    }

    /// What the program said in all, given how it ended.
    pub(super) fn close(self, name: &str, good: bool) -> Tally {
        let silent = self.tally.passed + self.tally.failed + self.tally.skipped == 0;
        let mut tally = self.tally;
        tally.passed = tally.passed.saturating_sub(self.empty);
        tally.skipped += self.empty;
        match self.voice {
            Voice::Status if good => Tally::passed(),
            Voice::Status => Tally::failed(name),
            _ if good && !silent => tally,
            _ if good => Tally::failed(format!("{name}: ended without a sum")),
            _ => {
                // It broke down where it could not count any more.
                if tally.failed == 0 {
                    tally.add(Tally::failed(format!("{name}: did not end well")));
                }
                tally
            }
        }
    }

    fn hear_libtest(&mut self, line: &str) -> bool {
        if let Some(rest) = line.strip_prefix("test result: ") {
            let number = |word: &str| number_before(rest, word).unwrap_or(0);
            self.tally.passed += number("passed");
            self.tally.failed += number("failed");
            self.tally.skipped += number("ignored");
            self.successes = false;
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|l| l.strip_suffix(" ... FAILED"))
        {
            self.tally.failures.push(format!("test {name}"));
        } else if line == "successes:" {
            self.successes = true;
        } else if line == "failures:" {
            self.successes = false;
        } else if self.successes && line.starts_with("skipped: ") {
            self.empty += 1;
            return true;
        }
        !self.successes && !is_routine(line)
    }

    fn hear_sums(&mut self, line: &str) {
        if let Some(failure) = line.strip_prefix("FAIL") {
            self.tally.failures.push(failure.trim().to_owned());
        } else if let Some((passed, failed, skipped)) = sum(line) {
            self.tally.passed += passed;
            self.tally.failed += failed;
            self.tally.skipped += skipped;
        }
    }

    fn hear_deny(&mut self, line: &str) {
        for (check, verdict) in line.split(", ").filter_map(|part| part.trim().split_once(' ')) {
            match verdict {
                "ok" => self.tally.passed += 1,
                "FAILED" => self.tally.add(Tally::failed(format!("cargo deny check {check}"))),
                _ => {}
            }
        }
    }
}

/// What Rust's tests say where all is well.
fn is_routine(line: &str) -> bool {
    line.is_empty()
        || line == "running 0 tests"
        || line.starts_with("test result: ok. 0 passed;")
        || line.starts_with("test ") && line.ends_with(" ... ok")
}

/// `N passed, N failed, N skipped` and nothing else.
fn sum(line: &str) -> Option<(usize, usize, usize)> {
    let [passed, failed, skipped] = line.split(", ").collect::<Vec<_>>().try_into().ok()?;
    let number = |part: &str, word: &str| part.strip_suffix(word)?.trim_end().parse().ok();
    Some((number(passed, "passed")?, number(failed, "failed")?, number(skipped, "skipped")?))
}

/// 12 for "ok. 12 passed; 0 failed" and "passed".
fn number_before(text: &str, word: &str) -> Option<usize> {
    let mut words = text.split([' ', ';']).filter(|word| !word.is_empty());
    let mut before = words.next()?;
    for here in words {
        if here == word {
            return before.parse().ok();
        }
        before = here;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(voice: Voice, lines: &[&str], good: bool) -> Tally {
        let mut listener = Listener::new(voice);
        for line in lines {
            listener.hear(line);
        }
        listener.close("step", good)
    }

    fn counts(tally: &Tally) -> (usize, usize, usize) {
        (tally.passed, tally.failed, tally.skipped)
    }

    #[test]
    fn a_status_is_one_check() {
        assert_eq!(hear(Voice::Status, &["anything"], true), Tally::passed());
        assert_eq!(hear(Voice::Status, &[], false), Tally::failed("step"));
    }

    #[test]
    fn tests_of_rust_are_added_up() {
        let lines = [
            "test a ... ok",
            "test b ... FAILED",
            "successes:",
            "---- a stdout ----",
            "skipped: no ../shared",
            "failures:",
            "test result: FAILED. 4 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
        ];
        let tally = hear(Voice::Libtest, &lines, false);
        assert_eq!(counts(&tally), (6, 1, 3));
        assert_eq!(tally.failures, ["test b"]);
    }

    #[test]
    fn what_passed_tests_printed_is_not_shown() {
        let mut listener = Listener::new(Voice::Libtest);
        assert!(!listener.hear("test a ... ok"));
        assert!(!listener.hear("successes:"));
        assert!(!listener.hear("words"));
        assert!(listener.hear("test result: ok. 1 passed; 0 failed; 0 ignored"));
    }

    #[test]
    fn sums_are_added_up_and_failures_kept() {
        let lines =
            ["FAIL  b: seen x", "2 passed, 1 failed, 4 skipped", "1 passed, 0 failed, 0 skipped"];
        let tally = hear(Voice::Sums, &lines, false);
        assert_eq!(counts(&tally), (3, 1, 4));
        assert_eq!(tally.failures, ["b: seen x"]);
    }

    #[test]
    fn a_program_that_breaks_down_has_failed_whatever_it_counted() {
        assert_eq!(
            counts(&hear(Voice::Sums, &["9 passed, 0 failed, 0 skipped"], false)),
            (9, 1, 0)
        );
        assert_eq!(counts(&hear(Voice::Libtest, &[], false)), (0, 1, 0));
        assert_eq!(counts(&hear(Voice::Sums, &[], true)), (0, 1, 0), "no sum is no success");
    }

    #[test]
    fn the_checks_of_dependencies_are_told_apart() {
        let tally = hear(Voice::Deny, &["bans ok, licenses FAILED, sources ok"], false);
        assert_eq!(counts(&tally), (2, 1, 0));
    }
}
