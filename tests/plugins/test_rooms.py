"""Every page in Chromium: both themes, two widths, nothing that keeps people out; keys; and inside Airflow."""

from pathlib import Path
from uuid import uuid4

import axe_core_python
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from carpipe.steps.listings.store import current_corrections
from carpipe.steps.results import read_photos
from carpipe.steps.session import open_session
from tests.chromium import NEEDED, faults, logged_in, press, until, until_complete, visit
from tests.conftest import make_config
from tests.plugins import bucket
from tests.plugins.api_server import add_connection, api_server, log_in

pytestmark = [*NEEDED, pytest.mark.timeout(900)]

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
SERIOUS = ("serious", "critical")
WIDTHS = (1280, 400)
# How far to the right links of the header reach.
ENDS = "return Math.max(...[...document.querySelectorAll('header nav a')].map((a) => a.getBoundingClientRect().right))"
PAGES = ("overview", "data", "photos", "photos?reason=not_a_car&sort=-size", "photos/{dataset}/5?at=5", "review",
         "labels", "classes", "classes/one?name=volkswagen_golf", "weights", "weights/classifier/{model}/card",
         "data/{dataset}/report", "data/nowhere")  # fmt: skip


@pytest.fixture(scope="module")
def session(s3):
    return open_session(make_config(f"s3://{s3.bucket}/{uuid4().hex[:12]}"))


@pytest.fixture(scope="module")
def made(session):
    dataset, models = bucket.fill(session)
    bucket.add_advice(session, dataset)
    bucket.add_suspects(session, dataset, read_photos(session.store, dataset)["listing_uuid"].iloc[[5, 6, 7]])
    return {"dataset": dataset.key.split("/")[1], "model": models[0].key.split("/")[2]}


@pytest.fixture(scope="module")
def url(session, made, s3, tmp_path_factory):
    with api_server(session, tmp_path_factory.mktemp("api")) as (address, _):
        with log_in(address, "admin") as admin:
            add_connection(admin, s3)
        yield address


@pytest.fixture(scope="module")
def driver(url, tmp_path_factory):
    with logged_in(url, tmp_path_factory.mktemp("chromium"), user="op") as found:
        yield found


@pytest.fixture
def browser(driver):
    """Fails in the end where a script of ours did, or wanted what the policy forbids."""
    driver.get_log("browser")
    yield driver
    driver.switch_to.default_content()
    assert faults(driver) == []


def show(browser, url, path, made, *, width=1280, theme="light"):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    visit(browser, f"{url}/carpipe/{path.format(**made)}")
    until_complete(browser)


def obstacles(browser):
    """What axe-core finds that keeps people out."""
    browser.execute_script(AXE)
    found = browser.execute_async_script("axe.run(document, {iframes: false}).then(arguments[0])")
    return [
        (one["id"], node["html"][:120]) for one in found["violations"] if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_keeps_people_out_and_no_page_is_wider_than_the_window(browser, url, made, path, theme):
    for width in WIDTHS:
        show(browser, url, path, made, width=width, theme=theme)
        assert obstacles(browser) == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script(ENDS) <= width, "a page that the header names is out of sight"
        back = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (back == "rgb(255, 255, 255)") == (theme == "light")
    browser.get_log("browser")  # that there is no page called nowhere


def test_each_page_says_in_its_tab_what_it_shows(browser, url, made):
    titles = set()
    for path in PAGES:
        show(browser, url, path, made)
        titles.add(browser.title)
        assert browser.title.endswith(" · carpipe")
    assert len(titles) >= len(PAGES) - 1, "two lists of photos have one title"
    browser.get_log("browser")


def test_photos_are_chosen_by_filter_and_looked_at_one_after_the_other(browser, url, made):
    show(browser, url, "photos", made)
    assert browser.find_element(By.TAG_NAME, "h1").text == "12 photos"
    browser.find_element(By.CSS_SELECTOR, "select[name=reason] option[value=not_a_car]").click()
    until(browser, lambda: browser.find_element(By.TAG_NAME, "h1").text == "3 photos")
    assert browser.current_url == f"{url}/carpipe/photos?dataset={made['dataset']}&reason=not_a_car&sort=newest"
    browser.find_element(By.CSS_SELECTOR, "a.tile").click()
    until(browser, lambda: browser.find_element(By.ID, "large"))
    until_complete(browser)
    first = browser.find_element(By.CSS_SELECTOR, "code.key").text
    press(browser, Keys.ARROW_RIGHT)
    until(browser, lambda: browser.find_element(By.CSS_SELECTOR, "code.key").text != first)
    until_complete(browser)
    press(browser, "Z")  # with Caps Lock
    assert "zoomed" in browser.find_element(By.ID, "large").get_attribute("class")
    press(browser, Keys.ARROW_LEFT)
    until(browser, lambda: browser.find_element(By.CSS_SELECTOR, "code.key").text == first)


def test_a_listing_is_left_for_later_and_no_key_decides_by_itself(browser, url, made, session):
    show(browser, url, "review", made)
    assert kbd(browser) == {*"12345→"}
    first = browser.current_url
    press(browser, Keys.ARROW_RIGHT)
    until(browser, lambda: browser.current_url != first)
    until_complete(browser)
    held = {"type": "keyDown", "key": "1", "text": "1", "windowsVirtualKeyCode": ord("1"), "autoRepeat": True}
    browser.execute_cdp_cmd("Input.dispatchKeyEvent", held)
    press(browser, "5", "1")
    field = browser.find_element(By.ID, "other")
    assert (browser.switch_to.active_element, field.get_attribute("value")) == (field, "1")
    assert browser.find_element(By.CSS_SELECTOR, ".bar-top .faint").text.startswith("3 ")
    assert current_corrections(session) == {}


def kbd(browser):
    """The keys that a page names."""
    return {one.text for one in browser.find_elements(By.TAG_NAME, "kbd")}


def test_listings_are_decided_by_key_until_none_waits(browser, url, made, session):
    show(browser, url, "review", made)
    for left, key in ((3, "1"), (2, "2"), (1, "3")):
        until(
            browser,
            lambda left=left: browser.find_element(By.CSS_SELECTOR, ".bar-top .faint").text.startswith(f"{left} "),
        )
        until_complete(browser)
        press(browser, key)
    until(browser, lambda: browser.find_element(By.TAG_NAME, "h1").text == "Nothing waits here")
    said = {one.to for one in current_corrections(session).values()}
    assert said == {"seller-is-right", "volkswagen_golf", "not-a-car"}


def test_a_slip_in_review_is_seen_and_mended_and_a_wrong_name_stays_on_the_page(browser, url, made, session):
    show(browser, url, "review?queue=mine", made)
    browser.find_element(By.ID, "other").send_keys("volkswagen_gofl", Keys.ENTER)
    note = until(browser, lambda: browser.find_element(By.CSS_SELECTOR, ".note.bad[role=alert]"))
    assert "Did you mean 'volkswagen_golf'" in note.text
    assert browser.find_element(By.ID, "other").get_attribute("value") == "volkswagen_gofl"
    until_complete(browser)
    browser.find_element(By.ID, "other").clear()
    browser.find_element(By.ID, "other").send_keys("volkswagen_golf", Keys.ENTER)
    saved = until(browser, lambda: browser.find_element(By.ID, "saved"))
    assert "is volkswagen_golf." in saved.text
    until_complete(browser)
    listing = browser.find_element(By.ID, "undo").get_attribute("href").rpartition("=")[2]
    press(browser, "u")
    until(browser, lambda: f"listing={listing}" in browser.current_url)
    until_complete(browser)
    press(browser, "4")
    until(browser, lambda: browser.find_element(By.ID, "saved"))
    assert current_corrections(session)[listing].to == "cannot-tell"
    browser.get_log("browser")  # the refused form


def test_a_photo_is_labelled_on_its_page_and_its_listing_corrected(browser, url, made, session):
    show(browser, url, "photos/{dataset}/8", made)
    listing = read_photos(session.store, bucket_dataset(session, made))["listing_uuid"].iloc[8]
    browser.find_element(By.NAME, "to").send_keys("skoda_octavia", Keys.ENTER)
    until(browser, lambda: browser.find_elements(By.ID, "said"))
    assert current_corrections(session)[listing].to == "skoda_octavia"


def bucket_dataset(session, made):
    from carpipe.steps.data.datasets import find_dataset

    return find_dataset(session, made["dataset"])


def test_airflow_stays_around_the_page_and_its_address_follows(browser, url, made):
    visit(browser, f"{url}/plugin/carpipe/carpipe/photos?reason=truncated")
    frame = until(browser, lambda: browser.find_element(By.TAG_NAME, "iframe"))
    browser.switch_to.frame(frame)
    until(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "a.tile"))
    browser.find_element(By.LINK_TEXT, "Classes").click()
    until(browser, lambda: browser.find_elements(By.ID, "all"))
    browser.switch_to.default_content()
    until(browser, lambda: browser.current_url == f"{url}/plugin/carpipe/carpipe/classes")
    until(browser, lambda: browser.title == "Classes · carpipe")


def test_pages_of_photos_are_turned_by_arrows_and_the_box_is_hidden_by_its_key(browser, url, made, session):
    """Stands last: the newest dataset is another one then."""
    many = bucket.add_many(session, bucket_dataset(session, made)).key.split("/")[1]
    show(browser, url, f"photos?dataset={many}&sort=oldest", made)
    assert kbd(browser) == {"→"}
    press(browser, Keys.ARROW_RIGHT)
    until(browser, lambda: browser.find_element(By.CSS_SELECTOR, ".turns span").text == "101 to 120 of 120")
    until_complete(browser)
    press(browser, Keys.ARROW_LEFT)
    until(browser, lambda: browser.find_element(By.CSS_SELECTOR, ".turns span").text == "1 to 100 of 120")

    show(browser, url, f"photos/{many}/5?at=5&sort=oldest", made)
    assert kbd(browser) == {"←", "→", "Z", "B"}
    box = browser.find_element(By.CSS_SELECTOR, "#large svg.box")
    assert box.is_displayed()
    press(browser, "b")
    assert not box.is_displayed()
    press(browser, "b")
    assert box.is_displayed()
