"""Chromium as people have it: driven by keys and mouse; in Airflow, logged in by its form, on the page Labels."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import (
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
where_it_is = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="there is no chromium with its chromedriver")
NEEDED = [pytest.mark.slow, where_it_is]
PATIENCE_S = 60  # on a machine that has other things to do
POLL_S = 0.05
VISITS_S = (15, 30, 60)  # for a page to be in place, visit by visit


@contextlib.contextmanager
def open_chromium(folder: Path) -> Iterator[webdriver.Chrome]:
    """A browser with its profile in the folder, on no page yet."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={folder}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # What drives it listens on loopback.
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost")
        with webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER)) as driver:
            yield driver


@contextlib.contextmanager
def logged_in(url: str, folder: Path, *, user: str = "user") -> Iterator[webdriver.Chrome]:
    """A browser in which somebody has logged in."""
    with open_chromium(folder) as driver:
        visit(driver, f"{url}/carpipe/labels")
        until(driver, lambda: driver.find_element(By.NAME, "username")).send_keys(user)
        driver.find_element(By.NAME, "password").send_keys(user)
        driver.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
        until(driver, lambda: tiles(driver))
        yield driver


def visit(driver: webdriver.Chrome, url: str) -> None:
    """Open a page and wait until it is in place.

    Chromium drops about one navigation in a hundred that is asked for within milliseconds of the page before: the
    driver waits for it until its time is over. Nobody clicks as fast; it is asked for again.
    """
    driver.switch_to.default_content()
    driver.execute_script("window.isBefore = true")
    for patience in VISITS_S:
        driver.set_page_load_timeout(patience)
        with contextlib.suppress(TimeoutException):
            driver.get(url)
            until_complete(driver)
        if not driver.execute_script("return window.isBefore"):
            return
    raise TimeoutException(f"{url} did not open in {len(VISITS_S)} visits; the browser is on {driver.current_url}")


def until(driver: webdriver.Chrome, ask: Callable[[], Any]) -> Any:
    """Wait for what `ask` finds, also while one page takes the place of another."""
    passing = (NoSuchElementException, StaleElementReferenceException, ElementNotInteractableException)
    return WebDriverWait(driver, PATIENCE_S, POLL_S, ignored_exceptions=passing).until(lambda _: ask())


def until_complete(driver: webdriver.Chrome) -> None:
    until(driver, lambda: driver.execute_script("return document.readyState") == "complete")


def until_saved(driver: webdriver.Chrome) -> None:
    until(driver, lambda: text_of(driver, "state") == "all saved")


def press(driver: webdriver.Chrome, *keys: str) -> None:
    chain = ActionChains(driver)
    for key in keys:
        chain.send_keys(key)
    chain.perform()


def press_with(driver: webdriver.Chrome, modifier: str, *keys: str) -> None:
    """Keys while another one is held down."""
    chain = ActionChains(driver).key_down(modifier)
    for key in keys:
        chain.send_keys(key)
    chain.key_up(modifier).perform()


def tiles(driver: webdriver.Chrome, kind: str = "") -> list[WebElement]:
    return driver.find_elements(By.CSS_SELECTOR, f"#grid .tile{kind}")


def text_of(driver: webdriver.Chrome, name: str) -> str:
    return driver.find_element(By.ID, name).text


def faults(driver: webdriver.Chrome) -> list[str]:
    """What scripts of ours have failed in."""
    wrong = [line["message"] for line in driver.get_log("browser") if line["level"] == "SEVERE"]
    return [message for message in wrong if "/carpipe/" in message]
