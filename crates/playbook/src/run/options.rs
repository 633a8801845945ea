//! What the command line says of a run.

use crate::book::Named;

/// Options of a run; the names are those of ansible-playbook.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Options {
    /// `--check`.
    pub check: bool,
    /// `--diff`.
    pub diff: bool,
    /// `--tags`; `all` when nothing is said.
    pub tags: Vec<String>,
    /// `--skip-tags`.
    pub skip_tags: Vec<String>,
    /// `--limit`, each pattern on its own.
    pub limit: Vec<String>,
    /// `--start-at-task`.
    pub start_at_task: Option<String>,
    /// `-e`.
    pub extra: Named,
    /// `--become`.
    pub becomes: bool,
    /// `--become-user`.
    pub become_user: Option<String>,
    /// `--become-method`.
    pub become_method: Option<String>,
    /// `--user`.
    pub remote_user: Option<String>,
    /// `--connection`.
    pub connection: Option<String>,
    /// `--force-handlers`.
    pub force_handlers: bool,
    /// `--forks`: hosts at work at once.
    pub forks: usize,
    /// `--step`.
    pub step: bool,
    /// Hosts wait for each other after each task, and nothing is promised before its turn.
    pub lock_step: bool,
    /// Plays that do not say `gather_facts` gather them.
    pub gather: bool,
    /// Facts are seen as `ansible_<fact>` too.
    pub inject_facts: bool,
    /// `-v`: so many; from one on each line tells the whole result.
    pub verbosity: u8,
    /// What `ansible_version.full` says.
    pub version: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            check: false,
            diff: false,
            tags: vec!["all".to_owned()],
            skip_tags: Vec::new(),
            limit: Vec::new(),
            start_at_task: None,
            extra: Vec::new(),
            becomes: false,
            become_user: None,
            become_method: None,
            remote_user: None,
            connection: None,
            force_handlers: false,
            forks: 5,
            step: false,
            lock_step: false,
            gather: true,
            inject_facts: true,
            verbosity: 0,
            version: "2.19.14".to_owned(),
        }
    }
}
