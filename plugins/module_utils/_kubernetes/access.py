# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which API server, and who we are there: options as kubernetes.core names them, a kubeconfig, or the pod that we run in."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import typing as t
import urllib.parse

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, missing_library
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.kubeconfig import (
    keep_keys_in_memory,
    read_kubeconfig,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import said

#: A projected token is renewed long before it expires; its file is read again this often.
_LATEST_TOKEN_S = 60.0
#: Kept open, for as many threads.
_CONNECTIONS = 32
_DEFAULT_KUBECONFIG = "~/.kube/config"
_VARIABLES = "component_kubernetes_kubeconfig, or component_kubernetes_host with component_kubernetes_api_key_file"


class Access(contextlib.ExitStack):
    """Where a cluster is and who we are there; closing it closes what held the keys.

    ``configuration``: the official client's. ``context``: the kubeconfig's; None without one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.configuration: t.Any = None
        self.context: str | None = None
        self._token_file: str | None = None
        self._token_read = 0.0

    @property
    def place(self) -> str:
        """For messages: the server's URL without credentials."""
        url = urllib.parse.urlsplit(str(self.configuration.host))
        return urllib.parse.urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))

    def headers(self) -> dict[str, str]:
        """Those that authenticate a request, with a token that is renewed where its file is."""
        if self._token_file and time.monotonic() - self._token_read > _LATEST_TOKEN_S:
            self.renew()
        found = {}
        for setting in self.configuration.auth_settings().values():
            if setting.get("in") == "header" and setting.get("value"):
                found[str(setting["key"])] = str(setting["value"])
        return found

    def renew(self) -> bool:
        """Read the token's file again; whether there was another token."""
        if not self._token_file:
            return False
        before = self.configuration.api_key.get("authorization")
        self.use_token_file(self._token_file)
        return bool(before != self.configuration.api_key.get("authorization"))

    def use_token_file(self, path: str) -> None:
        """Authenticate by the token in that file, read again now and then. Raises :class:`InvalidInput`."""
        self.use_token(_read_token(path))
        self._token_file, self._token_read = path, time.monotonic()

    def use_token(self, token: str) -> None:
        """Authenticate by ``token`` from now on, and by nothing that a kubeconfig says."""
        self.configuration.api_key.clear()
        self.configuration.refresh_api_key_hook = None
        self.configuration.api_key["authorization"] = f"Bearer {token}"

    def secrets(self) -> list[str]:
        """What must not appear in any message."""
        return [value.split(" ", 1)[-1].strip() for value in self.headers().values()]


def access_from(params: t.Mapping[str, t.Any]) -> Access:
    """The access that a module's options ask for, see ``KUBERNETES_OPTIONS``. Nothing is asked of the server yet.

    A kubeconfig comes first, and each other option overrides what it says. Without a kubeconfig and a host:
    ``KUBECONFIG``, ``~/.kube/config``, then the service account of the pod that we run in.

    :raises InvalidInput: nothing says which cluster, or what says so cannot be read.
    :raises MissingRequirement: there is no official client.
    """
    try:
        import kubernetes.client
        import kubernetes.config
    except ImportError as error:
        raise missing_library("kubernetes", "kubernetes 31 or newer", error) from None
    access = Access()
    try:
        access.configuration = kubernetes.client.Configuration()
        access.configuration.connection_pool_maxsize = _CONNECTIONS
        kubeconfig = _kubeconfig(params)
        if kubeconfig:
            _use_kubeconfig(access, kubeconfig, params.get("context"), kubernetes.config)
        elif params.get("host"):
            pass
        elif os.environ.get("KUBERNETES_SERVICE_HOST"):
            _use_pod(access, kubernetes.config)
        else:
            raise InvalidInput(
                "nothing says which Kubernetes cluster is meant",
                expected="a kubeconfig, a host, KUBECONFIG or K8S_AUTH_* in the environment, or to run in a pod",
                found="none of them",
                next_command=f"set {_VARIABLES}, in the inventory",
            )
        _override(access, params)
    except BaseException:
        access.close()
        raise
    return access


def _kubeconfig(params: t.Mapping[str, t.Any]) -> str | None:
    given = params.get("kubeconfig")
    if given or params.get("host"):
        return str(given) if given else None
    if os.environ.get("KUBECONFIG"):
        return os.environ["KUBECONFIG"]
    return _DEFAULT_KUBECONFIG if os.path.isfile(os.path.expanduser(_DEFAULT_KUBECONFIG)) else None


def _use_kubeconfig(access: Access, path: str, context: str | None, config: t.Any) -> None:
    document = read_kubeconfig(path, context)
    keep_keys_in_memory(access, document)
    access.context = document["current-context"]
    plugin = document["users"][0]["user"].get("exec") if document["users"] else None
    scratch = None
    if plugin:  # what it prints may be a key, of which the official client makes a file
        scratch = tempfile.mkdtemp(prefix="sre-runbooks-")
        access.callback(shutil.rmtree, scratch, ignore_errors=True)
    try:
        config.load_kube_config_from_dict(
            document,
            client_configuration=access.configuration,
            persist_config=False,
            temp_file_path=scratch,
        )
    except (config.ConfigException, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InvalidInput(
            "the kubeconfig cannot be used",
            expected=f"that context {access.context!r} of {path} is complete",
            found=said(error),
            next_command="correct component_kubernetes_kubeconfig: kubectl config view --minify",
        ) from None
    if plugin and not access.configuration.api_key and not access.configuration.cert_file:
        raise InvalidInput(
            "the kubeconfig's credential plugin gave no credential",
            expected=f"that {plugin.get('command')!r} prints one for this host's user",
            found="none",
            next_command="as the user and on the host where the task runs: kubectl auth whoami",
        )


def _use_pod(access: Access, config: t.Any) -> None:
    try:
        config.load_incluster_config(client_configuration=access.configuration)
    except config.ConfigException as error:
        raise InvalidInput(
            "the service account of this pod cannot be used",
            expected="automountServiceAccountToken, and KUBERNETES_SERVICE_HOST and _PORT in the environment",
            found=str(error),
            next_command=f"set {_VARIABLES}",
        ) from None


def _override(access: Access, params: t.Mapping[str, t.Any]) -> None:
    configuration = access.configuration
    if params.get("host"):
        host = str(params["host"])
        if urllib.parse.urlsplit(host).scheme not in ("http", "https"):
            raise InvalidInput(
                "the cluster's host is no URL",
                expected="such as https://10.0.0.1:6443",
                found=repr(host[:100]),
                next_command="correct component_kubernetes_host",
            )
        configuration.host = host.rstrip("/")
    if params.get("api_key") or params.get("api_key_file"):
        # API servers believe a client certificate before they look at a token: it would be the kubeconfig's user who acts.
        configuration.cert_file = configuration.key_file = None
    if params.get("api_key"):
        access.use_token(str(params["api_key"]))
    elif params.get("api_key_file"):
        access.use_token_file(str(params["api_key_file"]))
    for option, attribute in (("ca_cert", "ssl_ca_cert"), ("client_cert", "cert_file"), ("client_key", "key_file")):
        if params.get(option):
            setattr(configuration, attribute, _readable(option, str(params[option])))
    if params.get("validate_certs") is not None:
        configuration.verify_ssl = bool(params["validate_certs"])
    if params.get("proxy"):
        configuration.proxy = str(params["proxy"])


def _readable(option: str, path: str) -> str:
    """OpenSSL's own error names no file."""
    path = os.path.expanduser(path)
    try:
        with open(path, "rb"):
            return path
    except OSError as error:
        raise InvalidInput(
            f"{option} of the Kubernetes cluster cannot be read",
            expected=f"a file at {path}",
            found=str(error.strerror),
            next_command=f"correct component_kubernetes_{option}",
        ) from None


def _read_token(path: str) -> str:
    path = _readable("api_key_file", path)
    with open(path, encoding="utf-8", errors="replace") as file:
        token = file.read(1 << 16).strip()
    if not token or any(character.isspace() or not character.isprintable() for character in token):
        raise InvalidInput(
            "api_key_file of the Kubernetes cluster holds no token",
            expected="one line with a bearer token",
            found=f"{path}, empty" if not token else f"{path} with something else",
            next_command="correct component_kubernetes_api_key_file",
        )
    return token
