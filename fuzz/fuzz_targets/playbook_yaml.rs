//! Playbooks: a mistake is an error, and what is accepted runs on hosts that answer.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    wellkept_fuzz::fleet::playbook(bytes);
});
