"""What a client of the ecosystem receives, by bindings that were generated for Python.

Field numbers are those of the existing implementation's protobuf files, written down here once more: a change of our
.proto that others would not understand shows as a difference.
"""

import sys
import urllib.request

import grpc
import history_pb2
import history_pb2_grpc
import kubearmor_pb2
import kubearmor_pb2_grpc
import policy_pb2
import policy_pb2_grpc
from google.protobuf import empty_pb2
from prometheus_client.parser import text_string_to_metric_families

BOTH = {
    "Timestamp": 1700000000,
    "UpdatedTime": "2023-11-14T22:13:20.000001Z",
    "ClusterName": "cluster",
    "HostName": "host",
    "NamespaceName": "bank",
    "Owner": {"Ref": "Deployment", "Name": "tellers", "Namespace": "bank"},
    "PodName": "teller-0",
    "Labels": "app=teller,tier=front",
    "ContainerID": "c0ffee",
    "ContainerName": "teller",
    "ContainerImage": "docker.io/library/debian:12",
    "HostPPID": 101,
    "HostPID": 102,
    "PPID": 3,
    "PID": 4,
    "UID": 1000,
    "ParentProcessName": "/usr/bin/dash",
    "ProcessName": "/usr/bin/cat",
    "Type": "MatchedPolicy",
    "Source": "/usr/bin/cat /srv/ledger",
    "Operation": "File",
    "Resource": "/srv/ledger \u00e4\u4e2d",
    "Data": "lsm=FILE_OPEN",
    "EventData": {"Lsm": "FILE_OPEN", "Flags": "O_RDONLY"},
    "Result": "Permission denied",
    "Cwd": "/srv/",
    "TTY": "pts0",
    "ExecEvent": {"ExecID": "12345678901", "ExecutableName": "cat"},
    "NodeID": "node",
    "UserName": "root",
    "Ancestors": ["/usr/bin/dash", "/usr/sbin/init"],
    # Never filled by the agent.
    "ProcessHash": "",
    "ParentHash": "",
    "ResourceHash": "",
    "HashAlgo": "",
}
ALERT = BOTH | {
    "PolicyName": "ledger",
    "PolicyKind": "KubeArmorPolicy",
    "PolicyNamespace": "bank",
    "RulePath": "spec.file.matchPaths[0]",
    "SuppressedAlerts": 12,
    "Severity": "7",
    "Tags": "PCI,MITRE",
    "ATags": ["PCI", "MITRE"],
    "Message": "hands off",
    "Enforcer": "BPFLSM",
    "Action": "Block",
    "MaxAlertsPerSec": 10,
    "DroppingAlertsInterval": 30,
    "KubeArmorVersion": "v1",
}

ALERT_NUMBERS = {
    1: "Timestamp", 2: "UpdatedTime", 3: "ClusterName", 4: "HostName", 5: "NamespaceName", 6: "PodName",
    7: "ContainerID", 8: "ContainerName", 9: "HostPID", 10: "PPID", 11: "PID", 12: "UID", 13: "PolicyName",
    14: "Severity", 15: "Tags", 16: "Message", 17: "Type", 18: "Source", 19: "Operation", 20: "Resource", 21: "Data",
    22: "Action", 23: "Result", 24: "ContainerImage", 25: "ParentProcessName", 26: "ProcessName", 27: "HostPPID",
    28: "Enforcer", 29: "Labels", 30: "ATags", 31: "Owner", 32: "Cwd", 33: "TTY", 34: "MaxAlertsPerSec",
    35: "DroppingAlertsInterval", 36: "ExecEvent", 37: "KubeArmorVersion", 38: "NodeID", 39: "ProcessHash",
    40: "ParentHash", 41: "ResourceHash", 42: "HashAlgo", 43: "EventData", 44: "UserName",
}
LOG_NUMBERS = {
    1: "Timestamp", 2: "UpdatedTime", 3: "ClusterName", 4: "HostName", 5: "NamespaceName", 6: "PodName",
    7: "ContainerID", 8: "ContainerName", 9: "HostPID", 10: "PPID", 11: "PID", 12: "UID", 13: "Type", 14: "Source",
    15: "Operation", 16: "Resource", 17: "Data", 18: "Result", 19: "ContainerImage", 20: "ParentProcessName",
    21: "ProcessName", 22: "HostPPID", 23: "Labels", 24: "Owner", 25: "Cwd", 26: "TTY", 27: "ExecEvent", 28: "NodeID",
    29: "ProcessHash", 30: "ParentHash", 31: "ResourceHash", 32: "HashAlgo", 33: "EventData", 34: "UserName",
}
# From here on numbers are this implementation's own.
OWN = 100
ALERT_OWN = {
    100: "Sequence", 1001: "Ancestors", 1002: "PolicyKind", 1003: "PolicyNamespace", 1004: "RulePath",
    1005: "SuppressedAlerts",
}
LOG_OWN = {100: "Sequence", 1001: "Ancestors"}

passed, failed = [], []


def equal(name, found, expected):
    if found == expected:
        passed.append(name)
        print(f"ok    {name}")
    else:
        failed.append(name)
        print(f"FAIL  {name}: {found!r} instead of {expected!r}")


def plain(message):
    """A message as a dictionary, fields without a value included, but for the number that only those get who ask."""
    out = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.name == "Sequence":
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = dict(value)
        elif field.message_type is not None:
            value = plain(value)
        elif not isinstance(value, (str, int)):
            value = list(value)
        out[field.name] = value
    return out


def numbers(descriptor, own):
    return {field.number: field.name for field in descriptor.fields if (field.number >= OWN) == own}


def sent(data):
    """The numbers of the fields in the bytes of a message, read without any binding."""
    found, at = set(), 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        found.add(key >> 3)
        if key & 7 == 0:
            varint()
        elif key & 7 == 2:
            length = varint()
            at += length
        else:
            raise ValueError(f"wire type {key & 7}")
    return found


def check_streams(channel):
    service = kubearmor_pb2_grpc.LogServiceStub(channel)
    nonce = service.HealthCheck(kubearmor_pb2.NonceMessage(nonce=-17), timeout=20)
    equal("the nonce comes back", nonce.Retval, -17)
    ask = lambda text: kubearmor_pb2.RequestMessage(Filter=text)
    for call, filters in [(service.WatchAlerts, ["", "system"]), (service.WatchLogs, ["", "policy"])]:
        for text in filters:
            equal(f"a stream for the filter `{text}` ends at once", list(call(ask(text), timeout=20)), [])
    raw = channel.unary_stream(
        "/feeder.LogService/WatchAlerts",
        request_serializer=kubearmor_pb2.RequestMessage.SerializeToString,
        response_deserializer=lambda data: data,
    )
    numbered = [("kubearmor-resume", "new")]
    streams = {
        "alerts": service.WatchAlerts(ask("policy"), timeout=60),
        "alerts by all": service.WatchAlerts(ask("all"), timeout=60),
        "logs": service.WatchLogs(ask("system"), timeout=60),
        "messages": service.WatchMessages(ask(""), timeout=60),
        "raw": raw(ask("all"), timeout=60),
        "numbered": service.WatchAlerts(ask("all"), timeout=60, metadata=numbered),
    }
    # Each listens once the server has sent its headers.
    headers = {name: dict(stream.initial_metadata()) for name, stream in streams.items()}
    print("listening", flush=True)
    got = {name: next(stream) for name, stream in streams.items()}
    for stream in streams.values():
        stream.cancel()

    equal("every field of an alert", plain(got["alerts"]), ALERT)
    equal("the same by the filter `all`", plain(got["alerts by all"]), ALERT)
    equal("every field of a log", plain(got["logs"]), BOTH)
    message = plain(got["messages"])
    for key in ["Timestamp", "UpdatedTime"]:
        equal(f"a message has its {key}", bool(message.pop(key)), True)
    told = {"ClusterName": "cluster", "HostName": "host", "HostIP": "192.0.2.1", "Type": "Message",
            "Level": "WARN", "Message": "take care"}
    equal("every other field of a message", message, told)
    filled = {number for number, name in (ALERT_NUMBERS | ALERT_OWN).items() if ALERT.get(name)}
    equal("the numbers that are sent are those of the fields", sent(got["raw"]), filled)
    equal("numbers for those who ask", (got["alerts"].Sequence, got["numbered"].Sequence), (0, 1))
    begin = headers["numbered"]["kubearmor-begin"]
    equal("nobody else is told of positions", "kubearmor-begin" in headers["alerts"], False)
    again = service.WatchAlerts(ask("all"), timeout=60, metadata=[("kubearmor-resume", begin)])
    equal("whoever comes back gets what it missed", plain(next(again)), ALERT)
    again.cancel()


def check_policies(channel):
    service = policy_pb2_grpc.PolicyServiceStub(channel)
    for method, kind in [("containerPolicy", "KubeArmorPolicy"), ("hostPolicy", "KubeArmorHostPolicy"),
                         ("networkPolicy", "KubeArmorNetworkPolicy")]:
        answer = getattr(service, method)(policy_pb2.policy(policy=b"text"), timeout=20)
        equal(f"{method} answers", (answer.status, answer.message), (policy_pb2.Modified, f"{kind}: text"))
    statuses = {"Failure": 0, "Applied": 1, "Deleted": 2, "Modified": 3, "NotExist": 4, "Invalid": 5, "NotEnabled": 6}
    equal("the numbers of statuses", dict(policy_pb2.PolicyStatus.items()), statuses)
    probe = policy_pb2_grpc.ProbeServiceStub(channel).getProbeData(empty_pb2.Empty(), timeout=20)
    equal("the probe answers", list(probe.containerList), ["teller"])


def check_history(channel):
    query = history_pb2_grpc.HistoryStub(channel).Query
    try:
        list(query(history_pb2.HistoryRequest(Since=0, Until=1, Filter="all"), timeout=20))
        found = "no error"
    except grpc.RpcError as error:
        found = error.code()
    equal("without a history one is told so", found, grpc.StatusCode.FAILED_PRECONDITION)


def check_metrics(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
        equal("the format of metrics", answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
    streams = {sample.labels["stream"] for sample in families["kubearmor_listeners"].samples}
    equal("Prometheus' own parser reads metrics", streams, {"alerts", "logs", "messages"})
    equal("counters are counters", families["kubearmor_listener_missed"].type, "counter")


def main():
    services, metrics = sys.argv[1:]
    equal("the numbers of an alert's fields", numbers(kubearmor_pb2.Alert.DESCRIPTOR, False), ALERT_NUMBERS)
    equal("the numbers of its own ones", numbers(kubearmor_pb2.Alert.DESCRIPTOR, True), ALERT_OWN)
    equal("the numbers of a log's fields", numbers(kubearmor_pb2.Log.DESCRIPTOR, False), LOG_NUMBERS)
    equal("the numbers of these that are its own", numbers(kubearmor_pb2.Log.DESCRIPTOR, True), LOG_OWN)
    with grpc.insecure_channel(services) as channel:
        check_streams(channel)
        check_policies(channel)
        check_history(channel)
    check_metrics(metrics)
    print(f"{len(passed)} passed, {len(failed)} failed, 0 skipped")
    sys.exit(1 if failed else 0)


main()
