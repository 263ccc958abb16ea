"""Signing in by name and password in a real browser, by keyboard, with what it sends of itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

from tests.fleet.dashboard.server import dashboard
from tests.live.browser import chromium, console_errors

WAIT_S = 60
# What is drawn anew while it is read is read again.
ANEW = [StaleElementReferenceException]
PASSWORD = "correct horse battery"
NEXT = "another horse battery"


def fill_in(browser: Chrome, name: str, password: str) -> None:
    """Type where the cursor stands, as a person does, and wait for the next page."""
    waiting = WebDriverWait(browser, WAIT_S, ignored_exceptions=ANEW)
    waiting.until(lambda _browser: browser.switch_to.active_element.tag_name == "input", "the cursor stands in no field")
    form = browser.find_element(By.CSS_SELECTOR, "form.ff-sign-in")
    browser.switch_to.active_element.send_keys(name, Keys.TAB)
    browser.switch_to.active_element.send_keys(password, Keys.ENTER)
    WebDriverWait(browser, WAIT_S).until(staleness_of(form), "the form was not sent")


def change_password(browser: Chrome, old: str, new: str, again: str) -> None:
    """Fill in the form of the account's page, and wait for what it says."""
    WebDriverWait(browser, WAIT_S).until(lambda _browser: browser.find_elements(By.ID, "old"), "there is no form")
    form = browser.find_element(By.CSS_SELECTOR, "main form.ff-sign-in")
    for field, text in (("old", old), ("new", new), ("again", again)):
        browser.find_element(By.ID, field).send_keys(text)
    form.submit()
    WebDriverWait(browser, WAIT_S).until(staleness_of(form), "the form was not sent")
    WebDriverWait(browser, WAIT_S).until(lambda _browser: browser.find_elements(By.CSS_SELECTOR, "main .ff-note"), "nothing is said")


def until_said(browser: Chrome, selector: str, text: str) -> None:
    """Wait until an element says a text: a page that was sent may still be on its way."""
    found = partial(browser.find_elements, By.CSS_SELECTOR, selector)
    waiting = WebDriverWait(browser, WAIT_S, ignored_exceptions=ANEW)
    waiting.until(lambda _browser: any(text in one.text for one in found()), f"not said: {text}")


def test_a_person_signs_in_by_keyboard_and_out_again(tmp_path: Path) -> None:
    people = [f"anna={PASSWORD}=admin", f"olga={PASSWORD}=operator"]
    with dashboard(tmp_path, codes="once", devices=2, people=people) as address, chromium(tmp_path / "profile") as browser:
        # Given a browser that nobody knows
        browser.get(f"{address}/rollouts")
        assert browser.current_url == f"{address}/login"
        # When the password is wrong, then that is said
        fill_in(browser, "anna", "another password")
        until_said(browser, '[role="alert"]', "This name and this password do not belong together.")
        console_errors(browser)  # the browser tells of the status 401
        # When it is right, then the fleet is there, with who is in and what admins see
        fill_in(browser, "anna", PASSWORD)
        WebDriverWait(browser, WAIT_S).until(lambda _browser: browser.find_elements(By.CSS_SELECTOR, "main h1"), "nothing was drawn")
        assert browser.current_url == f"{address}/"
        until_said(browser, "header", "anna")
        assert browser.find_elements(By.LINK_TEXT, "Audit")
        # When the own password is changed, with a slip first
        browser.find_element(By.CSS_SELECTOR, "a.ff-who").click()
        change_password(browser, "wrong battery!", NEXT, NEXT)
        until_said(browser, 'main .ff-note[role="alert"]', "The old password is not the one that is kept")
        change_password(browser, PASSWORD, NEXT, NEXT + "!")
        until_said(browser, 'main .ff-note[role="alert"]', "not typed the same way twice")
        change_password(browser, PASSWORD, NEXT, NEXT)
        # Then this browser stays in
        until_said(browser, 'main [role="status"]', "Your password was changed")
        # And the button ends it, and the new password opens
        browser.find_element(By.CSS_SELECTOR, "form[action='/logout'] button").click()
        WebDriverWait(browser, WAIT_S).until(lambda _browser: browser.current_url == f"{address}/login", "it is still in")
        fill_in(browser, "anna", NEXT)
        WebDriverWait(browser, WAIT_S).until(lambda _browser: browser.find_elements(By.CSS_SELECTOR, "main h1"), "nothing was drawn")
        browser.find_element(By.CSS_SELECTOR, "form[action='/logout'] button").click()
        WebDriverWait(browser, WAIT_S).until(lambda _browser: browser.current_url == f"{address}/login", "it is still in")
        # And who is no admin does not see the log
        fill_in(browser, "olga", PASSWORD)
        WebDriverWait(browser, WAIT_S).until(lambda _browser: browser.find_elements(By.CSS_SELECTOR, "main h1"), "nothing was drawn")
        assert not browser.find_elements(By.LINK_TEXT, "Audit")
        assert console_errors(browser) == []
