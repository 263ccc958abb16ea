"""Rollouts in waves: each keeps its plan, each device its target and its wave, and who did what is written down."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "v0003"
down_revision = "v0002"


def upgrade() -> None:
    """Make every rollout so far one that reached all at once; those under way go on."""
    _add_columns()
    connection = op.get_bind()
    rollouts = sa.table("rollouts", *(sa.column(name) for name in ("id", "release", "deadline_s", "plan", "model")))
    for row in connection.execute(sa.select(rollouts.c.id, rollouts.c.release, rollouts.c.deadline_s)).all():
        plan = json.dumps({"deadline_s": row.deadline_s, "contact_s": row.deadline_s})
        model = json.loads(row.release).get("model", "")
        connection.execute(sa.update(rollouts).where(rollouts.c.id == row.id).values(plan=plan, model=model))
    op.execute("UPDATE rollout_devices SET target = (SELECT release FROM rollouts WHERE rollouts.id = rollout_devices.rollout)")
    # A device that was offered the release was met, as far as was known.
    op.execute("UPDATE rollout_devices SET met_at = offered_at")
    _drop_what_only_made_the_change()
    op.create_table(
        "rollout_history",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("rollout", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_rollout_history_rollout", "rollout_history", ["rollout"], unique=False)
    op.create_index("reports_by_arrival", "reports", ["leaf", "received_at"], unique=False)


def _add_columns() -> None:
    with op.batch_alter_table("rollouts") as rollouts:
        rollouts.drop_index("ix_rollouts_state")
        rollouts.add_column(sa.Column("model", sa.String(length=64), nullable=False, server_default=""))
        rollouts.add_column(sa.Column("plan", sa.Text(), nullable=False, server_default="{}"))
        rollouts.add_column(sa.Column("kind", sa.String(length=16), nullable=False, server_default="start"))
        rollouts.add_column(sa.Column("origin", sa.Integer(), nullable=True))
        rollouts.add_column(sa.Column("wave", sa.Integer(), nullable=False, server_default="0"))
        rollouts.add_column(sa.Column("settled_at", sa.BigInteger(), nullable=True))
        rollouts.add_column(sa.Column("verdict", sa.Text(), nullable=True))
        rollouts.add_column(sa.Column("started_by", sa.String(length=64), nullable=False, server_default="unknown"))
        rollouts.add_column(sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
        rollouts.create_index("ix_rollouts_ended_at", ["ended_at"], unique=False)
    with op.batch_alter_table("rollout_devices") as members:
        members.add_column(sa.Column("wave", sa.Integer(), nullable=False, server_default="0"))
        members.add_column(sa.Column("zone", sa.String(length=64), nullable=False, server_default="UTC"))
        members.add_column(sa.Column("target", sa.Text(), nullable=True))
        members.add_column(sa.Column("errand", sa.String(length=8), nullable=False, server_default="none"))
        members.add_column(sa.Column("met_at", sa.BigInteger(), nullable=True))
        members.add_column(sa.Column("outcome_at", sa.BigInteger(), nullable=True))
        members.add_column(sa.Column("is_missing", sa.Boolean(), nullable=False, server_default=sa.false()))


def _drop_what_only_made_the_change() -> None:
    """The code writes every column by itself."""
    with op.batch_alter_table("rollouts") as rollouts:
        rollouts.drop_column("deadline_s")
        for name in ("model", "plan", "kind", "wave", "started_by", "revision"):
            rollouts.alter_column(name, server_default=None)
    with op.batch_alter_table("rollout_devices") as members:
        for name in ("wave", "zone", "errand", "is_missing"):
            members.alter_column(name, server_default=None)
