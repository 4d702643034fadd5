//! Classes of IP addresses, and whether a name may be reached at the addresses it resolved to.
