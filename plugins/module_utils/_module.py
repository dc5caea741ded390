# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module's ``main()`` shares: the common options, and errors turned into ``fail_json`` in one place."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError


class Caller(t.Protocol):
    """What the work needs of a module; an :class:`AnsibleModule` is one, and a test brings its own."""

    params: dict[str, t.Any]
    check_mode: bool

    def warn(self, warning: str) -> None: ...


#: Documented by the fragment ``sre.runbooks.repository``; checked by ``_repository.s3_options``, which knows the defaults.
S3_OPTION: dict[str, t.Any] = {
    "type": "dict",
    "apply_defaults": True,
    "options": {
        "endpoint_url": {"type": "str", "fallback": (env_fallback, ["SRE_RUNBOOKS_S3_ENDPOINT"])},
        "region": {"type": "str", "fallback": (env_fallback, ["SRE_RUNBOOKS_S3_REGION"])},
        "profile": {"type": "str", "fallback": (env_fallback, ["SRE_RUNBOOKS_S3_PROFILE"])},
        "access_key": {"type": "str", "no_log": False, "fallback": (env_fallback, ["SRE_RUNBOOKS_S3_ACCESS_KEY"])},
        "secret_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["SRE_RUNBOOKS_S3_SECRET_KEY"])},
        "session_token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["SRE_RUNBOOKS_S3_SESSION_TOKEN"])},
        "addressing_style": {
            "type": "str",
            "default": "auto",
            "choices": ["auto", "path", "virtual"],
            "fallback": (env_fallback, ["SRE_RUNBOOKS_S3_ADDRESSING_STYLE"]),
        },
        "ca_bundle": {"type": "path", "fallback": (env_fallback, ["SRE_RUNBOOKS_S3_CA_BUNDLE"])},
        "verify_certificates": {"type": "bool", "default": True},
        "storage_class": {"type": "str"},
        "server_side_encryption": {"type": "str", "default": "none", "choices": ["none", "AES256", "aws:kms"]},
        "kms_key_id": {"type": "str", "no_log": False},
        "lock_mode": {"type": "str", "default": "none", "choices": ["none", "governance", "compliance"]},
        "lock_for": {"type": "str", "default": "0"},
        "part_size": {"type": "bytes", "default": "8M"},
        "concurrency": {"type": "int", "default": 4},
        "max_attempts": {"type": "int", "default": 6},
        "connect_timeout": {"type": "str", "default": "10s"},
        "read_timeout": {"type": "str", "default": "1m"},
    },
}
#: Documented by the fragment ``sre.runbooks.repository``.
REPOSITORY_OPTIONS: dict[str, t.Any] = {
    "repository": {"type": "str", "required": True, "fallback": (env_fallback, ["SRE_RUNBOOKS_REPOSITORY"])},
    "environment_name": {"type": "str", "required": True, "fallback": (env_fallback, ["SRE_RUNBOOKS_ENVIRONMENT"])},
    "s3": S3_OPTION,
}
#: Documented by the fragment ``sre.runbooks.run``.
RUN_OPTIONS: dict[str, t.Any] = {
    "run_id": {"type": "str"},
    "progress_path": {"type": "path"},
}
#: Documented by the fragment ``sre.runbooks.lease``.
LEASE_OPTIONS: dict[str, t.Any] = {
    "lease_ttl": {"type": "str", "default": "2m"},
    "lease_wait": {"type": "str", "default": "0"},
}
#: Documented by the fragment ``sre.runbooks.encryption``.
ENCRYPTION_OPTIONS: dict[str, t.Any] = {
    "encryption_recipients": {"type": "list", "elements": "str", "default": []},
    "encryption_identity": {"type": "str", "no_log": True, "fallback": (env_fallback, ["SRE_RUNBOOKS_AGE_IDENTITY"])},
    "encryption_identity_file": {
        "type": "path",
        "no_log": False,
        "fallback": (env_fallback, ["SRE_RUNBOOKS_AGE_IDENTITY_FILE"]),
    },
}
#: Documented by the fragment ``sre.runbooks.signing.trust``.
TRUST_OPTIONS: dict[str, t.Any] = {
    "signing_public_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "require_signature": {"type": "bool", "default": False},
}
#: Documented by the fragment ``sre.runbooks.signing.key``, for modules that sign and need not choose whom to believe.
SIGNING_KEY_OPTIONS: dict[str, t.Any] = {
    "signing_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["SRE_RUNBOOKS_SIGNING_KEY"])},
    "signing_key_file": {
        "type": "path",
        "no_log": False,
        "fallback": (env_fallback, ["SRE_RUNBOOKS_SIGNING_KEY_FILE"]),
    },
}
#: Documented by the fragment ``sre.runbooks.signing``.
SIGNING_OPTIONS: dict[str, t.Any] = {**SIGNING_KEY_OPTIONS, **TRUST_OPTIONS}
#: Documented by the fragment ``sre.runbooks.kubernetes``; the names are those of kubernetes.core.
KUBERNETES_OPTIONS: dict[str, t.Any] = {
    "kubeconfig": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_KUBECONFIG"])},
    "context": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_CONTEXT"])},
    "host": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_HOST"])},
    "api_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["K8S_AUTH_API_KEY"])},
    "api_key_file": {"type": "path", "no_log": False, "fallback": (env_fallback, ["SRE_RUNBOOKS_K8S_API_KEY_FILE"])},
    "ca_cert": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_SSL_CA_CERT"])},
    "client_cert": {"type": "path", "fallback": (env_fallback, ["K8S_AUTH_CERT_FILE"])},
    "client_key": {"type": "path", "no_log": False, "fallback": (env_fallback, ["K8S_AUTH_KEY_FILE"])},
    "validate_certs": {"type": "bool", "fallback": (env_fallback, ["K8S_AUTH_VERIFY_SSL"])},
    "proxy": {"type": "str", "fallback": (env_fallback, ["K8S_AUTH_PROXY"])},
}
#: Documented by the fragment ``sre.runbooks.postgresql``; the names are those of community.postgresql.
POSTGRESQL_OPTIONS: dict[str, t.Any] = {
    "login_host": {"type": "str", "default": "", "fallback": (env_fallback, ["PGHOST"])},
    "login_port": {"type": "int", "default": 5432, "fallback": (env_fallback, ["PGPORT"])},
    "login_user": {"type": "str", "default": "postgres", "fallback": (env_fallback, ["PGUSER"])},
    "login_password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["PGPASSWORD"])},
    "login_password_file": {"type": "path", "no_log": False},
    "login_unix_socket": {"type": "path"},
    "login_db": {"type": "str", "default": "postgres"},
    "ssl_mode": {
        "type": "str",
        "default": "prefer",
        "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
    },
    "ca_cert": {"type": "path"},
    "connect_timeout": {"type": "int", "default": 10},
    "bin_dir": {"type": "path"},
    "transport": {
        "type": "dict",
        "options": {
            "kind": {"type": "str", "choices": ["direct", "kubernetes"], "default": "direct"},
            "namespace": {"type": "str"},
            "pod": {"type": "str"},
            "pod_selector": {"type": "str"},
            "port": {"type": "int"},
            "timeout": {"type": "str", "default": "1m"},
            **KUBERNETES_OPTIONS,
        },
    },
}

#: Documented by the fragment ``sre.runbooks.pitr``.
PITR_OPTIONS: dict[str, t.Any] = {
    "cipher_pass": {"type": "str", "no_log": True, "fallback": (env_fallback, ["SRE_RUNBOOKS_PITR_CIPHER_PASS"])},
    "cipher_pass_file": {"type": "path", "no_log": False},
    "previous_cipher_pass_files": {"type": "list", "elements": "path", "default": [], "no_log": False},
}


#: Documented by the fragment ``sre.runbooks.terraform``; the names are those of community.general.terraform.
TERRAFORM_OPTIONS: dict[str, t.Any] = {
    "project_path": {"type": "path", "required": True},
    "binary_path": {"type": "path"},
    "workspace": {"type": "str"},
    "environment_file": {"type": "path", "no_log": False},
    "lock_timeout": {"type": "str", "default": "0"},
    "timeout": {"type": "str", "default": "5m"},
}

#: What gets further where the place that raised the error could not know more, by the error's kind; else :data:`_MEND`.
_NEXT: dict[str, str] = {
    "repository": "see what is wrong with the repository: ansible-playbook sre.runbooks.prepare_repository --check",
    "lease_lost": "once the other run has ended, to finish or undo what is half done: the same command",
    "integrity": "keep the damaged one for the inquiry, and take a new one: ansible-playbook sre.runbooks.back_up_components",
}
_MEND = "mend what was found, then: the same command"
#: What each of them needs beside the component; the repository is not a component's.
_MORE = {"integrity": " -e backup_force=true"}


def _next_command(kind: str, component: str | None) -> str:
    """A whole command, for the one component where it is known; ``_runs/commands.py`` completes it."""
    text = _NEXT.get(kind, _MEND)
    if component and kind != "repository":
        text += f"{' with' if text.endswith('the same command') else ''} --limit {component}"
    return text + _MORE.get(kind, "")


def complete(error: RunbookError, component: str | None) -> RunbookError:
    """The error with the component that the module was called for and a next step, where it names none of its own."""
    if error.component is None:
        error.component = component
    if error.next_command is None:
        error.next_command = _next_command(error.kind, error.component)
    return error


def run_module(module: AnsibleModule, work: t.Callable[[AnsibleModule], dict[str, t.Any]]) -> t.NoReturn:
    """Run ``work`` and leave through ``exit_json`` or, for a :class:`RunbookError`, ``fail_json``.

    ``work`` returns the module's results, ``changed`` included.
    """
    try:
        result = work(module)
    except RunbookError as error:
        complete(error, module.params.get("component"))
        module.fail_json(msg=str(error), error=error.facts())
    module.exit_json(**result)
    raise AssertionError("exit_json does not return")
