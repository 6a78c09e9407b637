"""JSON Schemas of the inventory and the workspace file, for editors and other programs.

They say what a file may look like; references between values are checked by the loader alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from outagekit.inventory.input import InventoryInput, WorkspaceInput

if TYPE_CHECKING:
    from pydantic import BaseModel

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def inventory_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one inventory file."""
    return _schema_of(InventoryInput, "outagekit inventory")


def workspace_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `outagekit.yaml`."""
    return _schema_of(WorkspaceInput, "outagekit workspace")


def _schema_of(model: type[BaseModel], title: str) -> dict[str, Any]:
    schema = model.model_json_schema()
    return {"$schema": _DIALECT} | schema | {"title": title}
