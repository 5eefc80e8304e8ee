"""The manifests for Kubernetes: made from the Compose file, and such that Kubernetes takes them."""

import importlib.util
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

from carpipe.local.env_file import SECRETS, make_env, read_env
from tests.deploy.test_compose import EXAMPLE, ROOT, TEXT

FOLDER = ROOT / "docs" / "kubernetes"
OBJECTS = list(yaml.safe_load_all((FOLDER / "carpipe.yaml").read_text(encoding="utf-8")))
NAMED = {(one["kind"], one["metadata"]["name"]): one for one in OBJECTS}
VERSIONS = ("1.30.0", "1.34.0")


def manifests():
    place = Path(ROOT) / "tools" / "kubernetes_manifests.py"
    spec = importlib.util.spec_from_file_location("kubernetes_manifests", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pods():
    """Specs of all pods, by name; that of a task too."""
    kinds = ("Deployment", "StatefulSet")
    found = {name: one["spec"]["template"]["spec"] for (kind, name), one in NAMED.items() if kind in kinds}
    found["housekeeping"] = NAMED["CronJob", "housekeeping"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found | {"task": yaml.safe_load((FOLDER / "pod-template.yaml").read_text(encoding="utf-8"))["spec"]}


def variables(spec):
    return {entry["name"]: entry for entry in spec["containers"][0]["env"]}


def test_they_are_those_of_the_compose_file_of_today():
    for name, text in manifests().render(TEXT).items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, "say: make kubernetes"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_kubernetes_takes_them(one, version):
    kubernetes_validate.validate(one, version, strict=True)


def test_the_test_can_fail():
    wrong = {**NAMED["Deployment", "scheduler"], "spec": {"replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_airflow_takes_the_pod_template():
    pod = PodGenerator.deserialize_model_file(str(FOLDER / "pod-template.yaml"))
    assert pod.spec.containers[0].name == "base"
    assert not pod.spec.automount_service_account_token
    inside = NAMED["ConfigMap", "carpipe-pod-template"]["data"]["pod-template.yaml"]
    assert yaml.safe_load(inside)["spec"] == pods()["task"]


def test_secrets_are_named_and_not_written_down():
    made = read_env(make_env(EXAMPLE, {}))
    wanted = set()
    for spec in pods().values():
        for name, entry in variables(spec).items():
            if "valueFrom" in entry:
                wanted.add(entry["valueFrom"]["secretKeyRef"]["key"])
            elif name.endswith(("PASSWORD", "SECRET", "_KEY")):
                raise AssertionError(name)
    # `kubectl create secret generic carpipe --from-env-file=.env` makes what they want.
    assert wanted <= made.keys() & SECRETS.keys()


def test_tasks_and_the_api_know_no_password_of_the_database():
    for name in ("task", "serve"):
        assert "CARPIPE_POSTGRES_PASSWORD" not in variables(pods()[name])
        assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in variables(pods()[name])
    assert "CARPIPE_POSTGRES_PASSWORD" in variables(pods()["scheduler"])


def test_only_who_makes_pods_may_and_only_the_page_reads_their_logs():
    may = {name: spec["serviceAccountName"] for name, spec in pods().items() if spec["automountServiceAccountToken"]}
    assert may == {"scheduler": "carpipe-scheduler", "api-server": "carpipe-api-server"}
    verbs = {name: {verb for rule in one["rules"] for verb in rule["verbs"]} for (kind, name), one in NAMED.items()
             if kind == "Role"}  # fmt: skip
    assert verbs["carpipe-api-server"] == {"get", "list"}
    assert {"create", "delete"} <= verbs["carpipe-scheduler"]
    assert pods()["serve"]["serviceAccountName"] == "carpipe-serve"
    assert pods()["serve"]["containers"][0]["envFrom"][1]["secretRef"]["name"] == "carpipe-serve-bucket"
    assert variables(pods()["scheduler"])["AIRFLOW__CORE__EXECUTOR"]["value"] == "KubernetesExecutor"
    for spec in pods().values():
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_database_is_brought_up_to_date_before_the_scheduler_and_again_after_an_upgrade():
    (init,) = pods()["scheduler"]["initContainers"]
    assert "airflow db migrate" in init["command"][-1]
    assert not [name for kind, name in NAMED if kind == "Job"]  # its template could not be changed


def test_nobody_is_restarted_because_another_is_busy():
    for name, spec in pods().items():
        probe = str(spec["containers"][0].get("livenessProbe", ""))
        assert "api-server" not in probe, name
        if name not in ("task", "postgres", "housekeeping"):
            assert probe


def test_what_a_deployment_chooses_stands_in_one_place():
    chosen = NAMED["ConfigMap", "carpipe"]["data"]
    assert {"CARPIPE_STORE", "CARPIPE_NOTIFY_MAIL", "AIRFLOW__API__BASE_URL"} <= chosen.keys()
    for name, spec in pods().items():
        assert not chosen.keys() & variables(spec).keys(), name


def test_only_parts_of_airflow_reach_the_database():
    (rule,) = NAMED["NetworkPolicy", "postgres"]["spec"]["ingress"]
    (who,) = rule["from"][0]["podSelector"]["matchExpressions"]
    with_password = {name for name, spec in pods().items() if "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in variables(spec)}
    assert set(who["values"]) == with_password


def test_what_the_services_ask_for_is_there():
    for spec in pods().values():
        mounted = {volume["name"] for volume in spec.get("volumes", ())}
        asked = {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
        assert asked - mounted <= {"data"}
        for volume in spec.get("volumes", ()):
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in NAMED
    address = variables(pods()["task"])["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]["value"]
    assert address == "http://api-server:8080/execution/"
    assert ("Service", "api-server") in NAMED
