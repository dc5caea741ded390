# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damage done to a repository's files, one mutation at a time, and undone again."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
import random
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import sealed_json
from ansible_collections.sre.runbooks.plugins.module_utils._repository.file_store import FileStore
from tests.robustness.small_repository import Keys

#: Kind of object → pattern of its key. What says something by merely being there has no content to be damaged.
OBJECT_KINDS = {
    "identity": r"repository\.json",
    "manifest": r"components/.*/manifest\.json",
    "guide": r"components/.*/RESTORE\.md",
    "data": r"components/.*/objects/db-.*",
    "globals": r"components/.*/objects/globals.*",
    "proof": r"components/.*/proofs/.*\.json",
    "tombstone": r"components/.*/tombstones/.*\.json",
    "pin": r"components/.*/pins/.*\.json",
    "rewrap": r"components/.*/rewraps/.*",
    "anchor": r"components/.*/evidence/[^/]*Z-[0-9a-f]{4}\.json",
    "state of an anchor": r"components/.*/evidence/.*-state\.json",
    "signature": r".*\.minisig",
    "lease": r"control/leases/.*/held\.json",
    "run": r"runs/[^/]*/(run|closed)\.json",
    "open run": r"control/runs/.*\.json",
    "event": r"runs/.*/events/.*\.json",
    "report": r"runs/.*/report\..*",
}


def kind_of(key: str) -> str | None:
    return next((kind for kind, pattern in OBJECT_KINDS.items() if re.fullmatch(pattern, key)), None)


@dataclasses.dataclass
class Damage:
    """What was done. One finding must name each of ``named``: a key, or any key of a tuple."""

    mutation: str
    kind: str
    named: list[tuple[str, ...]]
    detail: str

    def __str__(self) -> str:
        keys = " and ".join(" or ".join(keys) for keys in self.named)
        return f"{self.mutation} of {self.kind}: {keys} ({self.detail})"


class Files:
    """A repository's files; what was changed is put back by :meth:`undo`."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self._before: dict[str, tuple[bytes, float] | None] = {}

    def keys(self) -> dict[str, list[str]]:
        """Kind → keys, sorted."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.root.rglob("*")):
            key = str(path.relative_to(self.root))
            if path.is_file() and not key.startswith("."):
                kind = kind_of(key)
                if kind is not None:
                    found.setdefault(kind, []).append(key)
        return found

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()

    def write(self, key: str, content: bytes | None) -> None:
        """None removes it."""
        path = self.root / key
        self._before.setdefault(key, (path.read_bytes(), path.stat().st_mtime) if path.exists() else None)
        self._put(path, content)

    def undo(self) -> None:
        for key, before in self._before.items():
            self._put(self.root / key, before[0] if before else None)
            if before:
                os.utime(self.root / key, (before[1], before[1]))
        self._before.clear()

    def touched(self) -> list[str]:
        return sorted(self._before)

    def _put(self, path: pathlib.Path, content: bytes | None) -> None:
        if content is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            return
        path.unlink()
        directory = path.parent
        while directory != self.root and not any(directory.iterdir()):
            directory.rmdir()
            directory = directory.parent


class Vandal:
    """Chooses and does damage. ``keys`` are those of the repository when it was whole."""

    def __init__(self, files: Files, keys: Keys) -> None:
        self.files = files
        self.keys = keys
        self.found = files.keys()
        states = "state of an anchor"  # older ones are superseded, and nobody reads them
        newest = {os.path.dirname(key): key for key in self.found.get(states, [])}
        self.found[states] = sorted(newest.values())

    def damage(self, mutation: str, choice: random.Random) -> Damage:
        """Do it to an object of a kind that it can be done to."""
        done: Damage | None = None
        while done is None:
            kind = choice.choice(sorted(KINDS_OF.get(mutation, self.found)))
            if kind in self.found:
                done = MUTATIONS[mutation](self, kind, choice.choice(self.found[kind]), choice)
        return done

    # -- bytes ---------------------------------------------------------------------------------------------------------

    def bit_flip(self, kind: str, key: str, choice: random.Random) -> Damage | None:
        content = bytearray(self.files.read(key))
        place = choice.randrange(len(content) * 8)
        content[place // 8] ^= 1 << place % 8
        return self._changed("bit flip", kind, key, bytes(content), f"bit {place}")

    def truncation(self, kind: str, key: str, choice: random.Random) -> Damage | None:
        content = self.files.read(key)
        length = choice.choice((0, len(content) - 1, choice.randrange(len(content))))
        return self._changed("truncation", kind, key, content[:length], f"to {length} of {len(content)} bytes")

    def extension(self, kind: str, key: str, choice: random.Random) -> Damage | None:
        content = self.files.read(key)
        more = choice.choice((b"\n", b"\0", b" " * 100, choice.randbytes(50), content))
        return self._changed("extension", kind, key, content + more, f"by {len(more)} bytes")

    def zeroed_range(self, kind: str, key: str, choice: random.Random) -> Damage | None:
        content = self.files.read(key)
        begin = choice.randrange(len(content))
        end = min(len(content), begin + choice.choice((1, 16, 512, 4096)))
        zeroed = content[:begin] + bytes(end - begin) + content[end:]
        if zeroed == content:
            return None
        return self._changed("zeroed range", kind, key, zeroed, f"{begin} to {end}")

    def _changed(self, mutation: str, kind: str, key: str, content: bytes, detail: str) -> Damage | None:
        if kind == "signature" and _signed_part(content) == _signed_part(self.files.read(key)):
            return None
        self.files.write(key, content)
        return Damage(mutation, kind, [(key,)], detail)

    # -- whole objects -------------------------------------------------------------------------------------------------

    def swap(self, kind: str, key: str, choice: random.Random) -> Damage | None:
        other = choice.choice(self.found[kind])
        mine, theirs = self.files.read(key), self.files.read(other)
        if mine == theirs:
            return None
        self.files.write(key, theirs)
        self.files.write(other, mine)
        return Damage("swap", kind, [(key,), (other,)], "with each other")

    def missing(self, kind: str, key: str, choice: random.Random) -> Damage | None:
        if self._alone(kind, key):
            return None
        self.files.write(key, None)
        return Damage("missing", kind, [(key,)], "removed")

    def duplicate(self, kind: str, key: str, choice: random.Random) -> Damage | None:
        copy = self._free_name(kind, key, choice)
        if copy is None:
            return None
        self.files.write(copy, self.files.read(key))
        return Damage("duplicate", kind, [(copy,)], f"of {key}")

    def renamed(self, kind: str, key: str, choice: random.Random) -> Damage | None:
        name = self._free_name(kind, key, choice)
        if name is None or kind == "signature":  # that is one missing
            return None
        self.files.write(name, self.files.read(key))
        self.files.write(key, None)
        return Damage("renamed", kind, [(key, name)], f"{key} to {name}")

    def _alone(self, kind: str, key: str) -> bool:
        """Whether nothing else in the repository can tell that it ever was there."""
        if kind == "rewrap":  # without rewrap.json it is what a killed rewrap left: the point opens with the older keys
            return key.endswith("/rewrap.json")
        if kind == "run":  # one that was opened and did nothing yet; its mark is cleared away
            return key.endswith("run.json") and not (self.files.root / key).with_name("closed.json").exists()
        if kind == "anchor":  # the newest, which the next one would name
            return key == max(other for other in self.found[kind] if os.path.dirname(other) == os.path.dirname(key))
        return kind == "pin"

    def _free_name(self, kind: str, key: str, choice: random.Random) -> str | None:
        """A name that looks like one of the same kind, or like nothing at all."""
        directory, name = os.path.split(key)
        candidates = [os.path.join(directory, "copy-of-" + name), f"{key}.bak", f"somewhere/{name}"]
        if kind == "proof":
            candidates.append(key[:-9] + "0000.json")
            candidates.append(os.path.join(directory, name.replace("verified", "asserted").replace("-failed", "")))
        elif kind == "event":
            candidates.append(key[:-13] + "00000000.json")
        elif kind in ("manifest", "guide", "run", "report", "tombstone", "lease"):
            other = choice.choice(self.found[kind])
            changed = f"{other.split('/')[0]}/" + "/".join(other.split("/")[1:])
            candidates += [re.sub(r"-[0-9a-f]{4}/", "-0000/", changed), re.sub(r"/\d{12}/", "/000000000009/", changed)]
        fresh = [name for name in candidates if not (self.files.root / name).exists()]
        return choice.choice(fresh) if fresh else None

    # -- by somebody who knows the format ------------------------------------------------------------------------------

    def stale_manifest(self, kind: str, key: str, choice: random.Random) -> Damage | None:
        """An older manifest in the place of a newer one; as it is, or with the newer one's identity and a right digest."""
        same = [k for k in self.found["manifest"] if k.split("/")[1] == key.split("/")[1] and k < key]
        if not same:
            return None
        older = json.loads(self.files.read(choice.choice(same)))
        if choice.random() < 0.5:
            content = sealed_json(older)
        else:
            own = json.loads(self.files.read(key))
            content = sealed_json(
                {**own, "objects": own["objects"][:-1], "consistency_time": older["consistency_time"]}
            )
        return self._changed("stale manifest", kind, key, content, f"from {older['point_id']}")

    def wrong_key(self, kind: str, key: str, choice: random.Random) -> Damage | None:
        """The same content, encrypted for somebody else; with or without a manifest that knows."""
        if not key.endswith(".age"):
            return None
        manifest_key = key.split("/objects/")[0] + "/manifest.json"
        manifest = json.loads(self.files.read(manifest_key))
        fresh = f"{key}-fresh"
        store = FileStore(str(self.files.root))
        source = io.BytesIO(choice.randbytes(500))
        stored = store_stream(store, fresh, "x", source, Encoding(recipients=[self.keys.other]))
        content = self.files.read(fresh)
        os.unlink(self.files.root / fresh)
        self.files.write(key, content)
        if choice.random() < 0.5:
            return Damage("wrong key", kind, [(key,)], "behind the manifest's back")
        for entry in manifest["objects"]:
            if entry["key"] == key:
                entry.update({**stored.to_dict(), "name": entry["name"], "key": key, "kind": entry["kind"]})
        self.files.write(manifest_key, sealed_json(manifest))
        return Damage("wrong key", kind, [(key, manifest_key)], "with a manifest that says so")

    def tampered_proof(self, kind: str, key: str, choice: random.Random) -> Damage:
        document = json.loads(self.files.read(key))
        change: dict[str, t.Any] = choice.choice(
            [
                {"level": "asserted" if document["level"] != "asserted" else "restored"},
                {"outcome": "ok" if document["outcome"] == "failed" else "failed"},
                {"point_id": "20200101T000000Z-0000"},
                {"component": "another"},
                {"name": "asserted-20261121T000000.000000Z-0000.json"},
                {"previous": "verified-20200101T000000.000000Z-0000.json"},
            ]
        )
        named = (key, f"{os.path.dirname(key)}/{change['previous']}") if "previous" in change else (key,)
        self.files.write(key, sealed_json({**document, **change}))
        return Damage("tampered proof", kind, [named], str(change))

    def tampered(self, kind: str, key: str, choice: random.Random) -> Damage | None:
        """A field changed and the digest made right again, where something else remembers what it was."""
        document = json.loads(self.files.read(key))
        if kind == "manifest":
            change = choice.choice([{"engine_version": "9.6"}, {"sequence": 77}, {"previous": None}, {"content": {}}])
        elif kind == "tombstone":
            change = choice.choice([{"manifest_sha256": "0" * 64}, {"sequence": 77}, {"previous_sha256": "0" * 64}])
        elif kind == "identity":
            change = choice.choice([{"id": "00000000-0000-4000-8000-000000000000"}, {"environment": "another"}])
        elif kind in ("run", "report"):
            if not key.endswith("run.json") or not (self.files.root / key).with_name("closed.json").exists():
                return None
            change = {"operator": "nobody"}
        else:
            change = {"point_id": "20200101T000000Z-0000", "run_id": "another", "key": "another", "epoch": 99}
        if kind == "identity" and "id" in change:
            self.files.write(key, sealed_json({**document, **change}))
            return Damage("tampered", kind, [(key, *self.found["manifest"])], str(change))
        self.files.write(key, sealed_json({**document, **change}))
        return Damage("tampered", kind, [(key,)], str(change))


def _signed_part(signature: bytes) -> list[bytes]:
    """What counts of a signature's file: its first line is an untrusted comment, and blanks around lines are nothing."""
    return [line.strip() for line in signature.strip().splitlines()[1:]]


_Mutation = t.Callable[[Vandal, str, str, random.Random], "Damage | None"]
MUTATIONS: dict[str, _Mutation] = {
    "bit flip": Vandal.bit_flip,
    "truncation": Vandal.truncation,
    "extension": Vandal.extension,
    "swap of two objects": Vandal.swap,
    "missing": Vandal.missing,
    "duplicate": Vandal.duplicate,
    "renamed": Vandal.renamed,
    "zeroed range": Vandal.zeroed_range,
    "stale manifest": Vandal.stale_manifest,
    "wrong-key re-encryption": Vandal.wrong_key,
    "tampered proof": Vandal.tampered_proof,
    "tampered document": Vandal.tampered,
}
#: Mutations that only some kinds of objects can suffer.
KINDS_OF: dict[str, tuple[str, ...]] = {
    "stale manifest": ("manifest",),
    "wrong-key re-encryption": ("data", "globals"),
    "tampered proof": ("proof",),
    "tampered document": ("manifest", "tombstone", "identity", "run", "event", "lease", "open run"),
}
