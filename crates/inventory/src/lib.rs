//! Inventories as Ansible reads them: which hosts there are, in which groups, with which variables.
//!
//! INI, YAML, JSON, folders, scripts and lists of hosts; `group_vars` and `host_vars`; host patterns; export. The
//! crate does no IO: the caller gives it files through [`Files`] and runs scripts. Rendering templates, opening
//! vault texts and connecting are left to others.
#![forbid(unsafe_code)]

mod bounds;
mod export;
mod groups;
mod ini;
mod inventory;
mod json;
mod literal;
mod load;
mod merge;
mod names;
mod pattern;
mod problem;
mod run_time;
mod scalar;
mod script;
mod source;
mod told;
mod value;
mod vars_files;
mod words;
mod yaml;

pub use bounds::{DEPTH_MAX, FILE_BYTES_MAX, GROUPS_MAX, HOSTS_MAX, VARIABLES_MAX};
pub use export::Detail;
pub use inventory::{Group, GroupId, Host, HostId, Inventory};
pub use literal::from_ini;
pub use merge::Magic;
pub use names::check_host_name;
pub use pattern::{Selected, Selection};
pub use problem::{InventoryError, Notice, Place, Problem};
pub use scalar::plain as plain_scalar;
pub use source::{Files, Meta, Options, Seat};
pub use value::{Value, Var, Vars};
pub use vars_files::Sealed;
pub use yaml::{Kind as YamlKind, Node as YamlNode, read as read_yaml};
