"""What a wish has run beside what serves, so that the next wish is made from all of the last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0015"
down_revision = "v0014"


def upgrade() -> None:
    """Add the column."""
    op.add_column("desired", sa.Column("shadow", sa.Text()))
