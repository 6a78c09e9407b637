from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from outagekit.credentials import SecretRef
from outagekit.errors import InvalidInput, LogDamaged
from outagekit.inventory.model import Credential
from outagekit.plan.allowed import permissions
from outagekit.plan.build import Mode, build_plan
from outagekit.plan.store import INVENTORY_FILE, PLAN_FILE, digest_of, freeze, thaw
from outagekit.playbook.model import (
    Drill,
    DrillStep,
    Fetch,
    Param,
    Push,
    Rollout,
    WaitHttp,
    WaitScript,
)

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def rich(a):
    """A plan with every kind of value."""
    steps = [
        a.step("look", with_={"a": {"b": [1, None, 1.5]}, "path": "x"}, result={"bad": "bool"}),
        a.step("put", "change", action=Push("f.bin", "/f", bytes(range(256))), line=8),
        a.step("get", action=Fetch(("/a", "/b"), 10), needs=("collect",)),
        a.step("web", action=WaitHttp(80, path="/ok")),
        a.step("until", action=WaitScript(a.script("sh", "powershell")), undo=a.script("bash")),
    ]
    credential = Credential(name="k", user="ops", password=SecretRef.parse("env:PW"), key="~/k")
    acme = a.client("acme", "diagnose", credentials={"k": credential}, sites=a.sites("s"))
    endpoint = a.endpoint("acme/x", credential="k", site="s", ports={22: 2222}, tags=("t",))
    overrides = permissions(["remediate"], approved_by="Jo", because="since")
    plan = a.plan(*steps, endpoints=[endpoint], clients=[acme], overrides=overrides)
    assert plan.refusals
    return plan


def test_a_plan_survives_the_round_trip_exactly(rich):
    files = freeze(rich)
    assert set(files) == {PLAN_FILE, INVENTORY_FILE}
    assert thaw(files) == rich
    assert freeze(thaw(files)) == files


def test_parameters_and_drill_survive_too(a):
    steps = {"look": DrillStep(stdout="{{ x }}", set={"x": False}, takes_s=0.5)}
    book = a.playbook(
        params={"p": Param(type="int", default=3, required=False, choices=(1, 3))},
        drill=Drill(state={"x": "60%"}, steps=steps),
    )
    plan = a.plan(*book.steps)
    plan = replace(plan, playbook=book)
    plan = replace(plan, digest=digest_of(plan))
    assert thaw(freeze(plan)) == plan


def test_what_makes_a_plan_special_survives_too(a):
    handed = {"fix": {"acme/web-01": {"path": "/a", "n": [1, None]}}}
    mode = Mode(undo_on_failure=True, undoes="20261122T081403Z-fix-x7q2", handed=handed)
    book = a.playbook(
        a.step("fix", "change", verify=a.script(), verify_wants=False),
        rollout=Rollout(first="web-*", apart="all", pounce="fix", waiting_room_s=1.5),
    )
    plan = build_plan(
        book,
        params={},
        endpoints=[a.endpoint("acme/web-01")],
        clients={"acme": a.everything("acme")},
        mode=mode,
    )
    again = thaw(freeze(plan))
    assert again == plan
    assert (again.handed, again.undoes) == (handed, mode.undoes)
    assert (again.first, again.apart, again.pounce) == (
        ("acme/web-01",),
        ("acme/web-01",),
        ("fix",),
    )
    dry = a.plan(mode=Mode(dry_run=True))
    assert thaw(freeze(dry)).dry_run


@given(params=st.dictionaries(st.text(), PLAIN, max_size=4))
def test_any_parameters_survive(a, params):
    plan = a.plan(params=params)
    assert thaw(freeze(plan)) == plan


def test_the_files_are_for_people_too(rich):
    files = freeze(rich)
    plan = json.loads(files[PLAN_FILE])
    assert next(iter(plan)) == "v"
    assert plan["digest"] == rich.digest
    assert "endpoints" not in plan
    assert set(json.loads(files[INVENTORY_FILE])) == {"v", "clients", "endpoints"}
    assert all(data.endswith(b"}\n") and data.count(b"\n") > 10 for data in files.values())


def test_the_digest_can_be_computed_with_any_json_library(rich):
    files = freeze(rich)
    document = json.loads(files[PLAN_FILE]) | json.loads(files[INVENTORY_FILE])
    del document["v"], document["digest"]
    for key in ("path", "origin", "digest"):
        del document["playbook"][key]
    for step in document["playbook"]["steps"]:
        del step["line"]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == rich.digest


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (PLAN_FILE, b"echo sh", b"echo no"),
        (PLAN_FILE, b'"because": "since"', b'"because": "never"'),
        (PLAN_FILE, b'"risk": "change"', b'"risk": "read"'),
        (INVENTORY_FILE, b"x.acme.example", b"y.acme.example"),
        (INVENTORY_FILE, b"2222", b"2223"),
        (INVENTORY_FILE, b'"v": 1', b'"v": 1, "more": 1'),
    ],
)
def test_a_changed_file_is_damage(rich, name, old, new):
    files = freeze(rich)
    assert old in files[name]
    with pytest.raises(LogDamaged, match="digest differs"):
        thaw(files | {name: files[name].replace(old, new, 1)})


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}", b"\xff", b'{"v": 0}', b'{"v": "1"}', b"[" * 200_000],
)
def test_what_is_no_plan_is_damage(rich, data):
    with pytest.raises(LogDamaged):
        thaw(freeze(rich) | {PLAN_FILE: data})


def test_a_missing_file_is_damage(rich):
    with pytest.raises(LogDamaged, match=r"inventory\.json is missing"):
        thaw({PLAN_FILE: freeze(rich)[PLAN_FILE]})


def test_a_newer_version_is_no_damage(rich):
    files = freeze(rich)
    newer = files[PLAN_FILE].replace(b'"v": 1', b'"v": 2', 1)
    with pytest.raises(InvalidInput, match="newer version"):
        thaw(files | {PLAN_FILE: newer})


def test_an_older_file_that_lacks_a_later_field_keeps_its_digest(a):
    # As if `refusals` were a field that did not exist when the plan was frozen.
    plan = a.plan()
    document = json.loads(freeze(plan)[PLAN_FILE]) | json.loads(freeze(plan)[INVENTORY_FILE])
    for key in ("v", "digest"):
        del document[key]
    del document["refusals"]
    stored = {k: v for k, v in document.items() if k not in {"clients", "endpoints"}}
    meant = json.loads(json.dumps(document))
    for key in ("path", "origin", "digest"):
        del meant["playbook"][key]
    for step in meant["playbook"]["steps"]:
        del step["line"]
    text = json.dumps(meant, sort_keys=True, separators=(",", ":"))
    stored |= {"v": 1, "digest": hashlib.sha256(text.encode()).hexdigest()}
    inventory = freeze(plan)[INVENTORY_FILE]
    thawed = thaw({PLAN_FILE: json.dumps(stored).encode(), INVENTORY_FILE: inventory})
    assert thawed.refusals == ()


def test_a_plan_that_is_sealed_but_no_plan_is_damage():
    document = {"playbook": 1}
    text = json.dumps(document, separators=(",", ":"))
    sealed = document | {"v": 1, "digest": hashlib.sha256(text.encode()).hexdigest()}
    with pytest.raises(LogDamaged, match="is not a plan"):
        thaw({PLAN_FILE: json.dumps(sealed).encode(), INVENTORY_FILE: b'{"v": 1}'})
