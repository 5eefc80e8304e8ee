"""Links from a task's page to what it made: report, Data Docs, model card, evaluation, learning curve, by its XCom.

Imported in every Airflow process: cheap.
"""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.sdk import BaseOperatorLink
from airflow.sdk.bases.xcom import BaseXCom

from carpipe_airflow.pages import MOUNT, NAME

DATASET = re.compile(r"datasets/([0-9a-f]{20})/manifest\.json")
VALIDATION = re.compile(r"stages/validate/all/([0-9a-f]{20})/manifest\.json")
CURVE = re.compile(r"stages/learning_curve/all/([0-9a-f]{20})/manifest\.json")
MODEL = re.compile(r"models/([^/]+)/([0-9a-f]{20})/manifest\.json")
# By this key a task says what it is about to make, so that there is a link where it fails.
FORESEEN = "foreseen"


def path_of(text: str, name: str) -> str:
    """Where the page of that name is, of whatever dataset or model the manifest key is of; empty: it has none."""
    if found := DATASET.fullmatch(text):
        return {
            "Dataset": f"/data/{found[1]}",
            "Dataset report": f"/data/{found[1]}/report",
            "Data Docs": f"/data/{found[1]}/docs",
        }.get(name, "")
    if found := VALIDATION.fullmatch(text):
        folder = f"/data/validations/{found[1]}"
        return {"Dataset report": f"{folder}/report", "Data Docs": f"{folder}/docs"}.get(name, "")
    if found := CURVE.fullmatch(text):
        return {"Learning curve": f"/data/curves/{found[1]}"}.get(name, "")
    if found := MODEL.fullmatch(text):
        folder = f"/weights/{found[1]}"
        return {
            "Weights": folder,
            "Model card": f"{folder}/{found[2]}/card",
            "Evaluation": f"{folder}/{found[2]}/evaluation",
            "Comparison": f"{folder}/{found[2]}/comparison",
        }.get(name, "")
    return ""


def full_address(text: str, name: str) -> str:
    """The same with Airflow's own address in front; without one, below the host."""
    base = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return f"{base}{in_airflow(urlsplit(base).path, path_of(text, name))}"


def in_airflow(root: str, path: str) -> str:
    """Where Airflow shows a page of ours in its own frame: behind the plugin's address comes the page's whole path.

    Args:
        root: where Airflow is mounted, empty or without a slash at its end.
        path: below where the pages are mounted.
    """
    return f"/plugin/{NAME}{root}{MOUNT}{path}"


class _ManifestLink(BaseOperatorLink):
    """Links to a page of what the task's manifest key names. `name` is set by the classes below."""

    name = ""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The page's address below the Airflow host, empty where the task made nothing of the kind."""
        path = path_of(self.made(ti_key), self.name)
        root = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
        return f"{root}{in_airflow(root, path)}" if path else ""

    def made(self, ti_key: Any) -> str:
        """What the task returned, text or a verdict that names a model; else what it said it would make."""
        return _text(_value(ti_key, BaseXCom.XCOM_RETURN_KEY)) or _text(_value(ti_key, FORESEEN))


class DatasetLink(_ManifestLink):
    """The dataset on the page Data."""

    name = "Dataset"


class ReportLink(_ManifestLink):
    """The dataset report."""

    name = "Dataset report"


class DataDocsLink(_ManifestLink):
    """The Data Docs of the validation."""

    name = "Data Docs"


class WeightsLink(_ManifestLink):
    """The model's channel on the page Weights."""

    name = "Weights"


class ModelCardLink(_ManifestLink):
    """The model card."""

    name = "Model card"


class EvaluationLink(_ManifestLink):
    """The evaluation page."""

    name = "Evaluation"


class ComparisonLink(_ManifestLink):
    """How the model differs from the one that was live when the gate decided."""

    name = "Comparison"

    def made(self, ti_key: Any) -> str:
        """The model of a verdict that came with a comparison."""
        verdict = _value(ti_key, BaseXCom.XCOM_RETURN_KEY)
        return _text(verdict) if isinstance(verdict, dict) and verdict.get("compared") else ""


class CurveLink(_ManifestLink):
    """The page of a learning curve."""

    name = "Learning curve"


LINKS = [
    DatasetLink(), ReportLink(), DataDocsLink(), WeightsLink(), ModelCardLink(), EvaluationLink(), ComparisonLink(),
    CurveLink(),
]  # fmt: skip


def _value(ti_key: Any, key: str) -> Any:
    """What a task has left under a key; empty where it has left nothing."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        query = XComModel.get_many(
            key=key,
            run_id=ti_key.run_id,
            dag_ids=ti_key.dag_id,
            task_ids=ti_key.task_id,
            map_indexes=ti_key.map_index,
        )
        row = session.execute(query.with_only_columns(XComModel.value)).first()
    value = row[0] if row else ""
    if isinstance(value, str) and value[:1] in ('"', "{"):  # as the database keeps it: JSON
        value = json.loads(value)
    return value


def _text(value: Any) -> str:
    """The text, or the model of a verdict; empty where it is neither."""
    if isinstance(value, dict):
        value = value.get("model", "")
    return value if isinstance(value, str) else ""
