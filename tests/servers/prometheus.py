# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real Prometheus and Alertmanager servers for tests, with histories of weeks made beforehand.

Loopback only, unprivileged, gone afterwards, and tied to the test process, so that even a killed run leaves no server.
"""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import json
import math
import os
import pathlib
import shutil
import subprocess
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import (
    give,
    make_directory,
    server_user,
)
from ansible_collections.sre.runbooks.plugins.module_utils._process import child_setup
from tools.local_environment import free_port

#: A history: for each series (as ``name{label="value"}``) its points of (Unix time, value), in order.
History = collections.abc.Mapping[str, collections.abc.Iterable[tuple[float, float]]]


@dataclasses.dataclass
class Running:
    """A server of either kind; ``log`` is what it wrote."""

    url: str
    process: subprocess.Popen[bytes]
    directory: pathlib.Path

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def get(self, path: str, **form: str) -> t.Any:
        """The JSON of an answer."""
        query = "?" + urllib.parse.urlencode(form) if form else ""
        with urllib.request.urlopen(self.url + path + query, timeout=60) as answer:
            return json.load(answer)

    def wait_for(self, question: t.Callable[[], t.Any], seconds: float = 120) -> t.Any:
        """The first true answer."""
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError, ValueError):
                found = question()
                if found:
                    return found
            assert self.process.poll() is None and time.monotonic() < until, self.log[-2000:]
            time.sleep(0.1)


def openmetrics(history: History) -> str:
    """The history as the text that promtool makes blocks of. Values may be NaN."""
    lines = []
    for series, points in history.items():
        lines += [f"{series} {_number(value)} {moment:.3f}" for moment, value in points]
    return "\n".join([*lines, "# EOF", ""])


@contextlib.contextmanager
def running_prometheus(
    history: History | None = None,
    scrape: collections.abc.Sequence[str] = (),
    rules: str = "",
    alertmanager: str | None = None,
    web: str = "",
    own: bool = False,
) -> collections.abc.Iterator[Running]:
    """A new server.

    :arg scrape: addresses (``host:port``) whose ``/metrics`` are read each second, job ``scraped``.
    :arg rules: the content of its file of rules.
    :arg alertmanager: the address (``host:port``) of its Alertmanager.
    :arg web: the content of its web configuration (TLS, basic auth).
    :arg own: whether it scrapes itself, job ``own``.
    """
    with _directory() as (directory, user):
        if history is not None:
            (directory / "history").write_text(openmetrics(history))
            _make_blocks(directory, user)
        (directory / "rules.yml").write_text(rules or "groups: []\n")
        (directory / "web.yml").write_text(web)
        jobs: list[dict[str, t.Any]] = [{"job_name": "scraped", "static_configs": [{"targets": list(scrape)}]}]
        configuration: dict[str, t.Any] = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": jobs,
        }
        if alertmanager:
            configuration["alerting"] = {
                "alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}],
            }
        port = free_port()
        if own:
            target = {"job_name": "own", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
            jobs.append(target)
        (directory / "prometheus.yml").write_text(json.dumps(configuration))
        command = [
            "prometheus",
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/data",
            "--storage.tsdb.retention.time=400d",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--web.config.file={directory}/web.yml",
            "--web.enable-lifecycle",
            "--rules.alert.resend-delay=1s",
        ]
        with _running(command, f"http://127.0.0.1:{port}", directory, user) as server:
            # With basic auth the question itself is an answer: 401.
            server.wait_for(lambda: _answers(server.url + "/-/ready", (200, 401)))
            yield server


@contextlib.contextmanager
def running_alertmanager() -> collections.abc.Iterator[Running]:
    with _directory() as (directory, user):
        (directory / "alertmanager.yml").write_text(
            "route: {receiver: nobody, group_wait: 0s, group_interval: 1s}\nreceivers: [{name: nobody}]\n"
        )
        port = free_port()
        command = [
            "prometheus-alertmanager",
            f"--config.file={directory}/alertmanager.yml",
            f"--storage.path={directory}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        with _running(command, f"http://127.0.0.1:{port}", directory, user) as server:
            server.wait_for(lambda: _answers(server.url + "/-/ready", (200,)))
            yield server


def post_alerts(server: Running, alerts: list[dict[str, t.Any]]) -> None:
    """What a Prometheus would send to its Alertmanager."""
    _post(server.url + "/api/v2/alerts", alerts)


def silence(server: Running, alertname: str, seconds: float) -> None:
    start, end = (
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)) for moment in (time.time() - 60, time.time() + seconds)
    )
    matcher = {"name": "alertname", "value": alertname, "isRegex": False, "isEqual": True}
    _post(
        server.url + "/api/v2/silences",
        {"matchers": [matcher], "startsAt": start, "endsAt": end, "createdBy": "a test", "comment": "known"},
    )


def check_rules(path: pathlib.Path) -> None:
    """As promtool judges them, which complains of duplicates without failing for them; fails with what it says."""
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "FAILED" not in said and "lint" not in said, said


def _number(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(float(value))


def _make_blocks(directory: pathlib.Path, user: str | None) -> None:
    done = subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=1000h", "--quiet"]
        + [str(directory / "history"), str(directory / "data")],
        preexec_fn=child_setup(user),
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def _directory() -> collections.abc.Iterator[tuple[pathlib.Path, str | None]]:
    user = server_user()
    path = pathlib.Path(make_directory(user, "srp-"))
    (path / "data").mkdir()
    give(str(path / "data"), user)
    try:
        yield path, user
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _running(
    command: list[str], url: str, directory: pathlib.Path, user: str | None
) -> collections.abc.Iterator[Running]:
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            preexec_fn=child_setup(user),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": os.environ["PATH"]},
        )
    try:
        yield Running(url, process, directory)
    finally:
        process.kill()
        process.wait()


def _answers(url: str, statuses: tuple[int, ...]) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status in statuses
    except urllib.error.HTTPError as error:
        error.close()
        return error.code in statuses


def _post(url: str, document: t.Any) -> None:
    request = urllib.request.Request(url, json.dumps(document).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
