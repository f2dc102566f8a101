"""Tenants have limits and a weight of their own; a queued study waits in the rows until its tenant's turn.

Studies that were queued before are in the engine's line already: they count as given to the workers.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None

_INDEX = "ix_studies_tenant_id_state_dispatched_priority_id"
_OF_TENANTS = {
    "weight": sa.Double(),
    "max_running": sa.Integer(),
    "max_queued": sa.Integer(),
    "day_seconds": sa.Double(),
}


def upgrade() -> None:
    """Add them."""
    for name, kind in _OF_TENANTS.items():
        op.add_column("tenants", sa.Column(name, kind, nullable=True))
    op.create_table(
        "tenant_turns",
        sa.Column("tenant_id", sa.String(36), nullable=False),
        sa.Column("last_start", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_tenant_turns"),
    )
    op.create_table(
        "tenant_days",
        sa.Column("tenant_id", sa.String(36), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "day", name="pk_tenant_days"),
    )
    op.add_column("studies", sa.Column("dispatched", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.create_index(_INDEX, "studies", ["tenant_id", "state", "dispatched", "priority", "id"])


def downgrade() -> None:
    """Take them away."""
    op.drop_index(_INDEX, "studies")
    op.drop_column("studies", "dispatched")
    op.drop_table("tenant_days")
    op.drop_table("tenant_turns")
    for name in reversed(_OF_TENANTS):
        op.drop_column("tenants", name)
