# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables that a backend is opened with, and what an error may say of them."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput, MissingRequirement
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.program import (
    Program,
    Workdir,
    find_program,
    read_environment,
)


def program(path: pathlib.Path, script: str) -> Program:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Program(str(path), "OpenTofu", "1.0.0")


def test_variables(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "variables"
    path.write_text("# of the backend\n\nexport TF_HTTP_PASSWORD='a b=c'\nAWS_REGION=eu-1\nEMPTY=\nQ=\"\"\n")
    path.chmod(0o640)
    assert read_environment(str(path)) == {"TF_HTTP_PASSWORD": "a b=c", "AWS_REGION": "eu-1", "EMPTY": "", "Q": ""}
    assert read_environment(None) == {}
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="not everybody"):
        read_environment(str(path))
    path.chmod(0o600)
    path.write_text("A=1\nsecret stuff\n")
    with pytest.raises(InvalidInput, match="line 2") as caught:
        read_environment(str(path))
    assert "stuff" not in str(caught.value)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_environment(str(tmp_path / "none"))


def test_no_variable_shows_in_an_error(tmp_path: pathlib.Path) -> None:
    own = program(tmp_path / "tofu", 'echo "401 for user:$TF_HTTP_PASSWORD" >&2; exit 1')
    workdir = Workdir(own, str(tmp_path), "network", variables={"TF_HTTP_PASSWORD": "sEcret"})
    with pytest.raises(EngineError) as caught:
        workdir.pull()
    assert "sEcret" not in str(caught.value.facts()) and "user:***" in str(caught.value)


def test_what_is_asked_of_the_program(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log and arguments from the environment do not take part, and the state passes by standard input only."""
    monkeypatch.setenv("TF_LOG", "trace")
    monkeypatch.setenv("TF_CLI_ARGS", "-force")
    own = program(
        tmp_path / "tofu",
        f'{{ echo "$@"; cat; echo; echo "log=$TF_LOG args=$TF_CLI_ARGS $TF_WORKSPACE"; }} >{tmp_path}/seen',
    )
    Workdir(own, str(tmp_path), workspace="blue", lock_timeout=90.0).push(b"{}", force=True)
    assert (tmp_path / "seen").read_text() == "state push -lock-timeout=90s -force -\n{}\nlog= args= blue\n"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('Error: Backend initialization required, please run "tofu init"', "init -input=false"),
        ("Error acquiring the state lock", "component_terraform_lock_timeout"),
        ("Error: 500", "state pull"),
    ],
)
def test_what_comes_next(tmp_path: pathlib.Path, said: str, words: str) -> None:
    own = program(tmp_path / "tofu", f"echo '{said}' >&2; exit 1")
    with pytest.raises(EngineError) as caught:
        Workdir(own, str(tmp_path)).pull()
    assert words in (caught.value.next_command or "")


def test_the_program_that_prepared_the_directory_is_taken(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("terraform", "tofu"):
        program(tmp_path / name, 'echo \'{"terraform_version": "1.2.3"}\'')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_program(None, str(tmp_path)) == Program(str(tmp_path / "terraform"), "Terraform", "1.2.3")
    (tmp_path / ".terraform.lock.hcl").write_text('provider "registry.opentofu.org/hashicorp/null" {}\n')
    assert find_program(None, str(tmp_path)).name == "OpenTofu"
    assert find_program("terraform", str(tmp_path)).name == "Terraform"
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingRequirement, match="component_terraform_program"):
        find_program(None, str(tmp_path))
