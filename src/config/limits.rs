//! The range and default of every number, and why values outside the range are refused.

/// A number's key, default and range, both ends included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) key: &'static str,
    pub(super) default: u64,
    pub(super) min: u64,
    pub(super) max: u64,
    /// Completes the sentence "N is outside MIN to MAX: ".
    pub(super) why: &'static str,
}

const fn bounds(key: &'static str, default: u64, min: u64, max: u64, why: &'static str) -> Bounds {
    Bounds { key, default, min, max, why }
}

const MIB: u64 = 1024 * 1024;
const ENTRIES: &str = "an empty cache repeats the work for every call, a very large one exhausts memory";
const POOL: &str = "more idle connections than this exhaust file descriptors; 0 keeps none";
const SHORT_WAIT: &str = "shorter cuts off slow clients, longer lets idle ones hold connections";

pub(super) const THREADS: Bounds = bounds("threads", 0, 1, 1024, "at least one worker thread is needed");

pub(super) const LEAF_CACHE_ENTRIES: Bounds = bounds("interception.leaf_cache_entries", 4096, 1, 1_000_000, ENTRIES);
pub(super) const LEAF_VALID_DAYS: Bounds =
    bounds("interception.leaf_valid_days", 190, 1, 195, "clients refuse certificates valid for more than 200 days");

/// Host patterns under `upstream.hosts`; each new connection looks through them.
pub(super) const UPSTREAM_HOSTS_MAX: u64 = 1000;
pub(super) const POOL_IDLE_PER_DESTINATION_MAX: Bounds =
    bounds("upstream.pool_idle_per_destination_max", 64, 0, 10_000, POOL);
pub(super) const POOL_IDLE_MAX: Bounds = bounds("upstream.pool_idle_max", 4096, 0, 100_000, POOL);
pub(super) const POOL_IDLE_TIMEOUT_S: Bounds = bounds(
    "upstream.pool_idle_timeout_s",
    50,
    1,
    3600,
    "most servers close idle connections within a minute or so, and a closed one costs a retry",
);
pub(super) const DNS_CACHE_TTL_S: Bounds =
    bounds("upstream.dns_cache_ttl_s", 30, 0, 3600, "a longer time misses fail-overs made by DNS; 0 asks every time");
pub(super) const DNS_CACHE_ENTRIES: Bounds = bounds("upstream.dns_cache_entries", 4096, 1, 1_000_000, ENTRIES);

pub(super) const DNS_IN_FLIGHT_MAX: Bounds =
    bounds("upstream.dns_in_flight_max", 64, 1, 512, "each lookup under way occupies a thread");

pub(super) const SEAL_AFTER_S: Bounds =
    bounds("audit.seal_after_s", 10, 1, 3600, "shorter makes many tiny files, longer keeps rows out of Parquet");
pub(super) const SEGMENT_BYTES_MAX: Bounds = bounds(
    "audit.segment_bytes_max",
    64 * MIB,
    MIB,
    256 * MIB,
    "smaller makes many tiny files, larger needs as much memory to be sealed",
);
pub(super) const SYNC_INTERVAL_MS: Bounds = bounds(
    "audit.sync_interval_ms",
    1000,
    10,
    60_000,
    "shorter costs as much as syncing every commit, longer loses more to a power failure",
);
pub(super) const COMMIT_GAP_US: Bounds =
    bounds("audit.commit_gap_us", 1000, 0, 100_000, "every call waits up to this long before it leaves");
pub(super) const WAIT_MAX_MS: Bounds =
    bounds("audit.wait_max_ms", 5000, 10, 30_000, "a call must be answered before its client gives up");
pub(super) const BACKLOG_FRAMES_MAX: Bounds = bounds(
    "audit.backlog_frames_max",
    65_536,
    1024,
    10_000_000,
    "fewer lose evidence in a short disk failure, more exhaust memory in a long one",
);
pub(super) const FREE_BYTES_MIN: Bounds = bounds(
    "audit.free_bytes_min",
    64 * MIB,
    MIB,
    1024 * 1024 * MIB,
    "sealing needs room to write Parquet beside the journal",
);

const EXCERPT: &str =
    "each call under way holds this much memory, and each row grows by what is left of it; 0 keeps none";
pub(super) const EXCERPT_REQUEST_BYTES: Bounds = bounds("audit.excerpts.request_bytes", 0, 0, 65_536, EXCERPT);
pub(super) const EXCERPT_RESPONSE_BYTES: Bounds = bounds("audit.excerpts.response_bytes", 0, 0, 65_536, EXCERPT);
pub(super) const WATCH_S: Bounds =
    bounds("audit.watch_s", 60, 1, 86_400, "shorter keeps the disk busy, longer notices removed evidence late");
pub(super) const WATCH_FILES_MAX: Bounds = bounds(
    "audit.watch_files_max",
    20_000,
    100,
    1_000_000,
    "each file takes some 300 bytes of memory and is looked at every audit.watch_s; older ones are not watched",
);
pub(super) const HEARTBEAT_S: Bounds = bounds(
    "audit.heartbeat_s",
    3600,
    1,
    86_400,
    "shorter fills the chain with silence, longer leaves it open whether the proxy ran",
);

pub(super) const ANCHOR_EVERY_S: Bounds = bounds(
    "audit.anchor_every_s",
    300,
    1,
    86_400,
    "this is how much of the evidence the holder of the key can rewrite unseen; each anchor is kept for ever",
);
pub(super) const ANCHOR_TIMEOUT_S: Bounds =
    bounds("audit.anchors timeout_s", 20, 1, 600, "a command that hangs keeps later heads from being anchored");

pub(super) const KEEP_DAYS: Bounds =
    bounds("audit.keep_days", 0, 1, 36_500, "leave the key out to keep rows for ever; they are removed by whole days");
pub(super) const COMPACT_AFTER_S: Bounds = bounds(
    "audit.compact_after_s",
    3600,
    60,
    30 * 86_400,
    "shorter rewrites a day again for each late row, longer leaves it in many small files",
);
pub(super) const COMPACT_ROWS_MAX: Bounds = bounds(
    "audit.compact_rows_max",
    500_000,
    1000,
    4_000_000,
    "fewer make many files, and each row takes up to 80 bytes of memory while its file is rewritten",
);
pub(super) const COMPACT_BYTES_MAX: Bounds = bounds(
    "audit.compact_bytes_max",
    256 * MIB,
    MIB,
    4096 * MIB,
    "less makes many files, and the disk has to have room for as much twice",
);
pub(super) const COMPACT_GRACE_S: Bounds = bounds(
    "audit.compact_grace_s",
    10,
    0,
    3600,
    "shorter may let a query miss rows of a day that is rewritten under it, longer keeps replaced files on the disk",
);
pub(super) const MAINTENANCE_EVERY_S: Bounds = bounds(
    "audit.maintenance_every_s",
    3600,
    1,
    86_400,
    "shorter lists the dataset for nothing, longer keeps rows beyond audit.keep_days",
);

pub(super) const HEADER_BYTES_MAX: Bounds =
    bounds("limits.header_bytes_max", 65_536, 8192, MIB, "connectors send heads of several KiB; larger is an attack");
pub(super) const HEADER_FIELDS_MAX: Bounds =
    bounds("limits.header_fields_max", 100, 32, 1000, "SDKs send some thirty fields; many more is an attack");
pub(super) const CONNECTIONS_MAX: Bounds =
    bounds("limits.connections_max", 10_000, 1, 1_000_000, "each connection holds file descriptors and memory");
pub(super) const HTTP2_STREAMS_MAX: Bounds =
    bounds("limits.http2_streams_max", 100, 1, 1000, "each stream is a request under way");
pub(super) const CONNECTIONS_PER_CLIENT_MAX: Bounds = bounds(
    "limits.connections_per_client_max",
    2048,
    1,
    1_000_000,
    "one client must be able to connect, and not to take every connection",
);
pub(super) const CONNECT_WAIT_S: Bounds = bounds("limits.connect_wait_s", 30, 1, 600, SHORT_WAIT);
pub(super) const HANDSHAKE_TIMEOUT_S: Bounds = bounds("limits.handshake_timeout_s", 10, 1, 120, SHORT_WAIT);
pub(super) const DIAL_TIMEOUT_S: Bounds = bounds(
    "limits.dial_timeout_s",
    15,
    1,
    30,
    "a CONNECT must be answered well before Kibana's response timeout of 60 s",
);
pub(super) const RESPONSE_HEAD_TIMEOUT_S: Bounds = bounds(
    "limits.response_head_timeout_s",
    300,
    1,
    3600,
    "language models think for minutes, and a server that never answers holds a connection",
);
pub(super) const IDLE_TIMEOUT_S: Bounds =
    bounds("limits.idle_timeout_s", 900, 600, 86_400, "established streams are quiet for up to 10 minutes");
pub(super) const KEEP_ALIVE_TIMEOUT_S: Bounds = bounds("limits.keep_alive_timeout_s", 60, 1, 3600, SHORT_WAIT);
pub(super) const DRAIN_TIMEOUT_S: Bounds = bounds(
    "limits.drain_timeout_s",
    20,
    0,
    3600,
    "service managers kill a process that takes longer to stop; 0 ends exchanges at once",
);
pub(super) const CLOSE_TIMEOUT_S: Bounds = bounds(
    "limits.close_timeout_s",
    60,
    1,
    3600,
    "what is not sealed and anchored by then waits for the next start; with limits.drain_timeout_s it is the longest stop",
);
pub(super) const DNS_TIMEOUT_S: Bounds =
    bounds("limits.dns_timeout_s", 5, 1, 30, "resolving is part of the dial, which must end within 30 s");

pub(super) const TUNNEL_PORT: Bounds = bounds("tunnel_ports", 0, 1, 65_535, "a TCP port is a number in this range");
