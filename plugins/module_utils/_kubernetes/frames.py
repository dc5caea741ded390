# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How bytes travel into and out of a pod: framed by a few lines of sh in the pod, so that what is missing is missed.

A stream of ``exec`` may end early and look complete (kubernetes/kubernetes#124571), its protocol cannot say that
standard input has ended, and an exit code may get lost on the way. So the pod's side is :data:`SCRIPT`:

- out: one line that names the protocol, the program's output, then a trailer of :data:`TRAILER` bytes with the length
  and sha256 of that output, the program's exit code, and what it was given: length is known to the sender, sha256;
- in: pieces, each behind a line with its length, and a line ``0`` after the last.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError

#: The first line of the pod's side.
GREETING = b"sre-runbooks stream 1\n"
#: Bytes of the trailer, of the pod's last line.
TRAILER = 256
#: Bytes of a piece on the way in; also what the pod's side holds in memory.
PIECE = 262144
#: Beside a shell, what a container must have.
TOOLS = ("sha256sum", "wc", "tee", "dd")

# File descriptors: 4 the real output; 5 and 8 the pipes to sha256sum and wc of what goes out; 7 that of what came in;
# 9 the program's output; 6 the report. tee opens pipes of this very shell through /proc, so no file is written and
# nothing is left behind. dd reads exactly as many bytes as were announced, a shell's read exactly one line.
SCRIPT = r"""
export LC_ALL=C
for tool in sha256sum wc tee dd; do
  command -v "$tool" >/dev/null 2>&1 || { echo "this container has no $tool" >&2; exit 127; }
done
mode=$1
shift
exec 4>&1
printf 'sre-runbooks stream 1\n'
received() {
  while IFS= read -r count; do
    if [ "$count" = 0 ]; then echo 'whole 1' >&6; return; fi
    dd bs="$count" count=1 iflag=fullblock 2>/dev/null || return
  done
}
label() { read -r value rest; echo "$1 $value" >&6; }
run() {
  "$@" 3<&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
  echo "exit $?" >&6
}
output() {
  if [ "$mode" = in ]; then
    { { received | tee /proc/self/fd/7 | run "$@" >&9; } 7>&1 | sha256sum | label received; } 9>&1
  else
    run "$@" </dev/null
  fi
}
report=$(
  { { { output "$@" | tee /proc/self/fd/5 /proc/self/fd/8 >&4; } 5>&1 | sha256sum | label sha256; } 8>&1 | wc -c | label length; } 6>&1
)
whole=0 received=- exit= sha256= length=
while read -r name value; do
  case $name in whole|received|exit|sha256|length) eval "$name=\$value" ;; esac
done <<END
$report
END
printf '%-255s\n' "end exit=$exit length=$length sha256=$sha256 whole=$whole received=$received" >&4
"""

_TRAILER = re.compile(
    rb"end exit=([0-9]{1,3}) length=([0-9]{1,19}) sha256=([0-9a-f]{64}) whole=([01]) received=([0-9a-f]{64}|-) *\n"
)
_NEXT = "when it happens again, look at kubectl get events and at what stands between here and the pod; now: the same command"


class StreamBroken(EngineError):
    """A stream from or to a pod ended early, or arrived as something else than was sent."""

    kind = "stream"


@dataclasses.dataclass(frozen=True)
class End:
    """What the pod's side says at the end.

    ``received``: sha256 of what the program was given; None when it was given nothing, or not all of it.
    """

    exit_code: int
    length: int
    sha256: str
    received: str | None


def command(argv: t.Sequence[str], with_input: bool) -> list[str]:
    """What is to be executed in the container so that ``argv`` runs there with its streams framed."""
    return ["/bin/sh", "-c", SCRIPT, "sre-runbooks", "in" if with_input else "out", *argv]


class FrameReader:
    """The program's output, out of what the pod sends. ``feed`` it all, then ``finish``."""

    def __init__(self) -> None:
        self._greeted = False
        self._held = b""
        self._length = 0
        self._hash = hashlib.sha256()

    def feed(self, data: bytes) -> bytes:
        """What of the program's output is known to be none of the trailer, in order. Raises :class:`StreamBroken`."""
        held = self._held + data
        if not self._greeted:
            if not held.startswith(GREETING[: len(held)]):
                raise StreamBroken(
                    "something else than our stream answers in the pod",
                    expected=repr(GREETING.decode()),
                    found=repr(held[:80].decode("utf-8", "replace")),
                    next_command="choose a container whose /bin/sh prints nothing of its own (component_kubernetes_container)",
                )
            if len(held) < len(GREETING):
                self._held = held
                return b""
            self._greeted = True
            held = held[len(GREETING) :]
        whole = max(0, len(held) - TRAILER)
        self._held = held[whole:]
        released = held[:whole]
        self._length += whole
        self._hash.update(released)
        return released

    @property
    def greeted(self) -> bool:
        """Whether the pod's side began at all."""
        return self._greeted

    def finish(self) -> End:
        """The end that the pod told. Raises :class:`StreamBroken` unless all that it sent has arrived as it was."""
        trailer = _TRAILER.fullmatch(self._held)
        if trailer is None or len(self._held) != TRAILER:
            raise StreamBroken(
                "the stream from the pod ended early",
                expected="the pod's last line, with the length and sha256 of what it sent",
                found=f"an end after {self._length + len(self._held)} bytes"
                if self._greeted
                else "an end before anything was sent",
                next_command=_NEXT,
            )
        code, length, sha256, whole, received = (group.decode() for group in trailer.groups())
        if int(length) != self._length or sha256 != self._hash.hexdigest():
            raise StreamBroken(
                "the stream from the pod arrived as something else than was sent",
                expected=f"{int(length)} bytes, sha256 {sha256}",
                found=f"{self._length} bytes, sha256 {self._hash.hexdigest()}",
                next_command=_NEXT,
            )
        return End(int(code), int(length), sha256, received if whole == "1" and received != "-" else None)


class FrameWriter:
    """The pieces that carry a program's input; :attr:`sha256` is that of what has passed."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.length = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def frames(self, chunks: t.Iterable[bytes]) -> t.Iterator[bytes]:
        """What to send, in order; only an exhausted iterator has sent the end."""
        for chunk in chunks:
            for begin in range(0, len(chunk), PIECE):
                piece = chunk[begin : begin + PIECE]
                self._hash.update(piece)
                self.length += len(piece)
                yield b"%d\n" % len(piece)
                yield bytes(piece)
        yield b"0\n"

    def require(self, end: End) -> None:
        """Raise :class:`StreamBroken` unless the program was given exactly what was sent."""
        if end.received != self.sha256:
            raise StreamBroken(
                "the pod was given something else than was sent",
                expected=f"{self.length} bytes, sha256 {self.sha256}",
                found=f"sha256 {end.received}" if end.received else "an input that ended early",
                next_command=_NEXT,
            )
