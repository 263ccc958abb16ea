"""Releases in shadow: what devices tell of them, and how far rollouts are with them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0011"
down_revision = "v0010"

COUNTS = ("compared", "agreed", "errors", "dropped", "scored")
AMOUNTS = ("paused_s", "shift", "shift_squares")


def upgrade() -> None:
    """Create the table of what was compared, and let rollouts and their devices tell of shadows."""
    op.create_table(
        "shadow_windows",
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("session", sa.String(length=16), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS),
        *(sa.Column(name, sa.Float(), nullable=False) for name in AMOUNTS),
        sa.Column("latencies", sa.Text(), nullable=False),
        sa.Column("live_latencies", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("device", "session", "sequence"),
    )
    op.create_index("shadow_windows_by_device_and_time", "shadow_windows", ["device", "at"], unique=False)
    op.create_index("shadow_windows_by_time", "shadow_windows", ["at"], unique=False)
    with op.batch_alter_table("rollouts") as rollouts:
        rollouts.add_column(sa.Column("proven", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("rollout_devices") as members:
        members.add_column(sa.Column("is_shadow", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("rollouts") as rollouts:
        rollouts.alter_column("proven", server_default=None)
    with op.batch_alter_table("rollout_devices") as members:
        members.alter_column("is_shadow", server_default=None)
