# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs in a pod: their input and output streamed through the API in bounded memory, whole or with an error."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.access import Access
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.channels import Channels, open_channels
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import clean
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.frames import (
    End,
    FrameReader,
    FrameWriter,
    StreamBroken,
    command,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import masked

_STDIN, _STDOUT, _STDERR, _STATUS = 0, 1, 2, 3
#: Bytes kept of what a program says on its standard error: the end, for the error message.
_KEPT = 65536
#: Bytes of a program's whole output, where it is not streamed.
_SMALL = 4 << 20


@dataclasses.dataclass(frozen=True)
class Container:
    """Where programs run. ``container`` None: the pod's default one."""

    access: Access
    namespace: str
    pod: str
    container: str | None = None

    def __str__(self) -> str:
        inside = f", container {self.container}" if self.container else ""
        return f"pod {self.namespace}/{self.pod}{inside}"


class PodProgram:
    """A program that runs in a container, with its output to iterate over.

    Only an iteration that ends by itself has seen the whole output, of a program that was given its whole input and
    ended with an exit code that is accepted.

    :arg argv: shown in the API server's audit log, so never anything secret.
    :arg source: what the program reads; None: nothing.
    :arg what: the step in words for errors, such as ``"reading volume data"``.
    :arg accepted: exit codes that are no failure.
    """

    def __init__(
        self,
        container: Container,
        argv: t.Sequence[str],
        what: str,
        source: t.Iterable[bytes] | None = None,
        accepted: t.Container[int] = (0,),
    ) -> None:
        self._container = container
        self._argv = list(argv)
        self._what = what
        self._source = source
        self._accepted = accepted
        self._stderr = b""
        self._status = b""
        self._sending_failed: BaseException | None = None
        #: Once the iteration has ended.
        self.end: End | None = None

    def __iter__(self) -> t.Iterator[bytes]:
        """The output in chunks.

        :raises StreamBroken: the stream was cut, or changed on its way.
        :raises EngineError: the program failed; names the pod and what it said.
        :raises ApiFailure: the API server refused, see :func:`open_channels`.
        """
        channels = self._open()
        writer = FrameWriter()
        sender = threading.Thread(target=self._send, args=(channels, writer), daemon=True)
        try:
            if self._source is not None:
                sender.start()
            reader = FrameReader()
            yield from self._payload(channels, reader)
            if self._source is not None:
                sender.join(timeout=60)
        finally:
            channels.close()
        self._conclude(reader, writer)

    def _open(self) -> Channels:
        container = self._container
        asked = command(self._argv, self._source is not None)
        query = [("command", word) for word in asked]
        query += [("stdin", str(self._source is not None).lower()), ("stdout", "true"), ("stderr", "true")]
        if container.container:
            query.append(("container", container.container))
        path = f"/api/v1/namespaces/{container.namespace}/pods/{container.pod}/exec"
        return open_channels(container.access, path, query, f"{self._what} in {container}")

    def _payload(self, channels: Channels, reader: FrameReader) -> t.Iterator[bytes]:
        while True:
            try:
                received = channels.receive()
            except StreamBroken:
                return  # whether anything is missing, the trailer says
            if received is None:
                return
            channel, data = received
            if channel == _STDOUT:
                payload = reader.feed(data)
                if payload:
                    yield payload
            elif channel == _STDERR:
                self._stderr = (self._stderr + data)[-_KEPT:]
            elif channel == _STATUS:
                self._status = (self._status + data)[:_KEPT]

    def _send(self, channels: Channels, writer: FrameWriter) -> None:
        try:
            for frame in writer.frames(self._source or ()):
                channels.send(_STDIN, frame)
        except StreamBroken:
            pass  # the program has ended: its exit code, or the lack of one, says why
        except BaseException as error:  # handed over, whatever it is
            self._sending_failed = error
            # The program must not wait for the rest for ever, nor take what it has for all.
            channels.close()

    def _conclude(self, reader: FrameReader, writer: FrameWriter) -> None:
        if self._sending_failed is not None:
            raise self._sending_failed
        try:
            end = reader.finish()
            if end.exit_code in self._accepted and self._source is not None:
                writer.require(end)
        except StreamBroken as error:
            if not reader.greeted and (self._stderr or _failure(self._status)):
                raise self._never_began() from None
            error.message = f"{self._what}: {error.message} ({self._container})"
            said = self._refusal()
            if said:
                error.found = f"{error.found}; the API server says: {said}"
            raise
        if end.exit_code not in self._accepted:
            raise EngineError(
                f"{self._what} failed in {self._container}",
                expected="exit code 0",
                found=f"exit code {end.exit_code}: {self._said() or 'nothing on its standard error'}",
                next_command=f"kubectl exec -n {self._container.namespace} {self._container.pod} -- {self._argv[0]}",
            )
        self.end = end

    def _never_began(self) -> EngineError:
        said = [self._said(), self._refusal()]
        return EngineError(
            f"{self._what} could not begin in {self._container}",
            expected="a container with /bin/sh, sha256sum, wc, tee and dd",
            found="; ".join(part for part in said if part),
            next_command="name a container that has them (component_kubernetes_container)",
        )

    def _said(self) -> str:
        text = masked(self._stderr.decode("utf-8", "replace"), self._container.access.secrets())
        return _process.last_lines(text.encode("utf-8"))

    def _refusal(self) -> str:
        return clean(_failure(self._status), self._container.access.secrets())

    @property
    def complaints(self) -> list[str]:
        """The last lines that the program said on its standard error, as far as they were kept."""
        return self._stderr.decode("utf-8", "replace").splitlines()


def run_in_pod(
    container: Container,
    argv: t.Sequence[str],
    what: str,
    stdin: bytes | None = None,
    accepted: t.Container[int] = (0,),
) -> bytes:
    """A program with a short output, which is returned; errors as :class:`PodProgram`'s."""
    output = bytearray()
    source = [stdin] if stdin is not None else None
    with contextlib.closing(t.cast("t.Any", iter(PodProgram(container, argv, what, source, accepted)))) as chunks:
        for chunk in chunks:
            output += chunk
            if len(output) > _SMALL:
                raise EngineError(
                    f"{what} in {container} says more than is possible",
                    expected=f"at most {_SMALL} bytes",
                    found="more",
                )
    return bytes(output)


def _failure(status: bytes) -> str:
    """What a ``Status`` of the API says when it is not one of success."""
    try:
        document = json.loads(status or b"{}")
    except ValueError:
        return status.decode("utf-8", "replace")
    if not isinstance(document, dict) or document.get("status") in (None, "Success"):
        return ""
    return str(document.get("message") or document.get("reason") or "a failure without a message")
