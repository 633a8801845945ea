//! Queries for logs: whatever is typed is read or refused with its place, and never more than bounded work.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = wellkept_logstore::query::parse(text) {
        assert!(error.at <= text.len(), "the place lies in the text");
        assert!(!error.expected.is_empty(), "it says what would be accepted");
    }
});
