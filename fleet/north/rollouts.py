"""The API's questions about rollouts, and what people order of them; each order is kept with the name of who gave it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from contracts.lifecycle import Phase
from fleet.core.rollout.acts import ACTS
from fleet.north.auth import caller_of
from fleet.north.pages import DEFAULT_LIMIT, Cursor, Limit, Pages
from fleet.north.ports import Services
from fleet.north.versions import Seen, seen_version, tag
from fleet.requests.rollouts import NewRollout
from fleet.views.pages import Page
from fleet.views.rollouts import RolloutDeviceView, RolloutEntryView, RolloutSummary
from fleet.views.targeting import ExcludedView, RolloutPreview, TargetView

# Whatever a database's key can be.
Number = Annotated[int, Path(ge=0, le=2**31 - 1)]
Phases = Annotated[tuple[Phase, ...], Query(alias="state", max_length=len(Phase), description="Only these; may be repeated.")]
ROLLOUTS = Pages("rollouts", int)
MEMBERS = Pages("rollout devices", int)
HISTORY = Pages("rollout history", int)
CHOSEN = Pages("rollout preview chosen", str)
EXCLUDED = Pages("rollout preview excluded", str)
TOLD = {
    "approve": "Let a rollout begin that another person started.",
    "pause": "Offer it to nobody else; who was offered it goes on.",
    "resume": "Go on after a pause; a gate has all its patience again.",
    "promote": "Open the next wave, whatever evidence the gate lacks.",
    "abort": "Withdraw it from devices that have not begun to stage it; the others finish.",
}


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["rollouts"])
    _add_questions(routes, services)
    _add_previews(routes, services)
    _add_orders(routes, services)
    return routes


def _add_questions(routes: APIRouter, services: Services) -> None:
    lists = services.lists

    @routes.get("/rollouts")
    def list_rollouts(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[RolloutSummary]:
        """List rollouts, newest first."""
        return ROLLOUTS.page(lists.rollouts(limit, ROLLOUTS.key(cursor)))

    @routes.get("/rollouts/{rollout}")
    def get_rollout(rollout: Number, response: Response) -> RolloutSummary:
        """Return one rollout; its ETag begins with the version that an order may name in If-Match."""
        return _tagged(services, rollout, response)

    @routes.get("/rollouts/{rollout}/devices")
    def list_rollout_devices(
        rollout: Number,
        state: Phases = (),
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Page[RolloutDeviceView]:
        """List a rollout's devices in the order of their turns."""
        return MEMBERS.page(lists.rollout_devices(rollout, state, limit, MEMBERS.key(cursor)))

    @routes.get("/rollouts/{rollout}/history")
    def list_rollout_history(rollout: Number, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[RolloutEntryView]:
        """List who did what to a rollout, newest first."""
        return HISTORY.page(lists.rollout_history(rollout, limit, HISTORY.key(cursor)))


def _add_previews(routes: APIRouter, services: Services) -> None:
    preview, now = services.preview, services.now

    @routes.post("/rollouts/preview")
    def preview_rollout(new: NewRollout) -> RolloutPreview:
        """Say how many would get which artifact, and how many nothing and why; change nothing."""
        return preview.of(new, now())

    @routes.post("/rollouts/preview/chosen")
    def list_rollout_chosen(new: NewRollout, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[TargetView]:
        """List who would get which artifact, by id; change nothing."""
        return CHOSEN.page(preview.chosen(new, limit, CHOSEN.name(cursor), now()))

    @routes.post("/rollouts/preview/excluded")
    def list_rollout_excluded(new: NewRollout, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[ExcludedView]:
        """List who would be left out and why, by id; change nothing."""
        return EXCLUDED.page(preview.excluded(new, limit, EXCLUDED.name(cursor), now()))


def _add_orders(routes: APIRouter, services: Services) -> None:
    desk, now = services.rollouts, services.now

    @routes.post("/rollouts", status_code=201)
    def start_rollout(new: NewRollout, request: Request, response: Response) -> RolloutSummary:
        """Bring a release to all devices that a query means now."""
        return _tagged(services, desk.start(new, caller_of(request).name, now()), response)

    @routes.post("/rollouts/{rollout}/rollback", status_code=201)
    def rollback_rollout(rollout: Number, request: Request, response: Response) -> RolloutSummary:
        """Bring each device of a rollout that has ended back to what it ran before."""
        return _tagged(services, desk.rollback(rollout, caller_of(request).name, now()), response)

    @routes.post("/rollouts/{rollout}/retry", status_code=201)
    def retry_rollout(rollout: Number, request: Request, response: Response) -> RolloutSummary:
        """Offer the release again to those that a rollout lost."""
        return _tagged(services, desk.retry(rollout, caller_of(request).name, now()), response)

    for act in ACTS:
        routes.post(f"/rollouts/{{rollout}}/{act}", name=f"{act}_rollout", description=TOLD[act])(_ordering(services, act))


def _ordering(services: Services, act: str) -> Callable[[int, Request, Response, str | None], RolloutSummary]:
    def order(rollout: Number, request: Request, response: Response, seen: Seen = None) -> RolloutSummary:
        services.rollouts.act(rollout, act, caller_of(request).name, services.now(), seen_version(seen))
        return _tagged(services, rollout, response)

    return order


def _tagged(services: Services, rollout: int, response: Response) -> RolloutSummary:
    view = services.reader.rollout_summary(rollout)
    tag(response, view.version)
    return view
