//! Taking a port, and saying who has it if it is taken.

use std::{io, net::SocketAddr};

use procfs::process::FDTarget;
use tokio::net::TcpListener;

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "cannot listen on {address}: the port is in use by {}\n\
         hint: end that program, or choose another port with `{key}: PORT` in kubearmor.yaml or `--{key} PORT`",
        holder.as_deref().unwrap_or("another program")
    )]
    InUse {
        address: SocketAddr,
        /// `kubearmor (pid 123)`, if `/proc` tells.
        holder: Option<String>,
        key: &'static str,
    },
    #[error(
        "cannot listen on {address}: {source}\n\
         hint: choose another address or port with `{key}` in kubearmor.yaml or `--{key}`"
    )]
    Other { address: SocketAddr, key: &'static str, source: io::Error },
}

/// Listens on `address`, which the user chose by the configuration key `key`.
pub async fn listen(address: SocketAddr, key: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => {
            ListenError::InUse { address, holder: holder(address.port()), key }
        }
        _ => ListenError::Other { address, key, source },
    })
}

/// Who listens on the port. Only root sees other users' descriptors.
fn holder(port: u16) -> Option<String> {
    let sockets = procfs::net::tcp().into_iter().chain(procfs::net::tcp6()).flatten();
    let inodes: Vec<u64> = sockets
        .filter(|socket| {
            socket.local_address.port() == port && socket.state == procfs::net::TcpState::Listen
        })
        .map(|socket| socket.inode)
        .collect();
    let process = procfs::process::all_processes().ok()?.flatten().find(|process| {
        process
            .fd()
            .into_iter()
            .flatten()
            .flatten()
            .any(|fd| matches!(fd.target, FDTarget::Socket(inode) if inodes.contains(&inode)))
    })?;
    let name = process.stat().map_or_else(|_| "a program".to_owned(), |stat| stat.comm);
    Some(format!("{name} (pid {})", process.pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_names_port_holder_and_key() {
        let first = listen(([127, 0, 0, 1], 0).into(), "gRPC").await.unwrap();
        let address = first.local_addr().unwrap();
        let text = listen(address, "gRPC").await.unwrap_err().to_string();
        assert!(text.contains(&address.port().to_string()), "{text}");
        assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
        assert!(text.contains("`gRPC: PORT`"), "{text}");
    }
}
