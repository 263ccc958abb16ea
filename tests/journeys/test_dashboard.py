"""An operator at the dashboard of a real server, in a real browser."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.fleet.dashboard.visit import Visit
from tests.journeys.conftest import Fleet
from tests.live.browser import chromium, console_errors, hosts_asked

WAIT_S = 90


def read(browser: Chrome, *expected: str) -> str:
    """Wait until the page says all of this, and return what it says."""

    def text(page: Chrome) -> str:
        found = page.find_element(By.TAG_NAME, "main").text
        return found if all(word in found for word in expected) else ""

    try:
        return WebDriverWait(browser, WAIT_S, ignored_exceptions=None).until(text)
    except TimeoutException:
        raise AssertionError(f"the page never said {expected}, but {browser.find_element(By.TAG_NAME, 'main').text}") from None


def test_an_operator_logs_in_and_sees_the_device_its_model_and_the_rollout(fleet: Fleet, tmp_path: Path) -> None:
    link = fleet.stage.fieldfare("dashboard").strip()
    with chromium(tmp_path / "profile") as browser:
        browser.get(link)
        read(browser, "digits 1", "Healthy", "1 online")
        origin = link.split("/login")[0]
        browser.get(f"{origin}/devices")
        read(browser, "pi-1", "rpi5", "digits 1", "healthy")
        browser.get(f"{origin}/devices/pi-1")
        page = read(browser, "committed", "serving", "CPUExecutionProvider", "Labels and groups", "demo")
        assert str(fleet.report()["endpoint"]) in page
        browser.get(f"{origin}/rollouts/1")
        read(browser, "digits 1", "succeeded", "pi-1", "100 %")
        assert console_errors(browser) == []
        assert hosts_asked(browser) == {urlsplit(link).netloc}


def test_an_operator_sets_a_device_and_sees_whether_it_took_that(fleet: Fleet, tmp_path: Path) -> None:
    link = fleet.stage.fieldfare("dashboard").strip()
    with chromium(tmp_path / "profile", height=1400) as browser:
        browser.get(link)
        visit = Visit(browser, link.split("/login")[0])
        visit.open("/devices/pi-1/settings")
        visit.until(lambda: "Nothing would change" in visit.text(), "no preview")
        visit.type("Earlier releases kept", "3")
        visit.press("Change settings…", answer="Change settings")
        visit.until(lambda: "in force" in visit.text() and "Revision 2" in visit.text(), "it is not told that the device took it")
        visit.open("/devices/pi-1")
        visit.until(lambda: "storage.earlier_releases" in visit.text(), "the device's page does not tell of it")
        assert console_errors(browser) == []
