"""Write the OpenAPI document to a file: ``python -m service.api.snapshot docs/openapi.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fastapi import FastAPI

from service.api.openapi import openapi_document
from service.api.routers import ROUTERS


def snapshot() -> str:
    """Return the text of the document."""
    app = FastAPI()
    for router in ROUTERS:
        app.include_router(router)
    return json.dumps(openapi_document(app), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(snapshot())
