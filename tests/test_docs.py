"""What the docs say can be done: every command exists, every link leads somewhere, lines are wrapped alike."""

import argparse
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import carpipe
from carpipe.cli import make_parser
from tools import benchmarks_page

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")] + sorted(
    ROOT.glob("docs/*.md")
)
WIDTH = 100
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    return FENCE.sub("", text)


def blocks(text: str) -> Iterator[str]:
    """Lines of code blocks that are no program."""
    for language, block in FENCE.findall(text):
        if language in ("", "sh", "bash"):
            yield from re.sub(r"\\\n\s*", " ", block).splitlines()


def commands(text: str, program: str) -> list[str]:
    """Every call of a program in the text: in code, and in the lines of code blocks up to their explanation."""
    inline = re.findall(rf"`({program} [^`]+)`", prose(text))
    lines = []
    for line in blocks(text):
        line = re.split(r"\s#\s| {2,}", line)[0]  # what explains it stands behind a gap or a #
        found = re.search(rf"{'^' if program == 'make' else '(?:^|[ |])'}({program} .*)", line)
        if found:
            lines.append(found[1])
    return [re.split(r" [|&>]", call)[0].strip() for call in inline + lines]


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", prose(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


class _Refused(Exception):  # noqa: N818  # it is what argparse says
    pass


def refuse(self: argparse.ArgumentParser, message: str) -> None:
    raise _Refused(f"{self.prog}: {message}")


def fault_of(call: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Why the command line refuses a call; empty: it does not. Placeholders such as <id> and ... are arguments."""
    words = shlex.split(re.sub(r"<([^>]*)>", "placeholder", call), comments=True)[1:]
    words = [word for word in words if word != "..."]
    monkeypatch.setattr(argparse.ArgumentParser, "error", refuse)
    try:
        make_parser().parse_args(words)
    except SystemExit:  # after --help
        return ""
    except _Refused as error:
        # The name of a command alone is no call: it may lack what it needs.
        return (
            "" if "are required" in str(error) and not any(word.startswith("-") for word in words[1:]) else str(error)
        )
    return ""


@every_page
def test_every_carpipe_command_is_one(page, monkeypatch):
    calls = commands(page.read_text("utf-8"), "carpipe")
    assert [(call, fault) for call in calls if (fault := fault_of(call, monkeypatch))] == []


@every_page
def test_every_make_command_is_one(page):
    text = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.search(r"^\.PHONY: (.+)$", text, flags=re.MULTILINE)[1].split())
    known = set(re.search(r"^KNOWN = (.+)$", text, flags=re.MULTILINE)[1].split())
    for call in commands(page.read_text("utf-8"), "make"):
        words = shlex.split(call, comments=True)[1:]
        assert words, call
        assert words[0] in targets, call
        assert {word.partition("=")[0] for word in words[1:] if "=" in word} <= known, call


@every_page
def test_every_script_is_there(page):
    called = re.findall(r"\bpython (?!-)(\S+\.py)", page.read_text("utf-8"))
    assert [path for path in called if not (ROOT / path).exists()] == []


@every_page
def test_every_link_leads_somewhere(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text("utf-8")), target


@every_page
def test_every_file_that_is_named_is_there(page):
    if page.name == "CHANGELOG.md":
        pytest.skip("it tells of files that are gone")
    named = re.findall(
        r"`((?:carpipe|dags|plugins|tests|benchmarks|tools|docs|monitoring)/[\w./-]+)`", page.read_text("utf-8")
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


@every_page
def test_fences_of_code_have_lines_of_their_own(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "```" in line and not re.fullmatch(r" *```\w*", line)] == []


@every_page
def test_lines_are_wrapped_alike(page):
    long = [line for line in prose(page.read_text("utf-8")).splitlines() if len(line) > WIDTH]
    assert [line for line in long if not line.lstrip().startswith("|") and "](" not in line] == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 130


def test_the_life_of_a_photo_names_files_that_are_there():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    life = text[text.index("## The life of one photo") : text.index("## How to add something")]
    named = re.findall(r"`([\w/]+\.py)`", life)
    assert len(named) > 30
    assert [name for name in named if not (ROOT / "carpipe" / name).exists()] == []


def test_every_room_has_its_line():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rooms = {path.name for path in (ROOT / "carpipe").iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    rooms |= {path.name for path in (ROOT / "carpipe").glob("[a-z]*.py")}
    rooms |= {f"steps/{path.parent.name}" for path in (ROOT / "carpipe" / "steps").glob("*/__init__.py")}
    floors = text[text.index("## The floors") : text.index("## The life")]
    assert {room for room in rooms if room != "steps" and room not in floors} == set()


def test_the_version_is_said_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == carpipe.__version__
    assert f"CARPIPE_TAG={carpipe.__version__}\n" in (ROOT / ".env.example").read_text("utf-8")
    tags = re.findall(r"CARPIPE_TAG:-([\d.]+)}", (ROOT / "docker-compose.airflow.yml").read_text("utf-8"))
    assert tags == [carpipe.__version__] * 2
    assert f"## {carpipe.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize("call", ["carpipe nothing", "carpipe gc --older", "carpipe step trim x", "carpipe datasets x"])
def test_a_wrong_command_would_be_seen(call, monkeypatch):
    assert fault_of(call, monkeypatch)


def test_the_page_of_benchmarks_is_what_they_have_kept():
    files = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    kept = [json.loads(file.read_text("utf-8")) for file in files]
    assert (ROOT / "docs" / "benchmarks.md").read_text("utf-8") == benchmarks_page.page(kept)
