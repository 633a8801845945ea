//! The language of Ansible playbooks (ansible-core 2.19 and later): templates, reading, the order of running.
//!
//! Pure: files come through `wellkept_inventory::Files`, everything else of the machine through
//! [`template::Outside`]; time and randomness are given. Connecting to hosts and what modules do there is left to
//! others.
#![forbid(unsafe_code)]

pub mod book;
pub mod crypt;
mod json;
pub mod run;
pub mod template;
pub mod vault;
