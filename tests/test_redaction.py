from __future__ import annotations

import base64
import html
import json
import logging
import shlex
import shutil
import subprocess
from itertools import pairwise
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape, quoteattr

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import example, given
from hypothesis import strategies as st

from outagekit.redaction import RedactingFilter, Redactor, Secret

VALUE = "p'q\"<&>/ +\\$é€9"


def utf16_command(secret: str) -> str:
    return base64.b64encode(f"echo {secret}; exit".encode("utf-16-le")).decode()


def inside_base64(before: int):
    def encode(secret: str) -> str:
        return base64.b64encode(b"u" * before + secret.encode() + b"tail").decode()

    return encode


ENCODINGS = {
    "raw": str,
    "base64 alone": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 at 0": inside_base64(3),
    "base64 at 1": inside_base64(4),
    "base64 at 2": inside_base64(5),
    "base64 url": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "powershell": utf16_command,
    "url": lambda s: quote(s, safe=""),
    "url lower": lambda s: quote_plus(s).lower() if s.islower() else quote(s),
    "url form": quote_plus,
    "json ascii": json.dumps,
    "json": lambda s: json.dumps(s, ensure_ascii=False),
    "xml": escape,
    "xml attribute": quoteattr,
    "html": html.escape,
    "powershell quoted": lambda s: "'" + s.replace("'", "''") + "'",
    "shell": shlex.quote,
    "shell trace": lambda s: "'" + s.replace("'", "'\\''") + "'",
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
    "repr": repr,
    "repr of bytes": lambda s: repr(s.encode()),
}
SECRETS = st.one_of(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=24),
    st.text(min_size=6, max_size=12),
)


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


def streamed(redactor: Redactor, parts: list[str]) -> str:
    stream = redactor.stream()
    return "".join((*map(stream.feed, parts), stream.finish()))


def core(encoding: str, secret: str) -> str:
    """What must be gone: base64 inside of something shares its edges with the neighbours."""
    data = secret.encode()
    if encoding == "powershell":
        # "echo " are ten bytes, so the secret begins one byte into a group of three.
        return base64.b64encode(b"\0" + secret.encode("utf-16-le")).decode()[
            2 : (1 + 2 * len(secret)) * 8 // 6
        ]
    if encoding.startswith("base64 at"):
        before = int(encoding[-1])
        skipped = (0, 2, 3)[before]
        whole = base64.b64encode(bytes(before) + data).decode()
        return whole[skipped : (before + len(data)) * 8 // 6]
    return ENCODINGS[encoding](secret)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_spelling_is_hidden_at_every_cut(encoding):
    redactor = Redactor([Secret("admin", VALUE)])
    spelt = ENCODINGS[encoding](VALUE)
    text = f"before {spelt} after"
    expected = redactor.clean(text)
    assert "[secret admin]" in expected
    assert core(encoding, VALUE) not in expected
    for cut in range(len(text) + 1):
        assert streamed(redactor, [text[:cut], text[cut:]]) == expected
    assert streamed(redactor, list(text)) == expected


@given(SECRETS, st.sampled_from(sorted(ENCODINGS)), st.lists(st.integers(0, 200), max_size=4))
def test_no_spelling_of_any_secret_survives_any_cut(secret, encoding, cuts):
    redactor = Redactor([Secret("L", secret)])
    text = f"x{ENCODINGS[encoding](secret)}y"
    cleaned = streamed(redactor, pieces(text, cuts))
    assert cleaned == redactor.clean(text)
    assert cleaned != text
    if not any(piece in secret for piece in ("[", "]", "secret", "hidden", "*", ".")):
        assert core(encoding, secret) not in cleaned
        assert secret not in cleaned


SMALL = st.text("ab]", min_size=1, max_size=8)


@given(st.lists(SMALL, max_size=4), st.text("ab] ", max_size=40), st.lists(st.integers(0, 40)))
@example(["aaaaaa"], "aaaaaaaaa", [3])
@example(["abbabb", "babbab"], "xabbabbabbabx", [5])
@example(["ab"], "a ab ab", [3, 4])
@example(["a"], "ab a", [1])
@example(["ab"], "bab ab bab      ", [])
def test_a_stream_equals_the_whole_for_overlapping_and_short_secrets(values, text, cuts):
    redactor = Redactor(Secret(f"S{number}", value) for number, value in enumerate(values))
    assert streamed(redactor, pieces(text, cuts)) == redactor.clean(text)
    assert streamed(redactor, list(text)) == redactor.clean(text)


@given(st.lists(st.text("ab", min_size=6, max_size=9), max_size=3), st.text("ab", max_size=40))
@example(["aaaaaa"], "aaaaaaaaab")
def test_no_character_of_a_found_secret_is_left(values, text):
    redactor = Redactor(Secret(f"S{number}", value) for number, value in enumerate(values))
    hidden = {
        place
        for value in values
        for start in range(len(text))
        if text.startswith(value, start)
        for place in range(start, start + len(value))
    }
    left = "".join(char for place, char in enumerate(text) if place not in hidden)
    cleaned = redactor.clean(text)
    for number in range(len(values)):
        cleaned = cleaned.replace(f"[secret S{number}]", "")
    assert cleaned == left


def test_overlapping_secrets_leave_no_piece():
    redactor = Redactor([Secret("a", "abcdef"), Secret("b", "defghi")])
    assert redactor.clean("-abcdefghi-") == "-[secret a]-"


def test_the_longer_secret_wins_at_the_same_place():
    redactor = Redactor([Secret("short", "winter"), Secret("long", "winter2026")])
    assert redactor.clean("winter2026 winter") == "[secret long] [secret short]"


def test_a_secret_inside_its_own_label_is_not_printed_by_the_placeholder():
    redactor = Redactor([Secret("password", "password")])
    assert redactor.clean("is password") == "is [secret]"
    redactor = Redactor([Secret("one", "secret"), Secret("two", "hidden")])
    assert redactor.clean("secret hidden") == "[***] [***]"


def test_a_short_secret_is_hidden_as_a_word_and_warned_about():
    redactor = Redactor([Secret("pin", "1234")])
    assert redactor.clean("1234 is 1234, not 12345 or a1234") == (
        "[secret pin] is [secret pin], not 12345 or a1234"
    )
    assert redactor.clean(base64.b64encode(b"1234").decode()) == "[secret pin]"
    assert len(redactor.warnings) == 1
    assert "'pin'" in redactor.warnings[0]
    assert "1234" not in redactor.warnings[0]


def test_a_long_secret_gives_no_warning():
    assert Redactor([Secret("admin", "123456")]).warnings == ()


def test_a_word_is_judged_by_its_neighbours_across_pieces():
    redactor = Redactor([Secret("pin", "1234")])
    assert streamed(redactor, ["a", "1234"]) == "a1234"
    assert streamed(redactor, ["1234", "5"]) == "12345"
    assert streamed(redactor, ["a ", "12", "34", " b"]) == "a [secret pin] b"


@pytest.mark.parametrize(
    "key",
    [
        Ed25519PrivateKey.generate,
        lambda: generate_private_key(public_exponent=65537, key_size=1024),
    ],
    ids=["ed25519", "rsa"],
)
def test_each_line_of_a_private_key_is_hidden(key):
    pem = (
        key()
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )
    redactor = Redactor([Secret("key", pem)])
    for line in pem.splitlines():
        if "-----" in line:
            assert redactor.clean(f"| {line}") == f"| {line}"
        elif len(line) >= 6:
            assert redactor.clean(f"| {line} |") == "| [secret key] |"
    assert redactor.clean(pem) == "[secret key]"
    windows = redactor.clean(pem.replace("\n", "\r\n"))
    assert not any(line in windows for line in pem.splitlines()[1:-1] if len(line) >= 6)


def test_what_an_old_console_makes_of_a_secret_is_hidden():
    value = "Schlüssel9"
    redactor = Redactor([Secret("admin", value)])
    for code_page in ("cp1252", "cp850"):
        text = value.encode(code_page).decode("utf-8", "backslashreplace")
        assert redactor.clean(text) == "[secret admin]"


def test_windows_powershell_json_is_hidden():
    redactor = Redactor([Secret("admin", "it's<me>")])
    assert redactor.clean(r'"it\u0027s\u003cme\u003e"') == '"[secret admin]"'


def test_composed_and_decomposed_letters_are_both_hidden():
    redactor = Redactor([Secret("admin", "caf\u00e9-2026")])
    assert redactor.clean("cafe\u0301-2026") == "[secret admin]"


def test_values_are_cleaned_at_every_level_and_otherwise_unchanged():
    redactor = Redactor([Secret("x", "hunter22")])
    value = {"hunter22": ["a hunter22", 7, None, True, ("hunter22", 1.5)], "b": {"c": "hunter22"}}
    shown = "[secret x]"
    assert redactor.clean_value(value) == {
        shown: [f"a {shown}", 7, None, True, (shown, 1.5)],
        "b": {"c": shown},
    }


def test_a_value_nested_without_end_is_cut_off():
    value: list[object] = []
    value.append(value)
    assert "[nested too deep]" in str(Redactor().clean_value(value))


def test_without_secrets_text_passes_at_once():
    stream = Redactor([Secret("empty", "")]).stream()
    assert stream.feed("abc") == "abc"
    assert stream.finish() == ""


def test_a_stream_holds_back_no_more_than_the_longest_spelling():
    redactor = Redactor([Secret("x", "hunter22")])
    stream = redactor.stream()
    assert len(stream.feed("a" * 1000)) == 1000 - redactor.longest + 1


def test_no_representation_shows_a_secret():
    secret = Secret("admin", "hunter22")
    for shown in (repr(secret), str(secret), repr(Redactor([secret])), f"{[secret]}"):
        assert "hunter22" not in shown


def handler_with(redactor: Redactor) -> tuple[logging.Logger, list[str]]:
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(logging.Formatter("%(message)s").format(record))

    handler = Lines()
    handler.addFilter(RedactingFilter(redactor))
    logger = logging.Logger("library")  # noqa: LOG001  (one that no other test shares)
    logger.addHandler(handler)
    return logger, lines


def test_log_records_are_cleaned_with_arguments_exceptions_and_stack():
    logger, lines = handler_with(Redactor([Secret("x", "hunter22")]))
    logger.warning("login %s with %r", "ops", b"hunter22", stack_info=True)
    try:
        int("bad hunter22")
    except ValueError:
        logger.exception("failed")
    assert "login ops with b'[secret x]'" in lines[0]
    assert "with base 10: 'bad [secret x]'" in lines[1]
    assert "hunter22" not in "".join(lines)


def test_a_log_record_that_does_not_fit_its_arguments_is_still_cleaned():
    logger, lines = handler_with(Redactor([Secret("x", "hunter22")]))
    logger.warning("hunter22 %d", "seven")
    assert lines == ["[secret x] %d (its arguments do not fit)"]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("secret", [VALUE, "~p{q}#[r]*?!", "#a,b;(c)|^d", "t\tab\x1b'é&"])
def test_what_bash_makes_of_a_secret_in_a_trace_or_by_printf_is_hidden(secret, locale):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    script = 'printf "%q %s\\n" "$1" "${1@Q}"; set -x; : "$1"'
    said = subprocess.run(
        [bash, "-c", script, "bash", secret],
        env={"LC_ALL": locale},
        capture_output=True,
        check=True,
    )
    shown = Redactor([Secret("admin", secret)]).clean((said.stdout + said.stderr).decode())
    assert shown.count("[secret admin]") == 3
    left = shown.replace("[secret admin]", "")
    assert not any(piece in left for piece in (secret[:3], secret[-3:])), shown
