"""What an order takes from the plan besides its scripts: as whom, and on which way."""

from __future__ import annotations

import msgspec
import pytest

from outagekit.inventory.model import Credential, Site
from outagekit.run.engine.commands import Start
from outagekit.run.engine.ordering import make_order
from outagekit.run.replay import recorded
from outagekit.run.traces import traces_of
from outagekit.run.undoing import undo_plan
from outagekit.testing.builders import endpoints, plan_of, step
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran


def able(number=1):
    return [msgspec.structs.replace(each, become="sudo") for each in endpoints(number)]


def order_of(plan):
    endpoint, first = plan.endpoints[0], plan.steps[0]
    return make_order(plan, endpoint, Start(endpoint.id, first, f"{endpoint.id}:x:1", 1))


@pytest.mark.parametrize(
    ("on", "own", "account"),
    [
        (able(), None, "root"),
        (able(), "login", "login"),
        (able(), "root", "root"),
        (endpoints(1), None, "login"),
        (endpoints(1), "root", "root"),
    ],
)
def test_an_order_runs_under_the_account_of_its_step_else_of_its_endpoint(on, own, account):
    plan = plan_of([step("mend")], on=on)
    owned = msgspec.structs.replace(plan.steps[0], account=own)
    book = msgspec.structs.replace(plan.playbook, steps=(owned,))
    assert order_of(msgspec.structs.replace(plan, playbook=book)).account == account


def test_an_order_knows_its_jump_host_and_how_to_enter_it():
    site = Site(name="shop", jump="ops@192.0.2.1", jump_credential="door")
    door = Credential(name="door", user="ops")
    plan = plan_of([step("mend")], on=endpoints(1, site="shop"), sites=[Site(name="shop")])
    (client,) = plan.clients
    known = msgspec.structs.replace(
        client, sites={"shop": site}, credentials={**client.credentials, "door": door}
    )
    target = order_of(msgspec.structs.replace(plan, clients=(known,))).target
    assert (target.site, target.jump_credential) == (site, door)


@pytest.mark.parametrize("own", ["login", "root", None])
def test_every_order_of_a_run_and_of_its_undo_has_the_account_of_its_step(tmp_path, own):
    heard = []

    def answer(order):
        heard.append((order.purpose, order.account))
        return succeed(order)

    made = step("mend", check="is so", verify="is so", undo="undo it", account=own)
    plan = plan_of([made], on=able(2))
    ran = Ran(plan, tmp_path / "run", answer)
    undo = undo_plan(traces_of(recorded(ran.folder)))
    Ran(undo, tmp_path / "undo", answer)
    accounts = {account for _, account in heard}
    assert accounts == {"login" if own == "login" else "root"}
    assert len(heard) >= 4
