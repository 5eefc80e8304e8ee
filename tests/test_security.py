"""Every promise of SECURITY.md has tests, and every link of it leads somewhere."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
PROMISES = {
    "A photo costs a bounded time and memory": [
        "pictures/test_budget.py",
        "serving/test_decoders.py",
    ],
    "A photo that kills or hangs its decoder costs itself only": [
        "pictures/test_isolation.py::test_poison_is_dropped_and_the_rest_goes_through",
        "serving/test_decoders.py",
    ],
    "No key of an object stops a night": [
        "test_odd_keys.py::test_odd_names_anywhere_in_the_bucket_stop_nothing",
        "steps/data/test_odd_names.py::test_an_odd_name_costs_its_own_row",
        "test_odd_keys.py::test_names_are_shown_without_what_forges_a_line",
    ],
    "Broken photos of few listings are not taken for an outage": [
        "steps/data/test_outage.py::test_a_seller_s_empty_files_and_pages_stop_no_night",
        "steps/data/test_outage.py::test_many_photos_of_few_listings_are_not",
    ],
    "An object that is too large is not read": [
        "steps/data/test_raw.py::test_a_photo_listed_as_too_large_is_never_asked_for",
        "steps/data/test_raw.py::test_a_photo_that_has_grown_too_large_is_cut_off",
        "test_ahead.py::test_the_order_stays_and_the_budget_holds",
    ],
    "Thumbnails, crops and candidates hold no metadata": [
        "plugins/test_pages.py::test_photos_are_small_and_without_metadata",
        "serving/test_candidates.py::test_an_unsure_photo_is_kept_small_and_without_what_the_camera_wrote",
        "stages/test_clean.py::test_a_kept_photo_has_facts_thumbnail_and_signature",
    ],
    "A release names the very manifest": ["weights/test_pinned.py::test_a_client_refuses_another_manifest"],
    "What somebody else put under the key of a model to come": [
        "steps/models/test_signatures.py::"
        "test_what_somebody_else_put_under_a_model_s_key_is_neither_judged_nor_signed",
    ],
    "A checkpoint of a training writes nothing outside": ["training/test_checkpoint.py"],
    "A file that is not what its manifest says": [
        "weights/test_client.py::test_a_file_that_was_tampered_with_is_refused",
        "test_manifest.py::test_a_file_that_was_changed_behind_the_manifest_is_refused",
    ],
    "A manifest that names objects of others": [
        "steps/test_abuse.py::test_a_crafted_manifest_is_refused_with_what_is_wrong_in_it",
        "test_hostile_json.py",
    ],
    "A detector is data": [
        "pictures/detection/test_files.py::test_what_is_no_detector_is_refused_unopened",
        "pictures/detection/test_files.py::test_torchscript_writes_nothing",
    ],
    "A backbone of one's own is data": [
        "training/test_keras_file.py::test_code_is_refused_unopened",
        "training/test_keras_file.py::test_classes_of_others_are_refused_unopened",
        "training/test_keras_file.py::test_a_zip_bomb_is_not_unpacked",
        "training/test_keras_file.py::test_weights_that_say_they_are_huge_are_not_read",
    ],
    "Nothing that was pickled is loaded": [
        "weights/test_golden.py",
        "training/test_model.py",
        "pictures/detection/test_files.py::test_a_checkpoint_that_does_more_than_hold_layers_is_refused",
    ],
    "With `signing.require`, weights without a signature": ["weights/test_signing.py", "weights/test_client_alone.py"],
    "Every page asks for a login": [
        "plugins/test_pages.py::test_every_route_is_closed_to_strangers",
        "plugins/test_pages.py::test_a_viewer_may_read_everything_and_change_nothing",
    ],
    "Another site cannot make a browser act": [
        "plugins/test_pages.py::test_another_site_cannot_make_a_browser_act",
        "plugins/test_access.py::test_no_other_site_is_taken_for_ours",
        "serving/test_hostile.py::test_a_name_that_is_not_ours_is_not_answered",
    ],
    "No text of the bucket runs": [
        "plugins/test_pages.py::test_pages_of_the_bucket_run_nothing_and_link_to_each_other",
        "validation/test_validate.py::test_docs_show_hostile_values_as_text",
        "test_spreadsheet.py::test_a_formula_gets_an_apostrophe",
        "steps/listings/test_files.py::test_what_a_spreadsheet_saves_otherwise_comes_back_as_it_was",
        "dags/test_dags.py::test_what_the_gate_says_is_text_to_markdown",
    ],
    "The S3 server of `make run` asks for a key": [
        "local/test_s3_keys.py::test_no_inner_port_answers_who_has_no_certificate",
        "local/test_s3_keys.py::test_a_web_page_in_the_users_browser_changes_nothing",
    ],
    "Scratch files lie in folders": [
        "test_scratch.py::test_what_another_account_has_planted_is_refused",
        "test_scratch.py::test_nothing_writes_where_others_foresee_it",
    ],
    "Slow and many connections": [
        "serving/test_listening.py",
        "serving/test_server.py::test_health_has_a_port_of_its_own",
    ],
    "One client of the API cannot spend": [
        "serving/test_candidates.py::test_one_client_spends_its_share_and_no_more",
        "serving/test_room.py",
    ],
    "No secret is logged, shown, or written": [
        "plugins/test_s3_access.py::test_no_secret_is_logged_or_shown",
        "pictures/test_isolation.py::test_no_secret_is_in_the_environment_of_the_process",
        "plugins/test_signing_key.py",
    ],
}  # fmt: skip


def promised():
    """The bullets of what is promised, each on one line."""
    section = PAGE.split("## What is promised?")[1].split("\n## ")[0]
    return [" ".join(bullet.split()) for bullet in re.findall(r"^- (.+?)(?=^- |^#|^$)", section, flags=re.M | re.S)]


@cache
def named_in(path):
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_each_promise_is_known():
    assert len(promised()) == len(PROMISES)
    for promise in promised():
        assert [begin for begin in PROMISES if promise.startswith(begin)], promise


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_has_tests(promise):
    for test in PROMISES[promise]:
        path, _, name = test.partition("::")
        assert name in named_in(path) if name else named_in(path), test
