"""What all tables are made of: times, words, and the list of them all."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from sqlalchemy import BigInteger, Dialect, MetaData, Text, TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Stamp(TypeDecorator[datetime]):
    """An aware time, stored as microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        """Write."""
        return None if value is None else (value - EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, _dialect: Dialect) -> datetime | None:
        """Read."""
        return None if value is None else EPOCH + timedelta(microseconds=value)


class Words(TypeDecorator[str]):
    """What somebody said; PostgreSQL keeps no NUL, so that neither database shall."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Write."""
        return None if value is None else value.replace("\0", "\ufffd")


metadata = MetaData()
