"""What a reader does with the dashboard: opens pages, looks, types, presses buttons and answers questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

# A machine that does much else draws slowly.
WAIT_S = 90
DIALOG = ".q-dialog .ff-dialog"

Found = TypeVar("Found")


def is_clicked(element: WebElement) -> bool:
    """Click, and say whether that was possible: while a dialog opens, its backdrop is in the way."""
    try:
        element.click()
    except ElementClickInterceptedException:
        return False
    return True


@dataclass(frozen=True)
class Visit:
    """A signed-in browser."""

    browser: Chrome
    address: str

    def open(self, path: str) -> None:
        """Go to a page and wait until it is drawn."""
        self.browser.get(self.address + path)
        self.until(lambda: bool(self.browser.find_elements(By.CSS_SELECTOR, "main h1, main h2")), f"{path} was not drawn")

    def text(self, selector: str = "main") -> str:
        """Return what a reader sees of an element."""
        return self.read(lambda: self.browser.find_element(By.CSS_SELECTOR, selector).text)

    def read(self, look: Callable[[], Found]) -> Found:
        """Return what is found, in a second look where it was drawn anew meanwhile."""
        found: list[Found] = []

        def is_read() -> bool:
            found.append(look())
            return True

        self.until(is_read, "it is never there for as long as it takes to read it")
        return found[0]

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements that match."""
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def cell(self, row: str, column: str) -> str:
        """Return the text of a table's cell."""
        return self.text(f'.ag-center-cols-container [row-id="{row}"] [col-id="{column}"]')

    def click(self, selector: str) -> None:
        """Click the first element that matches, once one can be clicked."""
        self.until(lambda: is_clicked(self.browser.find_element(By.CSS_SELECTOR, selector)), f"{selector} cannot be clicked")

    def rows(self) -> list[str]:
        """Return the ids of the rows that are drawn."""
        script = "return [...document.querySelectorAll('.ag-center-cols-container .ag-row')].map(row => row.getAttribute('row-id'))"
        found: list[str] = self.browser.execute_script(script)  # in one go: the table may change while it is read
        return found

    def until(self, is_so: Callable[[], bool], otherwise: str) -> None:
        """Wait for something to become true; what is drawn anew while it is read is read again."""
        anew = [StaleElementReferenceException]
        WebDriverWait(self.browser, WAIT_S, poll_frequency=0.1, ignored_exceptions=anew).until(lambda _browser: is_so(), otherwise)

    def button(self, text: str, inside: str = "main") -> WebElement:
        """Return the button that says `text`, beside its icon."""
        found = self.buttons(text, inside)
        assert len(found) == 1, f"{len(found)} buttons say {text}"
        return found[0]

    def buttons(self, text: str, inside: str = "main") -> list[WebElement]:
        """Return the buttons that say `text`; none while the page does not show any."""
        return self.read(lambda: [one for one in self.all(f"{inside} button") if one.is_displayed() and one.text.split("\n")[-1] == text])

    def press(self, text: str, *, answer: str | None) -> str:
        """Press a button that asks, give an answer by the name of the dialog's button, and return what was asked; None presses alone."""
        self.until(lambda: [one.get_attribute("aria-disabled") for one in self.buttons(text)] == ["false"], f"{text} may not be used")
        self.until(lambda: is_clicked(self.button(text)), f"{text} cannot be pressed")
        return "" if answer is None else self.answer(answer)

    def answer(self, answer: str) -> str:
        """Answer the dialog that is open, and return what it said."""
        self.until(lambda: bool(self.all(DIALOG)) and self.all(DIALOG)[-1].is_displayed(), "nothing was asked")
        dialog = self.all(DIALOG)[-1]
        said = dialog.text
        [button] = self.read(lambda: [one for one in dialog.find_elements(By.TAG_NAME, "button") if one.text == answer])
        self.until(lambda: is_clicked(button), f"{answer} cannot be pressed")
        self.until(lambda: not [one for one in self.all(DIALOG) if one.id == dialog.id], "the dialog stays")
        return said

    def type(self, label: str, text: str) -> None:
        """Write into the field of that label, in the place of what is there."""
        selector = f'input[aria-label="{label}"]'
        self.until(lambda: bool(self.all(selector)) and self.all(selector)[0].is_displayed(), f"there is no field {label}")
        field = self.browser.find_element(By.CSS_SELECTOR, selector)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)
