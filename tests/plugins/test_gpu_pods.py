"""The pod that KubernetesExecutor makes of a task on the queue `gpu`, by Airflow's own code."""

import pytest

from carpipe.errors import ConfigError

TEMPLATE = {
    "spec": {
        "containers": [{"name": "base", "image": "carpipe:1", "resources": {"requests": {"memory": "8Gi"}}}],
        "restartPolicy": "Never",
    }
}
GPU_NODES = """{
    "nodeSelector": {"accelerator": "l4"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
}"""


def made_pod(task: dict):
    """What the executor sends to Kubernetes for a task with these arguments."""
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

    return PodGenerator.construct_pod(
        dag_id="retrain_classifier",
        task_id="train",
        pod_id="train-1",
        try_number=1,
        kube_image="carpipe:1",
        date=None,
        args=["airflow"],
        pod_override_object=task.get("executor_config", {}).get("pod_override"),
        base_worker_pod=PodGenerator.deserialize_model_dict(TEMPLATE),
        namespace="airflow",
        scheduler_job_id="1",
        run_id="manual__1",
    )


def test_without_the_variable_tasks_have_no_pod_of_their_own():
    from carpipe_airflow.gpu_pods import gpu_task

    assert gpu_task() == {"queue": "gpu", "pool": "gpu"}
    assert made_pod(gpu_task()).spec.containers[0].resources.limits is None


def test_the_pod_has_a_gpu_and_goes_where_gpus_are(monkeypatch):
    from carpipe_airflow.gpu_pods import gpu_task

    monkeypatch.setenv("CARPIPE_GPU_POD", GPU_NODES)
    task = gpu_task()
    assert (task["queue"], task["pool"]) == ("gpu", "gpu")
    spec = made_pod(task).spec

    [container] = spec.containers
    assert container.resources.limits == {"nvidia.com/gpu": "1"}
    # What the template says is kept.
    assert container.image == "carpipe:1"
    assert spec.restart_policy == "Never"
    assert spec.node_selector == {"accelerator": "l4"}
    assert [(one.key, one.operator, one.effect) for one in spec.tolerations] == [
        ("nvidia.com/gpu", "Exists", "NoSchedule")
    ]


def test_resources_can_be_given(monkeypatch):
    from carpipe_airflow.gpu_pods import gpu_task

    resources = '{"limits": {"nvidia.com/gpu": 2, "memory": "32Gi"}}'
    monkeypatch.setenv("CARPIPE_GPU_POD", f'{{"containers": [{{"image": "carpipe:gpu", "resources": {resources}}}]}}')
    [container] = made_pod(gpu_task()).spec.containers

    assert container.resources.limits == {"nvidia.com/gpu": "2", "memory": "32Gi"}
    assert container.image == "carpipe:gpu"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yes", "is not JSON"),
        ("[]", "must be fields"),
        ('{"node_selector": {}}', "node_selector is no field"),
        ('{"containers": "x"}', "does not have the form"),
        ('{"containers": [3]}', "does not have the form"),
        ('{"containers": [{"resources": null}]}', "does not have the form"),
        ('{"containers": [{"name": "train"}]}', "is called 'base', not 'train'"),
    ],
)
def test_what_is_no_spec_is_refused(monkeypatch, text, message):
    from carpipe_airflow.gpu_pods import gpu_task

    monkeypatch.setenv("CARPIPE_GPU_POD", text)
    with pytest.raises(ConfigError, match=message):
        gpu_task()
