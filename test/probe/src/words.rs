//! The words of the command line, and how an operation ends.

use std::{
    ffi::{CStr, CString},
    str::FromStr,
};

use crate::errno::Errno;

/// Why an operation did not succeed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The kernel refused: its name is printed and its number is the exit status.
    Kernel(Errno),
    /// Only a part of the operation went through: exit status 1.
    Partly,
    /// The command line makes no sense: exit status 2.
    Usage(String),
}

impl<E: Into<Errno>> From<E> for Refusal {
    fn from(errno: E) -> Self {
        Self::Kernel(errno.into())
    }
}

pub(crate) type Outcome = Result<(), Refusal>;

/// The words after the sub-command's name.
pub(crate) struct Words(Vec<CString>);

impl Words {
    pub(crate) fn new(words: impl IntoIterator<Item = CString>) -> Self {
        Self(words.into_iter().collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The word at `place`, which the usage line calls `name`.
    pub(crate) fn word(&self, place: usize, name: &str) -> Result<&CStr, Refusal> {
        self.0
            .get(place)
            .map(CString::as_c_str)
            .ok_or_else(|| Refusal::Usage(format!("{name} is missing")))
    }

    pub(crate) fn text(&self, place: usize, name: &str) -> Result<&str, Refusal> {
        self.word(place, name)?.to_str().map_err(|_| Refusal::Usage(format!("{name} is not UTF-8")))
    }

    pub(crate) fn number<N: FromStr>(&self, place: usize, name: &str) -> Result<N, Refusal> {
        let text = self.text(place, name)?;
        text.parse().map_err(|_| Refusal::Usage(format!("{name}: not a number: {text}")))
    }

    /// Everything from `place` on.
    pub(crate) fn rest(&self, place: usize) -> &[CString] {
        self.0.get(place..).unwrap_or_default()
    }
}
