"""Settings of devices: every revision with who made it, and the newest in the device's wish."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0008"
down_revision = "v0007"


def upgrade() -> None:
    """Create the table of configurations, and let a wish hold one."""
    op.create_table(
        "configurations",
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", "revision"),
    )
    with op.batch_alter_table("desired") as desired:
        desired.add_column(sa.Column("configuration", sa.Text(), nullable=True))
