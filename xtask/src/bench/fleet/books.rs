//! The playbooks that are played, and a role as people write them.

use std::path::Path;

use anyhow::Result;

/// Tasks of the first case.
const COMMANDS: usize = 100;
/// Tasks of the second case.
const FILES: usize = 20;

pub(super) fn write(folder: &Path) -> Result<()> {
    let mut hundred = "- hosts: h1\n  gather_facts: false\n  tasks:\n".to_owned();
    hundred.push_str(&"    - command: /bin/true\n".repeat(COMMANDS));
    let mut files = "- hosts: all\n  tasks:\n".to_owned();
    for n in 0..FILES {
        files.push_str(&format!(
            "    - copy: {{content: \"{n} {{{{ ansible_facts.os_family }}}}\\n\", dest: \"{}/out/{{{{ inventory_hostname }}}}-{n}\", mode: '0644'}}\n",
            folder.display()
        ));
    }
    let mut many = "- hosts: all\n  gather_facts: false\n  tasks:\n".to_owned();
    many.push_str(&"    - command: /bin/true\n".repeat(10));
    let role = format!("- hosts: h1\n  vars: {{app_root: {}/out/app}}\n  roles: [app]\n", folder.display());
    let all = [
        ("hundred.yml", hundred.as_str()),
        ("files.yml", &files),
        ("many.yml", &many),
        ("role.yml", &role),
        ("roles/app/defaults/main.yml", DEFAULTS),
        ("roles/app/vars/Debian.yml", "app_shell: /bin/sh\n"),
        ("roles/app/vars/RedHat.yml", "app_shell: /bin/sh\n"),
        ("roles/app/tasks/main.yml", TASKS),
        ("roles/app/tasks/sites.yml", SITES),
        ("roles/app/handlers/main.yml", "- name: restart app\n  command: /bin/true\n"),
        ("roles/app/templates/app.conf.j2", CONF),
        ("roles/app/templates/site.conf.j2", SITE),
        ("roles/app/files/logo.txt", "a logo\n"),
    ];
    for (name, text) in all {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

const DEFAULTS: &str = "app_sites: [one, two, three, four]\napp_port: 8080\napp_packages: [bash, coreutils]\n\
    app_settings: {workers: 4, level: info, keep: 30}\n";

const TASKS: &str = r#"
- name: variables of the system
  include_vars: "{{ ansible_facts['os_family'] }}.yml"
- name: the port is one
  assert: {that: [app_port | int > 0, app_port | int < 65536]}
- name: packages
  package: {name: "{{ app_packages }}", state: present}
  when: ansible_facts['os_family'] == 'Debian'
- name: folders
  file: {path: "{{ app_root }}/{{ item }}", state: directory, mode: '0755'}
  loop: [etc, etc/sites, lib, log, run, www]
- name: main settings
  template: {src: app.conf.j2, dest: "{{ app_root }}/etc/app.conf", mode: '0640'}
  notify: restart app
- name: logo
  copy: {src: logo.txt, dest: "{{ app_root }}/www/logo.txt", mode: '0644'}
- name: is it there already
  stat: {path: "{{ app_root }}/lib/installed"}
  register: installed
- name: install once
  command: touch {{ app_root }}/lib/installed
  args: {creates: "{{ app_root }}/lib/installed"}
  when: not installed.stat.exists
- name: shell of the app
  lineinfile: {path: "{{ app_root }}/etc/default", line: "SHELL={{ app_shell }}", regexp: '^SHELL=', create: true, mode: '0644'}
  notify: restart app
- name: port of the app
  lineinfile: {path: "{{ app_root }}/etc/default", line: "PORT={{ app_port }}", regexp: '^PORT='}
  notify: restart app
- name: limits
  blockinfile: {path: "{{ app_root }}/etc/default", block: "NOFILE=1024\nNPROC=64"}
- name: version
  command: "{{ app_shell }} -c 'echo 1.2.3'"
  register: version
  changed_when: false
- name: remember the version
  set_fact: {app_version: "{{ version.stdout }}"}
- name: note of the version
  copy: {content: "{{ app_version }}\n", dest: "{{ app_root }}/lib/version", mode: '0644'}
- name: link to the log
  file: {src: "{{ app_root }}/log", dest: "{{ app_root }}/www/log", state: link}
- name: sites
  include_tasks: sites.yml
- name: old sites
  find: {paths: "{{ app_root }}/etc/sites", patterns: '*.old'}
  register: old
- name: old sites go
  file: {path: "{{ item.path }}", state: absent}
  loop: "{{ old.files }}"
- name: who runs it
  getent: {database: passwd, key: root}
- name: home of who runs it
  debug: {msg: "{{ ansible_facts.getent_passwd['root'][4] }}", verbosity: 1}
- name: nothing for RedHat
  command: /bin/false
  when: ansible_facts['os_family'] == 'RedHat'
"#;

const SITES: &str = r#"
- name: sites are there
  template: {src: site.conf.j2, dest: "{{ app_root }}/etc/sites/{{ item }}.conf", mode: '0644'}
  loop: "{{ app_sites }}"
  notify: restart app
- name: pages are there
  copy: {content: "<h1>{{ item }}</h1>\n", dest: "{{ app_root }}/www/{{ item }}.html", mode: '0644'}
  loop: "{{ app_sites }}"
- name: settings of each level
  ansible.builtin.replace: {path: "{{ app_root }}/etc/app.conf", regexp: '^level = .*$', replace: "level = {{ app_settings.level }}"}
"#;

const CONF: &str = "# {{ ansible_managed }}\nport = {{ app_port }}\n{% for key, value in app_settings | dictsort %}\n\
    {{ key }} = {{ value }}\n{% endfor %}\nhost = {{ ansible_facts['hostname'] }}\n";

const SITE: &str =
    "server {\n  name {{ item }};\n  root {{ app_root }}/www/{{ item }}.html;\n  port {{ app_port }};\n}\n";
