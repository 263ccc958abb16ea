"""Devices that were removed: how far their wishes counted, and whether the broker has let go of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0013"
down_revision = "v0012"


def upgrade() -> None:
    """Create the table of departures."""
    op.create_table(
        "departures",
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("removed_by", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("cleared", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("device"),
    )
