//! The first connection to Redis, which shows whether the server is reachable and accepts the password.
//!
//! opendal retries a refused connection seven times, and hides the server's message about a password. So this connection
//! comes first, with one command for each step. For a cluster, there is none.

use std::time::Duration;

use opendal::{Error, ErrorKind, Result};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    RedisError,
};

use super::answers;
use super::service::Located;

const DEFAULT_PORT: u16 = 6379;

/// Connects, authenticates, and selects the database.
pub(super) async fn check(located: &Located, stall: Duration) -> Result<()> {
    // The application may have installed a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(endpoint) = located.option("endpoint") else { return Ok(()) };
    let Some(address) = address(endpoint) else { return Ok(()) };
    match tokio::time::timeout(stall, log_in(located, address, stall)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            Err(Error::new(ErrorKind::Unexpected, "cannot connect").set_source(error).with_temporary(true))
        }
        Err(_) => Err(Error::new(ErrorKind::Unexpected, answers::no_answer_message(stall)).with_temporary(true)),
    }
}

async fn log_in(located: &Located, address: ConnectionAddr, stall: Duration) -> Result<(), RedisError> {
    let info: ConnectionInfo = address.into_connection_info()?;
    let client = Client::open(info.set_redis_settings(RedisConnectionInfo::default()))?;
    let limits = AsyncConnectionConfig::new().set_connection_timeout(Some(stall)).set_response_timeout(Some(stall));
    let mut connection = client.get_multiplexed_async_connection_with_config(&limits).await?;
    if let Some(password) = located.option("password") {
        let mut login = redis::cmd("AUTH");
        if let Some(user) = located.option("username") {
            login.arg(user);
        }
        login.arg(password).exec_async(&mut connection).await?;
    }
    if let Some(db) = located.number("db").filter(|db| *db != 0) {
        redis::cmd("SELECT").arg(db).exec_async(&mut connection).await?;
    }
    Cmd::new().arg("PING").exec_async(&mut connection).await
}

/// The address of an endpoint, as opendal reads it.
fn address(endpoint: &str) -> Option<ConnectionAddr> {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("tcp", endpoint));
    if matches!(scheme, "unix" | "redis+unix") {
        return Some(ConnectionAddr::Unix(rest.into()));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => (host, port),
        _ => (authority, DEFAULT_PORT),
    };
    match scheme {
        "tcp" | "redis" => Some(ConnectionAddr::Tcp(host.into(), port)),
        "rediss" => Some(ConnectionAddr::TcpTls { host: host.into(), port, insecure: false, tls_params: None }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_as_opendal_reads_it() {
        let tcp = |host: &str, port| Some(ConnectionAddr::Tcp(host.into(), port));
        assert_eq!(address("redis://cache:7000"), tcp("cache", 7000));
        assert_eq!(address("tcp://cache"), tcp("cache", 6379));
        assert_eq!(address("cache:1"), tcp("cache", 1));
        assert_eq!(address("unix:///run/redis.sock"), Some(ConnectionAddr::Unix("/run/redis.sock".into())));
        assert!(matches!(address("rediss://cache"), Some(ConnectionAddr::TcpTls { port: 6379, .. })));
        assert_eq!(address("http://cache"), None);
    }
}
