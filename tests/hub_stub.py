"""A local stand-in for the Hugging Face hub: the part of its HTTP interface that the client uses for models.

Written after the requests of ``huggingface_hub``: who am I, create, preupload, LFS batch and PUT, commit, branches,
model info, and resolve with the headers that its cache relies on. Commits are whole or not at all, as on the hub.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml
from huggingface_hub import constants

MAIN = "main"
LARGE = ".safetensors"


@dataclass
class Repo:
    """Branches, and the files of every commit."""

    private: bool = False
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch, files, message="by hand"):
        parent = self.branches.get(branch, "")
        seed = json.dumps([parent, message, {k: hashlib.sha256(v).hexdigest() for k, v in sorted(files.items())}])
        sha = hashlib.sha1(seed.encode()).hexdigest()
        self.commits[sha], self.branches[branch] = dict(files), sha
        self.messages.append(message)
        return sha

    def files(self, revision=MAIN):
        return self.commits[self.branches[revision]]


class Refused(Exception):
    """An answer that is an error: status, code and message, as the hub's headers have them."""

    def __init__(self, status, code="", message=""):
        self.status, self.code, self.message = status, code, message


class Hub:
    """The state of the hub, and its server on a free port of this machine.

    ``fault`` may answer a request instead: it gets the method and path, and returns status, headers and body, or None.
    ``asked`` holds the method and path of every request.
    """

    def __init__(self):
        self.repos: dict[str, Repo] = {}
        self.tokens = {"secret": "someone"}
        self.large: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.fault = lambda method, path: None
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                hub.handle(self)

            do_GET = do_POST = do_PUT = do_HEAD = answer

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # of clients that went away
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add(self, name, files, **kind):
        repo = self.repos[name] = Repo(**kind)
        repo.commit(MAIN, files)
        return repo

    def handle(self, request):
        """Answer one request."""
        path = unquote(urlsplit(request.path).path)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(chunks(request.rfile))
        self.asked.append(f"{request.command} {path}")
        answer = self.fault(request.command, path)
        try:
            status, headers, content = answer or self.answer(request, path, body)
        except Refused as error:
            status, content = error.status, {"error": error.message or error.code}
            headers = {"X-Error-Code": error.code, "X-Error-Message": error.message}
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        request.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            request.send_header(key, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)

    def answer(self, request, path, body):
        user = self.tokens.get((request.headers.get("Authorization") or "").removeprefix("Bearer "))
        if request.headers.get("Authorization") and user is None and not path.startswith("/large/"):
            raise Refused(401, message="Invalid credentials in Authorization header")
        for pattern, method in ROUTES:
            if match := re.fullmatch(pattern, f"{request.command} {path}"):
                return getattr(self, method)(user, *match.groups(), body)
        raise Refused(404, message="no such page")

    # What is asked of an account.

    def whoami(self, user, body):
        if user is None:
            raise Refused(401, message="Invalid username or password.")
        return 200, {}, {"type": "user", "name": user, "orgs": []}

    def create(self, user, body):
        values = json.loads(body)
        owner, name = values.get("organization") or user, values["name"]
        if user is None or owner != user:
            raise Refused(403, message=f"You don't have the rights to create a model under the namespace {owner!r}")
        if f"{owner}/{name}" in self.repos:
            raise Refused(409, message="You already created this model repo")
        self.add(f"{owner}/{name}", {".gitattributes": b"*.safetensors filter=lfs"})
        self.repos[f"{owner}/{name}"].private = values.get("visibility") == "private" or bool(values.get("private"))
        return 200, {}, {"url": f"{self.address}/{owner}/{name}", "name": f"{owner}/{name}", "id": "0"}

    def branch(self, user, name, branch, body):
        repo = self.writable(user, name)
        if branch in repo.branches:
            raise Refused(409, message="Reference already exists")
        repo.branches[branch] = repo.branches[MAIN]
        return 200, {}, {}

    def validate(self, user, body):
        text = json.loads(body)["content"]
        try:
            header = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1])
            assert re.fullmatch(r"[a-z0-9.+-]+", header["license"]), "license"
            assert header["license"] != "other" or re.fullmatch(r"[a-z0-9.-]+", header["license_name"]), "license_name"
        except Exception as error:
            return 400, {}, {"errors": [{"message": repr(error)}], "warnings": []}
        return 200, {}, {"errors": [], "warnings": []}

    def preupload(self, user, name, revision, body):
        files = self.at(self.writable(user, name), revision)[1]
        answers = []
        for file in json.loads(body)["files"]:
            path, there = file["path"], files.get(file["path"])
            mode = "lfs" if path.endswith(LARGE) else "regular"
            oid = None if there is None else sha256(there) if mode == "lfs" else git_sha(there)
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return 200, {}, {"files": answers}

    def batch(self, user, name, body):
        self.writable(user, name)
        objects = []
        for entry in json.loads(body)["objects"]:
            actions = {"upload": {"href": f"{self.address}/large/{entry['oid']}"}}
            objects.append(entry if entry["oid"] in self.large else {**entry, "actions": actions})
        return 200, {}, {"transfer": "basic", "objects": objects}

    def put(self, user, oid, body):
        assert sha256(body) == oid
        self.large[oid] = body
        return 200, {}, {}

    def commit(self, user, name, revision, body):
        repo = self.writable(user, name)
        sha, files = self.at(repo, revision)
        lines = [json.loads(line) for line in body.splitlines()]
        header = lines.pop(0)["value"]
        if header.get("parentCommit") not in (None, sha):
            raise Refused(412, message="A commit has happened since. Please refresh and try again.")
        files = dict(files)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
            else:
                del files[value["path"]]
        sha = repo.commit(revision, files, header["summary"])
        return 200, {}, {"commitOid": sha, "commitUrl": f"{self.address}/{name}/commit/{sha}"}

    # What anybody may ask.

    def info(self, user, name, revision, body):
        repo = self.readable(user, name)
        sha, files = self.at(repo, revision)
        siblings = [{"rfilename": file} for file in files]
        return 200, {}, {"id": name, "sha": sha, "private": repo.private, "siblings": siblings, "tags": []}

    def resolve(self, user, name, revision, file, body):
        repo = self.readable(user, name)
        if repo.gated and user is None:
            raise Refused(401, "GatedRepo", "Access to model is restricted.")
        sha, files = self.at(repo, revision)
        if file not in files:
            raise Refused(404, "EntryNotFound", "Entry not found")
        content = files[file]
        oid = sha256(content) if file.endswith(LARGE) else git_sha(content)
        return 200, {"ETag": f'"{oid}"', "X-Repo-Commit": sha}, content

    def readable(self, user, name):
        repo = self.repos.get(name)
        if repo is None or (repo.private and user is None):
            raise Refused(401 if user is None else 404, "RepoNotFound", "Repository not found")
        return repo

    def writable(self, user, name):
        repo = self.readable(user, name)
        if user != name.partition("/")[0]:
            raise Refused(403, message="You have read access but not the required permissions for this operation")
        return repo

    def at(self, repo, revision):
        sha = repo.branches.get(revision or MAIN, revision)
        if sha not in repo.commits:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return sha, repo.commits[sha]


NAME = r"([\w.-]+/[\w.-]+)"
ROUTES = (
    (r"GET /api/whoami-v2", "whoami"),
    (r"POST /api/repos/create", "create"),
    (r"POST /api/validate-yaml", "validate"),
    (rf"GET /api/models/{NAME}(?:/revision/(.+))?", "info"),
    (rf"POST /api/models/{NAME}/branch/(.+)", "branch"),
    (rf"POST /api/models/{NAME}/preupload/(.+)", "preupload"),
    (rf"POST /api/models/{NAME}/commit/(.+)", "commit"),
    (rf"POST /{NAME}\.git/info/lfs/objects/batch", "batch"),
    (r"PUT /large/(\w+)", "put"),
    (rf"(?:GET|HEAD) /{NAME}/resolve/([^/]+)/(.+)", "resolve"),
)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def git_sha(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def chunks(stream):
    """The parts of a chunked body."""
    while size := int(stream.readline(), 16):
        yield stream.read(size)
        stream.readline()
    stream.readline()


def environment(hub, home, token=None):
    """Variables under which a fresh process uses the stand-in."""
    values = {"HF_ENDPOINT": hub.address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "ARGUS_OFFLINE": ""}
    return {**values, "HF_HUB_OFFLINE": "", "HF_TOKEN": token or "", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def use(monkeypatch, hub, home, token="secret", address=None):
    """Let the client of this process use the stand-in, or another address, with its cache in ``home``."""
    address, hub.home = address or hub.address, home
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("ARGUS_OFFLINE", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
