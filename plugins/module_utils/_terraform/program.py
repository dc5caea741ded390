# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Terraform or OpenTofu in a working directory: the state pulled and pushed through the program's own backend."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock, _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    EngineError,
    InvalidInput,
    MissingRequirement,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.state import State, parse_state

_PROGRAMS = ("terraform", "tofu")
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
#: Logs of requests hold secrets, and arguments from the environment would be added to ours.
_QUIET = {
    "TF_IN_AUTOMATION": "1",
    "TF_INPUT": "0",
    "TF_LOG": "",
    "TF_LOG_CORE": "",
    "TF_LOG_PROVIDER": "",
    "TF_CLI_ARGS": "",
    "TF_CLI_ARGS_state": "",
    "CHECKPOINT_DISABLE": "1",
}
#: The program says first what is wrong and then, at length, what that means in general.
_TOLD_LINES = 30


@dataclasses.dataclass(frozen=True)
class Program:
    """``name`` as it calls itself."""

    path: str
    name: str
    version: str


def find_program(program: str | None, directory: str, component: str | None = None) -> Program:
    """The program that is named, or the one with which the directory was prepared.

    :arg program: a path or a name on the search path. :raises MissingRequirement: there is none.
    """
    names = [program] if program else list(_PROGRAMS)
    if program is None and _prepared_with_opentofu(directory):
        names.reverse()
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return _known(os.path.abspath(path), component)
    raise MissingRequirement(
        "a Terraform state needs the program that writes it",
        component,
        expected=" or ".join(names),
        found="none of that name",
        next_command="install terraform or OpenTofu, or set component_terraform_program to the path of one",
    )


def _prepared_with_opentofu(directory: str) -> bool:
    with contextlib.suppress(OSError), open(os.path.join(directory, ".terraform.lock.hcl"), encoding="utf-8") as lock:
        return "registry.opentofu.org" in lock.read()
    return False


def _known(path: str, component: str | None) -> Program:
    found = _process.run(
        [path, "version", "-json"], f"asking {path} for its version", _QUIET, timeout=60, component=component, cwd="/"
    )
    try:
        version = str(json.loads(found)["terraform_version"])
    except (ValueError, KeyError, TypeError):
        raise EngineError(
            f"{path} does not tell its version", component, "terraform or OpenTofu", "another program"
        ) from None
    return Program(path, "OpenTofu" if "tofu" in os.path.basename(path) else "Terraform", version)


def read_environment(path: str | None) -> dict[str, str]:
    """The variables in a file of ``NAME=value`` lines, such as a backend's credentials.

    :raises InvalidInput: it is none, or everybody may read it.
    """
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o004:
                raise InvalidInput(
                    f"{path} holds secrets", expected="a file that not everybody may read", found="mode o+r"
                )
            lines = [line.strip() for line in file]
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read", expected="NAME=value lines", found=str(error.strerror)) from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise InvalidInput(f"line {number} of {path} is no variable", expected="NAME=value", found="another form")
        value = match.group(2)
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        found[match.group(1)] = value[1:-1] if quoted else value
    return found


@dataclasses.dataclass(frozen=True)
class Workdir:
    """A prepared working directory. ``timeout`` in seconds, of one call; ``lock_timeout`` for somebody else's lock.

    :ivar variables: of the environment, such as a backend's credentials; they show in no error.
    :ivar workspace: None for the one that is selected there.
    """

    program: Program
    directory: str
    component: str | None = None
    workspace: str | None = None
    variables: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    timeout: float = 300.0
    lock_timeout: float = 0.0

    def pull(self) -> State | None:
        """What the backend holds; None where it holds nothing yet."""
        return parse_state(self._run("pulling the state", "state", "pull"), f"the state of {self.directory}")

    def push(self, text: bytes, force: bool = False) -> None:
        """Make the backend hold ``text``.

        The program takes the state's lock, and refuses what is older than what is there, unless ``force``.
        """
        options = [f"-lock-timeout={self.lock_timeout:g}s", *(["-force"] if force else [])]
        # Killed with us, it would leave the state locked for everybody; asked to end, it ends the push and unlocks.
        self._run("pushing the state", "state", "push", *options, "-", stdin=text, death_signal=signal.SIGTERM)

    def _run(
        self, what: str, *arguments: str, stdin: bytes = b"", death_signal: signal.Signals = signal.SIGKILL
    ) -> bytes:
        if not os.path.isdir(self.directory):
            raise InvalidInput(
                f"there is no directory {self.directory}",
                self.component,
                expected="the working directory of a configuration, on the host where the task runs",
                found="none",
                next_command="set component_terraform_dir in the inventory",
            )
        chosen = {"TF_WORKSPACE": self.workspace} if self.workspace else {}
        try:
            return _process.run(
                [self.program.path, *arguments],
                what,
                {**self.variables, **_QUIET, **chosen},
                stdin=stdin,
                timeout=self.timeout,
                component=self.component,
                cwd=self.directory,
                told_lines=_TOLD_LINES,
                death_signal=death_signal,
            )
        except EngineError as error:
            raise self._explained(error) from None

    def _explained(self, error: EngineError) -> RunbookError:
        found = _plain(error.found or "")
        for value in sorted(self.variables.values(), key=len, reverse=True):
            if len(value) > 3:
                found = found.replace(value, "***")
        if "init" in found:
            error.expected = "a directory in which terraform init was run"
            error.next_command = f"{self.program.path} -chdir={self.directory} init -input=false"
        elif "lock" in found.lower():
            error.expected = "a state that nobody works on"
            error.next_command = "wait until the other one has ended, or set component_terraform_lock_timeout"
        else:
            error.next_command = f"{self.program.path} -chdir={self.directory} state pull"
        error.found = found
        return error


def workdir_from(params: t.Mapping[str, t.Any]) -> Workdir:
    """The directory that the options of the fragment ``sre.runbooks.terraform`` mean.

    :raises InvalidInput: :raises MissingRequirement: no program.
    """
    directory, component = params["project_path"], params["component"]
    return Workdir(
        find_program(params["binary_path"], directory, component),
        directory,
        component,
        params["workspace"] or None,
        read_environment(params["environment_file"]),
        _clock.parse_duration(params["timeout"]),
        _clock.parse_duration(params["lock_timeout"]),
    )


def _plain(text: str) -> str:
    """Without colours and the frame that the program draws around what it says."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╷╵]", "", text).replace(" | ", " ").split())
