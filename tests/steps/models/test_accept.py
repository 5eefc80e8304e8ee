"""Advice that somebody accepts: it becomes moves, of which the next run knows, and which can be taken back."""

import pytest

from carpipe.cli import main
from carpipe.errors import InputError
from carpipe.steps.models.accept import accept, standings, take_back
from carpipe.steps.models.advice import advise, propose, read_advice
from carpipe.steps.moves.store import current_moves, effective, with_moves
from carpipe.taxonomy.read import parse
from tests.steps.models.advised import TAXONOMY, a_bucket, drawn_answers, evaluate

AT, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
RULES = parse(TAXONOMY, name="mine")


@pytest.fixture(scope="module")
def answers():
    return drawn_answers()


@pytest.fixture
def bucket(s3, answers):
    session = a_bucket(s3)
    return session, advise(session, evaluate(session, answers, tag="first"))


def stand(session, advice):
    return standings(session, advice, read_advice(session, advice)[1])


def test_a_proposal_becomes_moves_with_name_and_reason(bucket):
    session, advice = bucket
    assert [(one.proposal.kind, one.proposal.name, one.accepted) for one in stand(session, advice)] == [
        ("merge", "vito", ()), ("split", "golf", ()),
    ]  # fmt: skip
    made = accept(session, advice, ["vito", "golf"], at=AT, by="ann")
    assert {one.model: one.to for one in made} == {"viano": "vito", "vito": "vito", "golf_gti": "golf_gti"}
    counts = current_moves(session)
    assert counts["viano"].by == "ann"
    assert counts["viano"].why.endswith("merge viano + vito -> vito")
    rules = with_moves(RULES, effective(counts)).class_by_model
    assert rules == {"golf": "golf", "golf_gti": "golf_gti", "vito": "vito", "viano": "vito"}
    assert all(one.accepted for one in stand(session, advice))


def test_what_is_accepted_is_not_accepted_twice_until_it_is_taken_back(bucket):
    session, advice = bucket
    accept(session, advice, ["vito"], at=AT, by="ann")
    assert accept(session, advice, ["vito"], at=LATER, by="bob") == []
    assert current_moves(session)["vito"].by == "ann"
    take_back(session, ["viano", "vito"], at=LATER, by="bob")
    objects = len([*session.store.list_objects("labels")])
    take_back(session, ["viano", "golf"], at=LATER, by="bob")
    assert len([*session.store.list_objects("labels")]) == objects, "there is nothing to take back any more"
    [merge, _] = stand(session, advice)
    assert merge.accepted == ()


def test_a_proposal_that_is_not_there_is_refused_and_nothing_is_kept(bucket):
    session, advice = bucket
    with pytest.raises(InputError, match="no proposal on 'polo'; it has proposals on vito, golf"):
        accept(session, advice, ["vito", "polo"], at=AT, by="")
    assert current_moves(session) == {}


def test_a_night_says_how_much_advice_there_is_and_goes_on_without(bucket):
    session, advice = bucket
    assert propose(session, advice.inputs[0]).startswith("Of classes that look alike: 1 merge and 1 split advised.")
    assert "There is no advice on classes." in propose(session, "stages/evaluate/classifier/gone/manifest.json")


def test_the_commands(bucket, tmp_path, capsys):
    session, _ = bucket
    (tmp_path / "mine.yaml").write_text(TAXONOMY)
    settings = tmp_path / "carpipe.toml"
    settings.write_text(f'[store]\nurl = "{session.config.store.url}"\n[classes]\ntaxonomy = "mine.yaml"\n')

    def run(*words):
        code = main(["--config", str(settings), "classes", *words])
        return code, capsys.readouterr()

    assert "`carpipe classes accept`" in run("moves")[1].out
    code, said = run("accept", "vito", "--by", "ann")
    assert code == 0
    assert "viano -> vito" in said.out
    assert run("diff")[1].out.count("viano") >= 1, "what a run would change, moves and all"
    code, said = run("accept", "vito")
    assert code == 0
    assert "was followed already" in said.out
    code, said = run("move", "golf_gti", "sporty", "--by", "bob", "--why", "another car")
    assert code == 0
    out = run("moves")[1].out
    assert "another car" in out
    assert "(no longer)" not in out
    assert run("move", "viano", "by-taxonomy")[0] == 0
    assert "(no longer)" in run("moves")[1].out
