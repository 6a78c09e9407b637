"""JSON Schema of the playbook format, for editors that complete and check while one types.

It tells what one value alone can tell; names, files and expressions are judged by the loader.
"""

from __future__ import annotations

from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def playbook_schema() -> dict[str, Any]:
    """Return the schema, valid under JSON Schema draft 2020-12."""
    # Pydantic is loaded only when a schema is asked for.
    from outagekit.playbook.actions import ACTIONS, LANGUAGES  # noqa: PLC0415
    from outagekit.playbook.input import PlaybookInput  # noqa: PLC0415

    schema: dict[str, Any] = _without_nulls(PlaybookInput.model_json_schema(by_alias=True))
    parts = schema["$defs"]
    parts["StepInput"]["oneOf"] = _exactly_one(ACTIONS)
    parts["CodeInput"]["oneOf"] = _exactly_one((*LANGUAGES, "script"))
    parts["WaitInput"]["oneOf"] = _exactly_one(("tcp", "http", *LANGUAGES))
    return {"$schema": DIALECT, **schema, "title": "outagekit playbook"}


def _exactly_one(keys: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"required": [key]} for key in keys]


def _without_nulls(schema: Any) -> Any:
    """Return the schema with `null` out of it: a key is given a value or left out."""
    if isinstance(schema, list):
        return [_without_nulls(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _without_nulls(value)
        for key, value in schema.items()
        if not (key == "default" and value is None)
    }
    alternatives = kept.get("anyOf")
    if isinstance(alternatives, list):
        kept["anyOf"] = [each for each in alternatives if each != {"type": "null"}]
        if len(kept["anyOf"]) == 1:
            kept = {**kept.pop("anyOf")[0], **kept}
    return kept
