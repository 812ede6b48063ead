//! Two candidates for one lease.

use std::time::{Duration, Instant};

use controller::lease::Candidate;

use crate::api::Server;

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/kubearmor/leases/kubearmor-controller";

fn candidate(server: &Server, identity: &str) -> Candidate {
    Candidate::new(&server.client(), "kubearmor", "kubearmor-controller", identity)
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[tokio::test]
async fn one_leads_and_another_takes_over_when_it_is_silent() {
    let server = Server::start().await;
    let (mut a, mut b) = (candidate(&server, "a"), candidate(&server, "b"));
    let (a_leads, b_leads) = (a.leading(), b.leading());
    let start = Instant::now();
    a.attempt(start).await;
    b.attempt(start).await;
    assert!(a_leads.now() && !b_leads.now());
    for seconds in [5, 10, 15, 20] {
        a.attempt(after(start, seconds)).await;
        b.attempt(after(start, seconds)).await;
        assert!(a_leads.now() && !b_leads.now(), "after {seconds} s");
    }
    // `a` says nothing any more.
    b.attempt(after(start, 35)).await;
    assert!(!b_leads.now(), "the lease holds for 15 s");
    b.attempt(after(start, 36)).await;
    assert!(b_leads.now());
    let lease = server.get(PATH).unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "b");
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
    a.attempt(after(start, 36)).await;
    assert!(!a_leads.now(), "it sees that another has the lease");
}

#[tokio::test]
async fn of_two_that_begin_at_once_one_leads() {
    let server = Server::start().await;
    for round in 0..20 {
        server.delete(PATH);
        let (mut a, mut b) = (candidate(&server, "a"), candidate(&server, "b"));
        let now = Instant::now();
        tokio::join!(a.attempt(now), b.attempt(now));
        let leaders = [&a, &b].into_iter().filter(|candidate| candidate.leading().now()).count();
        assert_eq!(leaders, 1, "round {round}");
    }
}

#[tokio::test]
async fn a_leader_without_an_answer_steps_down_before_another_may_lead() {
    let server = Server::start().await;
    let mut a = candidate(&server, "a");
    let leading = a.leading();
    let start = Instant::now();
    a.attempt(start).await;
    server.break_down(true);
    a.attempt(after(start, 8)).await;
    assert!(leading.now(), "an earlier answer counts for a while");
    a.attempt(after(start, 11)).await;
    assert!(!leading.now());
    server.break_down(false);
    a.attempt(after(start, 12)).await;
    assert!(leading.now(), "nobody else has taken it");
}

#[tokio::test]
async fn who_ends_gives_the_lease_back() {
    let server = Server::start().await;
    let a = candidate(&server, "a");
    let mut leading = a.leading();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(a.run(async { drop(ended.await) }));
    leading.gained().await;
    drop(end);
    running.await.unwrap();
    assert!(!leading.now());
    let mut b = candidate(&server, "b");
    b.attempt(Instant::now()).await;
    assert!(b.leading().now(), "at once");
}
