# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which cluster is meant and who we are there, and that keys reach no disk."""

from __future__ import annotations

import base64
import os
import pathlib
import tempfile
import typing as t

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.access import access_from


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def written(path: pathlib.Path, context: str = "one", user: t.Any = None, **cluster: t.Any) -> str:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "clusters": [{"name": context, "cluster": {"server": f"https://{context}.example.com/", **cluster}}],
        "users": [{"name": context, "user": user or {"token": f"token-{context}"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_a_kubeconfig_says_where_and_who(tmp_path: pathlib.Path) -> None:
    with access_from({"kubeconfig": written(tmp_path / "config")}) as access:
        assert access.place == "https://one.example.com" and access.context == "one"
        assert access.headers() == {"authorization": "Bearer token-one"}
        assert access.secrets() == ["token-one"]


def test_options_override_it(tmp_path: pathlib.Path) -> None:
    token = tmp_path / "token"
    token.write_text("another\n")
    params = {
        "kubeconfig": written(tmp_path / "config"),
        "host": "https://10.0.0.1:6443/",
        "api_key_file": str(token),
        "validate_certs": False,
        "proxy": "http://proxy:3128",
    }
    with access_from(params) as access:
        assert access.place == "https://10.0.0.1:6443"
        assert access.headers() == {"authorization": "Bearer another"}
        assert access.configuration.verify_ssl is False and access.configuration.proxy == "http://proxy:3128"


def test_a_token_is_not_outdone_by_the_kubeconfig_s_certificate(tmp_path: pathlib.Path) -> None:
    for name in ("certificate", "key", "own"):
        (tmp_path / name).write_text(name)
    user = {"client-certificate": "certificate", "client-key": "key"}
    kubeconfig = written(tmp_path / "config", user=user)
    with access_from({"kubeconfig": kubeconfig, "api_key": "mine"}) as access:
        assert access.headers() == {"authorization": "Bearer mine"}
        assert access.configuration.cert_file is None and access.configuration.key_file is None
    with access_from({"kubeconfig": kubeconfig, "api_key": "mine", "client_cert": str(tmp_path / "own")}) as access:
        assert access.configuration.cert_file == str(tmp_path / "own")
    with access_from({"kubeconfig": kubeconfig}) as access:
        assert access.configuration.cert_file == str(tmp_path / "certificate")


def test_several_files_the_first_wins(tmp_path: pathlib.Path) -> None:
    (tmp_path / "b").mkdir()
    paths = [written(tmp_path / "a"), written(tmp_path / "b" / "c", "two"), str(tmp_path / "missing")]
    with access_from({"kubeconfig": os.pathsep.join(paths)}) as access:
        assert access.place == "https://one.example.com"
    with access_from({"kubeconfig": os.pathsep.join(paths), "context": "two"}) as access:
        assert access.place == "https://two.example.com"


def test_environment_and_home_come_after_options(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / ".kube").mkdir(parents=True)
    written(tmp_path / "home" / ".kube" / "config", "home")
    with access_from({}) as access:
        assert access.place == "https://home.example.com"
    monkeypatch.setenv("KUBECONFIG", written(tmp_path / "environment", "environment"))
    with access_from({}) as access:
        assert access.place == "https://environment.example.com"
    with access_from({"host": "https://given.example.com", "api_key": "k"}) as access:
        assert access.place == "https://given.example.com" and access.context is None


def test_keys_reach_no_disk(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)

    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    user = {"client-certificate-data": encoded("certificate"), "client-key-data": encoded("secret key")}
    path = written(tmp_path / "config", user=user, **{"certificate-authority-data": encoded("authority")})
    with access_from({"kubeconfig": path}) as access:
        configuration = access.configuration
        found = [configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file]
        assert [pathlib.Path(name).read_text() for name in found] == ["authority", "certificate", "secret key"]
        assert list(scratch.iterdir()) == []
    assert not any(os.path.exists(name) for name in found)


def test_paths_are_relative_to_their_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ca.pem").write_text("authority")
    path = written(tmp_path / "config", **{"certificate-authority": "ca.pem"})
    with access_from({"kubeconfig": path}) as access:
        assert access.configuration.ssl_ca_cert == str(tmp_path / "ca.pem")


def test_a_credential_plugin_is_asked(tmp_path: pathlib.Path) -> None:
    plugin = tmp_path / "plugin"
    answer = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-plugin"}}'
    plugin.write_text(f"#!/bin/sh\necho '{answer}'\n")
    plugin.chmod(0o755)
    user = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    }
    with access_from({"kubeconfig": written(tmp_path / "config", user=user)}) as access:
        assert access.headers() == {"authorization": "Bearer from-plugin"}
    plugin.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(InvalidInput, match="gave no credential"):
        access_from({"kubeconfig": written(tmp_path / "config", user=user)})


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "nothing says which Kubernetes cluster is meant"),
        ({"kubeconfig": "/nowhere/config"}, "there is no kubeconfig"),
        ({"host": "10.0.0.1:6443"}, "no URL"),
        ({"host": "https://a", "api_key_file": "/nowhere/token"}, "api_key_file"),
        ({"host": "https://a", "ca_cert": "/nowhere/ca"}, "ca_cert"),
    ],
)
def test_what_cannot_be_used_is_named(params: dict[str, t.Any], expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected) as caught:
        access_from(params)
    assert "component_kubernetes_" in str(caught.value)


def test_broken_kubeconfigs_give_nothing_away(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "config"
    for content in ("users: [{user: {token: hunter2", "- hunter2\n", "", "a: *hunter2", "\x00hunter2"):
        path.write_text(content)
        with pytest.raises(InvalidInput) as caught:
            access_from({"kubeconfig": str(path)})
        assert "hunter2" not in str(caught.value)
    broken = written(path, user={"client-key-data": "hunter2!", "client-certificate-data": "x"})
    with pytest.raises(InvalidInput) as caught:
        access_from({"kubeconfig": broken})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InvalidInput, match="it has one"):
        access_from({"kubeconfig": written(path), "context": "other"})
