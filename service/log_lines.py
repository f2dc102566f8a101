"""The log of a process that stays: a JSON object per line, so that a collector finds all lines of a request or study.

``time``, ``level``, ``logger`` and ``message`` are always there. While a request is answered, every line has its
``request_id``, whoever writes it; ``event`` names lines that are made to be counted, and their fields are keys.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal, TextIO

Format = Literal["auto", "json", "text"]
Level = Literal["debug", "info", "warning", "error"]
Field = str | int | float | bool | None
REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
"""Id of the request that is being answered."""
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LOUD = ("alembic", "dbos", "httpx", "uvicorn")
"""Libraries of which only warnings matter; httpx tells addresses of webhooks, which may be secret."""
_FIELDS = "bitbudget_fields"


def begin_log(form: Format = "auto", level: Level = "info", stream: TextIO | None = None) -> None:
    """Write the log of this process to standard error.

    Args:
        form: ``text`` for people, ``json`` for collectors, ``auto`` for text on a terminal and JSON everywhere else.
        level: The least that is written.
        stream: Where to, instead of standard error.
    """
    out = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(out)
    is_text = form == "text" or (form == "auto" and out.isatty())
    handler.setFormatter(logging.Formatter(TEXT) if is_text else JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)


def tell(logger: logging.Logger, level: int, event: str, **fields: Field) -> None:
    """Write a line that is made to be counted.

    Args:
        logger: Of the module that knows.
        level: As ``logging.INFO``.
        event: What happened, such as ``request``.
        fields: What belongs to it; None is left out.
    """
    known = {name: value for name, value in fields.items() if value is not None}
    text = " ".join(f"{name}={value}" for name, value in known.items())
    logger.log(level, "%s %s", event, text, extra={_FIELDS: {"event": event, **known}})


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (request := REQUEST.get()) is not None:
            line["request_id"] = request
        fields = getattr(record, _FIELDS, None)
        if isinstance(fields, Mapping):
            line.update(fields)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
