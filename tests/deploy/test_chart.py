"""The Helm chart: what it makes of each file in `values`, held against Kubernetes' own schemas."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from app import __version__
from config import Config, load_config
from config.redis_address import redis_address
from local.processes import ROOT
from tests.fakes import environment

CHART = ROOT / "deploy" / "helm" / "versus-incident"
VALUES = Path(__file__).parent / "values"
SCHEMAS = Path(__file__).parent / "schemas"
HELM = shutil.which("helm", path=f"{ROOT / 'build' / 'bin'}{os.pathsep}{os.environ['PATH']}")

FILES = sorted(file.stem for file in VALUES.glob("*.yaml"))
KUBERNETES = ("1.25.0", kubernetes_validate.latest_version())
"""The oldest that the chart takes, and the newest that there is a schema of."""
REQUIRED = ("--set", "image.repository=registry.example.com/versus,existingSecret=versus")

pytestmark = pytest.mark.skipif(
    HELM is None and not os.environ.get("VERSUS_REQUIRE_ALL_TESTS"),
    reason="helm is not installed; `make chart-test` builds it",
)

Manifest = dict[str, Any]


def helm(*words: str | Path) -> subprocess.CompletedProcess[str]:
    assert HELM is not None, "helm is not installed: make helm"
    # Without the rest of the environment, which might name a cluster.
    return subprocess.run(
        [HELM, *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={"HOME": "/nonexistent", "PATH": "/usr/bin"},
    )


@cache
def render(values: str, kubernetes: str = KUBERNETES[0], release: str = "versus") -> dict[str, Manifest]:
    """All that the chart makes of a file in `values`, by kind and name."""
    made = helm(
        "template",
        release,
        CHART,
        "--kube-version",
        kubernetes,
        *REQUIRED,
        "--values",
        VALUES / f"{values}.yaml",
    )
    assert made.returncode == 0, made.stderr
    manifests = [one for one in yaml.safe_load_all(made.stdout) if one]
    named = {f"{one['kind']}/{one['metadata']['name']}": one for one in manifests}
    assert len(named) == len(manifests)
    return named


def refusal(*settings: str) -> str:
    """Why the chart does not take these settings."""
    words = [word for setting in settings for word in ("--set", setting)]
    made = helm("template", "versus", CHART, "--kube-version", KUBERNETES[0], *words)
    assert made.returncode != 0
    return made.stderr


def pod(values: str, process: str) -> Manifest:
    spec: Manifest = render(values)[f"Deployment/versus-{process}"]["spec"]["template"]["spec"]
    return spec


def container(values: str, process: str) -> Manifest:
    [found] = pod(values, process)["containers"]
    assert isinstance(found, dict)
    return found


def variables(values: str, process: str = "web") -> dict[str, Any]:
    """What the container's own variables are; those of the Secret are not among them."""
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(values, process)["env"]}


def loaded(values: str, tmp_path: Path, **secret: str) -> Config:
    """The configuration that web has in such a pod, with these keys in the Secret."""
    file = tmp_path / "config.yaml"
    file.write_text(render(values)["ConfigMap/versus"]["data"]["config.yaml"])
    environ = {**environment(""), **secret}
    del environ["REDIS_URL"]
    for name, value in variables(values).items():
        if isinstance(value, str):
            environ[name] = re.sub(r"\$\((\w+)\)", lambda match: secret[match[1]], value)
    return load_config(file, environ)


# -- every file -------------------------------------------------------------------------------------------


def test_there_are_files_enough() -> None:
    assert len(FILES) >= 10


@pytest.mark.parametrize("values", FILES)
def test_lint_has_nothing_to_say(values: str) -> None:
    linted = helm("lint", "--strict", CHART, *REQUIRED, "--values", VALUES / f"{values}.yaml")
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert "[WARNING]" not in linted.stdout


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("values", FILES)
def test_kubernetes_would_take_it(values: str, kubernetes: str) -> None:
    for manifest in render(values, kubernetes).values():
        if manifest["apiVersion"].startswith("monitoring.coreos.com/"):
            schema = json.loads((SCHEMAS / f"{manifest['kind'].lower()}.json").read_text())
            jsonschema.validate(manifest, schema)
        else:
            kubernetes_validate.validate(manifest, kubernetes, strict=True)


def test_the_schemas_notice_a_mistake() -> None:
    web = render("minimal")["Deployment/versus-web"]
    spec = {**web["spec"], "replica": 2}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**web, "spec": spec}, KUBERNETES[0], strict=True)


@pytest.mark.parametrize("process", ["web", "worker"])
@pytest.mark.parametrize("values", FILES)
def test_a_pod_can_do_no_more_than_it_must(values: str, process: str) -> None:
    spec, inside = pod(values, process), container(values, process)
    assert spec["automountServiceAccountToken"] is False
    assert spec["terminationGracePeriodSeconds"] == 40
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert inside["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = [mount["mountPath"] for mount in inside["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/tmp"]
    assert inside["args"] == [process]
    assert inside["envFrom"] == [{"secretRef": {"name": "versus"}}]


@pytest.mark.parametrize("process", ["web", "worker"])
@pytest.mark.parametrize("values", FILES)
def test_each_process_is_selected_by_its_own_labels_alone(values: str, process: str) -> None:
    made = render(values)
    deployment = made[f"Deployment/versus-{process}"]["spec"]
    selector = deployment["selector"]["matchLabels"]
    assert selector.items() <= deployment["template"]["metadata"]["labels"].items()
    selectors = {
        kind: made[f"{kind}/versus-{process}"]["spec"][key]["matchLabels"]
        for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector"))
        if f"{kind}/versus-{process}" in made
    }
    assert all(one == selector for one in selectors.values())
    assert (made["Service/versus"]["spec"]["selector"] == selector) is (process == "web")
    assert (
        made["Pod/versus-check-config"]["metadata"]["labels"]["app.kubernetes.io/component"] == "check-config"
    )


# -- one file after the other -----------------------------------------------------------------------------


def test_minimal_is_what_the_service_needs_and_nothing_else() -> None:
    assert sorted(render("minimal")) == [
        "ConfigMap/versus",
        "Deployment/versus-web",
        "Deployment/versus-worker",
        "Pod/versus-check-config",
        "PodDisruptionBudget/versus-web",
        "PodDisruptionBudget/versus-worker",
        "Service/versus",
    ]
    for process in ("web", "worker"):
        assert render("minimal")[f"Deployment/versus-{process}"]["spec"]["replicas"] == 2
        budget = render("minimal")[f"PodDisruptionBudget/versus-{process}"]["spec"]
        assert budget["maxUnavailable"] == 1
    assert set(variables("minimal")) == {"VERSUS_CONFIG", "PORT", "WEB_CONCURRENCY"}
    assert container("minimal", "web")["image"] == f"registry.example.com/versus:{__version__}"


def test_web_is_asked_for_its_health_and_never_for_its_readiness() -> None:
    web, worker = container("minimal", "web"), container("minimal", "worker")
    probes = {name for name in web if name.endswith("Probe")}
    assert probes == {"startupProbe", "readinessProbe", "livenessProbe"}
    for probe in probes:
        assert web[probe]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert web["ports"] == [{"name": "http", "containerPort": int(variables("minimal")["PORT"])}]
    assert not [name for name in worker if name.endswith("Probe")]
    assert "ports" not in worker


def test_another_release_has_names_of_its_own() -> None:
    assert "Deployment/pager-versus-incident-web" in render("minimal", release="pager")


def test_one_redis(tmp_path: Path) -> None:
    redis = loaded("redis", tmp_path, REDIS_PASSWORD="p/w").redis
    address = redis_address(redis.url.get_secret_value())
    assert address.nodes == (("redis.data", 6380),)
    assert address.password is not None
    assert address.password.get_secret_value() == "p/w"
    assert address.db == 3


def test_sentinels(tmp_path: Path) -> None:
    redis = loaded("sentinel", tmp_path, VERSUS_REDIS_PASSWORD="p%2Fw").redis
    address = redis_address(redis.url.get_secret_value())
    assert address.nodes == (("one.data", 26379), ("two.data", 26380))
    assert (address.master_name, address.db) == ("pager", 1)
    assert address.password is not None
    assert address.password.get_secret_value() == "p/w"
    secret = {"secretKeyRef": {"name": "versus", "key": "REDIS_PASSWORD"}}
    assert variables("sentinel", "worker")["VERSUS_REDIS_PASSWORD"] == secret
    # Kubernetes fills in only what was defined before.
    names = list(variables("sentinel"))
    assert names.index("VERSUS_REDIS_PASSWORD") < names.index("REDIS_URL")


def test_redis_through_tls_with_an_authority_of_ones_own() -> None:
    found = variables("tls")
    assert found["REDIS_TLS"] == "true"
    assert found["REDIS_CA_CERT"] == "/etc/versus-incident/redis/ca.crt"
    assert "REDIS_INSECURE_SKIP_VERIFY" not in found
    volumes = {one["name"]: one for one in pod("tls", "worker")["volumes"]}
    assert volumes["redis-ca"]["configMap"] == {"name": "redis-ca"}
    mounts = {one["name"]: one["mountPath"] for one in container("tls", "worker")["volumeMounts"]}
    assert mounts["redis-ca"] == "/etc/versus-incident/redis"


def test_sentinels_through_tls(tmp_path: Path) -> None:
    address = redis_address(loaded("sentinel-tls", tmp_path).redis.url.get_secret_value())
    assert address.tls is not None
    assert address.tls["ssl_cert_reqs"] == "none"
    assert address.password is None
    assert variables("sentinel-tls")["REDIS_INSECURE_SKIP_VERIFY"] == "true"


def test_an_ingress_is_also_where_links_lead(tmp_path: Path) -> None:
    ingress = render("ingress")["Ingress/versus"]
    assert ingress["metadata"]["annotations"] == {"cert-manager.io/cluster-issuer": "letsencrypt"}
    spec = ingress["spec"]
    assert spec["ingressClassName"] == "nginx"
    assert spec["tls"] == [{"hosts": ["versus.example.com"], "secretName": "versus-tls"}]
    [path] = spec["rules"][0]["http"]["paths"]
    assert path["backend"]["service"] == {"name": "versus", "port": {"name": "http"}}
    config = loaded("ingress", tmp_path)
    assert config.public_base == "https://versus.example.com"
    assert len(config.trusted_proxies) == 1


def test_the_network_policy_lets_pass_what_is_needed() -> None:
    made = render("network-policy")
    web, worker, check = (
        made[f"NetworkPolicy/versus-{name}"]["spec"] for name in ("web", "worker", "check-config")
    )
    ingress_nginx = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    assert web["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}], "from": [ingress_nginx]}]
    assert worker["ingress"] == check["ingress"] == []
    assert web["egress"] == worker["egress"] == check["egress"]
    ports = [port["port"] for rule in web["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 6379, 26380, 443, 587]


def test_prometheus_has_the_rules_of_the_documentation() -> None:
    made = render("monitoring")
    monitor, rule = made["ServiceMonitor/versus"], made["PrometheusRule/versus"]
    documented = yaml.safe_load((ROOT / "docs" / "monitoring" / "alerts.yml").read_text())
    assert rule["spec"] == documented
    [endpoint] = monitor["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["path"], endpoint["interval"]) == ("http", "/metrics", "15s")
    # The rules say job="versus".
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": "versus"}]
    service = made["Service/versus"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    for one in (monitor, rule):
        assert one["metadata"]["labels"]["release"] == "prometheus"


def test_the_configuration_is_the_shipped_one_and_what_is_different(tmp_path: Path) -> None:
    shipped = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    written = yaml.safe_load(render("minimal")["ConfigMap/versus"]["data"]["config.yaml"])
    assert written == shipped
    config = loaded("configuration", tmp_path, OPS_CHANNEL_URL="ntfy://example.com/versus")
    assert config.oncall.wait_minutes == 0
    assert config.oncall.incident_io.max_per_minute == 0
    assert config.oncall.incident_io.title == "{{ incident.title }}"
    assert [channel.name for channel in config.channels] == ["ops"]
    assert variables("configuration")["ONCALL_INITIALIZED_ONLY"] == "true"
    assert variables("configuration")["WORDS"] == 'quoted: "text"'


def test_a_changed_configuration_starts_the_pods_again() -> None:
    sums = {
        render(values)["Deployment/versus-web"]["spec"]["template"]["metadata"]["annotations"][
            "checksum/config"
        ]
        for values in ("minimal", "configuration")
    }
    assert len(sums) == 2


def test_an_image_by_digest() -> None:
    inside = container("image", "worker")
    assert inside["image"] == f"registry.example.com/versus@sha256:{'0123456789abcdef' * 4}"
    assert inside["imagePullPolicy"] == "Always"
    assert pod("image", "worker")["imagePullSecrets"] == [{"name": "registry"}]


def test_scheduling() -> None:
    made, web, worker = render("scheduling"), pod("scheduling", "web"), pod("scheduling", "worker")
    assert made["Deployment/versus-web"]["spec"]["replicas"] == 5
    assert made["Deployment/versus-worker"]["spec"]["replicas"] == 1
    assert web["nodeSelector"] == {"disk": "fast"}
    assert web["tolerations"][0]["key"] == "dedicated"
    assert "podAntiAffinity" in web["affinity"]
    assert web["priorityClassName"] == "system-cluster-critical"
    assert not {"nodeSelector", "tolerations", "affinity", "priorityClassName"} & set(worker)
    assert variables("scheduling")["WEB_CONCURRENCY"] == "4"
    assert not [name for name in made if name.startswith("PodDisruptionBudget/")]
    assert made["Service/versus"]["spec"]["ports"] == [{"name": "http", "port": 8080, "targetPort": "http"}]


# -- mistakes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["existingSecret=versus"], "image.repository is required"),
        (["image.repository=v"], "existingSecret is required"),
        ([REQUIRED[1], "ingress.enabled=true"], "ingress.host is required"),
        ([REQUIRED[1], "redis.host=one,redis.sentinel.hosts={two}"], "exclude each other"),
        ([REQUIRED[1], "web.replica=3"], "replica"),
        ([REQUIRED[1], "worker.replicas=none"], "replicas"),
    ],
)
def test_a_mistake_is_a_sentence(settings: list[str], sentence: str) -> None:
    assert sentence in refusal(*settings)


def test_the_values_of_the_documentation_are_understood(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deploy" / "kubernetes.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.S)
    assert len(blocks) == 2
    made = []
    for block in blocks:
        (tmp_path / "values.yaml").write_text(block)
        words = ("--kube-version", "1.31", *REQUIRED, "--values", tmp_path / "values.yaml")
        made.append(helm("template", "versus", CHART, *words))
        assert made[-1].returncode == 0, made[-1].stderr
    assert 'host: "versus.example.com"' in made[0].stdout
    assert "sentinel://:$(VERSUS_REDIS_PASSWORD)@sentinel-0.data:26379," in made[1].stdout


def test_the_chart_has_the_version_of_the_service() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__


def test_every_value_has_a_default_and_is_in_the_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(schema["properties"]) == {*values, "global"}
    for name, block in schema["properties"].items():
        if block.get("additionalProperties") is False:
            assert set(block["properties"]) == set(values[name])
