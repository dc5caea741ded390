# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A configuration of OpenTofu without providers, its state kept by a server that wants a password and takes locks."""

from __future__ import annotations

import base64
import collections.abc
import contextlib
import http.server
import json
import os
import pathlib
import secrets
import subprocess
import threading
import typing as t

import pyrage

from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.servers.module_call import call_module
from tests.servers.s3 import program

NAME = "network"
USER = "state"
PASSWORD = "pAss-of-the-backend"
_ENVIRONMENT = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}


class StateServer:
    """The backend ``http`` of Terraform: one state a path, with locks. A thread of this process."""

    def __init__(self) -> None:
        self.states: dict[str, bytes] = {}
        self.locks: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        #: Changes what is about to be stored; tests damage it.
        self.spoil: t.Callable[[bytes], bytes] = lambda state: state
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: t.Any) -> None:
                pass

            def handle_one_request(self) -> None:
                with contextlib.suppress(ConnectionError):
                    super().handle_one_request()

            def _answer(self, code: int, body: bytes = b"") -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                if self.headers.get("Authorization") != wanted:
                    return self._answer(401)
                path = self.path.partition("?")[0]
                owner.requests.append((self.command, path))
                return self._answer(*owner.serve(self.command, path, body))

        for method in ("GET", "POST", "DELETE", "LOCK", "UNLOCK"):
            setattr(Handler, f"do_{method}", Handler.take)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if method == "LOCK":
            held = self.locks.setdefault(path, body)
            return (200, b"") if held is body else (423, held)
        if method == "UNLOCK":
            self.locks.pop(path, None)
            return 200, b""
        if method == "POST":
            self.states[path] = self.spoil(body)
            return 200, b""
        if method == "DELETE":
            self.states.pop(path, None)
            return 200, b""
        return (200, self.states[path]) if path in self.states else (404, b"")

    def __enter__(self) -> StateServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Configuration:
    """A working directory. ``server`` None: the state is where ``backend`` says, by default a file in the directory.

    :arg variables: the lines of the environment file, where the backend is given.
    """

    def __init__(
        self,
        path: pathlib.Path,
        server: StateServer | None,
        name: str = "network",
        backend: str = "",
        variables: str = "",
    ) -> None:
        self.path = path
        self.binary = program("opentofu")
        self.server = server
        self.key = f"/{name}"
        self.variables = path.parent / f"{path.name}.env"
        path.mkdir()
        if server is None:
            self.variables.write_text(variables)
        else:
            self.variables.write_text(f"TF_HTTP_USERNAME={USER}\nTF_HTTP_PASSWORD={PASSWORD}\n")
            address = server.url + self.key
            backend = (
                f'terraform {{\n  backend "http" {{\n    address = "{address}"\n    lock_address = "{address}"\n'
                f'    unlock_address = "{address}"\n  }}\n}}\n'
            )
        self.variables.chmod(0o600)
        (path / "backend.tf").write_text(backend)
        self.run("init", "-input=false")

    def run(self, *arguments: str) -> str:
        own = dict(line.split("=", 1) for line in self.variables.read_text().splitlines())
        done = subprocess.run(
            [self.binary, f"-chdir={self.path}", *arguments, "-no-color"],
            env={**os.environ, **_ENVIRONMENT, **own},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, **resources: str) -> None:
        """Make exactly these exist: name → what it holds, which the state then holds as well."""
        blocks = [
            f'resource "terraform_data" "{name}" {{\n  input = {json.dumps(text)}\n}}\n'
            for name, text in resources.items()
        ]
        output = 'output "address" {\n  value     = "s3cret-output"\n  sensitive = true\n}\n'
        (self.path / "main.tf").write_text("".join(blocks) + output)
        self.run("apply", "-auto-approve", "-input=false")

    def state(self) -> dict[str, t.Any]:
        text = self.run("state", "pull")
        return t.cast("dict[str, t.Any]", json.loads(text)) if text.strip() else {}

    def holds(self) -> dict[str, str]:
        """Name → input, of what the state knows."""
        return {
            resource["name"]: resource["instances"][0]["attributes"]["input"]["value"]
            if isinstance(resource["instances"][0]["attributes"]["input"], dict)
            else resource["instances"][0]["attributes"]["input"]
            for resource in self.state().get("resources", [])
        }

    def params(self) -> dict[str, t.Any]:
        return {
            "project_path": str(self.path),
            "binary_path": self.binary,
            "environment_file": str(self.variables),
        }


class Site:
    """A configuration with a repository of its own."""

    def __init__(self, path: pathlib.Path, server: StateServer | None) -> None:
        path.mkdir(exist_ok=True)
        self.path = path
        self.url = f"file://{path}/repository"
        repository, _created = initialise_repository(self.url, "local", check_mode=False)
        assert repository is not None
        self.repository = repository
        identity = pyrage.x25519.Identity.generate()
        self.recipient, self.identity = str(identity.to_public()), path / "identity.txt"
        self.identity.write_text(f"{identity}\n")
        self.identity.chmod(0o600)
        self.live = Configuration(path / "network", server)

    def move(self, backend: str, variables: str) -> None:
        """Go on with another configuration of the same name, whose state is elsewhere."""
        self.live = Configuration(
            self.path / f"moved-{secrets.token_hex(3)}", None, backend=backend, variables=variables
        )

    def _call(self, module: str, check: bool, **params: t.Any) -> dict[str, t.Any]:
        own = {"repository": self.url, "environment_name": "local", "component": NAME}
        keys = {"encryption_identity_file": str(self.identity)}
        return call_module(module, {**own, **keys, **params}, check)

    def back_up(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        own = {**self.live.params(), "encryption_recipients": [self.recipient]}
        return self._call("terraform_state_backup", check, **{**own, **params})

    def restore(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        own = {**self.live.params(), "encryption_recipients": [self.recipient], "confirm": NAME}
        return self._call("terraform_state_restore", check, **{**own, **params})

    def drill(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        return self._call("terraform_state_drill", check, **{"binary_path": self.live.binary, **params})

    def newest(self, component: str = NAME) -> RecoveryPoint:
        return list_points(self.repository, component).points[0]

    def stored_text(self) -> bytes:
        """All that is in the repository and readable without the identity."""
        return b"".join(path.read_bytes() for path in (self.path / "repository").rglob("*") if path.is_file())


@contextlib.contextmanager
def state_server() -> collections.abc.Iterator[StateServer]:
    with StateServer() as server:
        yield server
