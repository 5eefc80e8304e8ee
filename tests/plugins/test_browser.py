"""The pages as people use them: inside Airflow's own interface, in Chromium, by mouse and keys."""

import re
from uuid import uuid4

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from carpipe.steps.labels.store import read_labels
from carpipe.steps.session import open_session
from carpipe.steps.viewpoints.store import read_views
from tests.chromium import NEEDED, faults, logged_in, press, text_of, tiles, until, until_saved, visit
from tests.conftest import make_config
from tests.local.test_s3_keys import web_page
from tests.plugins import bucket
from tests.plugins.api_server import add_connection, api_server, log_in

pytestmark = NEEDED


@pytest.fixture(scope="module")
def session(s3):
    return open_session(make_config(f"s3://{s3.bucket}/{uuid4().hex[:12]}"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Of Airflow."""
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def url(session, s3, home):
    bucket.fill(session)
    with api_server(session, home) as (address, _):
        with log_in(address, "admin") as admin:
            add_connection(admin, s3)
            admin.patch("/api/v2/dags/promote_weights", json={"is_paused": False}).raise_for_status()
        yield address


@pytest.fixture(scope="module")
def chromium(url, tmp_path_factory):
    """A browser in which `user` has logged in."""
    with logged_in(url, tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def browser(chromium, url):
    """The browser on the page Labels; fails in the end where a script of ours did."""
    chromium.set_window_size(1280, 900)
    visit(chromium, f"{url}/carpipe/labels")
    # Chromium may drop a navigation for good that is asked for while the page before is being put in place.
    until(chromium, lambda: tiles(chromium))
    yield chromium
    chromium.switch_to.default_content()
    assert faults(chromium) == []


def given_by_user(session):
    return {label.key: label.label for label in read_labels(session) if label.by == "user"}


@pytest.fixture
def shown(browser):
    """Keys of the photos on the page Labels, in their order; what other tests have labelled is not among them."""
    until(browser, lambda: tiles(browser))
    return [tile.text.splitlines()[-1] for tile in tiles(browser)]


def test_photos_are_labelled_by_key_and_taken_back(browser, shown, session):
    press(browser, "a", "n", "a", "u", "n")

    until_saved(browser)
    assert (len(tiles(browser, ".auto")), len(tiles(browser, ".no_auto"))) == (1, 2)
    given = given_by_user(session)
    assert [given.get(key) for key in shown[:4]] == ["auto", "no_auto", "no_auto", None]
    assert f"{len(given)} of them by you." in text_of(browser, "progress")


def test_views_are_labelled_by_digit_and_cars_that_wait_are_saved_there_too(browser, shown, session, url):
    press(browser, "n")
    visit(browser, f"{url}/carpipe/labels?ask=views")
    until(browser, lambda: tiles(browser))
    first, second = [tile.text.splitlines()[-1] for tile in tiles(browser)][:2]
    press(browser, "1", "3", "u", "0")

    until_saved(browser)
    assert given_by_user(session)[shown[0]] == "no_auto"
    views = {label.key: label.view for label in read_views(session)}
    assert views == {first: "angle-front-on-left", second: "d"}
    assert tiles(browser, ".auto .mark")[0].text == "1 angle-front-on-left"
    assert text_of(browser, "progress") == "2 photos have a view, 2 of them by you."


def test_a_lost_connection_loses_no_label(browser, shown, session):
    browser.set_network_conditions(offline=True, latency=0, throughput=0)
    try:
        press(browser, "n")
        until(browser, lambda: text_of(browser, "failure"))
        assert text_of(browser, "failure").startswith("1 label is not saved. Airflow cannot be reached.")
        assert shown[0] not in given_by_user(session)
    finally:
        browser.delete_network_conditions()

    until_saved(browser)
    assert given_by_user(session)[shown[0]] == "no_auto"
    assert not browser.find_element(By.ID, "failure").is_displayed()
    browser.get_log("browser")  # the failed requests


def test_what_was_pressed_before_the_page_was_left_is_saved(browser, shown, session, url):
    press(browser, "a")
    visit(browser, f"{url}/carpipe/weights")
    visit(browser, f"{url}/carpipe/labels")

    until_saved(browser)
    assert given_by_user(session)[shown[0]] == "auto"
    until(browser, lambda: tiles(browser))
    assert shown[0] not in [tile.text.splitlines()[-1] for tile in tiles(browser)]


def test_the_arrows_choose_the_photo_and_space_enlarges_it(browser, shown, session):
    press(browser, Keys.ARROW_RIGHT, " ", "n")

    until_saved(browser)
    assert "large" in browser.find_element(By.ID, "grid").get_attribute("class")
    given = given_by_user(session)
    assert (given.get(shown[0]), given[shown[1]]) == (None, "no_auto")


def test_the_curves_of_a_training_follow_it_without_a_reload(browser, url, session, home):
    """Stands before the test of a promotion, which makes the page load itself again."""

    def curves():
        return [
            one.get_attribute("aria-label") for one in browser.find_elements(By.CSS_SELECTOR, "#training svg[role]")
        ]

    with log_in(url, "admin") as admin:
        bucket.train(session, admin, home, epochs=2)
        visit(browser, f"{url}/carpipe/weights")
        assert "training 0.250, validation 0.500" in until(browser, curves)[0]
        browser.execute_script("window.same = true")
        bucket.train(session, admin, home, epochs=3)
        until(browser, lambda: "training 0.125" in "".join(curves()))
        assert browser.execute_script("return window.same")
        bucket.train(session, admin, home, epochs=3, state="success")
        until(browser, lambda: not curves())


def test_a_model_is_rolled_back_from_within_airflow(browser, url):
    visit(browser, f"{url}/plugin/carpipe")
    browser.switch_to.frame(until(browser, lambda: browser.find_element(By.TAG_NAME, "iframe")))
    until(browser, lambda: browser.find_element(By.LINK_TEXT, "Weights")).click()
    until(browser, lambda: browser.find_element(By.CSS_SELECTOR, "details.confirm summary.danger")).click()
    browser.find_element(By.CSS_SELECTOR, "details.confirm[open] [name=reason]").send_keys("the night was bad")
    browser.find_element(By.CSS_SELECTOR, "details.confirm[open] button.danger").click()

    moving = until(browser, lambda: browser.find_element(By.ID, "moving"))
    assert "A promotion is under way" in moving.text
    with log_in(url, "viewer") as viewer:
        [run] = viewer.get("/api/v2/dags/promote_weights/dagRuns").json()["dag_runs"]
    assert run["conf"]["reason"].startswith("the night was bad (user")
    browser.find_element(By.CSS_SELECTOR, "a.airflow[href*='/dags/promote_weights/runs/']").click()
    browser.switch_to.default_content()
    until(browser, lambda: "/dags/promote_weights/runs/" in browser.current_url)


def test_an_older_model_goes_live_by_the_form(browser, url):
    """What nobody may mean is refused in a sentence, in the form; a model is chosen by how good it is."""
    visit(browser, f"{url}/dags/promote_weights")
    until(browser, lambda: buttons(browser, "Trigger"))
    click_last(browser, "Trigger")
    until(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#element_model input"))
    assert browser.find_element(By.ID, "element_reason").get_attribute("value") == "by hand"
    label = until(browser, lambda: chosen_model(browser, "50.0"))
    click_last(browser, "Rarely needed")
    sum_of = until(browser, lambda: shown_field(browser, "manifest_sha256"))
    sum_of.send_keys("xyz")
    click_last(browser, "Trigger")
    says = "Invalid input for param manifest_sha256: expected the 64 hexadecimal digits of a sha256, or nothing, got"
    until(browser, lambda: says in browser.find_element(By.TAG_NAME, "body").text)

    sum_of.send_keys(Keys.BACKSPACE * 3)
    click_last(browser, "Trigger")

    with log_in(url, "viewer") as viewer:
        runs = until(browser, lambda: [run for run in runs_of(viewer) if run["conf"]["reason"] == "by hand"])
    assert f"{runs[0]['conf']['model'].split('/')[2][:8]})" in label
    assert (runs[0]["conf"]["channel"], runs[0]["conf"]["manifest_sha256"]) == ("classifier", None)


def chosen_model(driver, words):
    """What the form says of the model that these words find. They are typed again where the form was drawn anew."""
    label = driver.find_element(By.ID, "element_model").text
    if re.fullmatch(r"classifier: \d+ \w{3} \d{4} \d\d:\d\d, top-1 50\.0 % \([0-9a-f]{8}\)", label):
        return label
    driver.find_element(By.CSS_SELECTOR, "#element_model input").send_keys(words, Keys.ENTER)
    return None


def runs_of(client):
    return client.get("/api/v2/dags/promote_weights/dagRuns").json()["dag_runs"]


def buttons(driver, text):
    return driver.find_elements(By.XPATH, f"//button[contains(., '{text}')]")


def click_last(driver, text):
    """Of the buttons with a text; that of a form is below others. What Airflow tells in a corner may lie over it."""
    driver.execute_script("arguments[0].focus(); arguments[0].click()", buttons(driver, text)[-1])


def shown_field(driver, name):
    return next((one for one in driver.find_elements(By.ID, f"element_{name}") if one.is_displayed()), None)


ATTACK = """<!doctype html><title>attack</title>
<form id="f" method="post" action="{url}/carpipe/weights/classifier/promote" target="t">
<input name="model" value="{model}"><input name="reason" value="attack"></form><iframe name="t"></iframe>
<iframe sandbox="allow-forms allow-scripts" srcdoc="
<form id='s' method='post' action='{url}/carpipe/weights/classifier/promote'>
<input name='model' value='{model}'><input name='reason' value='attack'></form><script>s.submit()</script>"></iframe>
<script>
onload = () => {{
  fetch("{url}/carpipe/labels", {{method: "POST", mode: "no-cors", credentials: "include",
    body: JSON.stringify({{labels: [{{key: "{key}", label: "auto", at: "2026-01-01T00:00:00Z"}}]}})}});
  f.submit();
}};
</script>"""


# What the browser says of it: the answer to the form may not even be shown in a frame of that page.
REFUSED = ("/carpipe/labels - Failed to load resource: the server responded with a status of 403", "frame-ancestors")


def test_a_page_of_another_port_and_a_sandboxed_frame_change_nothing(browser, url, session, shown):
    """The cookie goes along from another port, and a sandboxed frame's Origin is null."""
    [model, *_] = [key for key in listed(session, "models/classifier/") if key.endswith("manifest.json")]
    html = ATTACK.format(url=url, model=model.split("/")[2], key=shown[0])
    with log_in(url, "viewer") as viewer, web_page(html) as page:
        before = viewer.get("/api/v2/dags/promote_weights/dagRuns").json()["total_entries"]
        said = []
        visit(browser, page)
        until(browser, lambda: said.extend(browser.get_log("browser")) or all(part in str(said) for part in REFUSED))
        assert viewer.get("/api/v2/dags/promote_weights/dagRuns").json()["total_entries"] == before
    assert shown[0] not in given_by_user(session)
    browser.get_log("browser")  # the refused requests


def listed(session, prefix):
    return sorted(one.key for one in session.store.list_objects(prefix))


def test_the_pages_are_light_or_dark_as_airflow_is(browser, url):
    visit(browser, f"{url}/plugin/carpipe")
    frame = until(browser, lambda: browser.find_element(By.TAG_NAME, "iframe"))
    for theme in ("dark", "light"):
        browser.execute_script("document.documentElement.className = arguments[0]", theme)
        browser.switch_to.frame(frame)
        until(browser, lambda: browser.find_elements(By.CSS_SELECTOR, f"html[data-theme={theme}]"))  # noqa: B023
        browser.switch_to.default_content()


@pytest.mark.parametrize("path", ["/data", "/labels", "/labels?ask=views", "/weights"])
def test_pages_fit_a_phone(browser, url, path):
    metrics = {"width": 400, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        visit(browser, f"{url}/carpipe{path}")
        until(browser, lambda: "/labels" not in path or tiles(browser))
        assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [400, 400]
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
