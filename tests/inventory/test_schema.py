from __future__ import annotations

from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from outagekit.inventory.load import load
from outagekit.inventory.schema import inventory_schema, workspace_schema
from outagekit.inventory.selector import KEYS
from outagekit.source import read_document

ROOT = Path(__file__).parents[2]
BAD = Path(__file__).parent / "bad"
TEMPLATES = resources.files("outagekit.inventory") / "templates"
REFERENCE = (ROOT / "docs" / "inventory-reference.md").read_text(encoding="utf-8")
SHAPE_FAULTS = [
    "unknown_key",
    "missing_client",
    "missing_version",
    "wrong_version",
    "client_with_capitals",
    "unknown_allow",
    "agreement_without_id",
    "literal_password",
    "misspelt_secret_kind",
    "address_missing",
    "os_unknown",
    "port_out_of_range",
    "port_forward_wrong",
    "endpoint_with_bad_name",
    "bad_tag",
    "endpoints_as_list",
    "endpoint_as_text",
    "not_a_mapping",
]


def value_of(path: Path, text: str | None = None):
    return read_document(path, None if text is None else text.encode()).root.value


def reference_example() -> str:
    return REFERENCE.split("```yaml\n")[1].split("```")[0]


def keys_of(schema) -> set[str]:
    found: set[str] = set()
    for each in (schema, *schema.get("$defs", {}).values()):
        found |= set(each.get("properties", {}))
    return found


def test_both_schemas_are_valid_schemas():
    for schema in (inventory_schema(), workspace_schema()):
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_example_of_the_reference_fits_the_schema_and_loads(tmp_path):
    path = tmp_path / "acme.yaml"
    path.write_text(reference_example(), encoding="utf-8")
    jsonschema.validate(value_of(path), inventory_schema())
    assert len(load([path]).endpoints()) == 2


@pytest.mark.parametrize("name", ["acme.yaml", "self.yaml"])
def test_the_written_inventories_fit_the_schema(name):
    text = (TEMPLATES / "inventory" / name).read_text(encoding="utf-8")
    jsonschema.validate(value_of(Path(name), text), inventory_schema())


def test_the_written_workspace_fits_its_schema():
    text = (TEMPLATES / "outagekit.yaml").read_text(encoding="utf-8")
    jsonschema.validate(value_of(Path("outagekit.yaml"), text), workspace_schema())


@pytest.mark.parametrize("name", SHAPE_FAULTS)
def test_the_schema_finds_faults_of_shape_as_the_loader_does(name):
    value = value_of(BAD / f"{name}.yaml")
    assert not jsonschema.Draft202012Validator(inventory_schema()).is_valid(value)


@pytest.mark.parametrize("key", sorted(keys_of(inventory_schema()) | keys_of(workspace_schema())))
def test_every_key_stands_in_the_reference(key):
    assert f"`{key}`" in REFERENCE


def test_every_key_word_of_the_selectors_stands_in_the_reference():
    assert all(f"`{key}:" in REFERENCE for key in KEYS)


def test_the_comments_of_the_written_inventory_name_only_known_keys():
    text = (TEMPLATES / "inventory" / "acme.yaml").read_text(encoding="utf-8")
    uncommented = "\n".join(
        line.replace("# ", "", 1) if line.startswith("    # ") else line
        for line in text.splitlines()
    )
    value = value_of(Path("acme.yaml"), uncommented)
    assert value["endpoints"]["web-02"]["port"] == 2222
    jsonschema.validate(value, inventory_schema())
