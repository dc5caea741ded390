# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs in pods through a real API server: whole streams, cut streams, refused streams."""

from __future__ import annotations

import collections.abc
import hashlib
import os
import pathlib
import random
import resource
import threading

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.access import access_from
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import Forbidden, NotFound, Unreachable
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.exec_stream import (
    Container,
    PodProgram,
    run_in_pod,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.frames import StreamBroken
from tests.servers.kubernetes.faults import FaultyApi
from tests.servers.kubernetes.server import KubernetesServer

NAMESPACE = "exec"


def pod(name: str) -> dict[str, object]:
    spec = {"containers": [{"name": "main", "image": "test/ready:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


@pytest.fixture(scope="module")
def cluster(kubernetes_cluster: KubernetesServer) -> KubernetesServer:
    kubernetes_cluster.make_namespace(NAMESPACE)
    kubernetes_cluster.allow_exec(NAMESPACE, environment={"WHERE": "in the pod"})
    kubernetes_cluster.api.create(pod("main"))
    kubernetes_cluster.api.ready("Pod", "main", NAMESPACE)
    return kubernetes_cluster


@pytest.fixture(scope="module")
def container(cluster: KubernetesServer) -> collections.abc.Iterator[Container]:
    with access_from({"kubeconfig": cluster.kubeconfig}) as access:
        yield Container(access, NAMESPACE, "main", "main")


@pytest.fixture
def shaky(faulty_api: FaultyApi, cluster: KubernetesServer) -> collections.abc.Iterator[Container]:
    """The same container, on a way that can be cut."""
    with access_from({"kubeconfig": cluster.kubeconfig, "host": faulty_api.url}) as access:
        yield Container(access, NAMESPACE, "main", "main")


def test_a_program_runs_in_the_pod(container: Container) -> None:
    assert run_in_pod(container, ["sh", "-c", 'printf %s "$WHERE"'], "asking where we are") == b"in the pod"


def test_large_streams_go_both_ways_in_bounded_memory(container: Container) -> None:
    size, piece = 96 << 20, random.Random(1).randbytes(1 << 20)
    sent = hashlib.sha256()
    for _number in range(size >> 20):
        sent.update(piece)
    source = (piece for _number in range(size >> 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    received, length = hashlib.sha256(), 0
    program = PodProgram(container, ["cat"], "echoing", source)
    for chunk in program:
        received.update(chunk)
        length += len(chunk)
    assert length == size
    assert received.hexdigest() == sent.hexdigest()
    assert program.end is not None and program.end.received == sent.hexdigest()
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 48 << 10


def test_a_failing_program_is_named_with_what_it_said(container: Container) -> None:
    """kwok, as some runtimes, reports a failing command as an internal error: the trailer knows better."""
    with pytest.raises(EngineError) as raised:
        run_in_pod(container, ["sh", "-c", "echo some; echo 'no such volume' >&2; exit 3"], "reading it")
    text = str(raised.value)
    assert "reading it failed in pod exec/main, container main" in text
    assert "exit code 3: no such volume" in text


def test_accepted_exit_codes_are_no_failure(container: Container) -> None:
    program = PodProgram(container, ["sh", "-c", "printf x; exit 1"], "reading", accepted=(0, 1))
    assert b"".join(program) == b"x"
    assert program.end is not None and program.end.exit_code == 1


def test_a_program_that_does_not_want_its_input_does_not_hang(container: Container) -> None:
    endless = (b"x" * 100_000 for _number in range(10_000))
    # What is sent to a program that has ended may bring the whole connection down before its last line is read.
    with pytest.raises(EngineError, match=r"exit code 7|ended early"):
        b"".join(PodProgram(container, ["sh", "-c", "exit 7"], "refusing", endless))


def test_a_source_that_fails_is_what_is_raised(container: Container) -> None:
    def source() -> collections.abc.Iterator[bytes]:
        yield b"some"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        b"".join(PodProgram(container, ["cat"], "writing", source()))


@pytest.mark.parametrize("seed", range(12))
def test_output_cut_at_any_byte_is_an_error(
    shaky: Container, faulty_api: FaultyApi, tmp_path: pathlib.Path, seed: int
) -> None:
    dice = random.Random(seed)
    size = dice.choice([0, 100, 5_000, 400_000])
    content = tmp_path / "content"
    content.write_bytes(dice.randbytes(size))
    # 100 bytes and more of the upgrade come first; the last bytes of all are the connection's own end.
    faulty_api.cut_streams_after(dice.randrange(1, 400 + size))
    with pytest.raises((StreamBroken, Unreachable)):
        b"".join(PodProgram(shaky, ["cat", str(content)], "reading"))
    faulty_api.cut_streams_after(None)
    assert b"".join(PodProgram(shaky, ["cat", str(content)], "reading")) == content.read_bytes()


def test_input_that_is_cut_is_an_error_and_the_program_sees_no_end_that_we_believe(
    shaky: Container, faulty_api: FaultyApi, tmp_path: pathlib.Path
) -> None:
    """The answers so far (the upgrade, the greeting) are let through, then the connection goes in the middle of the input."""
    faulty_api.cut_streams_after(600)
    source = (os.urandom(50_000) for _number in range(200))
    target = tmp_path / "target"
    script = 'while printf %0100d 0; do dd bs=50000 count=1 iflag=fullblock 2>/dev/null >>"$1"; done'
    with pytest.raises(StreamBroken):
        b"".join(PodProgram(shaky, ["sh", "-c", script, "sh", str(target)], "writing", source))


def test_refusals_name_what_is_missing(cluster: KubernetesServer) -> None:
    with access_from({"kubeconfig": cluster.kubeconfig_for("nobody")}) as access:
        with pytest.raises(Forbidden, match=r"running in pod exec/main.*pods/exec|cannot .* resource"):
            run_in_pod(Container(access, NAMESPACE, "main"), ["true"], "running")
    with access_from({"kubeconfig": cluster.kubeconfig}) as access:
        with pytest.raises(NotFound, match="exec/nowhere"):
            run_in_pod(Container(access, NAMESPACE, "nowhere"), ["true"], "running")


def test_an_api_server_that_is_not_there_is_named(cluster: KubernetesServer) -> None:
    with access_from({"kubeconfig": cluster.kubeconfig, "host": "https://127.0.0.1:9"}) as access:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
            run_in_pod(Container(access, NAMESPACE, "main"), ["true"], "running")


def test_nothing_is_left_behind(container: Container) -> None:
    run_in_pod(container, ["true"], "running")
    with pytest.raises(EngineError):
        run_in_pod(container, ["false"], "running")
    names = [thread.name for thread in threading.enumerate() if "_send" in thread.name]
    assert names == []
