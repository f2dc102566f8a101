"""Server-sent events from the lines of a stream."""

from __future__ import annotations

import json

from service.contract import Event, read


class EventLines:
    """Gathers lines until an event is complete."""

    def __init__(self) -> None:
        self._fields: dict[str, list[str]] = {}

    def add(self, line: str) -> Event | None:
        """Take a line without its end; return the event that it completes."""
        if line:
            name, _, value = line.partition(":")
            if name:  # a line that begins with a colon is a comment
                self._fields.setdefault(name, []).append(value.removeprefix(" "))
            return None
        found, self._fields = self._fields, {}
        return _event(found)


def _event(found: dict[str, list[str]]) -> Event | None:
    identifier = found.get("id", [""])[-1]
    if "data" not in found or not (identifier.isascii() and identifier.isdigit()):
        return None
    try:
        data = json.loads("\n".join(found["data"]))
    except ValueError:
        return None
    if not isinstance(data, dict):
        return None
    return read(Event, {"id": int(identifier), "kind": found.get("event", ["message"])[-1], "data": data})
