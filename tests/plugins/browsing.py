"""Chromium as a person has it: logged in to Airflow, with what it complains of."""

import contextlib
import shutil

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="there is no chromium with its chromedriver")
PATIENCE_S = 60  # on a machine that has other things to do


@contextlib.contextmanager
def chromium(url, folder, *, role):
    """A browser in which somebody has logged in by Airflow's form; `folder` is for its profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={folder}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # What drives it listens on loopback.
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost")
        with webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER)) as driver:
            driver.get(f"{url}/carpipe/overview")
            until(driver, lambda: driver.find_element(By.NAME, "username")).send_keys(role)
            driver.find_element(By.NAME, "password").send_keys(role)
            driver.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
            until(driver, lambda: driver.find_element(By.ID, "runs"))
            until_complete(driver)
            yield driver


def until(driver, ask):
    """Wait for what `ask` finds, also while one page takes the place of another."""
    passing = (NoSuchElementException, StaleElementReferenceException)
    return WebDriverWait(driver, PATIENCE_S, ignored_exceptions=passing).until(lambda _: ask())


def until_complete(driver):
    """Wait until the page is in place: Chromium may drop a navigation for good that is asked for before."""
    until(driver, lambda: driver.execute_script("return document.readyState") == "complete")


def complaints(driver):
    """What scripts and the security policy of our pages complained of since the last call."""
    lines = [line["message"] for line in driver.get_log("browser") if line["level"] == "SEVERE"]
    return [message for message in lines if "/carpipe/" in message]
