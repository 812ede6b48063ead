//! What a plugin is asked, and what it answers: pure, so that it is the same for a socket and for a test.

use std::time::Duration;

use prost::Message as _;

use super::{
    api::{
        ConfigureRequest, ConfigureResponse, Container, ContainerRequest, Empty, PodSandbox,
        RegisterPluginRequest, StateChangeEvent, SynchronizeRequest, SynchronizeResponse, ttrpc,
    },
    framing::{LONGEST_SENT, Message, PLUGIN, REQUEST, RESPONSE, RUNTIME, frame},
};
use crate::newcomer::Newcomer;

const NAME: &str = "kubearmor";
const PLUGIN_SERVICE: &str = "nri.pkg.api.v1alpha1.Plugin";
const RUNTIME_SERVICE: &str = "nri.pkg.api.v1alpha1.Runtime";
/// Of the one call that the plugin makes.
const REGISTRATION: u32 = 1;

/// Numbers of the events that the plugin hears. An event that an older runtime does not know would end the registration.
const START_CONTAINER: i32 = 6;
const REMOVE_CONTAINER: i32 = 11;
const EVENTS: i32 = 1 << (START_CONTAINER - 1) | 1 << (REMOVE_CONTAINER - 1);

/// What runtimes allow for a request unless they say otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Codes of gRPC.
const INVALID_ARGUMENT: i32 = 3;
const FAILED_PRECONDITION: i32 = 9;
const UNIMPLEMENTED: i32 = 12;

/// A call of the runtime.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    stream: u32,
    pub(super) what: What,
}

#[derive(Debug, PartialEq)]
pub(super) enum What {
    Configure {
        runtime: String,
        timeout: Duration,
    },
    /// Containers that exist already; whether more are to come.
    Synchronize(Vec<Newcomer>, bool),
    /// Its first program runs when the call is answered.
    Starting(Newcomer),
    Removed(String),
    Shutdown,
    /// Something that changes nothing here.
    Other,
    Unknown(String),
    Malformed(String),
}

/// The call by which a plugin introduces itself.
pub(super) fn registration(index: &str) -> Vec<u8> {
    let introduced =
        RegisterPluginRequest { plugin_name: NAME.to_owned(), plugin_idx: index.to_owned() };
    let request = ttrpc::Request {
        service: RUNTIME_SERVICE.to_owned(),
        method: "RegisterPlugin".to_owned(),
        payload: introduced.encode_to_vec(),
        ..ttrpc::Request::default()
    };
    frame(RUNTIME, REGISTRATION, REQUEST, &request.encode_to_vec())
}

/// Whether the runtime has taken the plugin; `None` if the message is something else.
pub(super) fn registered(message: &Message) -> Option<Result<(), String>> {
    if (message.stream, message.kind) != (REGISTRATION, RESPONSE) {
        return None;
    }
    let status = match ttrpc::Response::decode(message.data.as_slice()) {
        Ok(response) => response.status.unwrap_or_default(),
        Err(error) => return Some(Err(error.to_string())),
    };
    Some(if status.code == 0 { Ok(()) } else { Err(status.message) })
}

impl Call {
    /// `None` for a message that is no call.
    pub(super) fn read(message: &Message) -> Option<Self> {
        if message.kind != REQUEST {
            return None;
        }
        let what = match ttrpc::Request::decode(message.data.as_slice()) {
            Ok(request) if request.service == PLUGIN_SERVICE => {
                read(&request.method, &request.payload)
                    .unwrap_or_else(|error| What::Malformed(format!("{}: {error}", request.method)))
            }
            Ok(request) => What::Unknown(format!("{}/{}", request.service, request.method)),
            Err(error) => What::Malformed(error.to_string()),
        };
        Some(Self { stream: message.stream, what })
    }

    /// The answer, once what is asked is done; `refused` says why a container must not start.
    pub(super) fn answer(&self, refused: Option<&str>) -> Vec<u8> {
        let fine = |payload: Vec<u8>| ttrpc::Response { status: None, payload };
        let response = match (&self.what, refused) {
            (What::Unknown(name), _) => failed(UNIMPLEMENTED, &format!("{name} is not known")),
            (What::Malformed(why), _) => failed(INVALID_ARGUMENT, why),
            (_, Some(why)) => failed(FAILED_PRECONDITION, why),
            (What::Configure { .. }, None) => {
                fine(ConfigureResponse { events: EVENTS }.encode_to_vec())
            }
            (What::Synchronize(_, more), None) => {
                fine(SynchronizeResponse { more: *more }.encode_to_vec())
            }
            (_, None) => fine(Empty {}.encode_to_vec()),
        };
        frame(PLUGIN, self.stream, RESPONSE, &response.encode_to_vec())
    }
}

fn failed(code: i32, why: &str) -> ttrpc::Response {
    // Half of what a reader takes at once, so that all around it fits as well.
    let message = why.chars().scan(0, |bytes, c| {
        *bytes += c.len_utf8();
        (*bytes < LONGEST_SENT / 2).then_some(c)
    });
    let status = ttrpc::Status { code, message: message.collect() };
    ttrpc::Response { status: Some(status), payload: Vec::new() }
}

fn read(method: &str, payload: &[u8]) -> Result<What, prost::DecodeError> {
    Ok(match method {
        "Configure" => {
            let asked = ConfigureRequest::decode(payload)?;
            let timeout = u64::try_from(asked.request_timeout).unwrap_or_default();
            let timeout =
                if timeout == 0 { REQUEST_TIMEOUT } else { Duration::from_millis(timeout) };
            What::Configure {
                runtime: format!("{} {}", asked.runtime_name, asked.runtime_version),
                timeout,
            }
        }
        "Synchronize" => {
            let SynchronizeRequest { pods, containers, more } =
                SynchronizeRequest::decode(payload)?;
            What::Synchronize(existing(&pods, containers), more)
        }
        "StartContainer" => {
            let ContainerRequest { pod, container } = ContainerRequest::decode(payload)?;
            starting(pod.as_ref(), container)
        }
        "RemoveContainer" => removed(ContainerRequest::decode(payload)?.container),
        // How runtimes before NRI 0.10 tell of most events.
        "StateChange" => {
            let StateChangeEvent { event, pod, container } = StateChangeEvent::decode(payload)?;
            match event {
                START_CONTAINER => starting(pod.as_ref(), container),
                REMOVE_CONTAINER => removed(container),
                _ => What::Other,
            }
        }
        "Shutdown" => What::Shutdown,
        "CreateContainer"
        | "PostCreateContainer"
        | "PostStartContainer"
        | "UpdateContainer"
        | "PostUpdateContainer"
        | "StopContainer"
        | "RunPodSandbox"
        | "UpdatePodSandbox"
        | "PostUpdatePodSandbox"
        | "StopPodSandbox"
        | "RemovePodSandbox" => What::Other,
        other => What::Unknown(other.to_owned()),
    })
}

fn starting(pod: Option<&PodSandbox>, container: Option<Container>) -> What {
    container.map_or(What::Other, |container| What::Starting(newcomer(pod, container)))
}

fn removed(container: Option<Container>) -> What {
    container.map_or(What::Other, |container| What::Removed(container.id))
}

fn existing(pods: &[PodSandbox], containers: Vec<Container>) -> Vec<Newcomer> {
    let pod_of = |container: &Container| pods.iter().find(|pod| pod.id == container.pod_sandbox_id);
    let running = containers.into_iter().filter(|container| container.pid != 0);
    running.map(|container| newcomer(pod_of(&container), container)).collect()
}

fn newcomer(pod: Option<&PodSandbox>, container: Container) -> Newcomer {
    let mut newcomer = Newcomer {
        id: container.id,
        pid: container.pid,
        labels: container.labels.into_iter().collect(),
        cgroups_path: container
            .linux
            .map(|linux| linux.cgroups_path)
            .filter(|path| !path.is_empty()),
        labels_known: true,
        ..Newcomer::default()
    };
    newcomer.annotated(&container.annotations.into_iter().collect());
    let labels = &mut newcomer.labels;
    if let Some(pod) = pod {
        // Policies select containers by what their pod says, but the pod's author does not say what its names are.
        for (key, value) in &pod.labels {
            labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
        labels.insert("io.kubernetes.pod.name".to_owned(), pod.name.clone());
        labels.insert("io.kubernetes.pod.namespace".to_owned(), pod.namespace.clone());
    }
    labels.insert("io.kubernetes.container.name".to_owned(), container.name);
    newcomer
}

/// Reads a message whatever it holds.
pub(super) fn read_hostile(message: &Message) {
    let _ = registered(message);
    if let Some(call) = Call::read(message) {
        let _ = call.answer(Some("hostile"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{
        super::framing::{Frames, Messages},
        *,
    };

    fn call(method: &str, payload: &impl prost::Message) -> What {
        let request = ttrpc::Request {
            service: PLUGIN_SERVICE.to_owned(),
            method: method.to_owned(),
            payload: payload.encode_to_vec(),
            ..ttrpc::Request::default()
        };
        what(REQUEST, request.encode_to_vec()).unwrap().what
    }

    fn what(kind: u8, data: Vec<u8>) -> Option<Call> {
        Call::read(&Message { stream: 5, kind, data })
    }

    fn status(answer: &[u8]) -> ttrpc::Status {
        let (mut frames, mut messages) = (Frames::default(), Messages::default());
        frames.push(answer);
        let frame = frames.next().unwrap().unwrap();
        messages.push(&frame.payload);
        let message = messages.next().unwrap().unwrap();
        assert_eq!((frame.connection, message.stream, message.kind), (PLUGIN, 5, RESPONSE));
        ttrpc::Response::decode(message.data.as_slice()).unwrap().status.unwrap_or_default()
    }

    fn pod() -> PodSandbox {
        PodSandbox {
            id: "pod".into(),
            name: "web-1".into(),
            namespace: "shop".into(),
            labels: HashMap::from([("app".to_owned(), "web".to_owned())]),
        }
    }

    fn container(pid: u32) -> Container {
        Container {
            id: "c0ffee".into(),
            pod_sandbox_id: "pod".into(),
            name: "main".into(),
            pid,
            ..Container::default()
        }
    }

    #[test]
    fn a_start_is_told_in_the_words_of_old_and_new_runtimes() {
        let (pod, container) = (Some(pod()), Some(container(42)));
        let new = call(
            "StartContainer",
            &ContainerRequest { pod: pod.clone(), container: container.clone() },
        );
        let old = call("StateChange", &StateChangeEvent { event: START_CONTAINER, pod, container });
        assert_eq!(new, old);
        let What::Starting(newcomer) = new else { panic!("{new:?}") };
        let container = newcomer.placed_in("/x".into());
        assert_eq!(
            (container.name.as_str(), container.namespace.as_str(), container.pod.as_str()),
            ("main", "shop", "web-1")
        );
        assert_eq!(container.labels["app"], "web", "the pod's labels are what policies select");
    }

    #[test]
    fn existing_containers_are_those_with_a_process() {
        let containers = vec![container(42), Container { id: "made".into(), ..container(0) }];
        let request = SynchronizeRequest { pods: vec![pod()], containers, more: true };
        let What::Synchronize(found, more) = call("Synchronize", &request) else { panic!() };
        assert!(more);
        let ids: Vec<_> = found.iter().map(|newcomer| newcomer.id.as_str()).collect();
        assert_eq!(ids, ["c0ffee"]);
        assert_eq!(found[0].labels["io.kubernetes.pod.namespace"], "shop");
    }

    #[test]
    fn only_what_is_known_is_subscribed_to() {
        let events = ConfigureResponse { events: EVENTS }.events;
        assert_eq!(events, 0b100_0010_0000);
        let request = ConfigureRequest { request_timeout: 0, ..ConfigureRequest::default() };
        let What::Configure { timeout, .. } = call("Configure", &request) else { panic!() };
        assert_eq!(timeout, REQUEST_TIMEOUT);
    }

    #[test]
    fn refusals_and_mistakes_carry_their_reason() {
        let refused = Call { stream: 5, what: What::Starting(Newcomer::default()) };
        assert_eq!(status(&refused.answer(None)).code, 0);
        let told = status(&refused.answer(Some("no room")));
        assert_eq!((told.code, told.message.as_str()), (FAILED_PRECONDITION, "no room"));
        let long = refused.answer(Some(&"ü".repeat(LONGEST_SENT)));
        assert!(long.len() < LONGEST_SENT, "{}", long.len());

        let unknown = Call { stream: 5, what: call("Grow", &Empty {}) };
        assert_eq!(status(&unknown.answer(None)).code, UNIMPLEMENTED);
        let elsewhere = ttrpc::Request { service: "other".into(), ..ttrpc::Request::default() };
        let elsewhere = what(REQUEST, elsewhere.encode_to_vec()).unwrap();
        assert_eq!(status(&elsewhere.answer(None)).code, UNIMPLEMENTED);
        let malformed = what(REQUEST, vec![0xff; 9]).unwrap();
        assert_eq!(status(&malformed.answer(None)).code, INVALID_ARGUMENT);
        assert_eq!(what(RESPONSE, Vec::new()), None);
    }

    #[test]
    fn events_that_change_nothing_are_answered() {
        assert_eq!(call("StopContainer", &ContainerRequest::default()), What::Other);
        assert_eq!(call("StateChange", &StateChangeEvent::default()), What::Other);
        assert_eq!(call("StartContainer", &ContainerRequest::default()), What::Other);
        let removed = ContainerRequest { pod: None, container: Some(container(0)) };
        assert_eq!(call("RemoveContainer", &removed), What::Removed("c0ffee".into()));
        assert_eq!(call("Shutdown", &Empty {}), What::Shutdown);
    }
}
