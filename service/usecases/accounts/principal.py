"""Who a request is made for, and what they may do.

``admin`` may do what ``submit`` may, ``submit`` what ``read`` may, all in their own tenant. ``operator`` is apart: the
server, its workers, tenants and limits, but no tenant's studies. It may read the counters, as ``metrics`` may.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from service.contract import Scope
from service.problems import ServiceError

SCOPES: tuple[Scope, ...] = get_args(Scope)
LOCAL_TENANT = "default"
_INCLUDED: Mapping[Scope, frozenset[Scope]] = {
    "metrics": frozenset(),
    "read": frozenset(),
    "submit": frozenset({"read"}),
    "admin": frozenset({"read", "submit"}),
    "operator": frozenset({"metrics"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The one who asks.

    Attributes:
        tenant_id: Whose rows may be seen.
        actor: What the audit calls them: the prefix of the key.
        key_id: The key; None without authentication.
        scopes: What they may do.
        session: SHA-256 of the login's token if they came with a cookie.
    """

    tenant_id: str
    actor: str
    key_id: str | None
    scopes: frozenset[Scope]
    session: str | None = None

    def may(self, scope: Scope) -> bool:
        """Whether a scope is theirs, directly or through a wider one."""
        return scope in self.scopes

    def require(self, scope: Scope) -> None:
        """Refuse those without a scope.

        Raises:
            ServiceError: ``forbidden``.
        """
        if not self.may(scope):
            raise ServiceError("forbidden", f"This needs the scope {scope!r}, the key has {_listed(self.scopes)}.")


def widened(scopes: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes with everything they include."""
    given = frozenset(scope for scope in SCOPES if scope in set(scopes))
    return given.union(*(_INCLUDED[scope] for scope in given))


def _listed(scopes: frozenset[Scope]) -> str:
    return ", ".join(repr(scope) for scope in SCOPES if scope in scopes) or "none"
