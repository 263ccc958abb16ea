"""Decides the next desired document of a device: its generation only grows, and it is renewed before it ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from contracts.configuration import Configuration
from contracts.downlinks import Desired, ShadowWish
from contracts.messages import ReleaseRef

LIFETIME = timedelta(days=30)


def first_wish(device: str, now: datetime, floor: int = 0) -> Desired:
    """Wish nothing yet, so that a new device can tell that its fleet speaks to it; its name had come to generation `floor` before."""
    return Desired(device=device, generation=floor + 1, issued_at=now, expires_at=now + LIFETIME, models={})


def with_release(wish: Desired, model: str, release: ReleaseRef | None, now: datetime) -> Desired:
    """Wish that a release of one model serves, or none, and that nothing runs beside it; the same wish again is the same document."""
    models = {name: ref for name, ref in wish.models.items() if name != model}
    if release is not None:
        models[model] = release
    shadow = {name: other for name, other in (wish.shadow or {}).items() if name != model} or None
    if models == wish.models and shadow == wish.shadow:
        return wish
    return _next(wish.model_copy(update={"shadow": shadow}), models, now)


def with_shadow(wish: Desired, model: str, shadow: ShadowWish, now: datetime) -> Desired:
    """Wish that a release of one model runs beside what serves; the same wish again is the same document."""
    wanted = dict(sorted({**(wish.shadow or {}), model: shadow}.items()))
    return wish if wanted == wish.shadow else _next(wish.model_copy(update={"shadow": wanted}), wish.models, now)


def with_configuration(wish: Desired, configuration: Configuration, now: datetime) -> Desired:
    """Wish other settings."""
    return _next(wish.model_copy(update={"configuration": configuration}), wish.models, now)


def renewed(wish: Desired, now: datetime) -> Desired:
    """Return the wish, issued anew once half its life is over."""
    return _next(wish, wish.models, now) if now - wish.issued_at >= LIFETIME / 2 else wish


def reissued(wish: Desired, now: datetime) -> Desired:
    """Return the wish, issued anew for another director's key to sign."""
    return _next(wish, wish.models, now)


def _next(wish: Desired, models: Mapping[str, ReleaseRef], now: datetime) -> Desired:
    return Desired(
        device=wish.device,
        generation=wish.generation + 1,
        issued_at=now,
        expires_at=now + LIFETIME,
        models=dict(sorted(models.items())),
        configuration=wish.configuration,
        shadow=wish.shadow,
    )
