//! `AdmissionReview`, as it comes and as it goes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Verdict;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    #[error("no AdmissionReview: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error(
        "`{0}` is not `{API_VERSION}` of the kind {KIND}: register this webhook for that version"
    )]
    OtherVersion(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    kind: GroupKind,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    sub_resource: Option<String>,
    #[serde(default)]
    object: Option<Value>,
    #[serde(default)]
    old_object: Option<Value>,
}

#[derive(Deserialize)]
struct GroupKind {
    #[serde(default)]
    group: String,
    kind: String,
}

/// What is asked.
pub(super) struct Question {
    pub(super) uid: String,
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) operation: String,
    pub(super) subresource: String,
    pub(super) object: Option<Value>,
    pub(super) old: Option<Value>,
}

pub(super) fn read(body: &[u8]) -> Result<Question, ReviewError> {
    let Review { api_version, kind, request } = serde_json::from_slice(body)?;
    if (api_version.as_str(), kind.as_str()) != (API_VERSION, KIND) {
        return Err(ReviewError::OtherVersion(format!("{api_version} {kind}")));
    }
    Ok(Question {
        uid: request.uid,
        group: request.kind.group,
        kind: request.kind.kind,
        operation: request.operation,
        subresource: request.sub_resource.unwrap_or_default(),
        object: request.object,
        old: request.old_object,
    })
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub verdict: Verdict,
    pub(super) uid: String,
    /// Why it is refused; empty where it is not.
    pub message: String,
    pub warnings: Vec<String>,
}

#[derive(Serialize)]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

impl Answer {
    pub(super) fn allow(uid: String, verdict: Verdict) -> Self {
        Self { verdict, uid, message: String::new(), warnings: Vec::new() }
    }

    pub(super) fn refuse(uid: String, message: String) -> Self {
        Self { verdict: Verdict::Refused, uid, message, warnings: Vec::new() }
    }

    /// The review that goes back.
    pub fn to_json(&self) -> Value {
        let allowed = self.verdict != Verdict::Refused;
        let status = (!allowed).then(|| {
            json!({"status": "Failure", "code": 422, "reason": "Invalid", "message": self.message})
        });
        let response = Response { uid: &self.uid, allowed, status, warnings: &self.warnings };
        json!({"apiVersion": API_VERSION, "kind": KIND, "response": response})
    }
}
