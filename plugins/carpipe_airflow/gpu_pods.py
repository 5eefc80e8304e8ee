"""Where tasks with a network run: queue and pool `gpu`, and a pod with a GPU under KubernetesExecutor."""

import json
from typing import Any

from carpipe.errors import ConfigError
from carpipe_airflow.deployment import deployment

GPU = {"queue": "gpu", "pool": "gpu"}
# Name of the container that Airflow runs the task in.
CONTAINER = "base"


def gpu_task() -> dict[str, Any]:
    """Arguments of a task that uses the GPU.

    Raises:
        ConfigError: `CARPIPE_GPU_POD` is not the spec of a pod.
    """
    text = deployment().gpu_pod
    return {**GPU, "executor_config": {"pod_override": gpu_pod(text)}} if text else dict(GPU)


def gpu_pod(text: str) -> Any:
    """The V1Pod that is laid over Airflow's pod template.

    Args:
        text: fields of a pod's `spec` as JSON, named as in Kubernetes; its container may be left out, and so may
            its limit of one `nvidia.com/gpu`.
    """
    # Here, not above: the client takes half a second, and DAG files are parsed for every task.
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
    from kubernetes.client import V1PodSpec

    try:
        spec = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"CARPIPE_GPU_POD is not JSON: {error}.") from None
    if not isinstance(spec, dict):
        raise ConfigError(f"CARPIPE_GPU_POD must be fields of a pod's spec in JSON, got {text}.")
    unknown = sorted(spec.keys() - set(V1PodSpec.attribute_map.values()))
    if unknown:
        raise ConfigError(
            f"CARPIPE_GPU_POD: {', '.join(unknown)} is no field of a pod's spec; names are nodeSelector, ..."
        )
    first, *others = spec.get("containers") or [{}]
    try:
        limits = {"nvidia.com/gpu": "1", **first.get("resources", {}).get("limits", {})}
        first = {"name": CONTAINER, **first, "resources": {**first.get("resources", {}), "limits": limits}}
        pod = PodGenerator.deserialize_model_dict({"spec": {**spec, "containers": [first, *others]}})
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"CARPIPE_GPU_POD does not have the form of a pod's spec: {error}.") from None
    if first["name"] != CONTAINER:
        raise ConfigError(
            f"CARPIPE_GPU_POD: the first container is Airflow's and is called {CONTAINER!r}, not {first['name']!r}."
        )
    return pod
