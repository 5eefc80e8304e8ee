"""`monitoring/` speaks of the metrics that the code sends: all of them, by their names and labels."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from carpipe.metrics import CATALOGUE

ROOT = Path(__file__).parents[1] / "monitoring"
MAPPINGS: list[dict[str, Any]] = yaml.safe_load((ROOT / "statsd_exporter.yml").read_text())["mappings"]
# The series that statsd_exporter makes of a summary.
SUFFIXES = {"timer": ("_sum", "_count"), "counter": ("",), "gauge": ("",)}


def mapping_of(sent: str) -> dict[str, Any] | None:
    """The first mapping that matches a name, as statsd_exporter looks for it: `*` is one component."""
    for mapping in MAPPINGS:
        pattern = "".join(r"[^.]*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", mapping["match"]))
        if re.fullmatch(pattern, sent):
            return mapping
    return None


def series() -> dict[str, set[str]]:
    """Labels by name of every series that Prometheus gets of carpipe and of what is mapped of Airflow."""
    found = {}
    for path, (kind, _) in CATALOGUE.items():
        mapping = mapping_of(f"carpipe.{path}")
        assert mapping is not None, path
        found |= {mapping["name"] + suffix: set(mapping.get("labels", {})) for suffix in SUFFIXES[kind]}
    for mapping in MAPPINGS:
        if mapping["match"].startswith("airflow."):
            found |= {mapping["name"] + suffix: set(mapping["labels"]) for suffix in SUFFIXES["timer"]}
    return found


def queries() -> dict[str, list[str]]:
    dashboard = json.loads((ROOT / "grafana.json").read_text())
    alerts = yaml.safe_load((ROOT / "alerts.yml").read_text())
    return {
        "dashboard": [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]],
        "alerts": [rule["expr"] for group in alerts["groups"] for rule in group["rules"]],
    }


def names_in(query: str) -> set[str]:
    return set(re.findall(r"\b(?:carpipe|airflow)_\w+", query))


@pytest.mark.parametrize("path", CATALOGUE)
def test_every_metric_is_mapped_with_its_labels(path: str) -> None:
    name, *labels = path.split(".")
    kind = CATALOGUE[path][0]
    mapping = mapping_of(f"carpipe.{path}")

    assert mapping is not None
    assert mapping["name"] == f"carpipe_{name}" + ("_total" if kind == "counter" else "")
    expected = {label.strip("<>"): f"${place}" for place, label in enumerate(labels, start=1)}
    assert mapping.get("labels", {}) == expected
    assert (mapping.get("observer_type") == "summary") == (kind == "timer")


def test_nothing_else_is_mapped() -> None:
    own = [mapping["match"] for mapping in MAPPINGS if mapping["match"].startswith("carpipe.")]

    assert sorted(own) == sorted("carpipe." + re.sub(r"<\w+>", "*", path) for path in CATALOGUE)


def test_what_is_mapped_of_airflow_is_what_airflow_sends() -> None:
    import airflow._shared.observability.metrics as observability

    template = yaml.safe_load((Path(observability.__path__[0]) / "metrics_template.yaml").read_text())
    sent = {re.sub(r"\{\w+\}", "*", entry["legacy_name"]) for entry in template["metrics"]}

    others = [mapping["match"] for mapping in MAPPINGS if not mapping["match"].startswith("carpipe.")]
    assert others
    assert {match.removeprefix("airflow.") for match in others} <= sent


@pytest.mark.parametrize("where", ["dashboard", "alerts"])
def test_what_is_asked_for_is_there(where: str) -> None:
    known = series()
    for query in queries()[where]:
        assert names_in(query), query
        for name in names_in(query):
            assert name in known, query
        asked = set(re.findall(r"(\w+)\s*=~?\s*\"", query)) | {
            label for group in re.findall(r"\bby \(([^)]*)\)", query) for label in re.split(r",\s*", group)
        }
        assert asked <= set().union(*(known[name] for name in names_in(query))), query


@pytest.mark.parametrize("query", queries()["alerts"])
def test_alerts_allow_for_counters_that_appear_with_their_first_event(query: str) -> None:
    assert query.count("(") == query.count(")")
    grown = re.findall(r"increase\((.+?)\[(\w+)\]\)", query)
    counters = {name for name in names_in(query) if name.endswith(("_total", "_count"))}
    assert {re.match(r"\w+", series)[0] for series, _ in grown} == counters
    for series, window in grown:
        appeared = f"({series} unless {series} offset {window}) or increase({series}[{window}])"
        # Nothing is said of a counter that was not there a window ago, and is by now.
        guarded = f"(increase({series}[{window}]) == 0 and {series} offset {window})"
        gone = f"absent_over_time({series}[{window}]) or {guarded}"
        assert appeared in query or gone in query, query


def test_the_dashboard_shows_every_metric() -> None:
    shown = set().union(*map(names_in, queries()["dashboard"]))

    assert {name for name in series() if not name.endswith("_count")} <= shown


def test_panels_have_ids_and_places_of_their_own() -> None:
    panels = json.loads((ROOT / "grafana.json").read_text())["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_page_on_operating_explains_every_metric() -> None:
    page = (ROOT.parent / "docs" / "operating.md").read_text(encoding="utf-8")

    for path, (kind, meaning) in CATALOGUE.items():
        assert f"| `{path}` | {kind} | {meaning} |" in page
