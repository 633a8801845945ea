//! Follows what this host writes and hears: files, the journal, syslog.
#![forbid(unsafe_code)]
