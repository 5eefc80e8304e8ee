"""The page and the page on the API as people use them: in Chromium, by mouse, by keys, by drag and drop."""

import base64
import io
import re

import pillow_heif
import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from carpipe.steps.labels.candidates import list_candidates
from tests.chromium import NEEDED, open_chromium, until, until_complete, visit
from tests.serving.conftest import encode, post, ready, serving, wait_for
from tests.tiny import Tiny, crop_files, go_live, publish

pytestmark = NEEDED
# What the browser says of an answer that is an error. Whatever else it says is wrong.
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")
UNREADABLE = """
const rgb = (text) => { const at = document.createElement("canvas").getContext("2d"); at.fillStyle = text;
  at.fillRect(0, 0, 1, 1); return [...at.getImageData(0, 0, 1, 1).data]; };
const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
  .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
  .reduce((sum, one, number) => sum + one * [0.2126, 0.7152, 0.0722][number], 0);
const behind = (one) => { for (; one; one = one.parentElement) {
  const colour = rgb(getComputedStyle(one).backgroundColor); if (colour[3] === 255) return colour; } };
const own = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
return [...document.querySelectorAll("body *")].filter((one) => own(one) && one.checkVisibility()).map((one) => {
  const [a, b] = [light(rgb(getComputedStyle(one).color)), light(behind(one))];
  return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.textContent.trim().slice(0, 40)];
}).filter(([contrast]) => contrast < 4.5);
"""
NAMELESS = """
return [...document.querySelectorAll("input, textarea, select, img, button")].filter((one) =>
  !(one.labels?.length || one.alt || one.textContent.trim() || one.ariaLabel)).map((one) => one.outerHTML);
"""
DROP = """
const [photos, done] = arguments;
const given = new DataTransfer();
photos.forEach((photo, number) => given.items.add(
  new File([Uint8Array.from(atob(photo), (one) => one.charCodeAt(0))], `${number}.jpg`, { type: "image/jpeg" })));
document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true }));
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory, photos):
    """Paths of three photos of cars, and of what is none."""
    folder = tmp_path_factory.mktemp("files")
    contents = {f"car{number}.jpg": photo for number, photo in enumerate(photos[:3])}
    contents["empty.png"] = encode(Image.new("RGB", (300, 200), (200, 30, 10)))
    contents["paper.pdf"] = encode(Image.new("RGB", (90, 60)), "PDF")
    contents["<b>bold.tiff"] = encode(Image.new("RGB", (90, 60)), "TIFF")
    heic = pillow_heif.from_pillow(Image.open(io.BytesIO(photos[0])).convert("RGB"))
    heic.save(folder / "car.heic", quality=90)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with open_chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def browser(chromium, api):
    """The browser on the page of the shared server; fails in the end where a script of ours did."""
    yield from opened(chromium, api)


def opened(chromium, client):
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    visit(chromium, str(client.base_url))
    yield chromium
    wrong = [line["message"] for line in chromium.get_log("browser") if line["level"] == "SEVERE"]
    assert [message for message in wrong if not REFUSED.search(message)] == []


def named(driver, name):
    return driver.find_element(By.ID, name)


def give(driver, files, *names):
    """Choose files, as by the dialog, and wait for what is said of them."""
    # Clicking the field empties it. To the driver, files of a field for several are added to those that are there.
    driver.execute_script("document.getElementById('file').value = ''")
    named(driver, "file").send_keys("\n".join(str(files / name) for name in names))
    until_answered(driver)


def until_answered(driver):
    until(driver, lambda: named(driver, "name").text not in ("", "Looking …"))


def shots(driver):
    return driver.find_elements(By.CSS_SELECTOR, "#photos > li")


def look_like(driver, width, theme):
    """Chromium's window has no width below 500 pixels; a phone's screen is emulated."""
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme = [{"name": "prefers-color-scheme", "value": theme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})


def readable(name):
    return name.replace("_", " ").lower()


def test_one_photo_is_answered_and_the_tab_says_so(browser, api, files):
    give(browser, files, "car0.jpg")

    reply = post(api, (files / "car0.jpg").read_bytes()).json()
    assert named(browser, "name").text.lower() == readable(reply["prediction"])
    assert browser.title == f"{named(browser, 'name').text}, {100 * reply['score']:.1f}\u00a0% – Which car is this?"
    [box] = browser.find_elements(By.CSS_SELECTOR, ".photo .box")
    photo = browser.find_element(By.CSS_SELECTOR, ".photo img")
    assert box.rect["width"] / photo.rect["width"] == pytest.approx(
        (reply["box"][2] - reply["box"][0]) / reply["width"], abs=0.02
    )


def test_photos_of_one_car_get_one_answer_and_one_each(browser, api, files):
    names = ("car0.jpg", "empty.png", "car1.jpg", "<b>bold.tiff")

    give(browser, files, *names)

    reply = post(api, *((files / name).read_bytes() for name in names), url="/predict/listing").json()
    assert named(browser, "name").text.lower() == readable(reply["prediction"])
    said = [shot.find_element(By.CSS_SELECTOR, ".said").text for shot in shots(browser)]
    assert said[0].lower().startswith(readable(reply["photos"][0]["prediction"]))
    assert said[1:2] + said[3:] == [reply["photos"][1]["error"], reply["photos"][3]["error"]]
    assert [len(shot.find_elements(By.CSS_SELECTOR, ".box")) for shot in shots(browser)] == [1, 0, 1, 0]
    assert shots(browser)[3].find_element(By.CSS_SELECTOR, ".unseen").text == "<b>bold.tiff cannot be shown here."


def test_a_photo_that_the_browser_cannot_show_is_answered_all_the_same(browser, files):
    give(browser, files, "car.heic")

    assert "%" in browser.title
    [shot] = shots(browser)
    assert shot.text == "car.heic cannot be shown here."
    assert not shot.find_element(By.CSS_SELECTOR, ".box").is_displayed()


def test_photos_can_be_dropped_together(browser, files):
    dropped = [base64.b64encode((files / name).read_bytes()).decode() for name in ("car0.jpg", "car1.jpg")]

    browser.execute_script(DROP, dropped)

    until_answered(browser)
    assert "%" in browser.title
    assert len(shots(browser)) == 2


@pytest.mark.parametrize(
    ("name", "error"),
    [("empty.png", "No car was found in the photo."), ("paper.pdf", "This is a PDF. Send a JPEG, PNG, WebP, HEIC,")],
)
def test_a_photo_stays_beside_what_is_wrong_with_it(browser, files, name, error):
    give(browser, files, "car0.jpg")
    give(browser, files, name)

    assert named(browser, "name").text.startswith(error)
    assert browser.title.startswith(error.removesuffix("."))
    [shot] = shots(browser)
    assert shot.is_displayed()
    assert not shot.find_elements(By.CSS_SELECTOR, ".box")
    assert not named(browser, "top").is_displayed()
    assert named(browser, "feedback").is_displayed() == (name == "empty.png")


def test_too_many_photos_are_refused_before_they_are_sent(browser, files):
    give(browser, files, *["car0.jpg"] * 21)

    assert named(browser, "name").text == "These are 21 photos; send at most 20."
    assert len(shots(browser)) == 21


def test_a_listing_of_which_no_photo_can_be_used_says_why_of_each(browser, files):
    give(browser, files, "empty.png", "paper.pdf")

    assert named(browser, "name").text == "None of the photos can be used."
    no_car, paper = (shot.text for shot in shots(browser))
    assert no_car.endswith("There is a car")
    assert "This is a PDF." in paper


def test_a_server_that_is_gone_is_said_and_the_photo_stays(session, live, cache, chromium, files):
    with serving(session, cache) as client:
        ready(client)
        visit(chromium, str(client.base_url))
    give(chromium, files, "car0.jpg")

    assert named(chromium, "name").text == "The server cannot be reached."
    assert len(shots(chromium)) == 1
    chromium.get_log("browser")


def candidates(session, count):
    return wait_for(lambda: len(found := list_candidates(session)) == count and found)


@pytest.fixture
def strange(session, cache, chromium):
    """The browser on a server whose model knows no car at all."""
    knowing = {"stand_out": 0.0, "likeness": 0.0, "offset": -1.0, "threshold": 0.0, "alike": 0.25}
    tiny = Tiny(threshold=0.0, known=knowing)
    go_live(session, publish(session, tiny.files() | crop_files(image_size=320)))
    with serving(session, cache) as client:
        yield from opened(chromium, ready(client))


def test_feedback_is_given_by_keys_on_a_car_of_no_class_and_where_no_car_was_found(strange, session, files):
    for name in ("car0.jpg", "empty.png"):
        give(strange, files, name)
        named(strange, "right").send_keys(Keys.TAB)
        strange.switch_to.active_element.send_keys(Keys.ENTER)
        assert strange.switch_to.active_element == named(strange, "class_name")
        strange.switch_to.active_element.send_keys("Audi TT", Keys.ENTER)
        until(strange, lambda: named(strange, "thanks").text == "Thank you.")

    found = candidates(session, 2)
    assert {one.answer.get("known", one.answer.get("reason")) for one in found} == {False, "no_vehicle"}
    assert [[saying.class_name for saying in one.feedback] for one in found] == [["audi_tt"]] * 2


def test_feedback_on_a_listing_is_given_of_each_photo(strange, session, files):
    give(strange, files, "car0.jpg", "empty.png", "car1.jpg")
    named(strange, "wrong").click()
    until(strange, lambda: strange.find_elements(By.CSS_SELECTOR, "#classes option"))
    named(strange, "class_name").send_keys("volvo_v40")
    strange.find_element(By.CSS_SELECTOR, "#correction button").click()
    until(strange, lambda: named(strange, "thanks").text == "Thank you.")
    strange.find_element(By.XPATH, "//button[text()='There is a car']").click()
    until(strange, lambda: shots(strange)[1].text.endswith("Thank you."))

    found = candidates(session, 3)
    said = sorted(one.feedback[0].class_name for one in found if one.answer["prediction"])
    assert said == ["volvo_v40"] * 2
    assert [one.feedback[0].right for one in found if not one.answer["prediction"]] == [False]


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_pages_can_be_read_at_any_width_in_both_themes(browser, files, width, theme):
    look_like(browser, width, theme)
    backs = set()
    for show in (
        lambda: give(browser, files, "car0.jpg", "empty.png", "paper.pdf"),
        lambda: give(browser, files, "empty.png"),
        lambda: show_api(browser),
    ):
        show()
        assert browser.execute_script(UNREADABLE) == []
        assert browser.execute_script(NAMELESS) == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        backs.add(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))

    assert browser.title == "The API – Which car is this?"
    assert backs == {{"light": "rgb(255, 255, 255)", "dark": "rgb(17, 20, 24)"}[theme]}


def test_the_first_key_reaches_the_field_for_photos(browser):
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)

    assert browser.switch_to.active_element == named(browser, "file")


def show_api(driver):
    driver.find_element(By.LINK_TEXT, "The API, for programs").click()
    until(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "form.try"))
    until_complete(driver)


@pytest.fixture
def tried(browser):
    show_api(browser)
    return browser


def send(driver, path):
    form = driver.find_element(By.CSS_SELECTOR, f"form[data-path='{path}']")
    form.find_element(By.TAG_NAME, "button").click()
    until(driver, lambda: " ms" in form.find_element(By.CSS_SELECTOR, ".answered").text)
    return form.find_element(By.CSS_SELECTOR, ".answered").text, form.find_element(By.CSS_SELECTOR, ".reply").text


@pytest.mark.parametrize("kind", ["multipart/form-data", "image/*", "application/octet-stream"])
def test_a_photo_can_be_tried_in_each_way(tried, files, kind):
    named(tried, "photos-predict").send_keys(str(files / "car0.jpg"))
    tried.find_element(By.CSS_SELECTOR, f"#kind-predict option[value='{kind}']").click()

    status, reply = send(tried, "/predict")

    assert status.startswith("200 ")
    assert '"prediction": ' in reply


def test_every_route_can_be_tried(tried, files):
    named(tried, "photos-predictListing").send_keys("\n".join(str(files / f"car{number}.jpg") for number in range(2)))

    answers = {path: send(tried, path) for path in ("/predict/listing", "/feedback", "/classes", "/healthz",
                                                    "/openapi.json")}  # fmt: skip

    assert {path: status.split()[0] for path, (status, _) in answers.items()} == {
        "/predict/listing": "200", "/feedback": "404", "/classes": "200", "/healthz": "200", "/openapi.json": "200"
    }  # fmt: skip
    assert answers["/predict/listing"][1].count('"box"') == 2


def test_samples_name_the_server_that_was_asked(tried, api):
    samples = [one.text for one in tried.find_elements(By.CSS_SELECTOR, ".curl")]

    assert len(samples) >= 7
    assert all(str(api.base_url).rstrip("/") + "/" in sample for sample in samples)
