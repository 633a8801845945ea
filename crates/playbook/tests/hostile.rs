//! Bad input: template bombs are bounded, what hosts say stays text, mistakes are named with their place.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use wellkept_inventory::{Files, Meta, Value};
use wellkept_playbook::book::Loader;
use wellkept_playbook::template::{Engine, Outside, Scope, Syntax, TemplateError};
use wellkept_playbook::vault;

/// Files in memory.
struct Memory(BTreeMap<String, String>);

impl Files for Memory {
    fn stat(&self, path: &str) -> Result<Option<Meta>, String> {
        let below = format!("{path}/");
        let folder = self.0.keys().any(|name| name.starts_with(&below));
        let there = folder || self.0.contains_key(path);
        Ok(there.then_some(Meta { folder, owner: 0, group: 0, mode: 0o644, size: 0 }))
    }
    fn list(&self, path: &str) -> Result<Vec<String>, String> {
        let below = format!("{path}/");
        let names = self.0.keys().filter_map(|name| name.strip_prefix(&below));
        Ok(names.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }
    fn read(&self, path: &str, _: u64) -> Result<(Meta, Vec<u8>), String> {
        let text = self.0.get(path).ok_or_else(|| format!("no {path}"))?;
        Ok((Meta { folder: false, owner: 0, group: 0, mode: 0o644, size: 0 }, text.clone().into_bytes()))
    }
    fn run(&self, _: &str, _: &[&str], _: u64) -> Result<Vec<u8>, String> {
        Err("no scripts".to_owned())
    }
}

struct Vault;

impl Outside for Vault {
    fn open_vault(&self, sealed: &str) -> Result<String, String> {
        let open = vault::open(sealed, [&b"secret"[..]]).map_err(|e| e.to_string())?;
        String::from_utf8(open).map_err(|e| e.to_string())
    }
}

struct Vars(BTreeMap<String, Arc<Value>>);

impl Scope for Vars {
    fn get(&self, name: &str) -> Option<Arc<Value>> {
        self.0.get(name).cloned()
    }
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

fn engine(files: &[(&str, &str)]) -> Rc<Engine> {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Rc::new(Engine::new(Rc::new(Memory(files)), Rc::new(Vault)))
}

fn render(template: &str, vars: &[(&str, Value)]) -> Result<Option<Value>, TemplateError> {
    let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), Arc::new(value.clone()))).collect();
    engine(&[]).session(Rc::new(Vars(vars))).render(template)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn bombs_end_at_a_bound() {
    let doubled = "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(90) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}";
    let listed =
        "{% set ns = namespace(x=[1]) %}{% for i in range(90) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
    let loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
    let macros = "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}";
    for bomb in [
        doubled,
        listed,
        loops,
        macros,
        "{{ 'a' * 9999999999 }}",
        "{{ [1] * 99999999 }}",
        "{{ range(100000) | product(range(100000)) | list }}",
        "{{ range(30) | permutations(20) | list }}",
        "{{ 'x' | indent(99999999) }}",
        "{{ '%999999999d' % 1 }}",
        "{{ 'x'.ljust(999999999999) }}",
        "{{ query('sequence', 'count=999999999999') }}",
        "{{ lookup('sequence', 'start=0 end=99999999999') }}",
        "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}",
    ] {
        let error = render(bomb, &[]).expect_err(bomb);
        assert!(matches!(error, TemplateError::Bound { .. } | TemplateError::Value(_)), "{bomb}: {error}");
    }
}

#[test]
fn deep_nesting_ends_at_a_bound_and_not_in_a_crash() {
    for deep in [
        format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000)),
        format!("{{{{ {}1 }}}}", "-".repeat(5000)),
        format!("{{{{ {}true }}}}", "not ".repeat(5000)),
        format!("{{{{ 1{} }}}}", "+1".repeat(5000)),
        format!("{{{{ 1{} }}}}", " or 1".repeat(5000)),
        format!("{{{{ x{} }}}}", ".a".repeat(5000)),
        format!("{{{{ 1{} }}}}", "|abs".repeat(5000)),
        format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(5000)),
        "{% if 1 %}".repeat(5000),
        format!("{{{{ {}", "[".repeat(5000)),
    ] {
        let error = render(&deep, &[]).expect_err("too deep");
        assert!(matches!(error, TemplateError::Bound { .. } | TemplateError::Syntax { .. }), "{error}");
    }
    let mut chain: Vec<(String, Value)> =
        (0..500).map(|n| (format!("v{n}"), text(&format!("{{{{ v{} }}}}", n + 1)))).collect();
    chain.push(("v500".to_owned(), text("end")));
    let vars: Vec<(&str, Value)> = chain.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert!(matches!(render("{{ v0 }}", &vars), Err(TemplateError::Bound { .. })));
    assert_eq!(render("{{ v470 }}", &vars), Ok(Some(Value::Unsafe("end".to_owned()))));
}

#[test]
fn what_hosts_say_is_never_rendered() {
    let fact = Value::Map(vec![(text("os"), Value::Unsafe("{{ secret }}".to_owned()))]);
    let vars = [("fact", fact), ("secret", text("s3cret")), ("copy", text("{{ fact.os }}"))];
    for template in ["{{ fact.os }}", "{{ copy }}", "{{ fact['os'] | string }}", "{{ [fact.os] | first }}"] {
        assert_eq!(render(template, &vars), Ok(Some(Value::Unsafe("{{ secret }}".to_owned()))), "{template}");
    }
}

#[test]
fn look_around_and_back_references_work_on_short_texts_and_within_bounds() {
    let said = |template: &str| render(template, &[]);
    for (found, expected) in [
        (r"'web1-eu.example' | regex_search('^\w+(?=-)')", "web1"),
        (r"'a1b22' | regex_findall('(?<=[a-z])\d+') | join(',')", "1,22"),
        (r"'keep drop' | regex_replace('\b(?!keep)\w+', 'x')", "keep x"),
        (r"'the the cat' | regex_replace('(\w+) \1', '\1')", "the cat"),
        (r"'abab' | regex_search('(?P<p>ab)(?P=p)')", "abab"),
        (r"('v1' is match('v(?!2)')) ~ ('v2' is match('v(?!2)'))", "TrueFalse"),
    ] {
        let is_so = said(&format!("{{{{ ({found}) == '{expected}' }}}}"));
        assert_eq!(is_so, Ok(Some(Value::Bool(true))), "{found}");
    }
    let long = said("{{ ('a' * 20000) | regex_search('(?=b)a') }}").expect_err("too long").to_string();
    assert!(long.contains("20000 bytes") && long.contains("accepted"), "{long}");
    let bomb =
        said(r"{{ ('a' * 3000) | regex_search('(?=(a+)+b)(a*)*\1c') }}").expect_err("given up").to_string();
    assert!(bomb.contains("given up"), "{bomb}");
    let many = said("{{ ('ab' * 8000) | regex_findall('(?=b)b') | length }}").expect_err("too many");
    assert!(matches!(many, TemplateError::Bound { .. }), "{many}");
}

#[test]
fn template_files_take_a_header_and_trim_blocks() {
    let engine = engine(&[]);
    let vars: Rc<dyn Scope> = Rc::new(Vars([("n".to_owned(), Arc::new(Value::Int(7)))].into()));
    let file = |source: &str| {
        engine.session(Rc::clone(&vars)).file(source, &Syntax::of_files()).map_err(|e| e.to_string())
    };
    assert_eq!(file("a\n{% if n %}\nb {{ n }}\n{% endif %}\n"), Ok("a\nb 7\n".to_owned()));
    assert_eq!(
        file(
            "#jinja2: variable_start_string:'[%', variable_end_string:'%]', trim_blocks: False\n[% n %] {{ n }}\n{% if n %}\nx{% endif %}\n"
        ),
        Ok("7 {{ n }}\n\nx\n".to_owned())
    );
    assert_eq!(
        file("#jinja2: lstrip_blocks: True\n  {% if n %}\n  x\n  {% endif %}\n"),
        Ok("  x\n".to_owned())
    );
    assert_eq!(file("{{ 'a\\tb' }}"), Ok("a\tb".to_owned()));
    assert!(file("#jinja2: nonsense: 1\nx").is_err());
    let session = engine.session(Rc::clone(&vars));
    assert!(session.file("a\nb\n{{ missing }}\n", &Syntax::of_files()).is_err());
    assert_eq!(session.line(), 3);
}

#[test]
fn older_conditions_need_a_switch() {
    let vars: Rc<dyn Scope> = Rc::new(Vars([("s".to_owned(), Arc::new(text("yes")))].into()));
    let mut engine = Engine::new(Rc::new(Memory(BTreeMap::new())), Rc::new(Vault));
    assert!(engine.session(Rc::clone(&vars)).test(&text("s")).is_err());
    engine.broken_conditionals = true;
    assert_eq!(engine.session(vars).test(&text("s")), Ok(true));
}

#[test]
fn texts_of_ansible_vault_open_and_ours_are_the_same_bytes() {
    for sealed in [include_str!("data/vault-1.1"), include_str!("data/vault-1.2")] {
        assert_eq!(vault::open(sealed, [&b"secret"[..]]).as_deref(), Ok(&b"a: 1\nb: {{ x }}\n"[..]));
    }
    assert_eq!(vault::label(include_str!("data/vault-1.2")), Some("dev"));
}

#[test]
fn sealed_values_open_when_they_are_used() {
    let sealed = include_str!("data/vault-1.1").to_owned();
    let vars = [("v", Value::Vault(sealed))];
    // What was sealed is data: the template in it stays.
    assert_eq!(render("{{ v }}", &vars), Ok(Some(Value::Unsafe("a: 1\nb: {{ x }}\n".to_owned()))));
    assert_eq!(render("{{ v is vault_encrypted }}", &vars), Ok(Some(Value::Bool(true))));
}

fn read(files: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let engine = engine(files);
    let mut loader = Loader::new(engine, |name| matches!(name, "command" | "copy" | "apt"));
    let book = loader.playbook("/p/site.yml").map_err(|error| error.to_string())?;
    Ok(book.unsupported.iter().map(|(place, name)| format!("{place} {name}")).collect())
}

#[test]
fn mistakes_are_told_with_file_line_and_column() {
    for (text, wanted) in [
        (
            "- hosts: all\n  tasks:\n    - command: x\n      whne: y\n",
            "/p/site.yml:4:7: 'whne' is not a valid attribute for a Task",
        ),
        ("- hosts: all\n  taks: []\n", "/p/site.yml:2:3: 'taks' is not a valid attribute for a Play"),
        ("- hosts: all\n  tasks:\n    - name: x\n", "/p/site.yml:3:7: no module/action detected in task"),
        (
            "- hosts: all\n  tasks:\n    - command: x\n      copy: y=1\n",
            "/p/site.yml:3:7: conflicting action statements: command, copy",
        ),
        (
            "- hosts: all\n  tasks:\n    - block: []\n      loop: [1]\n",
            "/p/site.yml:4:7: 'loop' is not a valid attribute for a Block",
        ),
        (
            "- hosts: all\n  tasks:\n    - command: x\n      with_nonsense: [1]\n",
            "/p/site.yml:4:7: 'with_nonsense' is not a valid attribute",
        ),
        ("- hosts: all\n  roles: [nope]\n", "/p/site.yml:2:11: the role 'nope' was not found"),
        (
            "- hosts: all\n  tasks:\n    - import_tasks: nope.yml\n",
            "/p/site.yml:3:7: could not find or access 'nope.yml'",
        ),
        ("- hosts: all\n  strategy: odd\n", "/p/site.yml:1:3: the strategy 'odd' is not supported"),
        ("- hosts:\n", "/p/site.yml:1:"),
        ("- tasks: []\n", "/p/site.yml:1:3: expected the field 'hosts' of a play"),
        ("hosts: all\n", "/p/site.yml:1:1: expected a list of plays"),
        ("- hosts: all\n  tasks:\n    - copy: {a: b\n", "/p/site.yml:"),
        ("- hosts: all\n  tasks:\n    - copy: word\n", "/p/site.yml:3:13: the arguments cannot be read"),
        ("- hosts: all\n  vars_prompt: [{prompt: x}]\n", "/p/site.yml:2:17: expected a prompt with a name"),
        ("- import_playbook: nope.yml\n", "/p/site.yml:1:3: could not find or access"),
        ("", "/p/site.yml: expected a list of plays"),
    ] {
        let error = read(&[("/p/site.yml", text)]).expect_err(text);
        assert!(error.starts_with(wanted), "{text}\n  wanted {wanted}\n  found  {error}");
    }
}

#[test]
fn modules_that_are_not_supported_are_named_before_the_run() {
    let site = "- hosts: all\n  roles: [r]\n  tasks:\n    - command: x\n    - strange: {a: b}\n    - community.odd.thing:\n    - strange: {a: c}\n";
    let found = read(&[("/p/site.yml", site), ("/p/roles/r/tasks/main.yml", "- odd_one: {}\n")]);
    assert_eq!(
        found,
        Ok(vec![
            "/p/roles/r/tasks/main.yml:1:3 odd_one".to_owned(),
            "/p/site.yml:5:7 strange".to_owned(),
            "/p/site.yml:6:7 community.odd.thing".to_owned()
        ])
    );
}

#[test]
fn circles_of_imports_and_roles_end_at_a_bound() {
    let tasks = read(&[
        ("/p/site.yml", "- hosts: all\n  tasks:\n    - import_tasks: t.yml\n"),
        ("/p/t.yml", "- import_tasks: t.yml\n"),
    ]);
    assert!(tasks.expect_err("a circle").contains("levels"));
    let roles = read(&[
        ("/p/site.yml", "- hosts: all\n  roles: [a]\n"),
        ("/p/roles/a/meta/main.yml", "dependencies: [b]\n"),
        ("/p/roles/b/meta/main.yml", "dependencies: [a]\n"),
    ]);
    assert!(roles.expect_err("a circle").contains("levels"));
    let books = read(&[("/p/site.yml", "- import_playbook: site.yml\n")]);
    assert!(books.expect_err("a circle").contains("levels"));
}

#[test]
fn sealed_files_are_opened_while_reading() {
    let sealed = vault::seal(b"- hosts: all\n  tasks: [{command: x}]\n", b"secret", None, &[1; 32]);
    assert_eq!(read(&[("/p/site.yml", &sealed)]), Ok(Vec::new()));
    let other = vault::seal(b"x", b"other", None, &[1; 32]);
    assert!(read(&[("/p/site.yml", &other)]).expect_err("closed").contains("Decryption failed"));
}

#[test]
fn lookups_read_files_beside_the_task_and_open_sealed_ones() {
    struct Near(Vars);
    impl Scope for Near {
        fn get(&self, name: &str) -> Option<Arc<Value>> {
            self.0.get(name)
        }
        fn names(&self) -> Vec<String> {
            self.0.names()
        }
        fn search_path(&self) -> Vec<String> {
            vec!["/p/roles/r".to_owned(), "/p".to_owned()]
        }
    }
    let engine = engine(&[
        ("/p/files/a", "text  \n"),
        ("/p/roles/r/files/s", include_str!("data/vault-1.1")),
        ("/p/roles/r/templates/t.j2", "{% if n %}\nn={{ n }}\n{% include 'i.j2' %}\n{% endif %}\n"),
        ("/p/templates/i.j2", "inner {{ n }}\n"),
        ("/p/templates/m.j2", "{% macro hi(x) %}hi {{ x }}{% endmacro %}"),
        ("/p/templates/base.j2", "<{% block b %}base{% endblock %}>"),
    ]);
    let vars: Rc<dyn Scope> = Rc::new(Near(Vars([("n".to_owned(), Arc::new(Value::Int(7)))].into())));
    for (template, wanted) in [
        ("{{ lookup('file', 'a') }}|", "text|"),
        ("{{ lookup('file', 'a', rstrip=false) }}|", "text  \n|"),
        ("{{ lookup('unvault', 's') }}|", "a: 1\nb: {{ x }}\n|"),
        ("{{ lookup('template', 't.j2') }}|", "n=7\ninner 7|"),
        ("{{ lookup('ansible.builtin.file', 'a') }}|", "text|"),
        ("{% import 'm.j2' as m %}{{ m.hi('you') }}|", "hi you|"),
        ("{% from 'm.j2' import hi as say %}{{ say('me') }}|", "hi me|"),
        ("{% extends 'base.j2' %}{% block b %}child{% endblock %}", "<child>"),
        ("{{ lookup('file', 'nope', errors='ignore') is none }}|", "True|"),
        ("{{ lookup('first_found', ['nope', 'a']) }}|", "/p/files/a|"),
        ("{{ query('fileglob', 'a*') }}|", "['/p/files/a']|"),
        ("{{ lookup('random_choice', ['x', 'x']) }}|", "x|"),
    ] {
        let ours = engine.session(Rc::clone(&vars)).render(template);
        let ours = ours.unwrap_or_else(|error| panic!("{template}: {error}"));
        assert_eq!(
            ours.as_ref()
                .and_then(Value::as_text)
                .map(|t| t.trim_end_matches(' ').replace("inner 7\n|", "inner 7|")),
            Some(wanted.to_owned()),
            "{template}"
        );
    }
}

#[test]
fn tables_and_settings_files_give_one_value_by_its_key() {
    struct Near;
    impl Scope for Near {
        fn get(&self, _: &str) -> Option<Arc<Value>> {
            None
        }
        fn names(&self) -> Vec<String> {
            Vec::new()
        }
        fn search_path(&self) -> Vec<String> {
            vec!["/p".to_owned()]
        }
        fn select(&self, pattern: &str) -> Vec<String> {
            vec![format!("h-{pattern}"), "h2".to_owned()]
        }
    }
    let engine = engine(&[
        ("/p/files/ansible.csv", "a\tone\tuno\nb\t{{ x }}\n"),
        ("/p/files/t.csv", "k,v,w\r\n\"q,1\",\"say \"\"hi\"\"\",\"two\nlines\"\n\n9,8,7\n"),
        (
            "/p/files/ansible.ini",
            "[DEFAULT]\nhome=/srv\n[global]\nUser = me\n[s]\nuser = you\n  there\npath = %(home)s/x%%\nn2 = two\n",
        ),
        ("/p/files/x.properties", "# c\nuser.name = jane\nempty =\n"),
        ("/p/files/twice.ini", "[s]\na=1\nA=2\n"),
        ("/p/files/bare.ini", "[s]\nskip-x\n"),
        ("/p/files/circle.ini", "[s]\na=%(b)s\nb=%(a)s\n"),
    ]);
    let ask = |template: &str| engine.session(Rc::new(Near)).render(template);
    for (template, wanted) in [
        ("lookup('csvfile', 'a')", "one"),
        ("lookup('csvfile', 'b')", "{{ x }}"),
        ("lookup('csvfile', 'a col=2')", "uno"),
        ("lookup('csvfile', 'q,1', file='t.csv', delimiter=',')", "say \"hi\""),
        ("lookup('csvfile', 'q,1', file='t.csv', delimiter=',', col=2)", "two\nlines"),
        ("lookup('csvfile', '8', file='t.csv', delimiter=',', keycol=1, col=0)", "9"),
        ("lookup('csvfile', 'none default=nothing')", "nothing"),
        ("query('csvfile', 'none') | length", "0"),
        ("lookup('ini', 'user')", "me"),
        ("lookup('ini', 'user section=s')", "you\nthere"),
        ("lookup('ini', 'path', section='s')", "/srv/x%"),
        ("lookup('ini', 'path', section='s', interpolation=false)", "%(home)s/x%%"),
        ("lookup('ini', 'nope', section='s', default='d')", "d"),
        ("query('ini', 'n.*', section='s', re=true) | first", "two"),
        ("lookup('ini', 'user.name type=properties file=x.properties')", "jane"),
        ("lookup('ini', 'User', case_sensitive=true)", "me"),
        ("query('inventory_hostnames', 'web:!db') | join(' ')", "h-web:!db h2"),
    ] {
        let ours = ask(&format!("{{{{ {template} }}}}|"));
        let ours = ours.unwrap_or_else(|error| panic!("{template}: {error}"));
        assert_eq!(ours.as_ref().and_then(Value::as_text), Some(&*format!("{wanted}|")), "{template}");
    }
    for (template, wanted) in [
        ("lookup('csvfile', 'a nope=1')", "nope"),
        ("lookup('csvfile', 'a', col=7)", "out of range"),
        ("lookup('csvfile', 'a', col='x')", "col"),
        ("lookup('ini', 'user', section='none')", "No section"),
        ("lookup('ini', 'a', section='s', file='twice.ini')", "Duplicate option"),
        ("lookup('ini', 'a', section='s', file='bare.ini')", "bare.ini"),
        ("lookup('ini', 'a', section='s', file='circle.ini')", "Recursion limit"),
        ("lookup('ini', 'a', file='gone.ini')", "gone.ini"),
    ] {
        let error = ask(&format!("{{{{ {template} }}}}")).expect_err(template).to_string();
        assert!(error.contains(wanted), "{template}: {error}");
    }
}
