"""What gates ask besides: counts of restarts, scores of the winning classes, and whole distributions in the sums of windows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0010"
down_revision = "v0009"


def upgrade() -> None:
    """Create the table of counts, and columns that stay empty for what came before."""
    op.create_table(
        "restart_counts",
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("session", sa.String(length=16), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("restarts", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", "session", "model", "restarts"),
    )
    op.create_index("restart_counts_by_time", "restart_counts", ["last_at"], unique=False)
    op.add_column("inference_windows", sa.Column("confidences", sa.Text(), nullable=True))
    op.add_column("work_buckets", sa.Column("latencies", sa.Text(), nullable=True))
    op.add_column("work_buckets", sa.Column("confidences", sa.Text(), nullable=True))
