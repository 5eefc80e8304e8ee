"""Manifests for Kubernetes, from the Compose file: the same services, with a pod for each task in the place of workers.

    python tools/kubernetes_manifests.py docs/kubernetes

Writes `carpipe.yaml`, all that runs, and `pod-template.yaml`, what a task runs in. Environment, commands and checks are
those of docker-compose.airflow.yml, so the two cannot come apart; what differs is below. docs/kubernetes.md says what
to fill in first.
"""

import argparse
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from carpipe.local.compose import Service, read_services
from carpipe.local.env_file import SECRETS

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.airflow.yml"
NAME = "carpipe"
IMAGE = "registry.example.com/carpipe:0.2.0"
# Where the bucket is, and who may read it: the ConfigMap and the Secret `carpipe` say, and may leave keys to a role.
BUCKET = ("CARPIPE_STORE", "CARPIPE_CONFIG", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ALLOW_HTTP")
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
NOT_HERE = re.compile(
    "AIRFLOW__CELERY|AIRFLOW__CORE__HOSTNAME_CALLABLE|AIRFLOW__CORE__EXECUTOR$|AIRFLOW_CONN_|GPU_SLOTS|OMP_NUM_THREADS"
)
# What a deployment chooses is in the ConfigMap `carpipe` alone: a container's own variables would have precedence.
CHOSEN = re.compile(
    "AIRFLOW__METRICS__|AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER|AIRFLOW__API__BASE_URL|CARPIPE_USER$"
    "|CARPIPE_(S3_CONNECTION|NOTIFY_|DEADLINE_H|WAIT_|STATSD)"
)
NOT_ASKED = ("CARPIPE_BUCKET", "CARPIPE_ENDPOINT_URL")  # what the Compose file cannot do without
EXECUTOR = {
    "AIRFLOW__CORE__EXECUTOR": "KubernetesExecutor",
    "AIRFLOW__CORE__PARALLELISM": "32",
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "32",
    "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": NAME,
    "AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE": "/opt/carpipe/kubernetes/pod-template.yaml",
    "AIRFLOW__KUBERNETES_EXECUTOR__DELETE_WORKER_PODS": "True",
    "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",  # a pod's disk goes with the pod
}
# A task's own Airflow starts nothing.
IN_TASKS = EXECUTOR | {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}
MEMORY = {"api-server": "4Gi", "scheduler": "4Gi", "dag-processor": "2Gi", "triggerer": "2Gi", "serve": "8Gi"}
# The rights of each account, and who has it. All others may do nothing in the cluster.
ACCOUNTS = {
    "carpipe-scheduler": [(["pods"], ["create", "get", "list", "watch", "patch", "delete"]), (["events"], ["list"])],
    "carpipe-api-server": [(["pods"], ["get", "list"]), (["pods/log"], ["get"])],  # logs of running tasks
    "carpipe-serve": [],
    "carpipe-task": [],
}
ACCOUNT_OF = {"scheduler": "carpipe-scheduler", "api-server": "carpipe-api-server", "serve": "carpipe-serve"}
# Whether the process is alive, asked of nobody else: a busy API server is no reason to end the others.
JOBS = {"scheduler": "SchedulerJob", "triggerer": "TriggererJob", "dag-processor": "DagProcessorJob"}
DATABASE_USERS = ("api-server", "scheduler", "dag-processor", "triggerer", "housekeeping")
PORTS = {"api-server": 8080, "serve": 5000, "postgres": 5432}
BUCKET_SETTINGS = {
    "CARPIPE_STORE": "s3://my-bucket/cars",
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "CARPIPE_CONFIG": "/opt/carpipe/config/carpipe.toml",
}
SCRATCH = "/opt/airflow/scratch"
TOML = '[crop]\nweights = "s3:weights/yolov5mu.pt"\n'

Manifest = dict[str, Any]


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(exist_ok=True)
    for name, text in render(COMPOSE.read_text("utf-8")).items():
        (folder / name).write_text(text, encoding="utf-8")


def render(compose: str) -> dict[str, str]:
    """The text of each file, by its name."""
    services = read_services(compose, {**dict.fromkeys(NOT_ASKED, "-"), **{name: f"$({name})" for name in SECRETS}})
    template = task_pod(services["worker"])
    objects = [
        *access(),
        config_map("carpipe", BUCKET_SETTINGS | chosen(services["api-server"])),
        config_map("carpipe-config", {"carpipe.toml": TOML}),
        config_map("carpipe-pod-template", {"pod-template.yaml": dump([template])}),
        *database(services["postgres"]),
        *(deployment(services[name], services["init"]) for name in MEMORY),
        housekeeping(services["housekeeping"]),
        *(service(name) for name in PORTS),
    ]
    about = "# Made by `make kubernetes` from docker-compose.airflow.yml. docs/kubernetes.md says what to fill in.\n"
    return {"carpipe.yaml": about + dump(objects), "pod-template.yaml": about + dump([template])}


def dump(objects: Iterable[Manifest]) -> str:
    """As YAML, texts of several lines as such."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=110)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks; nothing is referred to from elsewhere in the file."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def environment(given: Mapping[str, str], more: Mapping[str, str]) -> list[Manifest]:
    """Variables of a container: secrets by the name of their key, others as they are."""
    left_out = (*BUCKET, *KEYS)
    ours = {
        name: value
        for name, value in given.items()
        if name not in left_out and not NOT_HERE.match(name) and not CHOSEN.match(name)
    }
    wanted = {**ours, **more}
    secrets = {secret for value in wanted.values() for secret in re.findall(r"\$\((\w+)\)", value)}
    found = [from_secret(name, name) for name in sorted(secrets)]  # first: the others are made of them
    for name, value in wanted.items():
        whole = re.fullmatch(r"\$\((\w+)\)", value)
        if name not in secrets:
            found.append(from_secret(name, whole[1]) if whole else {"name": name, "value": value})
    return found


def from_secret(name: str, key: str) -> Manifest:
    """A variable that the Secret `carpipe` holds."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": NAME, "key": key}}}


def chosen(api_server: Service) -> dict[str, str]:
    """What a deployment may choose, as the Compose file has it; logs go to the bucket, since pods go."""
    given = {name: value for name, value in api_server.environment.items() if CHOSEN.match(name)}
    return {**given, "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "s3://my-bucket/airflow-logs"}


def container(name: str, service: Service, *, more: Mapping[str, str], memory: str) -> Manifest:
    """What runs a service, without rights."""
    return {
        "name": name,
        "image": IMAGE,
        **({"command": list(service.command)} if service.command else {}),
        "envFrom": [
            {"configMapRef": {"name": NAME}},
            {"secretRef": {"name": f"carpipe-{'serve-' * (name == 'serve')}bucket", "optional": True}},
        ],
        "env": environment(service.environment, more),
        "resources": {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": memory}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "config", "mountPath": "/opt/carpipe/config", "readOnly": True}],
    }


def pod(containers: list[Manifest], *, account: str, volumes: Iterable[Manifest] = (), **spec: Any) -> Manifest:
    """The spec of a pod of the image's account."""
    return {
        "serviceAccountName": account,
        "automountServiceAccountToken": bool(ACCOUNTS[account]),
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001},
        "containers": containers,
        "volumes": [{"name": "config", "configMap": {"name": "carpipe-config"}}, *volumes],
        **spec,
    }


def task_pod(worker: Service) -> Manifest:
    """What a task runs in: it knows the bucket and the API server, and not the database."""
    base = container("base", worker, more=IN_TASKS, memory="12Gi")
    base.pop("command")  # Airflow gives it one
    base["resources"]["requests"] = {"cpu": "1", "memory": "6Gi"}
    base["volumeMounts"].append({"name": "scratch", "mountPath": SCRATCH})
    base["env"].append({"name": "TMPDIR", "value": SCRATCH})
    scratch = {"name": "scratch", "emptyDir": {"sizeLimit": "60Gi"}}
    spec = pod([base], account="carpipe-task", volumes=[scratch], restartPolicy="Never")
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "carpipe-task", "namespace": NAME}, "spec": spec}


def deployment(service: Service, init: Service) -> Manifest:
    """A service that always runs. The scheduler's pod brings the database up to date first."""
    name = service.name
    one = container(name, service, more={} if name == "serve" else EXECUTOR, memory=MEMORY[name])
    asked = {"exec": {"command": list(service.check)}, "periodSeconds": 30, "timeoutSeconds": 20}
    one |= {"startupProbe": asked | {"failureThreshold": 20}, "readinessProbe": asked | {"failureThreshold": 3}}
    one["livenessProbe"] = alive(name)
    volumes: list[Manifest] = [{"name": "logs", "emptyDir": {"sizeLimit": "10Gi"}}]
    one["volumeMounts"].append({"name": "logs", "mountPath": "/opt/airflow/logs"})
    more: Manifest = {}
    if name in PORTS:
        one["ports"] = [{"containerPort": PORTS[name]}]
    if name == "scheduler":
        one["volumeMounts"].append({"name": "pod-template", "mountPath": "/opt/carpipe/kubernetes", "readOnly": True})
        volumes.append({"name": "pod-template", "configMap": {"name": "carpipe-pod-template"}})
        more["initContainers"] = [container("init", init, more=EXECUTOR | {"GPU_SLOTS": "1"}, memory="2Gi")]
    labels = {"app": NAME, "part": name}
    spec = pod([one], account=ACCOUNT_OF.get(name, "carpipe-task"), volumes=volumes, **more)
    scale: Manifest = {"replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels}}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(name), "spec": {**scale, "template": template},
    }  # fmt: skip


def alive(name: str) -> Manifest:
    """When a container is to be started anew: not as soon as it is busy."""
    if name in JOBS:
        command = ["airflow", "jobs", "check", "--local", "--job-type", JOBS[name]]
        return {"exec": {"command": command}, "periodSeconds": 120, "timeoutSeconds": 60, "failureThreshold": 5}
    return {"tcpSocket": {"port": PORTS[name]}, "periodSeconds": 60, "timeoutSeconds": 20, "failureThreshold": 10}


def housekeeping(service: Service) -> Manifest:
    """Once a day: old rows of the database. Logs are in the bucket."""
    one = container("housekeeping", service, more=EXECUTOR, memory="2Gi")
    one["command"] = [
        "bash", "-euc",
        'airflow db clean --clean-before-timestamp "$(date -u -d "-$DAYS days" +%FT%TZ)" --skip-archive --yes',
    ]  # fmt: skip
    spec = pod([one], account="carpipe-task", restartPolicy="Never")
    labels = {"app": NAME, "part": "housekeeping"}
    job = {"backoffLimit": 2, "template": {"metadata": {"labels": labels}, "spec": spec}}
    return {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta("housekeeping"),
        "spec": {"schedule": "17 3 * * *", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": job}},
    }  # fmt: skip


def database(service: Service) -> list[Manifest]:
    """PostgreSQL, on a disk of its own."""
    labels = {"app": NAME, "part": "postgres"}
    data = "/var/lib/postgresql/data"
    one = {
        "name": "postgres",
        "image": "postgres:17.6-bookworm",
        "args": list(service.command),
        "env": [*environment(service.environment, {"PGDATA": f"{data}/pgdata"})],
        "ports": [{"containerPort": PORTS["postgres"]}],
        "readinessProbe": {"exec": {"command": list(service.check)}, "periodSeconds": 10},
        "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "data", "mountPath": data}],
    }
    spec = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 999, "fsGroup": 999},
        "containers": [one],
    }
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}}
    return [{
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta("postgres"),
        "spec": {
            "serviceName": "postgres", "replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
        },
    }]  # fmt: skip


def access() -> list[Manifest]:
    """The namespace, its accounts with their rights, and who reaches the database."""
    group = "rbac.authorization.k8s.io"
    found: list[Manifest] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}}]
    for name, rights in ACCOUNTS.items():
        found.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(name)})
        rules = [{"apiGroups": [""], "resources": resources, "verbs": verbs} for resources, verbs in rights]
        subject = {"kind": "ServiceAccount", "name": name, "namespace": NAME}
        if rules:
            kind = {"apiVersion": f"{group}/v1", "metadata": meta(name)}
            found.append({**kind, "kind": "Role", "rules": rules})
            of = {"apiGroup": group, "kind": "Role", "name": name}
            found.append({**kind, "kind": "RoleBinding", "subjects": [subject], "roleRef": of})
    users = {"matchExpressions": [{"key": "part", "operator": "In", "values": list(DATABASE_USERS)}]}
    rule = {"from": [{"podSelector": users}], "ports": [{"port": PORTS["postgres"]}]}
    spec = {"podSelector": {"matchLabels": {"part": "postgres"}}, "policyTypes": ["Ingress"], "ingress": [rule]}
    return [*found, {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta("postgres"), "spec": spec,
    }]  # fmt: skip


def config_map(name: str, data: Mapping[str, str]) -> Manifest:
    """What is no secret."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(name), "data": dict(data)}


def service(name: str) -> Manifest:
    """The address of a part, in the namespace."""
    port = PORTS[name]
    ports = [{"port": port, "targetPort": port}]
    spec = {"selector": {"app": NAME, "part": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(name), "spec": spec}


def meta(name: str) -> Manifest:
    """Name and namespace of an object."""
    return {"name": name, "namespace": NAME}


if __name__ == "__main__":
    main()
