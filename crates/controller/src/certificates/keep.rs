//! The Secret that all replicas share, and the authority that the API server is to trust.

use std::sync::Arc;

use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::ValidatingWebhookConfiguration, core::v1::Secret},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use time::OffsetDateTime;
use tracing::{info, warn};

use super::{Material, MaterialError, Standing, material::AUTHORITY};
use crate::{FIELD_MANAGER, serve::Shown};

/// Two replicas that make certificates at once get in each other's way once or twice, not for ever.
const ATTEMPTS: usize = 5;

/// What has the certificates, by name.
#[derive(Clone, Debug)]
pub struct Place {
    pub namespace: String,
    pub secret: String,
    /// The `ValidatingWebhookConfiguration` whose `caBundle` is kept.
    pub webhook: String,
    /// The DNS names by which the API server calls.
    pub names: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("the Secret {namespace}/{name}: {source}")]
    Secret { namespace: String, name: String, source: Box<kube::Error> },
    #[error(
        "the Secret {namespace}/{name} was changed by others {ATTEMPTS} times while it was written"
    )]
    Contended { namespace: String, name: String },
    #[error("the ValidatingWebhookConfiguration {name}: {source}")]
    Webhook { name: String, source: Box<kube::Error> },
    #[error("a certificate {0}")]
    Material(#[from] MaterialError),
}

/// Keeps the certificates good and shown.
pub struct Keeper {
    client: Client,
    place: Place,
    shown: Arc<Shown>,
    current: Option<Material>,
    /// Told once, not at each look.
    unregistered: bool,
}

impl Keeper {
    pub fn new(client: Client, place: Place, shown: Arc<Shown>) -> Self {
        Self { client, place, shown, current: None, unregistered: false }
    }

    /// Looks once: at the Secret, which is made or renewed where that is due, and at the webhook's `caBundle`.
    ///
    /// A new certificate is shown once its authority is trusted.
    pub async fn tend(&mut self, now: OffsetDateTime) -> Result<(), KeepError> {
        let material = self.settled(now).await?;
        let announced = self.announce(&material.bundle()).await;
        if announced.is_ok() || self.current.is_none() {
            self.shown.show(material.certified()?, material.ends());
            self.current = Some(material);
        }
        announced
    }

    /// The certificates that all replicas agree on.
    async fn settled(&self, now: OffsetDateTime) -> Result<Material, KeepError> {
        let Place { namespace, secret: name, .. } = &self.place;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let failed = |source| KeepError::Secret {
            namespace: namespace.clone(),
            name: name.clone(),
            source: Box::new(source),
        };
        for _ in 0..ATTEMPTS {
            let there = secrets.get_opt(name).await.map_err(failed)?;
            let (material, written) = match self.due(there.as_ref(), now)? {
                Due::Nothing(material) => return Ok(material),
                Due::Write(material) => {
                    let secret = self.secret(there.clone(), &material);
                    let written = match there {
                        None => secrets.create(&PostParams::default(), &secret).await,
                        Some(_) => secrets.replace(name, &PostParams::default(), &secret).await,
                    };
                    (material, written)
                }
            };
            match written {
                Ok(_) => {
                    info!(
                        "a new certificate, until {}, in the Secret {namespace}/{name}",
                        material.ends()
                    );
                    return Ok(material);
                }
                // Another replica was first, and what it has made is as good; or the Secret has just gone.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(problem) => return Err(failed(problem)),
            }
        }
        Err(KeepError::Contended { namespace: namespace.clone(), name: name.clone() })
    }

    fn due(&self, there: Option<&Secret>, now: OffsetDateTime) -> Result<Due, MaterialError> {
        let names = &self.place.names;
        let data = there.and_then(|secret| secret.data.as_ref());
        let read = data.map(Material::read);
        let material = match read {
            Some(Ok(material)) => material,
            Some(Err(problem)) => {
                let Place { namespace, secret, .. } = &self.place;
                warn!("the Secret {namespace}/{secret} is filled anew, since in it {problem}");
                return Ok(Due::Write(Material::make(names, self.current.as_ref(), now)?));
            }
            None => return Ok(Due::Write(Material::make(names, self.current.as_ref(), now)?)),
        };
        Ok(match material.standing(names, now) {
            Standing::Good(_) => Due::Nothing(material),
            Standing::RenewCertificate => Due::Write(material.renewed(names, now)?),
            Standing::RenewAuthority => Due::Write(Material::make(names, Some(&material), now)?),
        })
    }

    /// As it is to be written: over `there`, whose version it then has, so that a change in between refuses it.
    fn secret(&self, there: Option<Secret>, material: &Material) -> Secret {
        let mut secret = there.unwrap_or_else(|| Secret {
            metadata: ObjectMeta {
                namespace: Some(self.place.namespace.clone()),
                name: Some(self.place.secret.clone()),
                labels: Some(
                    [("kubearmor-app".to_owned(), "kubearmor-controller".to_owned())].into(),
                ),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        });
        secret.data.get_or_insert_default().extend(material.write());
        secret
    }

    /// Has the API server trust the authorities of `bundle`. Writes only where it does not yet.
    async fn announce(&mut self, bundle: &str) -> Result<(), KeepError> {
        let name = &self.place.webhook;
        let hooks: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let failed = |source| KeepError::Webhook { name: name.clone(), source: Box::new(source) };
        let Some(registered) = hooks.get_opt(name).await.map_err(failed)? else {
            if !self.unregistered {
                warn!(
                    "there is no ValidatingWebhookConfiguration {name}: policies are not judged when they are applied"
                );
            }
            self.unregistered = true;
            return Ok(());
        };
        self.unregistered = false;
        let trusted = ByteString(bundle.as_bytes().to_vec());
        let entries = registered.webhooks.iter().flatten();
        let stale: Vec<_> = entries
            .filter(|hook| hook.client_config.ca_bundle.as_ref() != Some(&trusted))
            .map(|hook| json!({"name": hook.name, "clientConfig": {"caBundle": trusted}}))
            .collect();
        if stale.is_empty() {
            return Ok(());
        }
        // The version refuses a write by what another replica has changed since.
        let version = registered.resource_version();
        let patch = json!({"metadata": {"resourceVersion": version}, "webhooks": stale});
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        hooks.patch(name, &parameters, &Patch::Strategic(patch)).await.map_err(failed)?;
        info!("the webhook configuration {name} trusts the authority in `{AUTHORITY}`");
        Ok(())
    }
}

enum Due {
    Nothing(Material),
    Write(Material),
}
