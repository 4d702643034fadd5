//! The scenarios of a comparison: what clients do, and what the proxy has to do for them.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::load::{Call, Way};
use crate::proxies::KINDS;

/// One line of the comparison. Names are a contract: results are kept under them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// POST in absolute-form, connections kept
    HttpKeepAlive,
    /// POST in absolute-form, a connection each
    HttpNew,
    /// POST inside intercepted TLS, connections kept
    InterceptedKeepAlive,
    /// POST, each with its own connection, CONNECT and intercepted TLS handshake: what Kibana does
    InterceptedNew,
    /// POST inside TLS that is not intercepted, a CONNECT each
    TunnelNew,
    /// 16 MiB through CONNECT, plain bytes inside
    TunnelBulk,
    /// 16 MiB in absolute-form
    HttpBulk,
}

/// What a proxy does with a scenario's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handling {
    /// Forwards HTTP requests in absolute-form.
    Http,
    /// Terminates TLS inside CONNECT and forwards the HTTP requests in it over TLS.
    Intercept,
    /// Relays what comes through CONNECT.
    Tunnel,
}

impl Scenario {
    pub(crate) const ALL: [Self; 7] = [
        Self::HttpKeepAlive,
        Self::HttpNew,
        Self::InterceptedKeepAlive,
        Self::InterceptedNew,
        Self::TunnelNew,
        Self::TunnelBulk,
        Self::HttpBulk,
    ];

    /// As tables call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::HttpKeepAlive => "http, keep-alive",
            Self::HttpNew => "http, new connection",
            Self::InterceptedKeepAlive => "intercepted, keep-alive",
            Self::InterceptedNew => "intercepted, new CONNECT + TLS",
            Self::TunnelNew => "tunnel, new CONNECT",
            Self::TunnelBulk => "tunnel, 16 MiB",
            Self::HttpBulk => "http, 16 MiB",
        }
    }

    pub(crate) fn handling(self) -> Handling {
        match self {
            Self::HttpKeepAlive | Self::HttpNew | Self::HttpBulk => Handling::Http,
            Self::InterceptedKeepAlive | Self::InterceptedNew => Handling::Intercept,
            Self::TunnelNew | Self::TunnelBulk => Handling::Tunnel,
        }
    }

    pub(crate) fn way(self) -> Way {
        match self {
            Self::HttpKeepAlive | Self::HttpNew | Self::HttpBulk => Way::Http,
            Self::InterceptedKeepAlive | Self::InterceptedNew | Self::TunnelNew => Way::Tls,
            Self::TunnelBulk => Way::TunnelPlain,
        }
    }

    pub(crate) fn call(self) -> Call {
        if self.is_bulk() { Call::Bulk } else { Call::Post }
    }

    pub(crate) fn keep_alive(self) -> bool {
        match self {
            Self::HttpKeepAlive | Self::InterceptedKeepAlive | Self::HttpBulk => true,
            Self::HttpNew | Self::InterceptedNew | Self::TunnelNew | Self::TunnelBulk => false,
        }
    }

    pub(crate) fn is_bulk(self) -> bool {
        match self {
            Self::TunnelBulk | Self::HttpBulk => true,
            Self::HttpKeepAlive
            | Self::HttpNew
            | Self::InterceptedKeepAlive
            | Self::InterceptedNew
            | Self::TunnelNew => false,
        }
    }

    /// Whether the proxy of this name can do it at all.
    pub(crate) fn is_for(self, peer: &str) -> bool {
        KINDS.iter().any(|kind| kind.name == peer && kind.handles(self.handling()))
    }

    /// Clients that call at once.
    pub(crate) fn clients(self) -> usize {
        if self.is_bulk() { 16 } else { 64 }
    }

    /// Calls of each client before the measurement: leaf certificates are made and upstream connections pooled.
    pub(crate) fn warm_up(self) -> usize {
        if self.is_bulk() { 1 } else { 10 }
    }
}
