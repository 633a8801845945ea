//! Playbooks give the output and exit code that ansible-playbook 2.19.14 gave for them (`plays/*.out`, recorded).

use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use wellkept_inventory::{Files, Inventory, Meta, Value};
use wellkept_playbook::book::Loader;
use wellkept_playbook::run::{Next, Options, Outcome, Run, Work};
use wellkept_playbook::template::{Engine, Outside};

struct Disk;

impl Files for Disk {
    fn stat(&self, path: &str) -> Result<Option<Meta>, String> {
        let found = std::fs::metadata(path).ok();
        Ok(found.map(|meta| Meta {
            folder: meta.is_dir(),
            owner: 0,
            group: 0,
            mode: 0o644,
            size: meta.len(),
        }))
    }
    fn list(&self, path: &str) -> Result<Vec<String>, String> {
        let entries = std::fs::read_dir(path).map_err(|e| e.to_string())?;
        Ok(entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
    }
    fn read(&self, path: &str, _: u64) -> Result<(Meta, Vec<u8>), String> {
        let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
        Ok((Meta { folder: false, owner: 0, group: 0, mode: 0o644, size: bytes.len() as u64 }, bytes))
    }
    fn run(&self, _: &str, _: &[&str], _: u64) -> Result<Vec<u8>, String> {
        Err("no scripts".to_owned())
    }
}

struct Nothing;

impl Outside for Nothing {}

/// Does what the modules of the playbooks do: `command: echo …`.
fn module(work: &Work) -> Outcome {
    let text = |text: &str| Value::Text(text.to_owned());
    let raw = work
        .args
        .iter()
        .find(|(name, _)| name == "_raw_params")
        .and_then(|(_, v)| v.as_text().map(str::to_owned));
    let out = raw.unwrap_or_default().trim_start_matches("echo").trim().to_owned();
    Outcome::Done(Value::Map(vec![
        (text("changed"), Value::Bool(true)),
        (text("rc"), Value::Int(0)),
        (text("stdout"), text(&out)),
        (text("stderr"), text("")),
    ]))
}

fn play(file: &str, options: Options) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plays");
    let inventory =
        Inventory::read(&Disk, &[&format!("{folder}/hosts.ini")], &wellkept_inventory::Options::default());
    let engine = Rc::new(Engine::new(Rc::new(Disk), Rc::new(Nothing)));
    let mut loader =
        Loader::new(Rc::clone(&engine), |name| matches!(name, "command" | "setup" | "gather_facts"));
    let book = loader.playbook(&format!("{folder}/{file}")).unwrap_or_else(|error| panic!("{error}"));
    let mut run = Run::new(engine, loader, book, inventory.expect("a good inventory"), options);
    let mut lines = Vec::new();
    let mut now = 1_000_000;
    let mut queue: VecDeque<Work> = VecDeque::new();
    for _ in 0..100_000 {
        // Answers are taken one after another, as with one fork.
        if let Some(work) = queue.pop_front() {
            run.handle(now, work.id, module(&work));
        }
        let next = run.poll(now);
        lines.extend(run.output());
        match next {
            Next::Work(more) => queue.extend(more),
            Next::Until(due) if queue.is_empty() => now = due,
            Next::Wait if queue.is_empty() => panic!("the run waits for nothing"),
            Next::Wait | Next::Until(_) => {}
            Next::Ask(_) => run.answer(Value::Text("answer".to_owned())),
            Next::Done(code) => {
                return format!("{}\nexit {code}\n", lines.join("\n")).replace(folder, "$DIR");
            }
        }
    }
    panic!("the run does not end");
}

fn check(name: &str, options: Options) {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/plays/{name}.yml.out"));
    let theirs = std::fs::read_to_string(recorded).expect("a recording");
    let ours = play(&format!("{name}.yml"), options);
    if theirs != ours {
        let differ = theirs.lines().zip(ours.lines()).position(|(a, b)| a != b).unwrap_or(0);
        let show =
            |text: &str| text.lines().skip(differ.saturating_sub(6)).take(26).collect::<Vec<_>>().join("\n");
        panic!("{name} differs in line {differ}\n=== theirs\n{}\n=== ours\n{}", show(&theirs), show(&ours));
    }
}

macro_rules! plays {
    ($($test:ident: $name:literal $(, $options:expr)?;)*) => { $(
        #[test]
        fn $test() {
            #[allow(unused_mut, unused_assignments)]
            let mut options = Options::default();
            $( options = $options; )?
            check($name, Options { forks: 1, ..options });
        }
    )* };
}

plays! {
    variables_conditions_and_facts: "01_basic";
    loops_of_every_kind: "02_loops";
    blocks_rescue_and_always: "03_blocks";
    handlers_listen_and_flush: "04_handlers";
    roles_dependencies_and_argument_specs: "05_roles";
    includes_groups_and_added_hosts: "06_includes";
    serial_run_once_and_delegation: "07_serial";
    failing_hosts_leave_the_play: "08_fail";
    max_fail_percentage_ends_the_run: "09_maxfail";
    any_errors_fatal_ends_the_run: "10_anyfatal";
    retries_assertions_and_precedence: "11_misc";
    the_strategy_free: "12_free";
    tags_choose_tasks: "13_tags", Options { tags: vec!["a".to_owned()], ..Options::default() };
    meta_ends_hosts_and_plays: "14_meta";
    every_level_of_precedence: "16_precedence";
    handlers_of_roles_and_blocks: "17_handlers2";
    includes_within_includes: "18_nested";
    failures_in_rescue_and_always: "19_blocks2";
    run_once_and_delegated_facts: "20_runonce";
    loops_over_files_and_retries: "21_loops2";
    debug_assert_and_types: "22_debug";
    the_strategy_free_on_two_hosts: "23_free2";
    a_prompt_that_the_command_line_answers: "24_prompt", Options { extra: vec![("pv".to_owned(), Value::Text("given".to_owned()))], ..Options::default() };
    order_serial_and_rescued_fatal_errors: "25_order";
    imported_playbooks_roles_and_tasks: "26_import";
    extra_variables_win: "15_extra", Options { extra: vec![("e".to_owned(), Value::Text("extra".to_owned()))], ..Options::default() };
}
