"""The JSON Schema of ``deploy.json``; ``deploy.schema.json`` beside this file holds its text."""

from __future__ import annotations

from pydantic import TypeAdapter

from search.canonical import Json
from search.deployment.document import SCHEMA, DeployDocument


def deploy_schema() -> dict[str, Json]:
    """Return the published JSON Schema: every key is there, and no other."""
    schema = TypeAdapter(DeployDocument).json_schema()
    for one in (schema, *schema["$defs"].values()):
        one["additionalProperties"] = False
    schema["properties"]["schema"] = {"const": SCHEMA}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA, **schema}
