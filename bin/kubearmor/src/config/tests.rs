//! Which source of a setting wins, and which values are refused.

use std::fs;

use super::{
    sources::{ConfigError, values},
    *,
};

fn sources(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    let directory = tempfile::tempdir().unwrap().keep();
    let path = directory.join("kubearmor.yaml");
    fs::write(&path, file).unwrap();
    let own =
        |pairs: &[(&str, &str)]| pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    Sources { file: Some(path), environment: own(environment), flags: own(flags) }
}

fn load(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Config {
    sources(file, environment, flags).load().unwrap()
}

#[test]
fn every_key_is_listed_with_its_help() {
    let mut listed: Vec<_> = KEYS.iter().map(|&(key, _)| key).collect();
    let defaults = values(&Config::default());
    let mut fields: Vec<_> = defaults.keys().map(String::as_str).collect();
    listed.sort_unstable();
    fields.sort_unstable();
    assert_eq!(listed, fields);
}

#[test]
fn a_flag_wins_over_the_environment_that_over_the_file() {
    let file = "gRPC: 1\ncluster: file\nthrottleSec: 7\n";
    let config = load(file, &[("GRPC", "2"), ("CLUSTER", "env")], &[("gRPC", "3")]);
    assert_eq!((config.grpc, config.cluster.as_str(), config.throttle_sec), (3, "env", 7));
    assert_eq!(config.max_alert_per_sec, 10);
}

#[test]
fn values_are_read_in_the_spellings_of_the_field() {
    let config = load(
        "defaultFilePosture: Block\nvisibility: none\ngRPC: \"4\"\nalertThrottling: \"false\"\nnriIndex: 98\n",
        &[("CRI_SOCKET", "unix:///x")],
        &[("hostVisibility", "process, file"), ("k8s", "true")],
    );
    assert_eq!(config.default_file_posture, Posture::Block);
    assert_eq!(config.visibility.classes, Visibility::empty());
    assert_eq!((config.grpc, config.alert_throttling), (4, false));
    assert_eq!((config.nri_index.as_str(), config.cri_socket.as_str()), ("98", "unix:///x"));
    assert_eq!(config.effective_host_visibility().classes, Visibility::PROCESS | Visibility::FILE);
}

#[test]
fn restricting_itself_is_switched_by_a_word_however_yaml_reads_it() {
    for (word, expected) in [
        ("on", SelfRestriction::On),
        ("On", SelfRestriction::On),
        ("log", SelfRestriction::Log),
        ("off", SelfRestriction::Off),
        ("false", SelfRestriction::Off),
        ("\"off\"", SelfRestriction::Off),
    ] {
        let config = load(&format!("selfRestriction: {word}\n"), &[], &[]);
        assert_eq!(config.self_restriction, expected, "{word}");
        let shown = values(&config)["selfRestriction"].clone();
        assert!(["on", "log", "off"].iter().any(|word| shown == *word), "{shown}");
    }
    assert!(sources("selfRestriction: maybe\n", &[], &[]).load().is_err());
}

#[test]
fn an_empty_file_is_all_defaults() {
    assert_eq!(load("# nothing\n", &[], &[]), Config::default());
}

#[test]
fn unknown_keys_are_left_out() {
    assert_eq!(load("colour: blue\n", &[], &[]), Config::default());
}

#[test]
fn a_bad_value_names_its_key_and_origin() {
    let error = sources("defaultFilePosture: blok\n", &[], &[]).load().unwrap_err().to_string();
    assert!(error.contains("kubearmor.yaml: defaultFilePosture: `blok` is no posture"), "{error}");
    let error = sources("", &[], &[("gRPC", "many")]).load().unwrap_err().to_string();
    assert!(error.starts_with("--gRPC: gRPC: "), "{error}");
    assert!(matches!(sources("- a\n", &[], &[]).load(), Err(ConfigError::Parse { .. })));
    let nowhere = Sources { file: Some("/nowhere.yaml".into()), ..Sources::default() };
    assert!(nowhere.load().unwrap_err().to_string().contains("/nowhere.yaml"));
}

#[test]
fn the_process_posture_follows_the_file_posture_unless_set() {
    let postures = load("defaultFilePosture: block\n", &[], &[]).container_postures();
    assert_eq!(postures.process, ruleset::Posture::Block);
    let own = "defaultFilePosture: block\ndefaultProcessPosture: audit\n";
    let postures = load(own, &[], &[]).container_postures();
    assert_eq!(postures.process, ruleset::Posture::Audit);
    let back = load(own, &[], &[("defaultProcessPosture", "")]).container_postures();
    assert_eq!(back.process, ruleset::Posture::Block);
}

#[test]
fn a_reload_takes_what_may_change_and_names_the_rest() {
    let old = Config::default();
    let new = load("visibility: none\ngRPC: 5\ndefaultProcessPosture: block\n", &[], &[]);
    let (config, waiting) = old.reloaded(&new);
    assert_eq!(config.visibility, new.visibility);
    assert_eq!(config.default_process_posture, Some(Posture::Block));
    assert_eq!(config.grpc, old.grpc);
    assert_eq!(waiting, ["gRPC"]);
}

#[test]
fn fail_modes_are_words_and_not_any_text() {
    let config = load("onAgentLoss: open\nonUnresolvedPath: allow\n", &[], &[]);
    assert_eq!(config.on_agent_loss, OnAgentLoss::Open);
    assert_eq!(
        (config.on_unresolved_path, config.on_hook_failure),
        (Verdict::Allow, Verdict::Deny)
    );
    for (key, word) in
        [("onAgentLoss", "deny"), ("onUnresolvedPath", "keep"), ("onHookFailure", "fail")]
    {
        let error = sources(&format!("{key}: {word}\n"), &[], &[]).load().unwrap_err().to_string();
        assert!(error.contains(key) && error.contains(word), "{error}");
    }
}

#[test]
fn the_socket_is_where_clients_look_and_not_in_kubernetes() {
    let here = Config { k8s: false, ..Config::default() };
    assert_eq!(here.socket(), Some(feed::LocalSocket::USUAL_PATH.into()));
    assert_eq!(Config { k8s: true, ..Config::default() }.socket(), None);
    let at = load("gRPCSocket: /srv/a.sock\nk8s: true\n", &[], &[]);
    assert_eq!(at.socket(), Some("/srv/a.sock".into()));
    assert_eq!(load("gRPCSocket: none\nk8s: false\n", &[], &[]).socket(), None);
    let error = sources("gRPCSocket: a.sock\n", &[], &[]).load().unwrap_err().to_string();
    assert!(error.contains("gRPCSocket: `a.sock` is no absolute path"), "{error}");
}

#[test]
fn transport_keys_are_words_that_existing_files_use() {
    let config = load(
        "tlsEnabled: true\ntlsCertPath: /srv/tls\ntlsCertProvider: external\n",
        &[("GRPCSOCKETGROUP", "1000")],
        &[("tlsNames", "a.example, 192.0.2.1")],
    );
    assert_eq!(config.tls_cert_provider, CertificateProvider::External);
    assert_eq!(config.grpc_socket_group, "1000");
    assert_eq!(*config.tls_names, ["a.example", "192.0.2.1"]);
    assert!(!config.issues_certificates());
    assert!(!config.allow_unauthenticated_policies);
    for (key, value) in [("tlsCertProvider", "vault"), ("tlsNames", "a b")] {
        let error = sources(&format!("{key}: {value}\n"), &[], &[]).load().unwrap_err().to_string();
        assert!(error.contains(key) && error.contains(value), "{error}");
    }
}

#[test]
fn sinks_are_read_from_every_source_and_an_error_names_file_and_key() {
    let hook = "sinks:\n- {name: hook, kind: webhook, endpoint: 'http://h'}\n";
    let names = |config: &Config| -> Vec<String> {
        config.sinks.iter().map(|sink| sink.name().to_owned()).collect()
    };
    let relay = [("ENABLE_DASHBOARDS", "true"), ("ES_URL", "http://es:9200")];
    let both = load(hook, &relay, &[]);
    assert_eq!(names(&both), ["hook", "elasticsearch-dashboards"]);
    let flag = "[{name: log, kind: syslog, endpoint: 'udp://h'}]";
    assert_eq!(names(&load(hook, &[], &[("sinks", flag)])), ["log"]);
    assert_eq!(names(&load("sinks:\n", &[], &[])), Vec::<String>::new());
    let bad = hook.replace("kind:", "batch: {size: 1}, kind:");
    let error = sources(&bad, &[], &[]).load().unwrap_err().to_string();
    assert!(
        error.contains("kubearmor.yaml: sinks: `hook`: `batch`: unknown field `size`"),
        "{error}"
    );
    let (config, waiting) = Config::default().reloaded(&both);
    assert_eq!((config.sinks, waiting), (both.sinks, Vec::<String>::new()));
}
