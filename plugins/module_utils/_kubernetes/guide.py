# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Kubernetes part of a recovery point's ``RESTORE.md``: kubectl and a loop, with real names and in the right order."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.fields import OWNERS
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.order import rank
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding

_DECODE = """\
## Unpack the objects

You need {need}.{identity}

```sh
for file in {files}; do
  plain=restored/${{file#objects/}}; plain=${{plain%{suffix}}}
  mkdir -p "${{plain%/*}}"
  {decode} > "$plain"
done
```

Each file holds one kind, an object a line, as JSON that `kubectl` reads. What is below `objects/left/` was made by
controllers, which make it again: it is only there to be looked at.
"""
_APPLY = """\
## Apply them

`kubectl` must point at the right cluster (`kubectl config current-context`), as somebody who may create all of this. Its
version should be close to {version}. Objects that are there already are changed to what they were; a field that somebody
else manages is refused, and named.

```sh
set -e
{commands}
```

Nothing was restored of: {skipped}.

An annotation `{owners}` says which objects owned this one. Owners are found by uid, and the new ones have others: where
it matters, write `ownerReferences` anew.

Then compare the number of objects with the counts in `manifest.json`.
"""
_ESTABLISHED = "kubectl wait --for=condition=Established --timeout=60s customresourcedefinition --all"


def restore_guide(content: t.Mapping[str, t.Any], encoding: Encoding) -> str:
    """Markdown, its headings at the second level.

    :arg content: the manifest's ``content``.
    """
    told = content["kubernetes"]
    held = [entry for entry in told["kinds"] if entry["object"]]
    if not held:
        return "## Nothing to restore\n\nThere was no object that controllers do not make by themselves.\n"
    held.sort(key=lambda entry: (rank(entry["group"], entry["kind"]), entry["group"], entry["resource"]))
    need = ["`kubectl`"] + ["`zstd`"] * encoding.compress + ["`age`"] * bool(encoding.recipients)
    identity = ""
    if encoding.recipients:
        identity = "\n`IDENTITY` names the file of the age identity of one of these recipients:\n\n" + "\n".join(
            f"- `{recipient}`" for recipient in encoding.recipients
        )
    decode = _DECODE.format(
        need=", ".join(need),
        identity=identity,
        files=" \\\n  ".join(f"objects/{entry['object']}" for entry in held),
        suffix=encoding.suffix,
        decode=_decode(encoding, '"$file"'),
    )
    apply = _APPLY.format(
        version=told["server"]["version"],
        commands="\n".join(_commands(held, encoding)),
        skipped=", ".join(f"`{entry['label']}`" for entry in told["skipped"] if entry["excluded"])
        or "no kind that was left out",
        owners=OWNERS,
    )
    return f"{decode}\n{apply}"


def _commands(held: t.Sequence[t.Mapping[str, t.Any]], encoding: Encoding) -> t.Iterator[str]:
    for entry in held:
        name = str(entry["object"])
        plain = name[: -len(encoding.suffix)] if encoding.suffix else name
        yield f"kubectl apply --server-side --field-manager=sre-runbooks -f - < restored/{plain}"
        if entry["kind"] == "CustomResourceDefinition":
            yield _ESTABLISHED


def _decode(encoding: Encoding, path: str) -> str:
    """A pipeline that writes the raw content of the object at ``path``."""
    if not encoding.recipients:
        return f"zstd -dc {path}" if encoding.compress else f"cat {path}"
    return f'age -d -i "$IDENTITY" {path}' + " | zstd -dc" * encoding.compress
