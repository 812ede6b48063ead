//! Who is at the other end of a connection, and what that permits.

use std::{fmt, net::SocketAddr, sync::Arc};

use tonic::{Request, Status};

use crate::seldom::Seldom;

/// One end of a connection, as it is known to the calls that come over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// On the unix socket: root, the agent's own user, or a member of the socket's group.
    Local { user: u32, process: Option<i32> },
    /// On the unix socket, which its mode should have kept them from.
    Stranger { user: u32, process: Option<i32> },
    /// Over TLS, with a certificate of the authority that the configuration names.
    Certified(SocketAddr),
    /// Over TCP; it may be anyone.
    Unknown(SocketAddr),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { user, process } | Self::Stranger { user, process } => {
                write!(f, "user {user}")?;
                process.map_or(Ok(()), |process| write!(f, " (pid {process})"))
            }
            Self::Certified(address) | Self::Unknown(address) => address.fmt(f),
        }
    }
}

/// The peer of a request, for people to read.
pub(crate) fn name<T>(request: &Request<T>) -> String {
    request.extensions().get().map_or_else(|| "unknown".to_owned(), Peer::to_string)
}

/// Who may call at all.
pub(crate) fn admit(request: Request<()>) -> Result<Request<()>, Status> {
    match request.extensions().get::<Peer>() {
        Some(Peer::Stranger { user, .. }) => Err(Status::permission_denied(format!(
            "user {user} may not use the agent's socket; become root or a member of the group that \
             `gRPCSocketGroup` names"
        ))),
        Some(_) => Ok(request),
        None => {
            Err(Status::internal("nothing is known of the peer; this is a defect of the agent"))
        }
    }
}

/// Who may change policies. With `anyone` whoever was admitted.
pub(crate) fn may_apply(
    anyone: bool,
) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + Send + Sync + 'static {
    let refused = Arc::new(Seldom::default());
    move |request| match request.extensions().get::<Peer>() {
        Some(Peer::Local { .. } | Peer::Certified(_)) => Ok(request),
        Some(Peer::Unknown(_)) if anyone => Ok(request),
        _ => {
            let peer = name(&request);
            refused
                .warn(&format!("a policy was not taken from {peer}, which has not authenticated"));
            Err(Status::permission_denied(format!(
                "policies are not taken from {peer}, which has not authenticated. Use the agent's unix socket on \
                 its own machine, as root; or TLS with a client certificate (`tlsEnabled`); or let the agent's \
                 configuration say `allowUnauthenticatedPolicies: true`"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: Option<Peer>) -> Request<()> {
        let mut request = Request::new(());
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        request
    }

    #[test]
    fn policies_come_from_those_who_have_shown_who_they_are() {
        let address = SocketAddr::from(([192, 0, 2, 1], 7));
        let local = || Peer::Local { user: 0, process: Some(7) };
        let stranger = || Peer::Stranger { user: 1000, process: None };
        let strict = may_apply(false);
        assert!(strict(from(Some(local()))).is_ok());
        assert!(strict(from(Some(Peer::Certified(address)))).is_ok());
        for peer in [Some(Peer::Unknown(address)), Some(stranger()), None] {
            let refusal = strict(from(peer.clone())).unwrap_err();
            assert_eq!(refusal.code(), tonic::Code::PermissionDenied, "{peer:?}");
            assert!(refusal.message().contains("allowUnauthenticatedPolicies"), "{refusal}");
        }
        let lenient = may_apply(true);
        assert!(lenient(from(Some(Peer::Unknown(address)))).is_ok());
        assert!(lenient(from(Some(stranger()))).is_err());
    }

    #[test]
    fn strangers_on_the_socket_may_nothing() {
        let refusal = admit(from(Some(Peer::Stranger { user: 1000, process: None }))).unwrap_err();
        assert!(refusal.message().contains("user 1000"), "{refusal}");
        assert!(admit(from(Some(Peer::Unknown(([192, 0, 2, 1], 7).into())))).is_ok());
        assert!(admit(from(None)).is_err());
    }
}
