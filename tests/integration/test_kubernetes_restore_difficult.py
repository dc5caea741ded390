# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in the way of a restore is named before anything is touched, or overcome."""

from __future__ import annotations

import collections.abc
import contextlib
import pathlib
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from tests.servers.kubernetes import definitions
from tests.servers.kubernetes.api import Api, Object, wait
from tests.servers.kubernetes.faults import FaultyApi
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes_component import NAME, KubernetesComponent, pod_template
from tests.servers.module_call import start_module

ADMISSION = "admissionregistration.k8s.io/v1"


@pytest.fixture
def shop(
    kubernetes_cluster: KubernetesServer, kubernetes_namespace: str, tmp_path: pathlib.Path
) -> collections.abc.Iterator[KubernetesComponent]:
    """A marked namespace; nothing in it yet."""
    component = KubernetesComponent(kubernetes_cluster, kubernetes_namespace, tmp_path)
    component.mark()
    yield component


def item(shop: KubernetesComponent, api: str, kind: str, name: str, **fields: t.Any) -> Object:
    metadata = {"name": name, "namespace": shop.namespace, **fields.pop("metadata", {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}


def deployment(shop: KubernetesComponent, name: str = "web", **spec: t.Any) -> Object:
    template = pod_template(name)
    del template["spec"]["containers"][0]["envFrom"]
    given = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template, **spec}
    return item(shop, "apps/v1", "Deployment", name, spec=given)


def config(shop: KubernetesComponent, name: str = "settings", **fields: t.Any) -> Object:
    return item(shop, "v1", "ConfigMap", name, **{"data": {"colour": "red"}, **fields})


def claim(shop: KubernetesComponent, size: str) -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {"requests": {"storage": size}}}
    return item(shop, "v1", "PersistentVolumeClaim", "cache", spec=spec)


def api_of(shop: KubernetesComponent) -> Api:
    return shop.cluster.api


def succeeded(done: dict[str, t.Any]) -> dict[str, t.Any]:
    assert "error" not in done, done
    return done


def test_fields_that_cannot_be_changed(shop: KubernetesComponent) -> None:
    api = api_of(shop)
    api.create(deployment(shop), config(shop))
    shop.back_up()
    api.delete("apps/v1", "Deployment", "web", shop.namespace)
    api.create(deployment(shop, selector={"matchLabels": {"app": "web", "tier": "x"}}, template=labelled("web")))
    api.patch(shop.get("v1", "ConfigMap", "settings"), {"data": {"colour": "blue"}})
    refused = shop.restore()
    assert refused["error"]["kind"] == "refused" and "Deployment" in refused["error"]["found"]
    assert "spec.selector" in refused["error"]["found"] and "immutable" in refused["error"]["found"]
    assert "-e restore_conflicts=" in refused["error"]["next_command"]
    assert shop.get("v1", "ConfigMap", "settings")["data"] == {"colour": "blue"}
    skipped = succeeded(shop.restore(conflicts="skip"))
    assert skipped["objects"]["skipped"] == 1 and skipped["skipped"][0]["conflicts"][0]["path"] == "spec.selector"
    assert shop.get("v1", "ConfigMap", "settings")["data"] == {"colour": "red"}
    assert shop.newest().level != "asserted"
    assert not shop.restore(conflicts="skip")["changed"]
    assert shop.restore(conflicts="recreate", confirm=None)["error"]["kind"] == "refused"
    done = succeeded(shop.restore(conflicts="recreate"))
    assert done["objects"]["recreated"] == 1 and done["kept"]
    assert shop.get("apps/v1", "Deployment", "web")["spec"]["selector"] == {"matchLabels": {"app": "web"}}
    assert shop.newest().level == "asserted" and not shop.restore()["changed"]


def labelled(app: str) -> Object:
    template = pod_template(app)
    del template["spec"]["containers"][0]["envFrom"]
    template["metadata"]["labels"]["tier"] = "x"
    return template


def test_what_holds_data_is_never_deleted(shop: KubernetesComponent) -> None:
    api = api_of(shop)
    api.create(claim(shop, "1Gi"))
    shop.back_up()
    api.delete("v1", "PersistentVolumeClaim", "cache", shop.namespace)
    api.create(claim(shop, "2Gi"))
    refused = shop.restore(conflicts="recreate")
    assert "would destroy its data" in refused["error"]["next_command"]
    api.create(
        config(shop, "stranger"), item(shop, "v1", "PersistentVolumeClaim", "other", spec=claim(shop, "1Gi")["spec"])
    )
    reported = shop.restore(conflicts="skip")
    strangers = {f"PersistentVolumeClaim {shop.namespace}/other", f"ConfigMap {shop.namespace}/stranger"}
    assert set(reported["extra"]) == strangers and not reported["changed"]
    assert shop.restore(conflicts="skip", prune=True, confirm=None)["error"]["kind"] == "refused"
    predicted = shop.restore(conflicts="skip", prune=True, check=True)
    assert predicted["deleted"] == [f"ConfigMap {shop.namespace}/stranger"]
    done = succeeded(shop.restore(conflicts="skip", prune=True))
    assert done["deleted"] == predicted["deleted"] and "hold data" in done["message"]
    names = {each["metadata"]["name"] for each in api.list("v1", "PersistentVolumeClaim", shop.namespace)}
    assert names == {"cache", "other"} and api.find("v1", "ConfigMap", "stranger", shop.namespace) is None
    assert shop.restore(recovery_point=done["kept"], check=True)["objects"]["created"] == 1
    assert not shop.restore(conflicts="skip", prune=True)["changed"]


def test_owners_have_other_uids_afterwards(shop: KubernetesComponent) -> None:
    """An object with an owner that is not there would be deleted by the garbage collector."""
    api = api_of(shop)
    (web,) = api.create(deployment(shop))
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": web["metadata"]["uid"]}
    # One that no backup takes.
    (lease,) = api.create(item(shop, "coordination.k8s.io/v1", "Lease", "gone", spec={}))
    gone = {"apiVersion": lease["apiVersion"], "kind": "Lease", "name": "gone", "uid": lease["metadata"]["uid"]}
    api.create(config(shop, "owned", metadata={"ownerReferences": [owner]}))
    api.create(config(shop, "half", metadata={"ownerReferences": [owner, gone]}))
    shop.back_up()
    shop.delete_namespace()
    done = succeeded(shop.restore())
    assert done["dropped_owners"] == [f"ConfigMap {shop.namespace}/half: Lease gone: there is no such owner"]
    uid = shop.get("apps/v1", "Deployment", "web")["metadata"]["uid"]
    assert uid != web["metadata"]["uid"]
    for name in ("owned", "half"):
        metadata = shop.get("v1", "ConfigMap", name)["metadata"]
        assert metadata["ownerReferences"] == [{**owner, "uid": uid}] and not metadata.get("annotations")
    assert not shop.restore()["changed"]
    api.delete("apps/v1", "Deployment", "web", shop.namespace)
    wait(lambda: api.find("v1", "ConfigMap", "owned", shop.namespace) is None, "the garbage collector")


def test_webhooks_and_quotas_are_named(shop: KubernetesComponent) -> None:
    api = api_of(shop)
    # The namespace's labels are what the webhook selects by.
    api.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shop.namespace, "labels": {"hooked": "yes"}}}
    )
    api.create(config(shop), config(shop, "second"))
    shop.back_up()
    for name in ("settings", "second"):
        api.delete("v1", "ConfigMap", name, shop.namespace)
    api.create(item(shop, "v1", "ResourceQuota", "small", spec={"hard": {"count/configmaps": "3"}}))
    wait(lambda: shop.get("v1", "ResourceQuota", "small").get("status", {}).get("used"), "the quota to count")
    failed = shop.restore()
    assert "ConfigMap" in failed["msg"] and "exceeded quota: small" in failed["error"]["found"]
    assert "describe resourcequotas" in failed["error"]["next_command"]
    api.delete("v1", "ResourceQuota", "small", shop.namespace)
    wait(lambda: not rejects(api, shop.namespace, "exceeded quota"), "the quota to be forgotten")
    with webhook(api, shop.namespace):
        failed = shop.restore(timeout="2s")
        assert "check.example.test" in failed["error"]["expected"] and "nobody" in failed["error"]["expected"]
        assert "failurePolicy is Fail" in failed["error"]["found"]
    succeeded(shop.restore())
    assert shop.newest().level == "asserted"


@contextlib.contextmanager
def webhook(api: Api, namespace: str) -> collections.abc.Iterator[None]:
    """One that is down: its service has never been."""
    hook = {
        "name": "check.example.test",
        "clientConfig": {"service": {"namespace": namespace, "name": "absent"}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    kind = "ValidatingWebhookConfiguration"
    api.create({"apiVersion": ADMISSION, "kind": kind, "metadata": {"name": "nobody"}, "webhooks": [hook]})
    try:
        wait(lambda: rejects(api, namespace), "the webhook to be called")
        yield
    finally:
        api.delete(ADMISSION, kind, "nobody")
        wait(lambda: not rejects(api, namespace), "the webhook to be forgotten")


def rejects(api: Api, namespace: str, words: str = "failed calling webhook") -> bool:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}}
    try:
        api.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", body, dryRun="All")
    except Exception as fault:
        return words in str(getattr(fault, "document", fault))
    return False


def test_definitions_come_before_their_instances(shop: KubernetesComponent) -> None:
    """A selection over the whole cluster: a definition, an instance, a role; and then versions that are not served."""
    api = api_of(shop)
    chosen = {"part": shop.namespace}
    definition = definitions.definition("parts.example.test", "Gadget")
    definition["metadata"]["labels"] = chosen
    definitions.define(api, definition)
    gadget = item(shop, "parts.example.test/v1", "Gadget", "g", metadata={"labels": chosen}, spec={"size": 3})
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": []}
    api.create(gadget, {**role, "metadata": {"name": f"{shop.namespace}:x", "labels": chosen}})
    mark_cluster(api)
    scope = {"scope": "selection", "namespace": None, "selector": f"part={shop.namespace}"}
    shop.back_up(**scope)
    definitions.undefine(api, definition)
    api.delete(role["apiVersion"], "ClusterRole", f"{shop.namespace}:x")
    done = succeeded(shop.restore(**scope))
    assert done["objects"]["created"] == 3
    api.forget()
    assert shop.get("parts.example.test/v1", "Gadget", "g")["spec"] == {"size": 3}
    assert not shop.restore(**scope)["changed"]
    # Of the namespace alone the definition is no part.
    shop.back_up()
    definitions.undefine(api, definition)
    refused = shop.restore()
    assert "parts.example.test/v1 Gadget" in refused["error"]["found"] and "skip" in refused["error"]["next_command"]
    assert succeeded(shop.restore(conflicts="skip"))["unserved"]


def mark_cluster(api: Api) -> None:
    metadata = {"name": "sre-runbooks-environment", "namespace": "kube-system"}
    api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"environment": "local"}})


def test_another_version_where_the_recorded_one_is_gone(shop: KubernetesComponent) -> None:
    api = api_of(shop)
    definitions.define(api, definitions.widget_definition())
    api.create(item(shop, "example.test/v1", "Widget", "plain", spec={"size": 3}))
    shop.back_up()
    api.delete("example.test/v1", "Widget", "plain", shop.namespace)
    try:
        definitions.define(api, definitions.widget_definition("v1beta1", not_served=["v1"]))
        done = succeeded(shop.restore())
        assert done["mapped"] == ["example.test/v1 Widget as example.test/v1beta1"]
        assert shop.get("example.test/v1beta1", "Widget", "plain")["spec"]["size"] == 3
        assert not shop.restore()["changed"]
    finally:
        definitions.define(api, definitions.widget_definition())


def test_another_environment_and_strangers(shop: KubernetesComponent) -> None:
    api = api_of(shop)
    api.create(config(shop))
    shop.back_up()
    api.patch(shop.get("v1", "ConfigMap", "settings"), {"data": {"colour": "blue"}})
    marker = shop.get("v1", "ConfigMap", "sre-runbooks-environment")
    api.patch(marker, {"data": {"environment": "production"}})
    refused = shop.restore()
    assert "belongs to another environment" in refused["msg"] and "production" in refused["error"]["found"]
    api.delete("v1", "ConfigMap", "sre-runbooks-environment", shop.namespace)
    refused = shop.restore()
    assert "no environment marker" in refused["msg"] and "adopt_environment" in refused["error"]["next_command"]
    assert shop.get("v1", "ConfigMap", "settings")["data"] == {"colour": "blue"}


def test_what_is_being_deleted_is_waited_for_and_named(shop: KubernetesComponent) -> None:
    api = api_of(shop)
    held = config(shop, "held", metadata={"finalizers": ["example.test/hold"]})
    api.create(held, config(shop))
    shop.back_up()
    api.request("DELETE", f"/api/v1/namespaces/{shop.namespace}/configmaps/held")
    failed = shop.restore(timeout="2s")
    assert "does not end" in failed["msg"] and "example.test/hold" in failed["error"]["found"]
    api.request("DELETE", f"/api/v1/namespaces/{shop.namespace}")
    wait(
        lambda: "example.test/hold" in str(api.get("v1", "Namespace", shop.namespace).get("status")),
        "the namespace to say what keeps it",
    )
    refused = shop.restore(timeout="2s")
    assert "being deleted" in refused["msg"] and "example.test/hold" in refused["error"]["found"]
    api.patch(shop.get("v1", "ConfigMap", "held"), {"metadata": {"finalizers": None}})
    succeeded(shop.restore())
    assert shop.get("v1", "ConfigMap", "held")["metadata"]["finalizers"] == ["example.test/hold"]
    api.patch(shop.get("v1", "ConfigMap", "held"), {"metadata": {"finalizers": None}})


def test_fields_that_somebody_else_applies(shop: KubernetesComponent) -> None:
    """Server-side applied by another manager, with a list item and a map that apply alone would leave."""
    api = api_of(shop)
    source = {"name": "v", "configMap": {"name": "absent", "optional": True}}
    first = deployment(shop)
    first["spec"]["template"]["spec"]["volumes"] = [source]
    api.apply(first, manager="argo")
    before = shop.content() if shop.back_up() else {}
    other = deployment(shop)
    container = other["spec"]["template"]["spec"]["containers"][0]
    container["image"] = "registry.test/main:2"
    container["ports"].append({"containerPort": 81})
    other["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "registry.test/side:1"})
    api.apply(other, manager="argo")
    # Merged with this, the recorded volume would be of two kinds, which no server takes.
    volumes = [{"name": "v", "emptyDir": {}, "configMap": None}]
    strategy = {"type": "Recreate", "rollingUpdate": None}
    change = {"spec": {"strategy": strategy, "template": {"spec": {"volumes": volumes}}}}
    api.patch(shop.get("apps/v1", "Deployment", "web"), change)
    done = succeeded(shop.restore())
    paths = {field["path"] for field in done["changes"][0]["fields"]}
    assert "spec.template.spec.containers[name=main].image" in paths
    assert "spec.template.spec.containers[name=sidecar]" in paths
    assert shop.content() == before
    assert not shop.restore()["changed"]


def test_a_damaged_point_is_passed_over(shop: KubernetesComponent) -> None:
    api = api_of(shop)
    api.create(config(shop))
    older = shop.back_up()
    api.patch(shop.get("v1", "ConfigMap", "settings"), {"data": {"colour": "green"}})
    newer = shop.back_up()
    (stored,) = [each for each in newer.objects if each.name.startswith("core/v1/configmaps")]
    path = shop.path / "repository" / stored.key
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    predicted = shop.restore(check=True)
    assert predicted["recovery_point"]["point_id"] == older.point_id
    assert [point.level for point in list_points(shop.repository, NAME).points] == ["taken", "taken"]
    done = succeeded(shop.restore())
    assert [choice["outcome"] for choice in done["choices"]] == ["damaged", "chosen"]
    assert shop.get("v1", "ConfigMap", "settings")["data"] == {"colour": "red"}
    levels = {point.point_id: point.level for point in list_points(shop.repository, NAME).points}
    assert levels == {older.point_id: "asserted", newer.point_id: "damaged"}


def test_beside_in_another_namespace(shop: KubernetesComponent) -> None:
    api = api_of(shop)
    api.create(config(shop, data={"url": f"http://web.{shop.namespace}.svc"}), deployment(shop))
    shop.back_up()
    api.patch(shop.get("v1", "ConfigMap", "settings"), {"data": {"url": "other"}})
    other = f"{shop.namespace}-beside"
    done = succeeded(shop.restore(confirm=None, target_namespace=other))
    assert done["kept"] is None and shop.newest().level == "verified"
    assert f"in the namespace {other}, and what is live was left alone" in done["message"]
    assert api.get("v1", "ConfigMap", "settings", other)["data"] == {"url": f"http://web.{other}.svc"}
    assert shop.get("v1", "ConfigMap", "settings")["data"] == {"url": "other"}
    assert not shop.restore(confirm=None, target_namespace=other)["changed"]
    api.delete("v1", "Namespace", other)


def test_secrets_are_not_kept_in_plain_text(shop: KubernetesComponent) -> None:
    api = api_of(shop)
    api.create(item(shop, "v1", "Secret", "password", data={"password": "aHVudGVyMg=="}))
    shop.back_up()
    api.patch(shop.get("v1", "Secret", "password"), {"data": {"password": "b2xk"}})
    refused = shop.restore(encryption_recipients=[])
    assert "repository_encryption_recipients" in refused["error"]["next_command"]
    assert shop.get("v1", "Secret", "password")["data"] == {"password": "b2xk"}


def test_sizes_and_generated_names(shop: KubernetesComponent) -> None:
    """Near the limits of the store: one long value, and so many keys that who set them takes as much room again."""
    api = api_of(shop)
    long = config(shop, "long", data={"value": "x" * 1_000_000})
    keys = config(shop, "keys", data={f"key-{number:05d}": "x" * 40 for number in range(8_000)})
    generated = config(shop, "made-x7k2p", metadata={"generateName": "made-"})
    api.create(long, keys, generated)
    before = shop.content() if shop.back_up() else {}
    shop.delete_namespace()
    succeeded(shop.restore())
    assert shop.content() == before
    api.apply({**keys, "data": {**keys["data"], "key-00000": "changed"}}, manager="somebody-else")
    succeeded(shop.restore())
    assert shop.content() == before and not shop.restore()["changed"]


def test_killed_anywhere_it_converges(shop: KubernetesComponent) -> None:
    api = api_of(shop)
    for number in range(60):
        api.create(config(shop, f"c-{number:02d}"))
    before = shop.content() if shop.back_up() else {}
    params = {
        "repository": shop.url,
        "environment_name": "local",
        "component": NAME,
        "namespace": shop.namespace,
        "kubeconfig": shop.kubeconfig,
        "confirm": NAME,
        "jobs": 1,
        **shop.keys,
    }
    for limit in (1, 30):
        shop.delete_namespace()
        # Where it is to be killed, it waits for that.
        with FaultyApi(shop.cluster) as way:
            way.plan("hold", "^PATCH .*/configmaps/c-(?!.*dryRun)", at=limit, times=1000)
            process = start_module("kubernetes_restore", {**params, "kubeconfig": way.kubeconfig()})
            wait(lambda: way.holds or process.poll() is not None, "some objects")  # noqa: B023
            process.kill()
            process.communicate()
        assert 0 < count(api, shop.namespace) < 60
        succeeded(shop.restore(confirm=None))
        assert shop.content() == before and not shop.restore()["changed"]


def count(api: Api, namespace: str) -> int:
    if api.find("v1", "Namespace", namespace) is None:
        return 0
    return len([each for each in api.list("v1", "ConfigMap", namespace) if each["metadata"]["name"].startswith("c-")])
