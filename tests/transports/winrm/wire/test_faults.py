"""The table of what endpoints answer instead of doing what they were asked."""

from __future__ import annotations

import pytest

from outagekit.events import EndState, FailureKind
from outagekit.transports.protocol import Failure
from outagekit.transports.winrm.answers import reported_of, tree_of
from outagekit.transports.winrm.faults import (
    Fault,
    Reported,
    by_status,
    refused,
    reported,
    with_hint,
)

SOAP = 'xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
WINDOWS = 'xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"'
WMI = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError"


def read(detail: str, *, subcode: str = "w:InternalError", reason: str = "It did not work."):
    text = (
        f"<s:Envelope {SOAP}><s:Header/><s:Body><s:Fault><s:Code><s:Value>s:Receiver</s:Value>"
        f"<s:Subcode><s:Value>{subcode}</s:Value></s:Subcode></s:Code><s:Reason>"
        f"<s:Text>{reason}</s:Text></s:Reason><s:Detail>{detail}</s:Detail></s:Fault>"
        "</s:Body></s:Envelope>"
    )
    return reported_of(tree_of(text.encode()))


def windows(code: object, inner: str = "words") -> str:
    return f'<f:WSManFault {WINDOWS} Code="{code}"><f:Message>{inner}</f:Message></f:WSManFault>'


@pytest.mark.parametrize(
    ("code", "fault", "kind"),
    [
        (2150858793, Fault.NO_OUTPUT, FailureKind.TIMEOUT),
        (2150858843, Fault.SHELL_GONE, FailureKind.LOST),
        (2147943418, Fault.BEING_TORN_DOWN, FailureKind.LOST),
        (-2147023878, Fault.BEING_TORN_DOWN, FailureKind.LOST),
        (995, Fault.ABORTED, FailureKind.LOST),
        (170, Fault.BUSY, FailureKind.TIMEOUT),
        (5, Fault.DENIED, FailureKind.AUTH),
        (1326, Fault.UNAUTHORIZED, FailureKind.AUTH),
        (2150859173, Fault.QUOTA, FailureKind.QUOTA),
        (87, Fault.OTHER, FailureKind.PROTOCOL),
        (424242, Fault.OTHER, FailureKind.PROTOCOL),
        ("nonsense", Fault.OTHER, FailureKind.PROTOCOL),
        ("9" * 5000, Fault.OTHER, FailureKind.PROTOCOL),
    ],
)
def test_a_fault_of_windows(code, fault, kind):
    error = reported(read(windows(code)))
    assert (error.fault, error.failure.kind) == (fault, kind)


@pytest.mark.parametrize("code", [0x803381A5, 0x803381A6])
def test_a_quota_comes_as_an_error_of_wmi(code):
    said = f'<q:MSFT_WmiError xmlns:q="{WMI}"><q:error_Code>{code}</q:error_Code></q:MSFT_WmiError>'
    report = read(said, subcode="w:QuotaLimit")
    assert report.codes == (code,)
    assert reported(report).fault is Fault.QUOTA


@pytest.mark.parametrize(
    ("subcode", "fault"),
    [
        ("w:AccessDenied", Fault.DENIED),
        ("wsman:InvalidSelectors", Fault.SHELL_GONE),
        ("w:TimedOut", Fault.NO_OUTPUT),
        ("w:QuotaLimit", Fault.QUOTA),
        ("w:EncodingLimit", Fault.TOO_LARGE),
        ("w:Unheard", Fault.OTHER),
    ],
)
def test_a_plain_soap_fault_has_its_word_only(subcode, fault):
    report = read("", subcode=subcode)
    assert report == Reported((), subcode.partition(":")[2], "It did not work.")
    assert reported(report).fault is fault


def test_of_nested_faults_the_first_known_counts():
    inner = f'<f:ProviderFault provider="shell" path="x">{windows(5)}</f:ProviderFault>'
    report = read(windows(2150858999, inner))
    assert report.codes == (2150858999, 5)
    assert reported(report).fault is Fault.DENIED


def test_an_account_that_may_not_is_told_of_the_filtered_token():
    assert "LocalAccountTokenFilterPolicy" in reported(Reported((5,))).failure.detail


def test_words_of_the_endpoint_are_one_visible_short_line():
    words = "no\n\nway \x9b31m \u202e" + "x" * 5000
    detail = reported(Reported((77,), "", words)).failure.detail
    assert "\n" not in detail
    assert "\x9b" not in detail
    assert "\u202e" not in detail
    assert len(detail) < 400


def test_trusted_hosts_are_said_to_be_no_matter_here():
    words = "add the machine to the TrustedHosts configuration setting"
    assert "does not concern this tool" in reported(Reported((77,), "", words)).failure.detail


@pytest.mark.parametrize(
    ("status", "fault", "part"),
    [
        (400, Fault.STALE, "login"),
        (403, Fault.DENIED, "forbids"),
        (404, Fault.NOT_READY, "/wsman"),
        (413, Fault.TOO_LARGE, "MaxEnvelopeSizekb"),
        (500, Fault.NOT_READY, "starting"),
        (503, Fault.NOT_READY, "not ready"),
        (302, Fault.MALFORMED, "elsewhere"),
        (204, Fault.MALFORMED, "204"),
        (418, Fault.MALFORMED, "418"),
    ],
)
def test_an_http_status(status, fault, part):
    error = by_status(status, sealed=True, first=True)
    assert error.fault is fault
    assert part in error.failure.detail


def test_a_bad_request_without_a_seal_is_no_stale_one():
    assert by_status(400, sealed=False, first=False).fault is Fault.MALFORMED


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        (FailureKind.REFUSED, "listener"),
        (FailureKind.CONNECT_TIMEOUT, "public"),
        (FailureKind.RESOLVE, ""),
    ],
)
def test_no_connection_is_told_with_what_is_often_behind_it(kind, part):
    failure = Failure(kind, "no way to 10.1.4.11")
    assert with_hint(failure, "10.1.4.99") == failure
    hinted = with_hint(failure, "10.1.4.11")
    assert hinted.kind is kind
    assert hinted.detail.startswith("no way")
    assert part in hinted.detail


def test_not_ready_after_a_command_may_be_unknown_and_before_it_is_unreachable():
    before = by_status(503, sealed=False, first=True).failure
    assert before.state is EndState.UNREACHABLE
    assert by_status(503, sealed=False, first=False).failure.kind is FailureKind.LOST


@pytest.mark.parametrize(
    ("auth", "offered", "part"),
    [
        ("ntlm", 'Basic realm="WSMAN"', "not accept ntlm logins, but basic"),
        ("basic", "Negotiate, Kerberos", "Basic is off by default"),
        ("certificate", "Negotiate", "map this one"),
        ("kerberos", "Basic", "not accept kerberos"),
        ("ntlm", "Negotiate AAAA, Basic", "user or password is wrong"),
        ("ntlm", "", "user or password is wrong"),
        ("basic", 'Basic realm="x"', "user or password is wrong"),
        (
            "certificate",
            "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual",
            "user or password is wrong",
        ),
    ],
)
def test_a_refused_login_says_what_would_be_accepted(auth, offered, part):
    error = refused(auth, offered, local=False)
    assert error.fault is Fault.UNAUTHORIZED
    assert part in error.failure.detail
    assert "LocalAccountTokenFilterPolicy" not in error.failure.detail


def test_a_refused_local_account_is_told_of_the_filtered_token():
    detail = refused("ntlm", "Negotiate", local=True).failure.detail
    assert "LocalAccountTokenFilterPolicy" in detail
