//! Where an agent is: a host and a port, or a socket of this machine.

use std::{fmt, path::PathBuf, str::FromStr};

use super::ClientError;

/// What gRPC's own clients call a path of a socket.
const SOCKET: &str = "unix:";

/// An agent's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Host { host: String, port: u16 },
    Socket(PathBuf),
}

impl Address {
    /// What the calls name as the one they are meant for.
    pub(super) fn authority(&self) -> String {
        match self {
            Self::Host { .. } => self.to_string(),
            Self::Socket(_) => "localhost".to_owned(),
        }
    }
}

impl FromStr for Address {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let wrong = || ClientError::Address(text.to_owned());
        if let Some(path) = text.strip_prefix(SOCKET) {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(wrong()) } else { Ok(Self::Socket(path.into())) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let host = if host.is_empty() { "localhost" } else { host };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.contains(['/', '@', ' ']) || (host.contains(':') && !bracketed) {
            return Err(wrong());
        }
        Ok(Self::Host { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => write!(f, "{SOCKET}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        for (text, meant) in [
            ("host:1", "host:1"),
            (":32767", "localhost:32767"),
            ("[::1]:2", "[::1]:2"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:///run/a.sock", "unix:/run/a.sock"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), meant);
        }
        for text in ["host", "32767", "host:", "host:many", "::1:2", "http://host:1", "unix:", ""] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
