"""The house is in order: no circles, and what belongs together has one name."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {"carpipe": ROOT, "carpipe_airflow": ROOT / "plugins"}


def modules(package: str) -> dict[str, Path]:
    """Path of each module by its dotted name."""
    folder = SOURCES[package]
    paths = (folder / package).rglob("*.py")
    return {".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports_of(source: str, known: set[str]) -> set[str]:
    """The known modules that some code imports anywhere, in functions and for types alone too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & known
            if names - known:  # something of the module itself
                found.add(str(node.module))
    return found & known


def graph(package: str) -> dict[str, set[str]]:
    """What each module imports of its own package."""
    known = modules(package)
    return {name: imports_of(path.read_text("utf-8"), set(known)) - {name} for name, path in known.items()}


def circle(imports: dict[str, set[str]]) -> list[str]:
    """A circle, empty where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", SOURCES)
def test_no_two_files_import_each_other_even_by_a_third_or_in_a_function(package):
    assert circle(graph(package)) == []


def test_the_test_can_fail():
    code = {"a": "def f():\n    from b import g", "b": "import c", "c": "import a"}
    assert set(circle({name: imports_of(text, {*code}) for name, text in code.items()})) == {"a", "b", "c"}


def test_every_stage_has_a_step_in_a_file_of_its_name():
    stages = {
        path.stem
        for path in (ROOT / "carpipe" / "stages").glob("*.py")
        if "\nVERSION = " in path.read_text(encoding="utf-8")
    }
    steps = {path.stem for path in (ROOT / "carpipe" / "steps" / "data").glob("*.py")}
    assert stages >= {"inventory", "clean", "filter", "crop", "identify", "classes", "split", "pack"}
    assert stages <= steps


def test_every_command_has_a_file_of_its_name():
    from carpipe import cli

    named = {command.__name__.rpartition(".")[2] for command in cli.COMMANDS}
    shown = set(cli.make_parser()._subparsers._group_actions[0].choices)
    assert {name.replace("_", "-") for name in named} == shown
    assert {path.stem for path in Path(cli.__file__).parent.glob("[a-z]*.py")} == named | {"bars", "common"}
