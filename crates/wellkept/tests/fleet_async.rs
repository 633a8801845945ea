//! Tasks that go on by themselves, as ansible-core 2.19 has them: waited for, looked at later, cleaned up, too late.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;
mod fleet_stage;

use fleet_stage::Fleet;

/// Everything is asserted in the play itself; ansible-core passes it as it stands.
const SITE: &str = r#"
- hosts: web
  gather_facts: false
  tasks:
    - {command: echo polled, async: 10, poll: 1, register: r}
    - assert:
        that: [r.finished == 1, r.started == 1, r is finished, r is changed, r.stdout == 'polled', r.rc == 0,
               "r.ansible_job_id is match('j?[0-9]+[.][0-9]+')", r.results_file is search('ansible_async')]
    - {stat: {path: "{{ r.results_file }}"}, register: s}
    - assert: {that: not s.stat.exists}
    - {command: "sh -c 'while test -d ROOT && ! test -e ROOT/go; do sleep 0.1; done; echo went'", async: 60, poll: 0, register: j}
    - assert:
        that: [j.finished == 0, j.started == 1, j is not finished, j is started, j is changed, j is not failed]
    - {async_status: {jid: "{{ j.ansible_job_id }}"}, register: st}
    - assert:
        that: [st.finished == 0, st is not finished, st is not changed, st.results_file == j.results_file,
               st.stdout == '', "st.stdout_lines == [] and st.stderr_lines == []"]
    - {file: {path: ROOT/go, state: touch}}
    - {async_status: {jid: "{{ j.ansible_job_id }}"}, register: st, until: st.finished, retries: 30, delay: 1}
    - assert: {that: [st.finished == 1, st.stdout == 'went', st is changed, st.ansible_job_id == j.ansible_job_id]}
    - {async_status: {jid: "{{ j.ansible_job_id }}", mode: cleanup}, register: c}
    - assert: {that: [c.erased == j.results_file, c is not changed, c.finished == 0, c.started == 0]}
    - {async_status: {jid: "{{ j.ansible_job_id }}"}, register: gone, ignore_errors: true}
    - assert: {that: [gone is failed, gone.msg == 'could not find job', gone.finished == 1]}
    - {async_status: {jid: "{{ j.ansible_job_id }}", mode: cleanup}, register: gone, ignore_errors: true}
    - assert: {that: [gone is failed, gone.msg == 'could not find job', gone.erased == j.results_file]}
    - {command: sleep 600, async: 1, poll: 1, register: late, ignore_errors: true}
    - assert:
        that: [late is failed, "late.msg == 'async task did not complete within the requested time - 1s'",
               "'ansible_job_id' in late.async_result"]
    - {command: sleep 600, async: 1, poll: 0, register: late}
    - {async_status: {jid: "{{ late.ansible_job_id }}"}, register: st, until: st is finished, retries: 30, delay: 1, ignore_errors: true}
    - assert: {that: [st is failed, st is finished, st.msg == 'Timeout exceeded', st is not changed]}
    - {command: /bin/false, async: 5, poll: 0, register: bad}
    - {async_status: {jid: "{{ bad.ansible_job_id }}"}, register: st, until: st is finished, retries: 30, delay: 1, ignore_errors: true}
    - assert: {that: [st is failed, st.rc == 1, st.msg == 'non-zero return code']}
    - {command: echo moo, async: 5, poll: 0, register: m, vars: {ansible_async_dir: ROOT/jobs}}
    - {async_status: {jid: "{{ m.ansible_job_id }}"}, register: st, ignore_errors: true}
    - assert: {that: [st is failed, m.results_file is match('ROOT/jobs/')]}
    - {async_status: {jid: "{{ m.ansible_job_id }}"}, register: st, until: st is finished, retries: 30, delay: 1, vars: {ansible_async_dir: ROOT/jobs}}
    - assert: {that: [st.stdout == 'moo']}
    - {async_status: {mode: status}, register: st, ignore_errors: true}
    - assert: {that: "st.msg == 'missing required arguments: jid'"}
    - {async_status: {jid: '1.1', mode: foo}, register: st, ignore_errors: true}
    - assert: {that: "st.msg == 'value of mode must be one of: status, cleanup, got: foo'"}
    - {copy: {content: x, dest: ROOT/copied}, async: 5, poll: 0, register: st, ignore_errors: true}
    - assert: {that: "st.msg == 'This action (copy) does not support async.'"}
    - {command: echo hi, register: plain}
    - assert: {that: [plain is finished, "'ansible_job_id' not in plain"]}
    - {command: "{{ item }}", async: 10, poll: 0, loop: [echo 1, echo 2], register: many}
    - {async_status: {jid: "{{ item.ansible_job_id }}"}, loop: "{{ many.results }}", register: all, until: all is finished, retries: 30, delay: 1}
    - assert: {that: "all.results | map(attribute='stdout') | list == ['1', '2']"}
    - {command: echo looked, async: 10, poll: 1, check_mode: true, register: looked}
    - assert: {that: [looked is skipped, looked is finished]}
"#;

#[test]
fn jobs_are_begun_waited_for_looked_at_and_cleaned_up_as_ansible_does() {
    for local in [false, true] {
        let fleet = Fleet::new(1);
        let root = fleet.home.path("").display().to_string();
        fleet.file("site.yml", &SITE.replace("ROOT", root.trim_end_matches('/')));
        let mut args = vec!["play", "-i", "hosts", "site.yml"];
        if local {
            args.extend(["-c", "local"]);
        }
        let ended = fleet.cli(&args);
        assert_eq!(ended.code, Some(0), "local {local}: {}{}", ended.out, ended.err);
        let told = |how: &str| {
            ended.out.lines().filter(|l| l.starts_with(&format!("ASYNC {how} on h1: jid=j"))).count()
        };
        assert_eq!((told("OK"), told("FAILED")), (2, 1), "{}", ended.out);
    }
}
