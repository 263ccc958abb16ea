"""Every page in a real browser: it shows the fleet, keeps itself fresh, complains of nothing and asks no other host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.fleet.dashboard.server import dashboard
from tests.fleet.dashboard.visit import Visit
from tests.live.browser import chromium, console_errors, hosts_asked

# Fast enough for a rollout to move while a test looks on, slow enough for it to be under way when that test begins.
SPEED = 0.25


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    folder = tmp_path_factory.mktemp("pages")
    with dashboard(folder, codes="once", devices=12, speed=SPEED) as address, chromium(folder / "profile") as browser:
        browser.get(f"{address}/login?code=once")
        yield Visit(browser, address)


@pytest.fixture(autouse=True)
def nothing_went_wrong(visit: Visit) -> Iterator[None]:
    """After each test: an empty console, and not one request to another host."""
    yield
    assert console_errors(visit.browser) == []
    assert hosts_asked(visit.browser) <= {urlsplit(visit.address).netloc}


def test_a_link_that_is_opened_signs_in_and_leaves_no_code_in_the_address(visit: Visit) -> None:
    visit.until(lambda: visit.browser.current_url == f"{visit.address}/", "the link did not lead to the fleet")


def test_a_rollout_page_follows_its_devices(visit: Visit) -> None:
    """Before the others: on a busy machine the rollout would be over."""
    visit.open("/rollouts/2")
    visit.until(lambda: len(visit.rows()) == 12, "not every device has a row")
    assert visit.cell("rpi4-0003", "phase").split() == ["mail", "offered"]
    assert visit.cell("rpi4-0003", "reason") == "waits for the device"
    before = visit.text(".ff-legend"), visit.text(".ag-center-cols-container")
    visit.until(lambda: visit.text(".ag-center-cols-container") != before[1], "the devices stand still")
    visit.until(lambda: visit.text(".ff-legend") != before[0], "the counts stand still")


def test_the_overview_shows_the_fleet_and_who_needs_somebody_and_why(visit: Visit) -> None:
    visit.open("/")
    visit.until(lambda: "rpi4-0003" in visit.text(), "who needs somebody is not told")
    tiles = visit.text(".ff-tiles").splitlines()
    assert tiles[tiles.index("Devices") : tiles.index("Devices") + 3] == ["Devices", "12", "10 online"]
    assert tiles[tiles.index("Offline") + 1] == "1"
    text = visit.text()
    expected = ("the broker lost its connection", "Rollout 2", "jetson-orin", "3 · 25 %", "birds 2")
    assert [part for part in expected if part not in text] == []


def test_the_overview_keeps_itself_fresh(visit: Visit) -> None:
    visit.open("/")
    before = visit.text(".ff-tiles > :nth-child(7)")
    visit.until(lambda: visit.text(".ff-tiles > :nth-child(7)") != before, "the numbers stand still")


def test_the_list_shows_each_device_by_word_and_icon_and_keeps_itself_fresh(visit: Visit) -> None:
    visit.open("/devices")
    visit.until(lambda: len(visit.rows()) == 12, "not every device has a row")
    assert visit.cell("rpi4-0003", "status").split() == ["cloud_off", "offline"]
    assert visit.cell("jetson-orin-0001", "status").split() == ["warning", "degraded"]
    assert visit.cell("jetson-orin-0005", "seen") == "never"
    ages, before = visit.cell("rpi5-0000", "seen"), visit.text(".ag-center-cols-container")
    visit.until(lambda: visit.cell("rpi5-0000", "seen") != ages, "ages stand still")
    visit.until(lambda: visit.text(".ag-center-cols-container") != before, "health stands still")


def test_a_query_leaves_the_devices_that_it_means_and_one_that_is_wrong_is_told(visit: Visit) -> None:
    visit.open("/devices")
    field = visit.browser.find_element(By.CSS_SELECTOR, 'input[aria-label="Query"]')
    field.send_keys("hw = coral", Keys.ENTER)
    visit.until(lambda: len(visit.rows()) == 3 and all(row.startswith("coral") for row in visit.rows()), "the query does not filter")
    visit.until(lambda: "query=hw%20%3D%20coral" in visit.browser.current_url, "the address does not follow")
    field.send_keys(" and hww = 1", Keys.ENTER)
    visit.until(lambda: "did you mean hw?" in visit.text(".ff-trouble:not(:empty)"), "nothing tells what is wrong")


def test_a_chip_and_a_tile_filter_by_status_and_the_order_is_the_readers(visit: Visit) -> None:
    visit.open("/")
    [tile] = [tile for tile in visit.all("a.ff-tile") if tile.text.startswith("cloud_off")]
    tile.click()
    visit.until(lambda: visit.rows() == ["rpi4-0003"], "the tile does not filter")
    [chip] = [chip for chip in visit.all(".ff-chip") if chip.text == "All"]
    chip.click()
    visit.until(lambda: len(visit.rows()) == 12, "the chip does not filter")
    visit.open("/devices?order=status")
    visit.until(lambda: len(visit.rows()) == 12, "not every device has a row")
    assert visit.rows()[0] == "rpi4-0003"


def test_news_do_not_take_the_focus_from_who_uses_the_keyboard(visit: Visit) -> None:
    visit.open("/")
    requests = visit.text(".ff-tiles > :nth-child(7)")
    [tile] = [tile for tile in visit.all("a.ff-tile") if tile.text.startswith("cloud_off")]
    visit.browser.execute_script("arguments[0].focus()", tile)
    visit.until(lambda: visit.text(".ff-tiles > :nth-child(7)") != requests, "the tiles stand still")
    assert visit.browser.switch_to.active_element == tile


def test_a_row_opens_its_device_by_click_and_by_key(visit: Visit) -> None:
    visit.open("/devices")
    visit.until(lambda: len(visit.rows()) == 12, "not every device has a row")
    visit.click('[row-id="coral-0006"] [col-id="hardware"]')
    visit.until(lambda: visit.browser.current_url.endswith("/devices/coral-0006"), "the click leads nowhere")

    visit.open("/devices")
    visit.until(lambda: len(visit.rows()) == 12, "not every device has a row")
    visit.browser.find_element(By.CSS_SELECTOR, '[row-id="coral-0002"] a').send_keys(Keys.ENTER)
    visit.until(lambda: visit.browser.current_url.endswith("/devices/coral-0002"), "the key leads nowhere")


def test_a_device_page_says_plainly_that_its_model_falls_back_to_cpu(visit: Visit) -> None:
    visit.open("/devices/jetson-orin-0001")
    visit.until(
        lambda: "falls back to CPU: this hardware would allow TensorrtExecutionProvider" in visit.text(), "nothing tells of the fallback"
    )
    visit.open("/devices/rpi5-0000")
    visit.until(lambda: "serving" in visit.text(), "the worker is not shown")
    assert "falls back" not in visit.text()


def test_a_device_page_shows_slots_inventory_outcome_and_events(visit: Visit) -> None:
    visit.open("/devices/coral-0006")
    visit.until(lambda: "rolled back" in visit.text(), "the outcome is not shown")
    text = visit.text()
    expected = (
        "largest difference 0.31, allowed 0.05",
        "current",
        "previous",
        "a6a187c8bb59",
        "http://127.0.0.1:8600",
        "4 × aarch64",
        "site",
        "lyon",
        "release 3 rolled back: its outputs differ from the golden set",
        "tolerance 0.05",
    )
    assert [part for part in expected if part not in text] == []


def test_a_device_page_draws_its_charts_with_units(visit: Visit) -> None:
    visit.open("/devices/rpi5-0000")
    visit.until(
        lambda: len(visit.all(".ff-chart:not(.ff-chart-empty) svg path[stroke^='var(--ff-series']")) >= 7, "not every line is drawn"
    )
    assert [unit for unit in ("%", "°C", "/s", "ms") if unit not in visit.text()] == []
    bars = visit.all('.ff-chart[aria-label="How often each class came out on top"] svg text')
    assert "song thrush" in [bar.text for bar in bars]


def test_a_device_page_keeps_itself_fresh(visit: Visit) -> None:
    visit.open("/devices/rpi5-0000")
    visit.until(lambda: "serving" in visit.text(), "the worker is not shown")
    line = '.ff-chart[aria-label^="CPU"] svg path[stroke^="var(--ff-series"]'
    read = f"return document.querySelector({line!r})?.getAttribute('d')"
    visit.until(lambda: bool(visit.browser.execute_script(read)), "the line is not drawn")
    before = visit.browser.execute_script(read)
    visit.until(lambda: visit.browser.execute_script(read) != before, "it stands still")


def test_the_list_of_rollouts_leads_to_each(visit: Visit) -> None:
    visit.open("/rollouts")
    visit.until(lambda: "hw = rpi5 or hw = coral" in visit.text(), "the rollouts are not listed")
    assert "6 of 6 finished" in visit.text()
    assert visit.all('a[href="/rollouts/new"]')
    visit.browser.find_element(By.LINK_TEXT, "Rollout 1").click()
    visit.until(lambda: visit.browser.current_url.endswith("/rollouts/1"), "the link leads nowhere")


def test_releases_show_verdicts_drops_and_who_runs_them(visit: Visit) -> None:
    visit.open("/releases")
    visit.until(lambda: len(visit.all(".ff-table tbody tr")) == 3, "not every release has a row")
    newest, _, oldest = (row.text for row in visit.all(".ff-table tbody tr"))
    expected = ("birds 3", "proven", "rpi5", "0.30 pt", "3.7 MB", "98bcc209b4fe")
    assert [part for part in expected if part not in newest] == []
    assert "unproven" in oldest
    assert "0 devices" in oldest


def nameless(visit: Visit) -> list[str | None]:
    """Return what can be used and has no name; what is drawn anew meanwhile is an error of the browser's driver."""
    return [one.get_attribute("outerHTML") for one in visit.all("a, button, input") if one.is_displayed() and not one.accessible_name]


def test_a_page_has_its_landmarks_and_a_name_for_everything_that_can_be_used(visit: Visit) -> None:
    for path in ("/", "/devices", "/devices/rpi5-0000", "/rollouts", "/rollouts/2", "/releases"):
        visit.open(path)
        assert (len(visit.all("main")), len(visit.all("main h1")), len(visit.all("body header nav"))) == (1, 1, 1)
        assert visit.all("main header") == []
        visit.until(lambda: not nameless(visit), f"something on {path} has no name")


def test_the_colours_chosen_are_kept(visit: Visit) -> None:
    visit.open("/releases")
    visit.click('[aria-label="Colours: auto; change"]')
    visit.until(lambda: bool(visit.all('[aria-label="Colours: light; change"]')), "the switch does not turn")
    visit.click('[aria-label="Colours: light; change"]')
    visit.until(lambda: bool(visit.all("body.body--dark")), "it does not get dark")
    visit.open("/rollouts")
    visit.until(lambda: bool(visit.all("body.body--dark")), "the choice was forgotten")


def test_an_empty_fleet_says_what_to_do(tmp_path: Path, visit: Visit) -> None:
    with dashboard(tmp_path, codes="once", devices=0) as address, chromium(tmp_path / "profile") as browser:
        empty = Visit(browser, address)
        empty.open("/login?code=once")
        empty.until(lambda: "No devices yet" in empty.text(), "nothing is said")
        assert "fieldfare device token --hardware rpi5" in empty.text()
        empty.open("/devices")
        empty.until(lambda: "fieldfare device token --hardware rpi5" in empty.text(), "nothing is said")
        empty.open("/rollouts")
        empty.until(lambda: "fieldfare rollout start MODEL --to all" in empty.text(), "nothing is said")
        assert console_errors(browser) == []
