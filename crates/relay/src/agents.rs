//! Which agents there should be connections to, and what has to change for that.

use std::collections::BTreeMap;

use feed::client::Address;

/// One agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// The node that it speaks of, as accounts name it.
    pub node: String,
    /// `HOST:PORT`, or `unix:PATH`.
    pub address: String,
}

/// By what tells an agent from the one that takes its place: a pod's uid, or an address.
pub(crate) type Agents = BTreeMap<String, Agent>;

/// A list of agents that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no agent: write HOST:PORT or unix:PATH, separated by commas")]
pub struct AgentsError(String);

/// Agents by their addresses, separated by commas. Each address is the name of its node, too.
pub fn listed(text: &str) -> Result<Vec<Agent>, AgentsError> {
    text.split(',')
        .map(str::trim)
        .filter(|address| !address.is_empty())
        .map(|text| {
            let address: Address = text.parse().map_err(|_| AgentsError(text.to_owned()))?;
            let address = address.to_string();
            Ok(Agent { node: address.clone(), address })
        })
        .collect()
}

pub(crate) fn by_address(agents: Vec<Agent>) -> Agents {
    agents.into_iter().map(|agent| (agent.address.clone(), agent)).collect()
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) stop: Vec<String>,
    pub(crate) start: Vec<(String, Agent)>,
}

/// What turns those that are connected into those that are wanted. Who is called otherwise or elsewhere than before is
/// stopped and started.
pub(crate) fn reconcile(connected: &Agents, wanted: &Agents) -> Changes {
    let differs = |agents: &Agents, key: &String, agent: &Agent| agents.get(key) != Some(agent);
    let gone = connected.iter().filter(|(key, agent)| differs(wanted, key, agent));
    let new = wanted.iter().filter(|(key, agent)| differs(connected, key, agent));
    Changes {
        stop: gone.map(|(key, _)| key.clone()).collect(),
        start: new.map(|(key, agent)| (key.clone(), agent.clone())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, prelude::*};

    use super::*;

    #[test]
    fn lists_as_people_write_them() {
        let agents = listed("a:1, :2,,unix:/run/x.sock").unwrap();
        let nodes: Vec<&str> = agents.iter().map(|agent| agent.node.as_str()).collect();
        assert_eq!(nodes, ["a:1", "localhost:2", "unix:/run/x.sock"]);
        assert_eq!(listed("a:1,b").unwrap_err(), AgentsError("b".into()));
        assert!(listed("").unwrap().is_empty());
    }

    fn agents() -> impl Strategy<Value = Agents> {
        let agent =
            ("[ab]", "[12]").prop_map(|(node, address)| Agent { node, address: address.clone() });
        btree_map("[pqrs]", agent, 0..4)
    }

    proptest! {
        #[test]
        fn changes_lead_to_what_is_wanted_and_touch_nothing_else(connected in agents(), wanted in agents()) {
            let changes = reconcile(&connected, &wanted);
            let mut after = connected.clone();
            for key in &changes.stop {
                prop_assert!(after.remove(key).is_some(), "only what is there is stopped");
            }
            for (key, agent) in changes.start {
                prop_assert!(after.insert(key, agent).is_none(), "nobody is connected twice");
            }
            prop_assert_eq!(after, wanted.clone());
            prop_assert_eq!(reconcile(&wanted, &wanted), Changes::default());
        }
    }
}
