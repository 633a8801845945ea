//! How much of everything an inventory may hold.

/// Most bytes of one inventory or variable file, and of one script's output.
pub const FILE_BYTES_MAX: u64 = 32 << 20;
/// Most hosts.
pub const HOSTS_MAX: usize = 100_000;
/// Most groups.
pub const GROUPS_MAX: usize = 20_000;
/// Most memberships of hosts in groups; ranges listed under many groups make these.
pub(crate) const MEMBERS_MAX: usize = 2_000_000;
/// Most links from groups to groups below them.
pub(crate) const CHILD_LINKS_MAX: usize = 100_000;
/// Most lines of a drawn graph: a group is drawn again under each group above it.
pub(crate) const GRAPH_LINES_MAX: usize = 1_000_000;
/// Most variables of all hosts and groups together.
pub const VARIABLES_MAX: usize = 2_000_000;
/// Most levels of lists and maps within each other, and of groups and folders.
pub const DEPTH_MAX: usize = 64;
/// Most values of one file, with aliases put in.
pub(crate) const NODES_MAX: usize = 2_000_000;
/// Most files of a folder.
pub(crate) const FOLDER_FILES_MAX: usize = 10_000;
/// Most bytes of a host's or group's name.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// Most bytes that a `~regex` may become when compiled.
pub(crate) const REGEX_BYTES_MAX: usize = 1 << 20;
