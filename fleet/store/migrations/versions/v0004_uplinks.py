"""What windows say of their whole distribution and their place in a session, tallies of what never came, and quarantine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0004"
down_revision = "v0003"


def upgrade() -> None:
    """Add columns to windows, and create what ingest counts and sets aside."""
    with op.batch_alter_table("inference_windows") as windows:
        # Windows of before do not tell which manifest they worked under.
        windows.add_column(sa.Column("manifest_sha256", sa.String(length=64), nullable=False, server_default=""))
        windows.add_column(sa.Column("latencies", sa.Text(), nullable=True))
        windows.add_column(sa.Column("ordinal", sa.BigInteger(), nullable=True))
        windows.add_column(sa.Column("parts", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("inference_windows") as windows:
        windows.alter_column("manifest_sha256", server_default=None)
    op.create_table(
        "tallies",
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("session", sa.String(length=16), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.Column("missing", sa.Text(), nullable=False),
        sa.Column("forgotten", sa.BigInteger(), nullable=False),
        sa.Column("merged", sa.BigInteger(), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device", "session", "model"),
    )
    op.create_index("tallies_by_time", "tallies", ["heard_at"], unique=False)
    # Nobody counted what came before: of sessions that go on, only what follows can be missing.
    op.execute(
        "INSERT INTO tallies SELECT device, session, '', max(sequence), '', 0, 0, max(received_at) FROM reports GROUP BY device, session"
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("leaf", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("quarantine_by_device", "quarantine", ["device", "id"], unique=False)
