//! Inventories of YAML: a mistake is an error, whatever is accepted can be asked everything.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    wellkept_fuzz::fleet::inventory("/p/inventory.yml", bytes);
});
