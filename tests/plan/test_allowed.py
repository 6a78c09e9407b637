from __future__ import annotations

import pytest

from outagekit.errors import Refused, UsageError
from outagekit.plan.allowed import permissions, refusals, require_allowed

REBOOT = {"needs": ("reboot",)}


def permit(*allows, name="Jo Weber", because="the vendor asks for it"):
    return permissions(allows, approved_by=name, because=because)


def told(refused):
    return [(r.client, r.allow, r.steps) for r in refused]


def test_what_the_agreement_does_not_allow_is_refused_with_all_steps_that_need_it(a):
    steps = [a.step("look"), a.step("fix", "change"), a.step("fix2", "change")]
    steps.append(a.step("again", "change", **REBOOT))
    acme = a.client("acme", "diagnose", approvers=("Jo Weber",))
    refused = refusals(steps, [acme, a.everything("beta")])
    assert told(refused) == [
        ("acme", "remediate", ("fix", "fix2")),
        ("acme", "reboot", ("again",)),
    ]
    assert refused[0].approvers == ("Jo Weber",)


def test_every_need_of_a_step_counts(a):
    step = a.step("both", "change", needs=("collect", "remediate"))
    acme = a.client("acme", "remediate")
    assert told(refusals([step], [acme])) == [("acme", "collect", ("both",))]


def test_without_an_agreement_only_looking_is_allowed(a):
    steps = [a.step("look"), a.step("take", needs=("collect",)), a.step("fix", "change")]
    assert told(refusals(steps, [a.client("acme")])) == [
        ("acme", "collect", ("take",)),
        ("acme", "remediate", ("fix",)),
    ]


def test_an_agreement_that_allows_little_is_no_missing_agreement(a):
    assert told(refusals([a.step("look")], [a.client("acme", "collect")])) == [
        ("acme", "diagnose", ("look",))
    ]


def test_a_machine_named_on_the_command_line_is_the_technicians_own_word(a):
    steps = [a.step("fix", "destructive"), a.step("again", "change", **REBOOT)]
    assert refusals(steps, [a.client("adhoc")]) == ()


def test_an_agreement_of_a_client_called_adhoc_would_still_count(a):
    assert told(refusals([a.step("fix", "change")], [a.client("adhoc", "diagnose")]))


def test_an_allowed_plan_passes(a):
    require_allowed(a.plan(a.step("fix", "change")))


def test_a_refusal_names_client_need_step_approver_and_the_flags_to_paste(a):
    acme = a.client("acme", "diagnose", approvers=("Jo Weber", "Al Roth"))
    with pytest.raises(Refused) as caught:
        require_allowed(a.plan(a.step("again", "change", **REBOOT), clients=[acme]))
    assert caught.value.exit_code == 10
    assert caught.value.message == (
        "the agreement MSA-1 of acme does not allow reboot, which again needs;"
        " Jo Weber and Al Roth may approve it"
    )
    assert caught.value.hint.endswith('--override reboot --approved-by "Jo Weber" --because "WHY"')


def test_all_refusals_are_listed_and_no_approver_is_filled_in_who_may_not_approve_all(a):
    clients = [a.client("acme", "diagnose", approvers=("Jo Weber",)), a.client("beta")]
    endpoints = [a.endpoint("acme/x"), a.endpoint("beta/y")]
    steps = [a.step("fix", "change"), a.step("again", "change", **REBOOT)]
    with pytest.raises(Refused) as caught:
        require_allowed(a.plan(*steps, clients=clients, endpoints=endpoints))
    lines = caught.value.message.splitlines()
    assert len(lines) == 5
    assert lines[3] == ("  beta has no agreement, so only diagnose is allowed: fix needs remediate")
    assert '--override remediate --override reboot --approved-by "NAME"' in caught.value.hint


def test_a_name_that_a_shell_would_change_is_not_pasted(a):
    acme = a.client("acme", "diagnose", approvers=("$(reboot)",))
    with pytest.raises(Refused) as caught:
        require_allowed(a.plan(a.step("fix", "change"), clients=[acme]))
    assert '--approved-by "NAME"' in caught.value.hint


def test_an_override_by_an_approver_removes_the_refusal_and_is_listed(a):
    acme = a.client("acme", "diagnose", approvers=("Jo Weber",))
    given = permit("remediate", name="  jo  WEBER ")
    plan = a.plan(a.step("fix", "change"), clients=[acme], overrides=given)
    (override,) = plan.overrides
    assert plan.refusals == ()
    assert override.listed
    assert (override.allow, override.clients) == ("remediate", ("acme",))
    assert override.approved_by == "jo WEBER"
    assert override.because == "the vendor asks for it"
    require_allowed(plan)


def test_an_override_is_listed_only_if_every_client_concerned_names_the_approver(a):
    clients = [
        a.client("acme", "diagnose", approvers=("Jo Weber",)),
        a.client("beta", "diagnose", approvers=("Al Roth",)),
        a.everything("gamma"),
    ]
    endpoints = [a.endpoint(f"{name}/x") for name in ("acme", "beta", "gamma")]
    step = a.step("fix", "change")
    plan = a.plan(step, clients=clients, endpoints=endpoints, overrides=permit("remediate"))
    assert plan.overrides[0].clients == ("acme", "beta")
    assert not plan.overrides[0].listed


def test_an_override_of_one_thing_leaves_the_others_refused(a):
    steps = [a.step("fix", "change"), a.step("again", "change", **REBOOT)]
    plan = a.plan(*steps, clients=[a.client("acme")], overrides=permit("remediate"))
    assert told(plan.refusals) == [("acme", "reboot", ("again",))]
    with pytest.raises(Refused):
        require_allowed(plan)


def test_an_override_is_part_of_the_digest(a):
    acme = [a.client("acme")]
    step = a.step("fix", "change")
    digests = {
        a.plan(step, clients=acme, overrides=given).digest
        for given in ((), permit("remediate"), permit("remediate", because="other"))
    }
    assert len(digests) == 3


def test_an_override_of_nothing_is_a_usage_error(a):
    with pytest.raises(UsageError, match="--override reboot overrides nothing"):
        a.plan(a.step("fix", "change"), overrides=permit("reboot"))


@pytest.mark.parametrize(
    ("allows", "name", "because", "words"),
    [
        (["reboot"], None, "x", "an override needs --approved-by"),
        (["reboot"], "Jo", None, "an override needs --because"),
        (["reboot"], " ", "x", "an override needs --approved-by"),
        ([], "Jo", "x", "belong to an --override"),
        (["rebot"], "Jo", "x", "no agreement knows 'rebot'"),
        (["reboot"], "J" * 201, "x", "longer than 200"),
    ],
)
def test_half_an_override_is_a_usage_error(allows, name, because, words):
    with pytest.raises(UsageError, match=words):
        permissions(allows, approved_by=name, because=because)


def test_a_misspelt_override_gets_a_suggestion():
    with pytest.raises(UsageError) as caught:
        permit("remedate")
    assert caught.value.hint == "did you mean remediate?"


def test_no_override_is_no_permission_and_twice_the_same_is_one():
    assert permissions([], approved_by=None, because=None) == ()
    assert len(permit("reboot", "reboot", "collect")) == 2


def test_names_and_reasons_are_made_visible_before_they_are_logged():
    (permission,) = permit("reboot", name="Jo\x1b[2J", because="a\nb\udc80")
    assert permission.approved_by == r"Jo\x1b[2J"
    assert permission.because == r"a\nb\udc80"
