#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: signing_key
short_description: A signing key exists and its public key is known
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Creates an ed25519 key in the format of minisign where there is none, without a password, and the file with its public
    key beside it.
  - Each identity has its own key on its own host, so that whoever takes one over forges nothing in another's name.
    C(minisign -V) checks by hand what they sign.
  - An existing key is never changed.
extends_documentation_fragment:
  - sre.runbooks.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
requirements:
  - The Python library cryptography
options:
  path:
    description:
      - File of the secret key, created with mode V(0600).
    type: path
    required: true
  public_key_path:
    description:
      - File that receives the public key.
      - By default the path of the secret key with C(.pub) in place of its extension.
    type: path
  state:
    description:
      - The key exists.
    type: str
    choices:
      - present
    default: present
seealso:
  - module: sre.runbooks.evidence
  - module: sre.runbooks.age_identity
"""

EXAMPLES = r"""
- name: The backup identity has a signing key
  sre.runbooks.signing_key:
    path: "{{ kit_dir }}/backup-signing.key"
  register: backup_signing
"""

RETURN = r"""
public_key:
  description: The public key, for O(sre.runbooks.evidence#module:signing_public_keys); empty in check mode when there is no key yet.
  returned: success
  type: str
  sample: RWS6tq7qFOxUB+ITMx0Xr59KY1rPrQvXiOfzI/smqM+aYG6Jois5kttA
key_name:
  description: The key's number as minisign prints it.
  returned: success
  type: str
  sample: 0754EC14EAAEB6BA
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._module import run_module
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import (
    SIGNATURE_LIMIT,
    PublicKey,
    Signer,
    generate_key,
)
from ansible_collections.sre.runbooks.plugins.module_utils._whole_file import write_whole


def public_key_of(path: str) -> PublicKey:
    """The public key of the secret one at ``path``. Raises :class:`InvalidInput` when it holds none."""
    with open(path, encoding="ascii", errors="replace") as source:
        return Signer(source.read(SIGNATURE_LIMIT)).public_key


def public_text(key: PublicKey) -> str:
    return f"untrusted comment: minisign public key {key.name}\n{key}\n"


def holds(path: str, text: str) -> bool:
    """Whether the file at ``path`` has that public key, whatever its comment."""
    if not os.path.exists(path):
        return False
    with open(path, encoding="ascii", errors="replace") as source:
        return text.splitlines()[-1] in source.read(SIGNATURE_LIMIT).splitlines()


def work(module: AnsibleModule) -> dict[str, t.Any]:
    path = module.params["path"]
    public_path = module.params["public_key_path"] or os.path.splitext(path)[0] + ".pub"
    exists = os.path.exists(path)
    public = public_key_of(path) if exists else None
    known = public is not None and holds(public_path, public_text(public))
    if not module.check_mode:
        if public is None:
            secret, public = generate_key()
            write_whole(path, secret.encode("ascii"), 0o600)
        if not known:
            write_whole(public_path, public_text(public).encode("ascii"), 0o644)
    return {
        "changed": not known,
        "public_key": str(public) if public else "",
        "key_name": public.name if public else "",
        "diff": {
            "before": {
                "secret_key": "present" if exists else "absent",
                "public_key_file": "present" if known else "absent",
            },
            "after": {"secret_key": "present", "public_key_file": "present"},
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "public_key_path": {"type": "path", "no_log": False},
            "state": {"type": "str", "choices": ["present"], "default": "present"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
