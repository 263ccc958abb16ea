"""What every test may rely on, however the suite was started, in one process or in lanes beside each other."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from itertools import chain

import pytest
from hypothesis import HealthCheck, settings

FIGURE = "figure"
# Short files by the hundred: begun last, they fill both lanes up to the end.
SHORT = "tests/contracts/"


# The same examples in each run, and no limit on the time that one takes; --hypothesis-profile=default looks for others.
settings.register_profile("steady", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


def pytest_configure() -> None:
    """Let Ctrl-C reach the programs under test: a shell that starts a job in the background makes it, and all its children, deaf to it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the order, but begin the short files last."""
    items.sort(key=lambda item: item.nodeid.startswith(SHORT))


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what the programs under test remember out of the user's own cache, and that out of them."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Print a figure that a test found at the end of the run, where people look; a report is what comes home from a lane."""

    def note(figure: str) -> None:
        request.node.user_properties.append((FIGURE, figure))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    reports = [report for report in chain.from_iterable(terminalreporter.stats.values()) if isinstance(report, pytest.TestReport)]
    figures = [figure for report in reports if report.when == "call" for name, figure in report.user_properties if name == FIGURE]
    if figures:
        terminalreporter.section("figures")
        for figure in figures:
            terminalreporter.write_line(str(figure))
