"""How long an order may take in all before its lane is given up."""

from __future__ import annotations

import pytest

from outagekit.inventory.model import Endpoint
from outagekit.playbook.model import Code, RunScript, Script
from outagekit.run.executing.jobs import time_for
from outagekit.run.orders import Order
from outagekit.transports.protocol import Deadlines, Target

LIMITS = Deadlines(accept_s=10.0, become_s=20.0)


@pytest.mark.parametrize(("account", "seconds"), [("login", 3 * 70.0), ("root", 3 * 130.0)])
def test_each_part_of_an_order_has_time_to_become_root(account, seconds):
    endpoint = Endpoint(client="acme", name="web-01", address="127.0.0.1", os="linux")
    order = Order(
        attempt="acme/web-01:mend:1",
        target=Target(endpoint=endpoint),
        step="mend",
        action=RunScript(Script((Code("sh", "true"),))),
        check=Code("sh", "true"),
        verify=Code("sh", "true"),
        account=account,
        timeout_s=60.0,
    )
    assert time_for(order, LIMITS) == seconds
