"""Cutting waves, held against a model of its own that is as simple and slow as it can be."""

from __future__ import annotations

import hashlib
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outagekit.inventory.model import Endpoint
from outagekit.plan.waves import (
    cut_waves,
    digest_of_waves,
    rounded_down,
    rounded_up,
    wave_sizes,
)

SIZES = (0, 1, 2, 19, 20, 21, 1_000)
NUMBERS = st.sampled_from(SIZES) | st.integers(0, 130)
PERCENTS = st.integers(0, 1_000).map(lambda tenths: f"{tenths / 10:g}%")
SHARES = st.integers(0, 1_100).map(str) | PERCENTS
CUTS = st.lists(SHARES, max_size=6)


def endpoint(client, name, site=None):
    return Endpoint(client=client, name=name, address="192.0.2.1", os="linux", site=site)


def fleet(number, *, client="acme", site=None):
    return [endpoint(client, f"pos-{i}", site) for i in range(number)]


@st.composite
def fleets(draw):
    """Endpoints of a few clients and sites, and which of them go first or apart."""
    number = draw(st.integers(0, 60))
    few = st.sampled_from(("acme", "beta", "zeta"))
    sites = st.sampled_from((None, "berlin", "leeds"))
    made = [endpoint(draw(few), f"n{i}", draw(sites)) for i in range(number)]
    some = st.sets(st.sampled_from([e.id for e in made])) if made else st.just(set())
    return made, draw(some), draw(some)


# --- the model ---------------------------------------------------------------------------------


def counted(text, whole, rounding):
    """A share by decimal arithmetic, one endpoint at a time."""
    if not text.endswith("%"):
        return int(text)
    exact = Decimal(text.rstrip("%")) * whole / 100
    return int(exact.to_integral_value(rounding=rounding))


def modelled_sizes(number, sizes):
    """Put endpoints one by one into the first wave whose cumulative size still has room."""
    upto = [counted(text, number, ROUND_CEILING) for text in sizes] + [number]
    wave_of = [
        next(wave for wave, size in enumerate(upto) if size > place) for place in range(number)
    ]
    return tuple(wave_of.count(wave) for wave in sorted(set(wave_of)))


def modelled_order(endpoints, first):
    order = [e for e in endpoints if e.id in first]
    for e in endpoints:
        if e not in order and all((e.client, e.site) != (o.client, o.site) for o in order):
            order.append(e)
    return order + [e for e in endpoints if e not in order]


def modelled_waves(endpoints, sizes, first, apart):
    waiting = modelled_order(endpoints, first)
    waves = []
    wanted = list(modelled_sizes(len(waiting), sizes))
    while waiting:
        size = wanted.pop(0) if wanted else len(waiting)
        wave = []
        for e in list(waiting):
            twins = [o for o in wave if o.client == e.client and {o.id, e.id} <= apart]
            if len(wave) < size and not twins:
                wave.append(e)
                waiting.remove(e)
        waves.append(tuple(e.id for e in wave))
    return tuple(waves)


# --- against the model -------------------------------------------------------------------------


@given(number=NUMBERS, sizes=CUTS)
@example(number=1_000, sizes=["1", "5%", "25%", "100%"])
@example(number=21, sizes=["5%", "1", "0%", "100%"])
def test_sizes_are_those_of_the_model(number, sizes):
    assert wave_sizes(number, sizes) == modelled_sizes(number, sizes)


@given(fleet=fleets(), sizes=CUTS)
def test_waves_are_those_of_the_model(fleet, sizes):
    endpoints, first, apart = fleet
    waves = cut_waves(endpoints, sizes, first=first, apart=apart)
    assert waves == modelled_waves(endpoints, sizes, first, apart)


@given(fleet=fleets(), sizes=CUTS)
def test_nobody_is_lost_nobody_goes_twice_and_no_wave_is_empty_or_too_large(fleet, sizes):
    endpoints, first, apart = fleet
    waves = cut_waves(endpoints, sizes, first=first, apart=apart)
    assert sorted(name for wave in waves for name in wave) == sorted(e.id for e in endpoints)
    assert all(waves)
    wanted = wave_sizes(len(endpoints), sizes)
    for wave, size in zip(waves, wanted, strict=False):
        assert len(wave) <= size
    # What is added at the end are only those who had to wait for one another.
    assert all(name in apart for wave in waves[len(wanted) :] for name in wave)
    if not apart:
        assert tuple(map(len, waves)) == wanted


@given(fleet=fleets(), sizes=CUTS)
def test_no_wave_holds_two_of_a_client_that_are_kept_apart(fleet, sizes):
    endpoints, first, apart = fleet
    for wave in cut_waves(endpoints, sizes, first=first, apart=apart):
        clients = [name.partition("/")[0] for name in wave if name in apart]
        assert len(clients) == len(set(clients))


@given(fleet=fleets(), sizes=CUTS)
def test_a_wave_is_short_only_if_all_who_wait_are_kept_apart_from_somebody_in_it(fleet, sizes):
    endpoints, first, apart = fleet
    waves = cut_waves(endpoints, sizes, first=first, apart=apart)
    for number, (wave, size) in enumerate(
        zip(waves, wave_sizes(len(endpoints), sizes), strict=False)
    ):
        later = {name for each in waves[number + 1 :] for name in each}
        if len(wave) < size and later:
            blocking = {name.partition("/")[0] for name in wave if name in apart}
            assert all(n in apart and n.partition("/")[0] in blocking for n in later)


@given(fleet=fleets(), sizes=CUTS)
def test_those_who_go_first_are_done_before_anybody_else_begins(fleet, sizes):
    endpoints, first, _ = fleet
    in_turn = [name for wave in cut_waves(endpoints, sizes, first=first) for name in wave]
    assert set(in_turn[: len(first)]) == first
    rest = in_turn[len(first) :]
    site_of = {e.id: (e.client, e.site) for e in endpoints}
    fresh = [site_of[name] for name in rest]
    new = set(fresh) - {site_of[name] for name in first}
    assert set(fresh[: len(new)]) == new


# --- plain cases -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "sizes", "expected"),
    [
        (0, ("1", "25%", "100%"), ()),
        (1, ("1", "25%", "100%"), (1,)),
        (2, ("1", "25%", "100%"), (1, 1)),
        (19, ("1", "25%", "100%"), (1, 4, 14)),
        (20, ("1", "25%", "100%"), (1, 4, 15)),
        (21, ("1", "25%", "100%"), (1, 5, 15)),
        (1_000, ("1", "25%", "100%"), (1, 249, 750)),
        (1_000, ("1", "5%", "25%", "100%"), (1, 49, 200, 750)),
        (40, ("10", "5%", "50%"), (10, 10, 20)),
        (5, ("10", "20"), (5,)),
        (7, (), (7,)),
        (3, ("0.1%",), (1, 2)),
        (1_000, ("0.1%", "0.2%"), (1, 1, 998)),
    ],
)
def test_sizes_people_write_come_to_what_they_expect(number, sizes, expected):
    assert wave_sizes(number, sizes) == expected


def test_a_percentage_is_exact_where_a_float_is_not():
    # 0.07 * 100 is 7.000000000000001 and 0.29 * 100 is 28.999999999999996.
    assert rounded_up("7%", 100) == 7
    assert rounded_down("29%", 100) == 29
    assert rounded_up("0.3%", 1_000) == 3


@given(share=SHARES, whole=st.integers(0, 2_000))
def test_rounding_is_that_of_the_model(share, whole):
    assert rounded_up(share, whole) == counted(share, whole, ROUND_CEILING)
    assert rounded_down(share, whole) == counted(share, whole, ROUND_FLOOR)


@pytest.mark.parametrize("number", [1, 2, 19, 20, 21])
def test_all_of_one_client_kept_apart_go_one_by_one(number):
    all_of = fleet(number)
    waves = cut_waves(all_of, ("1", "25%", "100%"), apart={e.id for e in all_of})
    assert waves == tuple((e.id,) for e in all_of)


def test_those_kept_apart_of_different_clients_may_go_together():
    both = [*fleet(3), *fleet(2, client="beta")]
    waves = cut_waves(both, ("100%",), apart={e.id for e in both})
    assert [len(wave) for wave in waves] == [2, 2, 1]


def test_others_move_up_where_one_has_to_wait():
    dc1, dc2, web1, web2 = (endpoint("acme", name) for name in ("dc-1", "dc-2", "web-1", "web-2"))
    waves = cut_waves([dc1, dc2, web1, web2], ("2", "100%"), apart={dc1.id, dc2.id})
    assert waves == ((dc1.id, web1.id), (dc2.id, web2.id))


def test_one_of_each_site_goes_before_a_second_of_any():
    berlin, leeds = fleet(3, site="berlin"), [endpoint("acme", "web-9", "leeds")]
    first, *_ = cut_waves([*berlin, *leeds], ("2", "100%"))
    assert first == ("acme/pos-0", "acme/web-9")


def test_a_site_whose_endpoint_goes_first_needs_no_second_one_early():
    one, two = fleet(2, site="berlin")
    other = endpoint("acme", "web-9", "leeds")
    waves = cut_waves([one, two, other], ("1", "2", "100%"), first={two.id})
    assert waves == ((two.id,), (other.id,), (one.id,))


def test_everything_in_one_site_keeps_its_order():
    all_of = fleet(5, site="berlin")
    (wave,) = cut_waves(all_of, ("100%",))
    assert wave == tuple(e.id for e in all_of)


def test_sites_of_the_same_name_at_two_clients_are_two_sites():
    both = [*fleet(2, site="hq"), *fleet(2, client="beta", site="hq")]
    first, _ = cut_waves(both, ("2", "100%"))
    assert first == ("acme/pos-0", "beta/pos-0")


def test_somebody_chosen_to_go_first_who_is_not_there_changes_nothing():
    all_of = fleet(4)
    assert cut_waves(all_of, ("1",), first={"acme/gone"}) == cut_waves(all_of, ("1",))


# --- the digest of a cut -----------------------------------------------------------------------


@given(fleet=fleets(), sizes=CUTS, data=st.data())
def test_the_digest_does_not_depend_on_the_order_inside_a_wave(fleet, sizes, data):
    endpoints, first, apart = fleet
    waves = cut_waves(endpoints, sizes, first=first, apart=apart)
    shuffled = tuple(tuple(data.draw(st.permutations(wave))) for wave in waves)
    assert digest_of_waves(shuffled) == digest_of_waves(waves)


def test_the_digest_is_what_the_event_says_it_is():
    text = "acme/a\nacme/b\n\nacme/c"
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert digest_of_waves((("acme/b", "acme/a"), ("acme/c",))) == expected


def test_the_digest_tells_who_is_in_which_wave():
    cuts = [(("a", "b"), ("c",)), (("a",), ("b", "c")), (("c",), ("a", "b")), (("a", "b", "c"),)]
    assert len({digest_of_waves(cut) for cut in cuts}) == len(cuts)
