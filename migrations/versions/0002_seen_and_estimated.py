"""What was seen of a trial and what is estimated of it are two things.

Values of trials that were stopped counted the samples that never ran as float has them: they were neither, and go.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None

_STOPPED = ("rejected", "promising")


def upgrade() -> None:
    """Rename what was seen, add estimates and what a record names beside."""
    with op.batch_alter_table("trials") as table:
        table.alter_column("values", new_column_name="seen", existing_type=sa.JSON(none_as_null=True))
        table.add_column(sa.Column("role", sa.String(32), nullable=False, server_default="candidate"))
        table.add_column(sa.Column("requested", sa.String(64), nullable=False, server_default=""))
        table.add_column(sa.Column("effective", sa.String(64), nullable=False, server_default=""))
        table.add_column(sa.Column("estimates", sa.JSON(none_as_null=True), nullable=False, server_default="{}"))
        table.add_column(sa.Column("n_samples", sa.Integer(), nullable=True))
    trials = sa.table("trials", sa.column("seen", sa.JSON), sa.column("verdict", sa.String))
    op.execute(trials.update().where(trials.c.verdict.in_(_STOPPED)).values(seen={}))


def downgrade() -> None:
    """Back to one column of values."""
    with op.batch_alter_table("trials") as table:
        for name in ("n_samples", "estimates", "effective", "requested", "role"):
            table.drop_column(name)
        table.alter_column("seen", new_column_name="values", existing_type=sa.JSON(none_as_null=True))
