#!/usr/bin/env python3
"""Records what ansible-core gives for our own cases: tests/cases/*.yml -> tests/data/*.json.

Run with the Python of a virtual environment that holds ansible-core 2.19:  venv/bin/python record.py [name...]
Each case has its own folder $W (the host's files) and $S (the controller's files). The tests themselves need no Python.
"""
import json, os, pathlib, re, shutil, subprocess, sys, tempfile
import yaml

HERE = pathlib.Path(__file__).resolve().parent
NUMBER = int(os.environ.get("WK_NUMBER", os.getpid() % 10_000_000))
W = "/tmp/wk-record-%07d" % NUMBER
S = "/tmp/wk-source-%07d" % NUMBER
CALLBACK = r'''
import json, os, sys
sys.path.insert(0, os.environ["WK_HERE"])
import record
from ansible.plugins.callback import CallbackBase
class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "wk"
    def __init__(self):
        super().__init__()
        self.cases = json.load(open(os.environ["WK_CASES"]))
        self.out = []
    def v2_playbook_on_task_start(self, task, is_conditional):
        number, again = task.name.split()
        self.now, self.again = int(number), again == "again"
        if not self.again:
            record.setup(self.cases[self.now])
            if "server" in self.cases[self.now]:
                self.server = getattr(self, "server", None) or record.Server()
                self.server.answers, self.server.asked = json.loads(json.dumps(self.cases[self.now]["server"])), []
    def result(self, result, how=None):
        case = self.cases[self.now]
        got = record.plain(result._result)
        if how:
            got[how] = True
        if self.again:
            case["again"] = got
        else:
            case["result"] = got
            case["tree"] = record.tree(case.get("only"))
            if "server" in case:
                case["asked"] = record.hide(self.server.asked)
        json.dump(self.cases, open(os.environ["WK_CASES"] + ".out", "w"))
    v2_runner_on_ok = result
    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.result(result, "failed")
    def v2_runner_on_skipped(self, result):
        self.result(result, "skipped")
'''


def fill(value):
    """$W and $S become paths."""
    if isinstance(value, str):
        return value.replace("$W", W).replace("$S", S).replace("$H", "http://127.0.0.1:%d" % PORT)
    if isinstance(value, list):
        return [fill(v) for v in value]
    if isinstance(value, dict):
        return {fill(k): fill(v) for k, v in value.items()}
    return value


def hide(value):
    """Paths become $W and $S."""
    if isinstance(value, str):
        value = re.sub(r"/root/\.ansible/tmp/ansible-tmp[^/]*", "$TMP", value)
        value = re.sub(r"/root/\.ansible/tmp/ansible-local[^ ']*", "$TMP/local", value)
        return value.replace(W, "$W").replace(S, "$S").replace("http://127.0.0.1:%d" % PORT, "$H")
    if isinstance(value, (list, tuple)):
        return [hide(v) for v in value]
    if isinstance(value, dict):
        return {hide(str(k)): hide(v) for k, v in value.items()}
    return value


def plain(result):
    out = {}
    for key, value in result.items():
        if key in ("invocation", "exception", "deprecations") or key.startswith("_ansible"):
            continue
        out[key] = value
    if "warnings" in out:
        out["warnings"] = [w if isinstance(w, str) else str(getattr(w, "event", w).msg) for w in out["warnings"]]
    return hide(json.loads(json.dumps(out, default=str)))


def make(root, entries):
    for name, what in (entries or {}).items():
        path = os.path.join(root, name)
        if isinstance(what, str):
            what = {"content": what}
        what = dict(what or {})
        os.makedirs(os.path.dirname(path.rstrip("/")), exist_ok=True)
        if "link" in what:
            os.symlink(fill(what["link"]), path)
            continue
        if "hard" in what:
            os.link(os.path.join(root, what["hard"]), path)
            continue
        if "tar" in what:
            import tarfile, io
            with tarfile.open(path, "w:gz" if what.get("gz") else "w") as out:
                for member, about in what["tar"].items():
                    info = tarfile.TarInfo(member.rstrip("/"))
                    info.mtime, info.mode = 1000000000, int(str(about["mode"]), 8)
                    data = about.get("content", "").encode()
                    info.size = len(data)
                    if member.endswith("/"):
                        info.type = tarfile.DIRTYPE
                    out.addfile(info, io.BytesIO(data))
            what["hex"] = open(path, "rb").read().hex()
            entries[name] = what
        if name.endswith("/"):
            os.makedirs(path, exist_ok=True)
        else:
            content = fill(what.get("content", ""))
            data = bytes.fromhex(what["hex"]) if "hex" in what else content.encode()
            open(path, "wb").write(data)
        os.chmod(path, int(what.get("mode", "755" if name.endswith("/") else "644"), 8))
        if "owner" in what:
            os.chown(path, what["owner"], what["owner"])
        if "mtime" in what:
            os.utime(path, (what["mtime"], what["mtime"]))


def setup(case):
    os.umask(0o022)
    for root, key in ((W, "setup"), (S, "files")):
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(root)
        make(root, case.get(key))
    if "run" in case:
        subprocess.run(["sh", "-c", fill(case["run"])], check=True, capture_output=True)
    for name, script in (case.get("bin") or {}).items():
        make(W, {"bin/" + name: {"content": script, "mode": "755"}})


def tree(only=None):
    out = {}
    for base, folders, names in os.walk(W):
        for name in folders + names:
            path = os.path.join(base, name)
            key = os.path.relpath(path, W)
            if key == "bin" or key.startswith("bin/") or (only and key != only):
                continue
            st = os.lstat(path)
            if os.path.islink(path):
                out[key] = {"link": hide(os.readlink(path))}
                continue
            out[key] = {"mode": "%04o" % (st.st_mode & 0o7777)}
            if st.st_uid or st.st_gid:
                out[key]["owner"] = [st.st_uid, st.st_gid]
            if not os.path.isdir(path):
                data = open(path, "rb").read()
                try:
                    out[key]["content"] = hide(data.decode())
                except UnicodeDecodeError:
                    out[key]["hex"] = data.hex()
    return out


class Server:
    """Answers as the case says, byte for byte, and keeps what was asked."""
    def __init__(self):
        import socket, threading
        self.socket = socket.create_server(("127.0.0.1", PORT))
        self.answers, self.asked = {}, []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            peer, _ = self.socket.accept()
            try:
                self.one(peer)
            except OSError:
                pass
            peer.close()

    def one(self, peer):
        peer.settimeout(5)
        data = b""
        while b"\r\n\r\n" not in data:
            piece = peer.recv(65536)
            if not piece:
                return
            data += piece
        head, body = data.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        while len(body) < int(headers.get("content-length", 0)):
            body += peer.recv(65536)
        method, path, _ = lines[0].split(" ")
        for gone in ("host", "connection"):
            headers.pop(gone, None)
        self.asked.append({"line": method + " " + path, "headers": headers, "body": body.decode("utf-8", "replace")})
        answer = self.answers.get(method + " " + path, self.answers.get(path))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        answer = answer or "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope"
        peer.sendall(fill(answer).encode() if method != "HEAD" else fill(answer).encode().split(b"\r\n\r\n")[0] + b"\r\n\r\n")


PORT = 18080
KEYS = ("name", "server", "run", "only", "setup", "files", "bin", "check", "diff", "twice", "env", "root")


def record(name):
    cases = yaml.safe_load(open(HERE / "cases" / (name + ".yml")))
    tasks = []
    for number, case in enumerate(cases):
        (module,) = [key for key in case if key not in KEYS]
        case["module"], case["args"] = module, case.pop(module) or {}
        task = {module: fill(case["args"]), "ignore_errors": True, "name": "%d first" % number}
        if "." in module:
            case["module"] = module.split(".")[-1]
        for key, keyword in (("check", "check_mode"), ("diff", "diff")):
            if case.get(key):
                task[keyword] = True
        env = dict(case.get("env") or {})
        if case.get("bin"):
            env.setdefault("PATH", "$W/bin:/usr/bin:/bin")
        if env:
            case["env"] = env
            task["environment"] = fill(env)
        tasks.append(task)
        if case.get("twice"):
            tasks.append(dict(task, name="%d again" % number))
    with tempfile.TemporaryDirectory() as temp:
        book = temp + "/book.yml"
        json.dump([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}], open(book, "w"))
        json.dump(cases, open(temp + "/cases", "w"))
        os.makedirs(temp + "/plugins")
        open(temp + "/plugins/wk.py", "w").write(CALLBACK)
        env = dict(os.environ, WK_NUMBER=str(NUMBER), WK_HERE=str(HERE), WK_CASES=temp + "/cases", ANSIBLE_CALLBACK_PLUGINS=temp + "/plugins",
                   ANSIBLE_STDOUT_CALLBACK="wk", ANSIBLE_PYTHON_INTERPRETER=sys.executable, ANSIBLE_FORKS="1",
                   ANSIBLE_LOCALHOST_WARNING="0", ANSIBLE_PIPELINING="1", PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8", TZ="UTC")
        os.umask(0o022)
        done = subprocess.run([os.path.dirname(sys.executable) + "/ansible-playbook", "-i", "localhost,", book],
                              env=env, cwd=temp, capture_output=True, text=True)
        if not os.path.exists(temp + "/cases.out"):
            sys.exit(done.stdout + done.stderr)
        cases = json.load(open(temp + "/cases.out"))
    missing = [case["name"] for case in cases if "result" not in case]
    if missing:
        print(done.stdout[-3000:], done.stderr[-3000:])
        sys.exit("no result for: " + ", ".join(missing))
    lines = ",\n".join(json.dumps(case, sort_keys=True) for case in cases)
    (HERE / "data" / (name + ".json")).write_text("[\n" + lines + "\n]\n")
    print(name, len(cases), flush=True)
    for root in (W, S):
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    for one in sys.argv[1:] or sorted(p.stem for p in (HERE / "cases").glob("*.yml")):
        record(one)
