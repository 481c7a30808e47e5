//! From a service to the senders of its requests: opendal's operators with retries and time limits, or [`Values`] for
//! a service of small values.

use std::sync::Arc;
use std::time::Duration;

use opendal::layers::{RetryLayer, TimeoutLayer};
use opendal::{Operator, Result};

use super::Traffic;
use super::chunks::Values;
#[cfg(feature = "over-http")]
use super::http::Transport;
use super::service::{Located, Service, Target};

/// The number of attempts after the first.
const RETRIES: usize = 2;
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The sender of requests.
pub(super) enum Backend {
    /// A service of objects.
    Objects(Operators),
    /// A service of small values.
    Values(Values),
}

/// The operators. Uploads have a time limit by size, so the stall time is for reads only.
pub(super) struct Operators {
    pub(super) read: Operator,
    pub(super) write: Operator,
}

impl Backend {
    /// Sets up a service. Only for Redis, this opens a connection: later, opendal hides the error for a wrong password.
    pub(super) async fn new(service: &Arc<Service>, stall: Duration, traffic: &Arc<Traffic>) -> Result<Self> {
        match &service.target {
            #[cfg(feature = "s3")]
            Target::S3(location) => Ok(Self::objects(location.operator(stall, Arc::clone(traffic)).await?, stall)),
            #[cfg(feature = "fs")]
            Target::Fs(root) => {
                let temporary = root.join("v1").join("tmp");
                let service = opendal::services::Fs::default().root(&root.to_string_lossy());
                let operator = Operator::new(service.atomic_write_dir(&temporary.to_string_lossy()))?;
                Ok(Self::objects(operator, stall))
            }
            Target::Other(located) => match service.kind.largest_value {
                Some(largest) => Self::values(service, located, largest, stall).await,
                None => Ok(Self::objects(located_operator(service, located, stall, traffic)?, stall)),
            },
        }
    }

    fn objects(base: Operator, stall: Duration) -> Self {
        let retry = RetryLayer::new().with_max_times(RETRIES).with_min_delay(RETRY_DELAY).with_jitter().with_notify(
            |event: opendal::layers::RetryEvent<'_>| tracing::debug!(error = event.err.message(), "retry"),
        );
        let timeout = TimeoutLayer::new().with_timeout(stall).with_io_timeout(stall);
        Self::Objects(Operators { read: base.clone().layer(timeout).layer(retry.clone()), write: base.layer(retry) })
    }

    async fn values(service: &Arc<Service>, located: &Located, largest: usize, stall: Duration) -> Result<Self> {
        #[cfg(feature = "redis")]
        if service.kind.name == "redis" {
            super::redis::check(located, stall).await?;
        }
        let _ = located;
        let service = Arc::clone(service);
        let build = move || match &service.target {
            Target::Other(located) => service.build(located),
            #[cfg(any(feature = "s3", feature = "fs"))]
            _ => unreachable!("only other services have small values"),
        };
        Values::new(build, largest, stall).map(Self::Values)
    }
}

/// An operator for a service that opendal configures from options.
fn located_operator(service: &Service, located: &Located, stall: Duration, traffic: &Arc<Traffic>) -> Result<Operator> {
    let operator = service.build(located)?;
    #[cfg(feature = "over-http")]
    if service.kind.is_http {
        let endpoint = match (located.option("endpoint"), service.kind.name) {
            // GitHub's service answers with URLs on other hosts.
            (_, "ghac") => "",
            (Some(endpoint), _) => endpoint,
            (None, "gcs") => "https://storage.googleapis.com",
            (None, _) => "",
        };
        let transport = Transport::new(endpoint, service.kind.name, stall, Arc::clone(traffic))?;
        let context = opendal::OperationContext::new().with_http_transport(opendal::HttpTransporter::new(transport));
        return Ok(operator.with_context(context));
    }
    let _ = (stall, traffic);
    Ok(operator)
}
