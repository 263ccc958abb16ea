"""Certificates in the place of broker passwords, tokens with roles: devices added before are to be enrolled, old tokens are admins."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0002"
down_revision = "v0001"


def upgrade() -> None:
    """Change devices and tokens, and create what enrolment keeps."""
    with op.batch_alter_table("devices") as devices:
        devices.drop_column("password_hash")
        # Without a certificate a device is out until it enrols: its name is free for a token that names it.
        devices.add_column(sa.Column("revoked_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE devices SET revoked_at = added_at")
    op.create_table(
        "certificates",
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("key_sha256", sa.String(length=64), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=True),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("serial"),
    )
    op.create_index("ix_certificates_device", "certificates", ["device"], unique=False)
    op.create_table(
        "enrolment_tokens",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=True),
        sa.Column("hardware", sa.String(length=64), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    _change_tokens()


def _change_tokens() -> None:
    # Names were not unique: only the newest of each is kept, which is the one in connection.json.
    row = "ctid" if op.get_bind().dialect.name == "postgresql" else "rowid"
    op.execute(f"DELETE FROM tokens WHERE {row} NOT IN (SELECT max({row}) FROM tokens GROUP BY name)")  # noqa: S608 - one of two words
    with op.batch_alter_table("tokens") as tokens:
        tokens.add_column(sa.Column("role", sa.String(length=16), nullable=False, server_default="admin"))
        tokens.add_column(sa.Column("expires_at", sa.BigInteger(), nullable=True))
        tokens.create_unique_constraint("uq_tokens_name", ["name"])
    with op.batch_alter_table("tokens") as tokens:
        tokens.alter_column("role", server_default=None)
