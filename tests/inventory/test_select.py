from __future__ import annotations

import pytest

from outagekit.errors import InvalidInput, NothingMatched, UsageError
from outagekit.inventory.adhoc import adhoc
from outagekit.inventory.model import Client, Endpoint, Inventory
from outagekit.inventory.select import Lookups, SelectorError, choose, matches, parse, select


def client(name: str, **endpoints: dict) -> Client:
    made = {
        key: Endpoint(
            client=name,
            name=key,
            address=value.get("address", "192.0.2.1"),
            os=value.get("os", "linux"),
            site=value.get("site"),
            tags=tuple(value.get("tags", ())),
        )
        for key, value in endpoints.items()
    }
    return Client(client=name, name=name, endpoints=made)


ACME = client(
    "acme",
    web={"tags": ["web", "fragile"], "site": "berlin"},
    pos={"tags": ["pos"], "os": "windows", "address": "10.1.4.11"},
    db={"tags": ["db"], "site": "leeds"},
)
GLOBEX = client("globex", web={"tags": ["web"]}, mail={})
BOTH = Inventory(clients={"acme": ACME, "globex": GLOBEX})
ONE = Inventory(clients={"acme": ACME})


class Runs:
    def __init__(self, *ids: str) -> None:
        self.ids = ids
        self.asked: list[tuple[str, str]] = []

    def endpoints_of(self, run: str, state: str) -> list[str]:
        self.asked.append((run, state))
        return list(self.ids)


def chosen(text: str, inventory: Inventory = BOTH, lookups: Lookups | None = None) -> list[str]:
    return [endpoint.id for endpoint in select(inventory, parse(text), lookups)]


def test_the_order_is_the_inventorys_whatever_the_selector_says():
    assert chosen("mail, db, acme/web") == ["acme/web", "acme/db", "globex/mail"]
    assert chosen("all") == ["acme/web", "acme/pos", "acme/db", "globex/web", "globex/mail"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("tag:fragil", "did you mean tag:fragile?"),
        ("not tag:fragil", "did you mean tag:fragile?"),
        ("tag:web and not (tag:fragil or pos)", "did you mean tag:fragile?"),
        ("site:berln", "did you mean site:berlin?"),
        ("client:acmee", "did you mean client:acme?"),
        ("mial", "did you mean mail?"),
        ("acme/wb", "did you mean acme/web?"),
        ("fragile", "did you mean tag:fragile?"),
        ("berlin", "did you mean site:berlin?"),
        ("acme", "did you mean client:acme?"),
        ("10.1.4.11", "did you mean address:10.1.4.11?"),
        ("tag:zzzzzz", "known are db, fragile, pos and web"),
        ("zzz-*", "known are"),
    ],
)
def test_a_word_nobody_bears_is_refused_with_what_was_meant(text, hint):
    with pytest.raises(NothingMatched) as caught:
        chosen(text)
    assert hint in caught.value.hint
    assert caught.value.exit_code == 7


def test_unknown_words_may_stand_in_a_selector_that_is_not_strict():
    selector = parse("not tag:canary")
    assert len(select(BOTH, selector, strict=False)) == 5


def test_nothing_matched_says_which_part_left_nothing():
    with pytest.raises(NothingMatched) as caught:
        chosen("os:macos and tag:web")
    assert caught.value.message == "os:macos and tag:web matches none of 5 endpoints"
    assert caught.value.hint == "nothing here matches os:macos"
    with pytest.raises(NothingMatched) as caught:
        chosen("tag:db and site:berlin")
    assert "no endpoint matches them all" in caught.value.hint


def test_an_empty_inventory_matches_nothing_instead_of_success():
    with pytest.raises(NothingMatched):
        chosen("all", Inventory())
    with pytest.raises(NothingMatched):
        choose(Inventory(), limit="all")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_of_names_is_read_as_shells_write_it(tmp_path, encoding):
    text = "# from the ticket\r\nmail\r\n\r\nACME/web  # first\r\n"
    (tmp_path / "hosts.txt").write_bytes(text.encode(encoding))
    found = chosen("file:hosts.txt", lookups=Lookups(folder=tmp_path))
    assert found == ["acme/web", "globex/mail"]


def test_a_name_alone_in_a_file_means_it_in_every_client(tmp_path):
    (tmp_path / "hosts.txt").write_text("web\n")
    found = chosen("file:hosts.txt", lookups=Lookups(folder=tmp_path))
    assert found == ["acme/web", "globex/web"]


def test_a_file_with_unknown_names_is_refused_with_every_line(tmp_path):
    path = tmp_path / "hosts.txt"
    path.write_text("web\n  mial\n*\n")
    with pytest.raises(InvalidInput) as caught:
        chosen(f"file:{path}")
    places = [(p.path, p.line, p.column, p.hint) for p in caught.value.problems]
    assert places == [(path, 2, 3, "did you mean mail?"), (path, 3, 1, "")]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x80abc", b"x" * 2**21])
def test_a_file_that_is_no_list_is_refused(tmp_path, content):
    path = tmp_path / "hosts.txt"
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        chosen(f"file:{path}")
    assert [problem.path for problem in caught.value.problems] == [path]


def test_a_missing_file_a_folder_and_an_unknown_home_are_refused(tmp_path):
    for name in (tmp_path / "gone.txt", tmp_path):
        with pytest.raises(InvalidInput):
            chosen(f"file:{name}")
    with pytest.raises(UsageError):
        chosen("file:~nobody-of-this-name/hosts.txt")


def test_a_run_is_looked_up_once_and_names_endpoints_exactly():
    runs = Runs("globex/web", "acme/gone")
    found = chosen("run:last:failed", lookups=Lookups(runs=runs))
    assert found == ["globex/web"]
    assert runs.asked == [("last", "failed")]


def test_a_run_in_which_none_ended_so_matches_nothing():
    with pytest.raises(NothingMatched):
        chosen("run:last:failed", lookups=Lookups(runs=Runs()))


def test_a_run_cannot_be_named_where_nobody_knows_runs():
    for use in (
        lambda: chosen("run:last:ok"),
        lambda: matches(parse("file:x"), ACME.endpoints["db"]),
    ):
        with pytest.raises(UsageError, match="cannot be used in this place"):
            use()


def ids(inventory: Inventory, **words) -> list[str]:
    return [endpoint.id for endpoint in choose(inventory, **words)]


def test_limit_narrows_targets():
    assert ids(ONE, targets="os:linux") == ["acme/web", "acme/db"]
    assert ids(ONE, targets="os:linux", limit="tag:web, tag:pos") == ["acme/web"]


def test_limit_and_targets_that_have_nothing_in_common_match_nothing():
    with pytest.raises(NothingMatched, match="tag:pos matches none of 2 endpoints"):
        choose(ONE, targets="os:linux", limit="tag:pos")


def test_without_targets_a_limit_is_needed():
    with pytest.raises(UsageError, match="nothing says which endpoints"):
        choose(ONE)
    assert ids(ONE, limit="all") == ["acme/web", "acme/pos", "acme/db"]


def test_targets_may_name_a_tag_nobody_has_but_a_limit_may_not():
    assert len(choose(ONE, targets="not tag:canary")) == 3
    with pytest.raises(NothingMatched):
        choose(ONE, targets="all", limit="not tag:canary")


def test_a_word_known_to_another_client_is_known():
    assert ids(BOTH, limit="not tag:fragile", clients=["globex"]) == ["globex/web", "globex/mail"]


def test_several_clients_must_be_named():
    with pytest.raises(UsageError) as caught:
        choose(BOTH, limit="tag:web")
    assert caught.value.message == "this concerns 2 clients: acme and globex"
    assert "--client acme --client globex" in caught.value.hint
    both = ["acme/web", "globex/web"]
    assert ids(BOTH, limit="tag:web", all_clients=True) == both
    assert ids(BOTH, limit="tag:web", clients=["globex", "acme"]) == both
    assert ids(BOTH, limit="tag:web", clients=["globex"]) == ["globex/web"]


def test_one_client_that_alone_matches_needs_no_naming():
    assert ids(BOTH, limit="tag:pos") == ["acme/pos"]


def test_an_unknown_client_is_refused_with_what_was_meant():
    with pytest.raises(NothingMatched) as caught:
        choose(BOTH, limit="all", clients=["acm"])
    assert caught.value.hint == "did you mean acme?"


def test_clients_named_and_all_clients_contradict_each_other():
    with pytest.raises(UsageError):
        choose(BOTH, limit="all", clients=["acme"], all_clients=True)


def test_endpoints_named_on_the_command_line_need_no_limit_and_no_fitting_targets():
    inventory = adhoc(["ops@192.0.2.1", "ops@192.0.2.2"], os="linux")
    both = ["adhoc/192.0.2.1", "adhoc/192.0.2.2"]
    assert ids(inventory) == both
    assert ids(inventory, targets="tag:web") == both
    assert ids(inventory, limit="192.0.2.2") == both[1:]


def test_a_bad_selector_is_a_usage_error_wherever_it_comes_from():
    for words in ({"limit": "a b"}, {"targets": "a b"}, {"targets": "client:acme"}):
        with pytest.raises(SelectorError) as caught:
            choose(ONE, **words)
        assert caught.value.exit_code == 2
