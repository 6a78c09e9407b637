"""Who is next: fair to clients and sites, and no dearer the more endpoints wait."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from outagekit.events import EndpointId
from outagekit.run.engine.turns import Turns


def waiting(*places):
    turns = Turns()
    for number, (client, site) in enumerate(places):
        turns.add(EndpointId(f"{client}/{site}{number}"), (client, site))
    return turns


def everyone(turns, is_full=lambda _place: False):
    return list(turns.next(is_full))


def test_clients_take_turns_and_within_a_client_its_sites():
    turns = waiting(("a", "x"), ("a", "x"), ("a", "y"), ("b", "z"), ("b", "z"), ("b", "z"))
    assert everyone(turns) == ["a/x0", "b/z3", "a/y2", "b/z4", "a/x1", "b/z5"]


def test_taking_one_at_a_time_gives_the_same_order_as_looking_at_all():
    places = [(client, site) for client in "abc" for site in "xy" for _ in range(4)]
    looked, taken = waiting(*places), []
    turns = waiting(*places)
    while first := next(turns.next(lambda _place: False), None):
        taken.append(first)
        turns.remove(first, (first[0], first[2]))
    assert taken == everyone(looked)
    assert len(taken) == 24


def test_a_full_site_is_passed_over_under_its_own_client_and_name():
    turns = waiting(("a", "x"), ("b", "x"), ("a", "y"), ("b", "y"))
    assert everyone(turns, lambda place: place == ("a", "y")) == ["a/x0", "b/x1", "b/y3"]


def test_a_site_that_fills_up_while_its_endpoints_are_taken_gives_no_more():
    turns = waiting(*[("a", "x")] * 5, *[("a", "y")] * 2)
    taken = Counter()

    def is_full(place):
        taken[place] += 1
        return taken[place] > 2

    assert everyone(turns, is_full) == ["a/x0", "a/y5", "a/x1", "a/y6"]


def test_a_full_site_costs_one_question_however_many_wait_there():
    turns = waiting(*[("a", "x")] * 10_000, ("a", "y"))
    asked = []

    def is_full(place):
        asked.append(place)
        return place == ("a", "x")

    assert everyone(turns, is_full) == ["a/y10000"]
    assert len(asked) == 2


def test_the_first_of_many_sites_is_found_without_looking_at_the_others():
    turns = waiting(*[("a", f"s{number}") for number in range(10_000)])
    asked = []
    assert len(list(islice(turns.next(lambda place: bool(asked.append(place))), 3))) == 3
    assert len(asked) == 3


def test_removing_one_that_does_not_wait_changes_nothing():
    turns = waiting(("a", "x"))
    turns.remove(EndpointId("a/other"), ("a", "x"))
    turns.remove(EndpointId("b/other"), ("b", "x"))
    assert everyone(turns) == ["a/x0"]
    turns.clear()
    assert everyone(turns) == []
