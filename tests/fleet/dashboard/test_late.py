"""The place of the dashboard: built by the first request, once, and ended with the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from fastapi import FastAPI

from fleet.dashboard.late import LateDashboard

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Pages:
    """Builds pages, and notes what becomes of them."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def build(self) -> FastAPI:
        self.notes.append("built")

        @asynccontextmanager
        async def life(_: FastAPI) -> AsyncIterator[None]:
            self.notes.append("began")
            yield
            self.notes.append("ended")

        pages = FastAPI(lifespan=life)
        pages.get("/")(lambda: "a page")
        return pages


async def get(dashboard: LateDashboard, found: list[str]) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(dashboard), base_url="http://fleet") as client:
        found.append((await client.get("/")).json())


async def test_a_server_whose_pages_nobody_opens_never_builds_them() -> None:
    pages = Pages()
    dashboard = LateDashboard(pages.build)

    async with dashboard.life(FastAPI()):
        pass

    assert pages.notes == []


async def test_many_first_visitors_have_the_pages_built_once_and_the_server_ends_them() -> None:
    # Given pages that nobody has opened
    pages, found = Pages(), list[str]()
    dashboard = LateDashboard(pages.build)
    async with dashboard.life(FastAPI()):
        # When many come at once
        async with anyio.create_task_group() as visitors:
            for _ in range(8):
                visitors.start_soon(get, dashboard, found)
        # Then each has its answer, from the same pages
        assert found == ["a page"] * 8
        assert pages.notes == ["built", "began"]
    # And these end with the server
    assert pages.notes == ["built", "began", "ended"]


async def test_pages_that_could_not_be_built_are_tried_again_for_the_next_visitor() -> None:
    # Given a first visitor for whom building failed
    pages, found = Pages(), list[str]()
    attempts = iter((OSError("the disk is away"), None))

    def build() -> FastAPI:
        trouble = next(attempts)
        if trouble is not None:
            raise trouble
        return pages.build()

    dashboard = LateDashboard(build)
    async with dashboard.life(FastAPI()):
        with pytest.raises(OSError, match="the disk is away"):
            await get(dashboard, found)
        # When the next one comes
        await get(dashboard, found)
    # Then it is served
    assert found == ["a page"]
