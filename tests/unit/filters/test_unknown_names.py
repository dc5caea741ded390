# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Misspelt variables are named with what was meant."""

from __future__ import annotations

import functools
import pathlib
import re

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.filter.unknown_names import unknown_names
from ansible_collections.sre.runbooks.plugins.module_utils._module import S3_OPTION

ROOT = pathlib.Path(__file__).resolve().parents[3]


def test_the_nearest_name_is_told() -> None:
    known = ["component_rpo", "component_rto", "component_data_path"]
    given = ["component_rpo", "component_data_pth", "component_quite_another"]
    given_near = ["component_data_pth (did you mean component_data_path?)"]
    assert unknown_names(given, known) == [
        "component_data_pth (did you mean component_data_path?)",
        "component_quite_another",
    ]
    assert unknown_names([], known) == []
    assert unknown_names(given, known, only_near=True) == given_near


def test_texts_are_no_lists() -> None:
    with pytest.raises(AnsibleFilterError):
        unknown_names("component_rpo", ["component_rpo"])


def test_the_role_knows_every_key_of_the_modules_option() -> None:
    known = yaml.safe_load((ROOT / "roles/run/vars/main.yml").read_text(encoding="utf-8"))["__run_s3_keys"]
    assert known == sorted(S3_OPTION["options"])


def test_every_variable_of_a_playbook_is_known() -> None:
    known = set(known_names())
    prefixes = {"adopt", "lease", "repository", *(path.name for path in (ROOT / "roles").iterdir())}
    name = re.compile(rf"(?<![\w./])(?:{'|'.join(prefixes)})_[a-z0-9_]+(?=[\s)}}|'])")
    files = [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/vars/*.yml")]
    read = {
        found
        for file in files
        for expression in re.findall(r"{{.*?}}", file.read_text(encoding="utf-8"), re.DOTALL)
        for found in name.findall(re.sub(r"'[^']*'", "''", expression))
    }
    # What is typed with -e need not begin as the variables of a role do.
    for file in ROOT.glob("playbooks/*.yml"):
        read |= set(re.findall(r"{{ *([a-z][a-z_]+) \| default", file.read_text(encoding="utf-8")))
    assert len(read) > 40
    assert read <= known, f"add to __run_variables of roles/run/vars/main.yml: {sorted(read - known)}"


@functools.cache
def known_names() -> list[str]:
    """As roles/run/tasks/require.yml gathers them."""
    own = yaml.safe_load((ROOT / "roles/run/vars/main.yml").read_text(encoding="utf-8"))
    assert own["__run_roles"] == sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
    specs = [
        yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
        for role in own["__run_roles"]
    ]
    entries = [entry.get("options") or {} for spec in specs for entry in spec.values()]
    return sorted({name for options in entries for name in options} | set(own["__run_variables"]))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("cheklist", "checklist"),
        ("chekclist", "checklist"),
        ("check_list", "checklist"),
        ("checklists", "checklist"),
        ("run_webhook_ocasion", "run_webhook_occasion"),
        ("run_webhook_occasions", "run_webhook_occasion"),
        ("helth_probes", "health_probes"),
        ("compnent_hosts", "component_hosts"),
        ("restore_target_tiem", "restore_target_time"),
        ("restoreconfirm", "restore_confirm"),
        ("bakup_forse", "backup_force"),
        ("schedules_fromats", "schedules_formats"),
        ("repository_ulr", "repository_url"),
    ],
)
def test_what_is_typed_wrong_is_named(given: str, meant: str) -> None:
    assert unknown_names([given], known_names(), only_near=True, typed=True) == [f"{given} (did you mean {meant}?)"]


#: Such as people have in inventories and give with -e, in playbooks around these too.
ORDINARY = """
    alerts_channel app_name app_version aws_region backup_dir backup_host backup_schedule backup_user become_pass branch
    build_id ci_job_id cluster_name commit_sha consul_address control_plane_host datacenter db_host db_name db_password
    db_user debug deploy_env deploy_user dns_servers docker_registry domain drill_window dry_run elasticsearch_url env
    environment_type force git_sha grafana_url health_check_path health_endpoint health_url host hosts http_proxy
    image_tag instance_type java_home kafka_brokers kube_context kubeconfig log_level maintenance_window monitoring_host
    namespace nginx_port node_exporter_port ntp_servers on_call operator owner package_version pg_version
    postgres_version postgresql_version primary_host proxy_url redis_host region release release_tag repository
    repository_branch repository_host repository_mirror restart_services restore_dir restore_user rollback_version
    run_as run_as_user run_migrations run_once run_tests run_user s3_bucket schedule service_name service_port
    skip_checks smtp_host ssh_port ssl_cert_path stage state tags target target_host team terraform_version ticket
    timezone tls_enabled user vault_addr verify_ssl verify_tls version vpc_id webhook_url zone
"""


@pytest.mark.parametrize("typed", [True, False], ids=["typed", "inventory"])
def test_other_peoples_names_are_theirs(typed: bool) -> None:
    assert unknown_names(ORDINARY.split(), known_names(), only_near=True, typed=typed) == []


def test_what_the_inventories_and_the_documentation_set_is_known() -> None:
    named: set[str] = set()
    for path in (ROOT / "inventories").rglob("*.yml"):
        named |= set(re.findall(r"^ *([a-z][a-z0-9_]+):", path.read_text(encoding="utf-8"), re.M))
    for path in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        named |= set(re.findall(r"-e '?\"?([a-z][a-z0-9_]+)=", path.read_text(encoding="utf-8")))
    assert len(named) > 60
    assert unknown_names(sorted(named), known_names(), only_near=True, typed=True) == []


def test_in_an_inventory_only_what_is_all_but_the_same_is_meant() -> None:
    known = [name for name in known_names() if "_" in name]
    for given, meant in (("helth_probes", "health_probes"), ("run_webhook_ocasion", "run_webhook_occasion")):
        assert unknown_names([given], known, only_near=True) == [f"{given} (did you mean {meant}?)"]
    assert unknown_names(["bakup_forse", "objective", "checklists"], known, only_near=True) == []
