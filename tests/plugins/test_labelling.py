"""The page Labels as a tool for thousands of photos: pages as predicted, many at a time, copies, skipping, undoing."""

import re
from uuid import uuid4

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from carpipe.steps.labels.store import current_labels, describe_conflicts, import_labels, read_labels
from carpipe.steps.session import open_session
from carpipe.steps.viewpoints.store import read_views
from carpipe.viewpoints import WORDS
from tests.chromium import (
    NEEDED,
    faults,
    logged_in,
    press,
    press_with,
    text_of,
    tiles,
    until,
    until_saved,
    visit,
)
from tests.conftest import make_config
from tests.filtered import commit_filter
from tests.plugins import bucket
from tests.plugins.api_server import add_connection, api_server, log_in

pytestmark = [*NEEDED, pytest.mark.timeout(600)]

SAME = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
CARS = bucket.keys(range(8))  # of twelve
COPIES = bucket.keys([0, 1, 2])  # which show one picture


@pytest.fixture(scope="module")
def session(s3):
    return open_session(make_config(f"s3://{s3.bucket}/{uuid4().hex[:12]}"))


@pytest.fixture(scope="module")
def url(session, s3, tmp_path_factory):
    bucket.fill(session)
    sure = {key: 0.99 - (number - 2) / 100 for number, key in enumerate(CARS)} | dict.fromkeys(COPIES, 0.99)
    commit_filter(
        session, lambda key: sure.get(key, 0.05), pictures=dict.fromkeys(COPIES, SAME), views=lambda key: ("front", 0.8)
    )
    with api_server(session, tmp_path_factory.mktemp("api")) as (address, _):
        with log_in(address, "admin") as admin:
            add_connection(admin, s3)
        yield address


@pytest.fixture(scope="module")
def chromium(url, tmp_path_factory):
    with logged_in(url, tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def browser(chromium, url, session):
    """The browser on a page of all photos as predicted, none of which has a label."""
    session.store.delete(one.key for one in session.store.list_objects("labels"))
    chromium.set_window_size(1280, 900)
    visit(chromium, f"{url}/carpipe/labels")
    chromium.execute_script("localStorage.clear(); sessionStorage.clear()")
    visit(chromium, f"{url}/carpipe/labels?fresh")
    choose(chromium, "how", "predicted")
    until(chromium, lambda: len(tiles(chromium)) == 10)
    until(chromium, lambda: all_loaded(chromium))
    yield chromium
    assert faults(chromium) == []


def choose(driver, name, value):
    script = "const one = document.getElementById(arguments[0]); one.value = arguments[1];"
    driver.execute_script(f"{script} one.dispatchEvent(new Event('change'))", name, value)


def all_loaded(driver):
    return driver.execute_script("return [...document.querySelectorAll('#grid img')].every((one) => one.complete)")


def selected(driver):
    return [number for number, tile in enumerate(tiles(driver)) if tile.get_attribute("aria-selected") == "true"]


def key_of(tile):
    return tile.find_element(By.TAG_NAME, "figcaption").get_attribute("textContent")


def labels(session):
    return {key: one.label for key, one in current_labels(session).items()} if read_labels(session) else {}


def told(browser):
    return [tile.find_element(By.CSS_SELECTOR, ".told").text for tile in tiles(browser)]


def test_a_page_is_accepted_as_predicted_but_for_what_was_labelled(browser, session):
    assert told(browser) == ["0.99", "0.98", "0.97", "0.96", "0.95", "0.94", *["0.05"] * 4]
    first, second = (key_of(tile) for tile in tiles(browser)[:2])

    press(browser, Keys.ARROW_RIGHT, "n", Keys.ENTER)

    until_saved(browser)
    given = labels(session)
    assert first in COPIES
    assert given == {key: "auto" if key in CARS and key != second else "no_auto" for key in bucket.keys(range(12))}


def test_predictions_that_are_hidden_are_not_accepted(browser, session):
    browser.find_element(By.ID, "told").click()
    assert {*told(browser)} == {""}
    browser.find_element(By.ID, "do-accept").click()
    assert text_of(browser, "said").startswith("The predictions are hidden")
    assert tiles(browser, ".auto") == []
    browser.find_element(By.ID, "told").click()
    assert "0.99" in told(browser)
    press(browser, "n")
    assert len(tiles(browser, ".no_auto")) == 1, "keys go to the photos again"
    until_saved(browser)


def test_a_label_counts_for_every_copy_of_the_picture(browser, session):
    [tile] = [one for one in tiles(browser) if one.find_element(By.CSS_SELECTOR, ".count").text]
    assert tile.find_element(By.CSS_SELECTOR, ".count").text == "×3"

    tile.click()
    press(browser, "n")

    until_saved(browser)
    assert labels(session) == dict.fromkeys(COPIES, "no_auto")
    assert {(one.by, one.at) for one in read_labels(session)} == {("user", read_labels(session)[0].at)}


def test_many_are_selected_by_shift_by_ctrl_and_by_a_band(browser, session):
    press_with(browser, Keys.SHIFT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert selected(browser) == [0, 1, 2]
    ActionChains(browser).key_down(Keys.CONTROL).click(tiles(browser)[1]).click(tiles(browser)[5]).key_up(
        Keys.CONTROL
    ).perform()
    assert selected(browser) == [0, 2, 5]
    press(browser, "n")
    assert [tile.find_element(By.CSS_SELECTOR, ".mark").text for tile in tiles(browser)] == [
        "no_auto", "", "no_auto", "", "", "no_auto", "", "", "", ""
    ]  # fmt: skip
    assert selected(browser) == [6], "the next that is open"

    tiles(browser)[7].click()
    ActionChains(browser).key_down(Keys.SHIFT).click(tiles(browser)[9]).key_up(Keys.SHIFT).perform()
    assert selected(browser) == [7, 8, 9]
    press(browser, Keys.ESCAPE)
    assert selected(browser) == [9]
    draw_band(browser, tiles(browser)[0], tiles(browser)[2])
    assert selected(browser) == [0, 1, 2]
    press(browser, "a")
    until_saved(browser)
    keys = [key_of(tile) for tile in tiles(browser)]
    given = labels(session)
    assert [given.get(key) for key in keys[:6]] == ["auto"] * 3 + [None] * 2 + ["no_auto"]


def draw_band(driver, first, last):
    chain = ActionChains(driver)
    chain.move_to_element_with_offset(first, -20, 0).click_and_hold().move_to_element(last).release().perform()


def test_a_dashed_cursor_moves_by_ctrl_and_takes_in_by_space(browser):
    press_with(browser, Keys.CONTROL, " ", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, " ")
    assert selected(browser) == [0, 2]
    grid = browser.find_element(By.ID, "grid")
    assert grid.get_attribute("aria-activedescendant") == tiles(browser)[2].get_attribute("id")
    press_with(browser, Keys.CONTROL, "a")
    assert len(selected(browser)) == 10


def test_arrows_home_and_end_move_and_take_in_what_lies_between(browser):
    row = len([tile for tile in tiles(browser) if tile.location["y"] == tiles(browser)[0].location["y"]])
    for key, place in (
        (Keys.ARROW_DOWN, row), (Keys.ARROW_UP, 0), (Keys.END, 9), (Keys.ARROW_LEFT, 8), (Keys.HOME, 0),
        (Keys.ARROW_LEFT, 0),
    ):  # fmt: skip
        press(browser, key)
        assert selected(browser) == [place], key
    for key, places in ((Keys.ARROW_DOWN, range(row + 1)), (Keys.ARROW_UP, [0]), (Keys.END, range(10)),
                        (Keys.ARROW_LEFT, range(9)), (Keys.HOME, [0])):  # fmt: skip
        press_with(browser, Keys.SHIFT, key)
        assert selected(browser) == [*places], key
    press_with(browser, Keys.CONTROL, " ", Keys.END, " ", Keys.ARROW_LEFT, " ", Keys.HOME, " ", Keys.ARROW_DOWN, " ")
    assert selected(browser) == [0, row, 8, 9], "the first was taken out, and in again"
    press_with(browser, Keys.CONTROL, Keys.ARROW_UP, " ")
    assert selected(browser) == [row, 8, 9]


def test_pages_are_turned_by_keys_and_the_rest_of_one_are_cars_till_that_is_taken_back(browser, session):
    browser.execute_script("document.getElementById('count').add(new Option('6'))")
    choose(browser, "count", "6")
    until(browser, lambda: len(tiles(browser)) == 6 and all_loaded(browser))
    first = [key_of(tile) for tile in tiles(browser)]
    press(browser, Keys.PAGE_DOWN)
    until(browser, lambda: len(tiles(browser)) == 4)
    press(browser, Keys.PAGE_UP)
    until(browser, lambda: [key_of(tile) for tile in tiles(browser)] == first and all_loaded(browser))

    press(browser, "n")
    press_with(browser, Keys.SHIFT, "a")
    until(browser, lambda: len(tiles(browser)) == 4)
    until_saved(browser)
    assert sorted(labels(session).values()) == ["auto"] * 5 + ["no_auto"] * 3
    press_with(browser, Keys.CONTROL, "z")
    until(browser, lambda: [key_of(tile) for tile in tiles(browser)] == first)
    until_saved(browser)
    assert labels(session) == dict.fromkeys(COPIES, "no_auto")


def test_each_digit_is_a_view(browser, session, url):
    visit(browser, f"{url}/carpipe/labels?ask=views")
    until(browser, lambda: len(tiles(browser)) == 10)
    keys = [key_of(tile) for tile in tiles(browser)]
    press(browser, *"123456789", "0")
    until_saved(browser)
    given = {label.key: label.view for label in read_views(session)}
    assert [given[key] for key in keys] == [*WORDS]
    session.store.delete(one.key for one in session.store.list_objects("labels"))


def test_the_rest_of_a_page_is_no_car(browser, session):
    press(browser, "a")
    press_with(browser, Keys.SHIFT, "n")
    until_saved(browser)
    assert sorted(labels(session).values()) == ["auto"] * 3 + ["no_auto"] * 9


def test_a_photo_is_skipped_for_this_tab_alone(browser, session, url):
    skipped = key_of(tiles(browser)[0])
    press(browser, "s")
    assert len(tiles(browser, ".skipped")) == 1
    press(browser, "s", "u")
    assert len(tiles(browser, ".skipped")) == 1, "the second is back"
    press(browser, Keys.ENTER)
    until_saved(browser)
    assert not set(COPIES) & labels(session).keys()

    visit(browser, f"{url}/carpipe/labels")
    until(browser, lambda: "You have skipped 1" in text_of(browser, "said"))
    browser.execute_script("sessionStorage.clear()")
    visit(browser, f"{url}/carpipe/labels?another")
    until(browser, lambda: [key_of(tile) for tile in tiles(browser)] == [skipped])


def test_what_an_earlier_visit_has_saved_is_taken_back_press_by_press(browser, session, url):
    press(browser, "n", Keys.ENTER)
    until_saved(browser)
    assert len(labels(session)) == 12
    visit(browser, f"{url}/carpipe/labels?later")
    until(browser, lambda: text_of(browser, "said").startswith("There is no photo left to label"))
    browser.get_log("browser")  # which the server has said as an error

    press(browser, "u")
    until(browser, lambda: text_of(browser, "said").startswith("Taken back: 9 labels of "))
    until_saved(browser)
    assert labels(session) == dict.fromkeys(COPIES, "no_auto")
    assert len(tiles(browser)) == 9

    press(browser, "u")
    until(browser, lambda: text_of(browser, "said").startswith("Taken back: 3 labels of "))
    until_saved(browser)
    assert labels(session) == {}
    press(browser, "u")
    until(browser, lambda: text_of(browser, "said") == "There is nothing of yours to take back.")


def test_what_was_saved_a_moment_ago_is_taken_back_too(browser, session):
    press(browser, "n")
    until_saved(browser)
    press(browser, "u")
    until_saved(browser)
    assert labels(session) == {}
    assert tiles(browser, ".no_auto") == []


def test_ones_own_labels_are_seen_again_and_changed_without_a_conflict(browser, session):
    press(browser, "n", "n", "a")
    until_saved(browser)
    choose(browser, "how", "mine")
    until(browser, lambda: len(tiles(browser)) == 3)
    choose(browser, "only", "no_auto")
    until(browser, lambda: len(tiles(browser)) == 2)
    assert len(tiles(browser, ".no_auto")) == 2
    key = key_of(tiles(browser)[0])

    press(browser, "a")

    until_saved(browser)
    assert labels(session)[key] == "auto"
    assert describe_conflicts(session) == "No photo was given different labels."


def test_a_photo_is_shown_large_and_labelled_there(browser, session):
    press(browser, "z")
    dialog = browser.find_element(By.ID, "zoom")
    until(browser, dialog.is_displayed)
    image = dialog.find_element(By.TAG_NAME, "img")
    assert image.get_attribute("src").endswith("&size=large")
    until(browser, lambda: image.get_property("naturalWidth") == 200)
    shown = image.get_attribute("src")
    press(browser, "n")
    assert image.get_attribute("src") != shown, "the next one"
    press(browser, Keys.ESCAPE)
    until(browser, lambda: not dialog.is_displayed())
    press(browser, "z")
    until(browser, dialog.is_displayed)
    press(browser, "z")
    until(browser, lambda: not dialog.is_displayed())
    until_saved(browser)
    assert labels(session) == dict.fromkeys(COPIES, "no_auto")


def test_views_are_accepted_as_predicted(browser, session, url):
    visit(browser, f"{url}/carpipe/labels?ask=views")
    choose(browser, "how", "predicted")
    until(browser, lambda: len(tiles(browser)) == 10 and all_loaded(browser))
    assert told(browser)[0] == "3 · 0.80 front"
    press(browser, "8", Keys.ENTER)
    until_saved(browser)
    assert sorted(one.view for one in read_views(session)) in (["back"] + ["front"] * 11, ["back"] * 3 + ["front"] * 9)
    session.store.delete(one.key for one in session.store.list_objects("labels"))


def test_guidelines_show_what_people_and_the_filter_agree_on(browser, session, url):
    import_labels(session, f"key,label\n{CARS[4]},auto\n{CARS[5]},no_auto".encode(), at="20260101T000000Z", by="ann")
    visit(browser, f"{url}/carpipe/labels?examples")
    until(browser, lambda: tiles(browser))
    browser.find_element(By.CSS_SELECTOR, "#guide summary").click()
    until(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#examples img"))
    assert [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#examples h3")] == ["auto"]
    assert len(browser.find_elements(By.CSS_SELECTOR, "#examples img")) == 1


def test_a_goal_stays_in_the_browser_and_counts(browser, session, url):
    goal = browser.find_element(By.ID, "goal")
    goal.send_keys("20", Keys.ENTER)
    press(browser, "n")
    until(browser, lambda: re.match(r"[13] of 20", text_of(browser, "goal-said")))
    assert "left to draw" in text_of(browser, "pace")
    assert "photos a minute" in text_of(browser, "pace")
    until_saved(browser)
    visit(browser, f"{url}/carpipe/labels?goal")
    until(browser, lambda: re.match(r"[13] of 20", text_of(browser, "goal-said")))


def test_who_may_only_look_labels_nothing(url, tmp_path, session, browser):
    with logged_in(url, tmp_path, user="viewer") as driver:
        press(driver, "a", Keys.ENTER, "u")
        assert tiles(driver, ".auto") == []
        disabled = [one.get_attribute("id") for one in driver.find_elements(By.CSS_SELECTOR, ".bar-bottom :disabled")]
        assert disabled == ["", "", "do-accept", "do-rest", "do-rest-no", "do-skip", "do-undo"]
        assert driver.find_elements(By.CSS_SELECTOR, "#training form") == []
        for ask in ("cars", "views"):
            visit(driver, f"{url}/carpipe/labels?ask={ask}")
            until(driver, lambda: tiles(driver))
            assert {*driver.execute_script(HANDLED)} == keys_of_the_help(driver)
    assert labels(session) == {}


# What keys do something: who may only look can press all.
HANDLED = """
const named = ["Enter", "Escape", "Home", "End", "PageUp", "PageDown", "ArrowLeft", "ArrowRight", "ArrowUp",
  "ArrowDown", "Tab", "Delete", "Backspace", "Insert", " ", ..."abcdefghijklmnopqrstuvwxyz0123456789+-/?.,"];
const press = (key, shiftKey, ctrlKey) => {
  const event = new KeyboardEvent("keydown", { key, shiftKey, ctrlKey, bubbles: true, cancelable: true });
  document.getElementById("grid").dispatchEvent(event);
  if (document.getElementById("zoom").open) document.getElementById("zoom").close();
  return event.defaultPrevented;
};
return [["", false, false], ["Shift ", true, false], ["Ctrl ", false, true]].flatMap(([with_, shift, ctrl]) =>
  named.filter((key) => press(key, shift, ctrl)).map((key) => with_ + key));
"""
SAID_AS = {"Esc": "Escape", "PgUp": "PageUp", "PgDn": "PageDown", "Space": " "}


def keys_of_the_help(driver):
    """As events name them; what is done by mouse is left out."""
    found = driver.execute_script("return [...document.querySelectorAll('.keys kbd')].map((one) => one.textContent)")
    keys = set()
    for said in found:
        held, _, key = said.rpartition(" ")
        several = {"arrows": ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], "click": []}
        key = SAID_AS.get(key, key.lower() if len(key) == 1 else key)
        keys |= {f"{held} {one}".lstrip() if held else one for one in several.get(key, [key])}
    return keys | ({*"1234567890"} if "1" in keys else set())
