# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a volume: streamed out as one tar archive with a list of hashes, and back, compared before they count."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import tempfile
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import AssertionFailed, EngineError, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.exec_stream import PodProgram, run_in_pod
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.tar_listing import Total, differences, listed
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_pod import Mounted
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.chunks import Reading

#: Names at the top of a volume that are ours; no backup takes them.
RESTORING = ".sre-runbooks-restoring"
BEFORE = ".sre-runbooks-before"
_PHASE = ".sre-runbooks-swap"
_EXCLUDED = ("./lost+found", f"./{RESTORING}", f"./{BEFORE}-*", f"./{_PHASE}")
#: What GNU tar says of files that were written to while it read; everything else that it complains of is a failure.
_CHANGED = re.compile(
    r"file changed as we read it|File removed before we read it|file is the archive|File shrank by", re.I
)
_HARMLESS = re.compile(r"socket ignored|Exiting with failure status due to previous errors|^$", re.I)
_HEADROOM = 1.02

# $1: under which name the old is kept. Two phases, each of which can be begun again after a kill: what is there goes
# aside, then what was prepared takes its place. In the first phase nothing of the prepared has moved, so all that is
# there is old; in the second nothing old is left. The phase is the content of one file, changed by a rename.
_SWAP = rf"""
set -eu
phase() {{ echo "$1 $before" >{_PHASE}.new; mv {_PHASE}.new {_PHASE}; }}
entries() {{ find . -mindepth 1 -maxdepth 1 ! -name lost+found ! -name '{BEFORE}-*' ! -name {RESTORING} ! -name '{_PHASE}*' "$@"; }}
if [ -e {_PHASE} ]; then
  read -r now before <{_PHASE}
else
  [ -d {RESTORING} ] || {{ echo "nothing is prepared" >&2; exit 1; }}
  now=aside before={BEFORE}-$1
  phase aside
fi
if [ "$now" = aside ]; then
  if [ -n "$(entries | head -n 1)" ]; then
    mkdir -p "$before"
    entries -exec mv -f {{}} "$before/" \;
    [ -z "$(entries | head -n 1)" ] || {{ echo "not everything could be moved aside" >&2; exit 1; }}
  fi
  phase swap
fi
if [ -d {RESTORING} ]; then
  find {RESTORING} -mindepth 1 -maxdepth 1 -exec mv -f {{}} . \;
  rmdir {RESTORING}
fi
chmod "$2" . 2>/dev/null || true
chown "$3:$4" . 2>/dev/null || true
sync
rm -f {_PHASE}
[ -d "$before" ] && echo kept || echo nothing
"""
_ANYTHING = (
    f"find . -mindepth 1 -maxdepth 1 ! -name lost+found ! -name '{BEFORE}-*' ! -name {RESTORING} ! -name '{_PHASE}*'"
    " | head -n 1"
)
_PREPARE = rf"rm -rf {RESTORING} && mkdir {RESTORING}"
# What a killed restore had prepared takes no room from the next one. Not while a swap is under way: then it is the data.
_SPACE = (
    f"[ -e {_PHASE} ] || rm -rf {RESTORING} || exit 1; df -Pk . | tail -n 1 | {{ read -r _ _ _ free _; echo $free; }}"
)
_RELEASE = f'for kept in {BEFORE}-*; do [ -e "$kept" ] || continue; rm -rf "$kept" || exit 1; echo removed; done'


@dataclasses.dataclass(frozen=True)
class Taken:
    """What was read of a volume. ``changed``: whether somebody wrote to files meanwhile."""

    total: Total
    changed: bool


class VolumeReading:
    """A volume's files as a source to store; its :attr:`taken` and ``listing`` are complete at its end."""

    def __init__(self, place: Mounted, claim: str, listing: t.BinaryIO, below: str = ".") -> None:
        argv = ["tar", "-C", _joined(place.path, below), "--numeric-owner"]
        argv += [f"--exclude={pattern}" for pattern in _EXCLUDED]
        self._program = PodProgram(
            place.container, [*argv, "-cf", "-", "."], f"reading the files of claim {claim}", accepted=(0, 1)
        )
        self._claim = claim
        self._total = Total()
        self._reading = Reading(self._chunks(listing))
        #: None before the end.
        self.taken: Taken | None = None

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes of the archive; empty only at the end, which is reached only when all was well."""
        return self._reading.read(size)

    def _chunks(self, listing: t.BinaryIO) -> t.Iterator[bytes]:
        yield from listed(self._program, listing, self._total)
        self.taken = Taken(self._total, self._changed())

    def _changed(self) -> bool:
        if self._program.end is None or self._program.end.exit_code == 0:
            return False
        said = self._program.complaints
        others = [line for line in said if not _CHANGED.search(line) and not _HARMLESS.search(line)]
        if others or not said:
            raise EngineError(
                f"reading the files of claim {self._claim} failed",
                expected="that tar reads every file",
                found=" | ".join(others)[:500] or "exit code 1",
                next_command="mend what cannot be read, or choose another way for this claim (component_kubernetes_volumes_by_claim)",
            )
        return True


def require_space(place: Mounted, claim: str, needed: int) -> None:
    """Raise :class:`Refused` unless the volume has room for ``needed`` bytes beside what it holds.

    What a killed restore had prepared there is removed first.
    """
    said = run_in_pod(place.container, _there(place, _SPACE), f"asking for the free space of claim {claim}").strip()
    if said.isdigit() and int(said) * 1024 < needed * _HEADROOM:
        raise Refused(
            f"too little space on the volume of claim {claim}; nothing was touched",
            expected=f"{int(needed * _HEADROOM) >> 20} MiB free",
            found=f"{int(said) >> 10} MiB free",
            next_command=f"expand the claim with sre.runbooks.expand_volume, or remove what former restores kept: {BEFORE}-* in it",
        )


def prepare(place: Mounted, claim: str, archive: t.Iterable[bytes]) -> None:
    """Put an archive's files into the volume, beside what it holds."""
    run_in_pod(place.container, _there(place, _PREPARE), f"preparing the restore of claim {claim}")
    argv = ["tar", "-C", _joined(place.path, RESTORING), "--numeric-owner", "-xpf", "-"]
    program = PodProgram(place.container, argv, f"writing the files of claim {claim}", archive)
    with contextlib.closing(t.cast(t.Any, iter(program))) as output:
        for _chunk in output:
            pass


def unlike(place: Mounted, claim: str, expected: t.Iterable[bytes], below: str = ".") -> list[str]:
    """How the files in the volume differ from a listing, in words; empty when they do not.

    :arg expected: the lines of the listing that was stored with the archive.
    """
    with tempfile.TemporaryFile() as listing:
        reading = VolumeReading(place, claim, listing, below)
        while reading.read(1 << 20):
            pass
        listing.seek(0)
        return differences(expected, listing)


def compare(place: Mounted, claim: str, expected: t.Iterable[bytes]) -> None:
    """Read back what was prepared. Raises :class:`AssertionFailed` naming what differs from the listing."""
    words = unlike(place, claim, expected, RESTORING)
    if words:
        raise AssertionFailed(
            f"the restored files of claim {claim} are not those of the recovery point; the volume's own are untouched",
            expected="the same files, with the same content, owner and mode",
            found="; ".join(words),
            next_command="when it stays, look at kubectl get events and at the log of the volume's driver; now: the same command",
        )


def swap(place: Mounted, claim: str, point_id: str, root: t.Mapping[str, t.Any] | None) -> bool:
    """What was prepared takes the place of what is there; whether something was, kept in ``BEFORE-<point>-<time>``.

    Begun again after a kill, it goes on where it was.
    """
    mode, uid, gid = (root or {}).get("mode", 0o755), (root or {}).get("uid", 0), (root or {}).get("gid", 0)
    words = [f"{point_id}-{int(time.time())}", f"{mode:04o}", str(uid), str(gid)]
    said = run_in_pod(place.container, _there(place, _SWAP, *words), f"swapping the files of claim {claim}")
    return said.strip() == b"kept"


def swapping(place: Mounted, claim: str) -> bool:
    """Whether a swap was begun and not ended."""
    script = f"[ -e {_PHASE} ] && echo yes || echo no"
    return run_in_pod(place.container, _there(place, script), f"looking at claim {claim}").strip() == b"yes"


def holds_nothing(place: Mounted, claim: str) -> bool:
    """Whether the volume has no file but ours."""
    return not run_in_pod(place.container, _there(place, _ANYTHING), f"looking at claim {claim}").strip()


def release(place: Mounted, claim: str) -> bool:
    """Remove what former restores kept; whether there was anything.

    :raises Refused: a swap was begun and not ended: what is kept may be half of what the volume held.
    :raises EngineError: something could not be removed.
    """
    if swapping(place, claim):
        raise Refused(
            f"a restore of claim {claim} was interrupted while it swapped; what is kept there is not released yet",
            expected="a restore that has ended",
            found=f"{_PHASE} in the claim",
            next_command="restore once more, which ends it; then: the same command",
        )
    return bool(run_in_pod(place.container, _there(place, _RELEASE), f"releasing the former files of claim {claim}"))


def _there(place: Mounted, script: str, *words: str) -> list[str]:
    return ["sh", "-c", f'cd -- "$0" && {{ {script}\n}}', place.path, *words]


def _joined(path: str, below: str) -> str:
    return path if below == "." else f"{path.rstrip('/')}/{below}"
