#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: age_identity
short_description: An age identity exists and its recipient is known
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Creates an age X25519 identity where there is none, and the file with its recipient beside it.
  - The identity belongs to the break-glass kit. Keep copies of it away from the repository; without it encrypted
    recovery points cannot be restored by anybody.
  - An existing identity is never changed.
extends_documentation_fragment:
  - sre.runbooks.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
requirements:
  - C(age-keygen), or the Python library pyrage
options:
  path:
    description:
      - File of the identity, created with mode V(0600).
    type: path
    required: true
  recipient_path:
    description:
      - File that receives the recipient.
      - By default C(age-recipient.txt) in the directory of the identity.
    type: path
  state:
    description:
      - The identity exists.
    type: str
    choices:
      - present
    default: present
seealso:
  - module: sre.runbooks.postgresql_backup
"""

EXAMPLES = r"""
- name: The environment has an age identity
  sre.runbooks.age_identity:
    path: "{{ kit_dir }}/age-identity.txt"
"""

RETURN = r"""
recipient:
  description: The public recipient (C(age1...)) that backups encrypt to; empty in check mode when there is no identity yet.
  returned: success
  type: str
  sample: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
"""

import os
import re
import shutil
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, MissingRequirement
from ansible_collections.sre.runbooks.plugins.module_utils._module import run_module
from ansible_collections.sre.runbooks.plugins.module_utils._process import run
from ansible_collections.sre.runbooks.plugins.module_utils._whole_file import write_whole

_IDENTITY = re.compile(r"^AGE-SECRET-KEY-1[0-9A-Z]+$", re.MULTILINE)
_RECIPIENT = re.compile(r"^(?:# public key: )?(age1[0-9a-z]+)$", re.MULTILINE)


def generate() -> tuple[str, str]:
    """A new identity file's text and its recipient."""
    if shutil.which("age-keygen"):
        text = run(["age-keygen"], "generating an age identity").decode("ascii")
        found = _RECIPIENT.search(text)
        if found:
            return text, found.group(1)
    try:
        import pyrage
    except ImportError:
        raise MissingRequirement(
            "an age identity needs age-keygen or the Python library pyrage",
            expected="either of them",
            found="neither",
            next_command="apt-get install age",
        ) from None
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    return f"# public key: {recipient}\n{identity}\n", recipient


def recipient_of(path: str, recipient_path: str) -> str:
    """The recipient of the identity at ``path``. Raises :class:`InvalidInput` when it holds none."""
    with open(path, encoding="utf-8") as source:
        text = source.read(65536)
    if not _IDENTITY.search(text):
        raise InvalidInput("not an age identity", expected="AGE-SECRET-KEY-1... in the file", found=path)
    found = _RECIPIENT.search(text)
    if found:
        return found.group(1)
    if shutil.which("age-keygen"):
        return run(["age-keygen", "-y", path], "reading the recipient of an age identity").decode("ascii").strip()
    with open(recipient_path, encoding="utf-8") as source:
        return source.read(4096).strip()


def work(module: AnsibleModule) -> dict[str, t.Any]:
    path = module.params["path"]
    recipient_path = module.params["recipient_path"] or os.path.join(os.path.dirname(path), "age-recipient.txt")
    exists = os.path.exists(path)
    recipient = recipient_of(path, recipient_path) if exists else ""
    known = os.path.exists(recipient_path)
    if not module.check_mode:
        if not exists:
            text, recipient = generate()
            write_whole(path, text.encode("utf-8"), 0o600)
        if not known or not exists:
            write_whole(recipient_path, (recipient + "\n").encode("utf-8"), 0o644)
    return {
        "changed": not (exists and known),
        "recipient": recipient,
        "diff": {
            "before": {
                "identity": "present" if exists else "absent",
                "recipient_file": "present" if known else "absent",
            },
            "after": {"identity": "present", "recipient_file": "present"},
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "recipient_path": {"type": "path"},
            "state": {"type": "str", "choices": ["present"], "default": "present"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
