"""Builders of playbooks, clients and plans, as one fixture `a`: `a.step("fix")`, `a.plan()`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from outagekit.credentials import SecretRef
from outagekit.inventory.model import Agreement, Client, Credential, Endpoint, Site
from outagekit.plan.build import build_plan
from outagekit.plan.model import Plan
from outagekit.playbook.model import Code, Playbook, RunScript, Script, Step

NEEDS = {"read": ("diagnose",), "change": ("remediate",), "destructive": ("remediate",)}


def script(*languages: str) -> Script:
    return Script(tuple(Code(language, f"echo {language}") for language in languages or ("sh",)))


def step(name: str, risk: str = "read", **fields: Any) -> Step:
    fields.setdefault("action", RunScript(script()))
    fields.setdefault("needs", NEEDS[risk])
    fields.setdefault("phase", "fix")
    return Step(id=name, title=name.title(), risk=risk, **fields)


def playbook(*steps: Step, **fields: Any) -> Playbook:
    chosen = steps or (step("look"),)
    fields.setdefault("path", "playbooks/spooler.yaml")
    return Playbook(name="spooler", title="Restart the spooler", steps=chosen, **fields)


def endpoint(identity: str, **fields: Any) -> Endpoint:
    client, _, name = identity.partition("/")
    fields.setdefault("os", "linux")
    return Endpoint(client=client, name=name, address=f"{name}.{client}.example", **fields)


def client(name: str, *allows: str, approvers: tuple[str, ...] = (), **fields: Any) -> Client:
    agreement = Agreement(id="MSA-1", allows=allows, approvers=approvers) if allows else None
    fields.setdefault("timezone", "Europe/Berlin")
    return Client(client=name, name=name.title(), agreement=agreement, **fields)


def everything(name: str, **fields: Any) -> Client:
    return client(name, "diagnose", "collect", "remediate", "reboot", **fields)


def windows(name: str = "acme", **fields: Any) -> Client:
    """Return a client whose credential `admin` can log in to Windows."""
    admin = Credential(name="admin", user=r"ACME\ops", password=SecretRef("prompt"))
    return everything(name, credentials={"admin": admin, **fields.pop("more", {})}, **fields)


def credentials(*names: str) -> dict[str, Credential]:
    return {name: Credential(name=name, user="ops") for name in names}


def sites(*names: str, **fields: Any) -> dict[str, Site]:
    return {name: Site(name=name, **fields) for name in names}


def plan(*steps: Step, endpoints: Any = (), clients: Any = (), **fields: Any) -> Plan:
    known = clients or [everything("acme")]
    return build_plan(
        playbook(*steps),
        params=fields.pop("params", {}),
        endpoints=endpoints or [endpoint("acme/web-01")],
        clients={one.client: one for one in known},
        **fields,
    )


@pytest.fixture(scope="session")
def a() -> SimpleNamespace:
    names = (
        script,
        step,
        playbook,
        endpoint,
        client,
        everything,
        windows,
        credentials,
        sites,
        plan,
    )
    return SimpleNamespace(**{build.__name__: build for build in names})
