"""The server's operator is apart from a tenant's administrators; those of the first tenant are both, as before.

The first tenant is that of whoever runs the server; administrators of the others no longer see workers and counters.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None

_KEYS = sa.table("keys", sa.column("id", sa.String), sa.column("tenant_id", sa.String), sa.column("scopes", sa.JSON))
_TENANTS = sa.table("tenants", sa.column("id", sa.String), sa.column("name", sa.String))


def upgrade() -> None:
    """Give it to the administrators' keys of the first tenant."""
    connection = op.get_bind()
    query = sa.select(_KEYS.c.id, _KEYS.c.scopes).join(_TENANTS, _TENANTS.c.id == _KEYS.c.tenant_id)
    for key, stored in connection.execute(query.where(_TENANTS.c.name == "default")).all():
        scopes = json.loads(stored) if isinstance(stored, str) else list(stored)
        if "admin" in scopes and "operator" not in scopes:
            connection.execute(_KEYS.update().where(_KEYS.c.id == key).values(scopes=[*scopes, "operator"]))


def downgrade() -> None:
    """Take it, and the scope for counters, away; a key that had nothing else keeps no right."""
    connection = op.get_bind()
    for key, stored in connection.execute(sa.select(_KEYS.c.id, _KEYS.c.scopes)).all():
        scopes = json.loads(stored) if isinstance(stored, str) else list(stored)
        kept = [one for one in scopes if one not in ("operator", "metrics")]
        connection.execute(_KEYS.update().where(_KEYS.c.id == key).values(scopes=kept))
