"""Reading whole playbooks: the examples of the format, defaults, files beside them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from outagekit.errors import InvalidInput
from outagekit.playbook import model
from outagekit.playbook.folder import digest
from outagekit.playbook.load import inspect, load_playbook

GOOD = Path(__file__).parent / "good"
FALCON = GOOD / "falcon" / "playbook.yaml"
FULL = FALCON.read_text(encoding="utf-8")
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in FALCON.parent.glob("*.ps1")}


def faults(path):
    with pytest.raises(InvalidInput) as caught:
        load_playbook(path)
    return [problem.message for problem in caught.value.problems]


def test_the_short_example_is_read_as_it_is():
    playbook = load_playbook(GOOD / "restart-spooler.yaml", origin="workspace")
    assert playbook.name == "restart-spooler"
    assert playbook.origin == "workspace"
    (step,) = playbook.steps
    assert step.id == "restart_service_spooler_force"
    assert (step.phase, step.risk, step.needs) == ("fix", "change", ("remediate",))
    assert step.check is None
    assert step.verify.variants[0].language == "powershell"


def test_the_full_example_is_read_as_it_is():
    playbook, problems = inspect(FALCON)
    assert [p.message for p in problems] == ["a bad-update playbook without a step of phase verify"]
    assert playbook.name == "falcon"
    assert [step.id for step in playbook.steps] == ["detect", "remove", "restart", "call"]
    assert [step.phase for step in playbook.steps] == ["assess", "fix", "fix", "communicate"]
    detect, remove, restart, call = playbook.steps
    assert detect.timeout_s == 60
    assert detect.result == {"impacted": "bool", "newest": "datetime"}
    assert remove.verify == remove.check
    assert remove.undo.variants[0].text == "Move-Item back\n"
    assert remove.retry == model.Retry(3, 10.0, 2.0)
    assert remove.retry.delay_before(3) == 20
    assert restart.action == model.Reboot(900)
    assert restart.needs == ("reboot",)
    assert call.once == "client"
    assert call.needs == ()
    assert playbook.rollout.waves == ("1", "5%", "25%", "100%")
    assert playbook.rollout.gate.max_unknown == "0"
    assert playbook.params["good_from"].default == "2024-07-19T05:27:00Z"
    assert detect.line == 17


def test_a_playbook_survives_storage():
    playbook = load_playbook(FALCON)
    stored = msgspec.json.encode(playbook)
    assert msgspec.json.decode(stored, type=model.Playbook) == playbook


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("reboot: 15m", ("change", ("reboot",), 900)),
        ("wait: {tcp: 22}", ("read", ("diagnose",), 300)),
        ("fetch: /etc/hosts", ("read", ("collect",), 300)),
        ("push: {file: a.txt, to: /tmp/a}", ("change", ("remediate",), 300)),
        ("manual: Call", ("read", (), 3600)),
        ("approve: Go on?", ("read", (), 3600)),
        ("notify: {to: all}", ("read", (), 3600)),
        ("{sh: 'true', risk: read}", ("read", ("diagnose",), 300)),
        ("{sh: 'true', risk: destructive}", ("destructive", ("remediate",), 300)),
        ("{sh: 'true', needs: []}", ("change", ("remediate",), 300)),
        ("{sh: 'true', needs: [diagnose]}", ("change", ("remediate", "diagnose"), 300)),
        ("{sh: 'true', risk: read, needs: [collect]}", ("read", ("diagnose", "collect"), 300)),
        ("{manual: Call, needs: [collect]}", ("read", ("collect",), 3600)),
    ],
)
def test_risk_needs_and_timeout_have_defaults_by_action(steps, step, expected):
    (read,) = load_playbook(steps(f"- {step}", **{"a.txt": "x"})).steps
    assert (read.risk, read.needs, read.timeout_s) == expected


@pytest.mark.parametrize(
    ("step", "action"),
    [
        ("wait: {http: {port: 80, path: /up, status: 204}, every: 500ms}",
         model.WaitHttp(80, "/up", "http", 204, 0.5)),
        ("wait: {tcp: 443, every: 2}", model.WaitTcp(443, 2.0)),
        ("fetch: [/a, /b]", model.Fetch(("/a", "/b"), 20 * 2**20)),
        ("fetch: {paths: [/a], max: 512KiB}", model.Fetch(("/a",), 512 * 1024)),
        ("push: {file: a.txt, to: /tmp/a, mode: '0600'}",
         model.Push("a.txt", "/tmp/a", b"\x00\xff", 0o600)),
        ("manual: Call {{ client }}", model.Manual("Call {{ client }}")),
        ("vendor_status: microsoft", model.Later("vendor_status", "microsoft")),
        ("wait: {sh: test -f /x}",
         model.WaitScript(model.Script((model.Code("sh", "test -f /x"),)))),
    ],
)  # fmt: skip
def test_actions_are_read(steps, step, action):
    playbook = load_playbook(steps(f"- {step}", **{"a.txt": b"\x00\xff"}))
    assert playbook.steps[0].action == action


def test_script_files_give_a_variant_each_and_texts_take_the_first_language(steps):
    path = steps(
        """
        - script: [x.bash, x.ps1, x.bat]
          verify: "true"
        """,
        **{"x.bash": "a\r\nb\r\n", "x.ps1": "\ufeffGet-Item", "x.bat": "dir"},
    )
    (step,) = load_playbook(path).steps
    found = [(c.language, c.text, c.file) for c in step.action.script.variants]
    assert found == [
        ("bash", "a\nb\n", "x.bash"),
        ("powershell", "Get-Item", "x.ps1"),
        ("cmd", "dir", "x.bat"),
    ]
    assert step.verify.variants[0].language == "bash"
    assert step.id == "x"


def test_ids_made_from_titles_are_unique_and_no_names_of_other_things(steps):
    path = steps(
        """
        - {title: Fix it, manual: a}
        - {title: Fix it!, manual: b}
        - {id: fix_it_2, manual: c}
        - {title: Client, manual: d}
        - {title: mode, manual: e}
        """,
        above="params: {mode: {}}\n",
    )
    made = [step.id for step in load_playbook(path).steps]
    assert made == ["fix_it", "fix_it_3", "fix_it_2", "client_2", "mode_2"]


def test_a_title_is_made_from_the_id_or_the_text(steps):
    path = steps(
        """
        - {id: stop_it, manual: Stop}
        - sh: |
            # first comment
            systemctl stop nginx
          risk: read
        """
    )
    assert [s.title for s in load_playbook(path).steps] == ["Stop it", "systemctl stop nginx"]


def test_a_phase_is_inherited_from_the_step_before(steps):
    path = steps("- {manual: a}\n- {manual: b, phase: close}\n- {manual: c}\n")
    assert [s.phase for s in load_playbook(path).steps] == ["fix", "close", "close"]


def test_the_digest_covers_every_file_and_not_where_it_lies(write):
    first = load_playbook(write(FULL, "a/playbook.yaml", **SCRIPTS)).digest
    assert load_playbook(write(FULL, "b/playbook.yaml", **SCRIPTS)).digest == first
    windows = FULL.replace("\n", "\r\n")
    assert load_playbook(write(windows, "c/playbook.yaml", **SCRIPTS)).digest == first
    changed = {**SCRIPTS, "restore.ps1": "Move-Item other\n"}
    assert load_playbook(write(FULL, "d/playbook.yaml", **changed)).digest != first


def test_the_digest_cannot_be_moved_from_one_file_to_another():
    assert digest("p", b"", {"a": b"bc"}) != digest("p", b"", {"ab": b"c"})
    assert digest("p", b"", {"a": b"1", "b": b""}) != digest("p", b"", {"a": b"", "b": b"1"})


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_symbolic_link_is_refused(steps, tmp_path, what):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.sh").write_text("true")
    name = "x.sh" if what == "file" else "in/x.sh"
    path = steps(f"- {{script: {name}, risk: read}}")
    link = path.parent / name.partition("/")[0]
    link.symlink_to(tmp_path / "elsewhere" / ("x.sh" if what == "file" else ""))
    assert faults(path) == [f"the file `{name}` is a symbolic link"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x" * (2**20 + 1), "`x.sh`: the file is larger than 1 MiB"),
        (b" \n", "the file `x.sh` is empty"),
        (b"a\0b", "the file `x.sh` holds NUL characters: it is no text"),
        ("a".encode("utf-16"), "the file is UTF-16, not UTF-8"),
    ],
)
def test_a_script_file_that_is_no_script_is_refused(steps, content, message):
    assert faults(steps("- {script: x.sh, risk: read}", **{"x.sh": content})) == [message]


def test_a_pushed_file_may_have_5_mib_and_no_more(steps):
    step = "- push: {file: big, to: /tmp/big}"
    assert load_playbook(steps(step, big=b"x" * (5 * 2**20)))
    assert faults(steps(step, big=b"x" * (5 * 2**20 + 1))) == [
        "`big`: the file is larger than 5 MiB"
    ]


def test_a_script_in_a_folder_below_is_inside(steps):
    assert load_playbook(steps("- {script: in/x.sh, risk: read}", **{"in/x.sh": "true"}))


def test_problems_of_every_layer_come_at_once(steps):
    path = steps(
        """
        - {sh: 'true', risk: red}
        - {sh: 'true', risk: read, when: nobody.ok}
        - {script: no.sh, risk: read}
        - {sh: 1, risk: read}
        """
    )
    with pytest.raises(InvalidInput, match="has 4 problems") as caught:
        load_playbook(path)
    assert [problem.line for problem in caught.value.problems] == [4, 5, 6, 7]


def test_a_drill_sees_its_state_and_what_the_script_gets(steps):
    path = steps(
        """
        - {id: fix, sh: a, verify: b, with: {wanted: mode}}
        """,
        above="params: {mode: {default: x}}\n",
    )
    answer = "stdout: '{{ mode }} {{ wanted }} {{ client }} {{ v }}', set: {v: '{{ wanted }}'}"
    good = path.read_text() + f"drill:\n  state: {{v: 1}}\n  steps: {{fix: {{{answer}}}}}\n"
    path.write_text(good)
    assert load_playbook(path).drill
    path.write_text(good.replace("v: '{{ wanted }}'", "v: '{{ wnated }}'"))
    assert faults(path) == ["`wnated` is not in the drill's state"]


def test_a_missing_file_is_a_problem_and_not_a_crash(tmp_path):
    assert faults(tmp_path / "none.yaml") == ["there is no such file"]


def test_importing_the_model_and_the_loader_is_cheap():
    code = (
        "import sys, outagekit.playbook.load, outagekit.playbook.expressions\n"
        "print({'yaml', 'pydantic', 'jinja2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_exit_codes_that_mean_success_are_numbers_or_names_each_once(steps):
    codes = "[0, reboot_needed, 3010, reboot_started, busy, -1, 4294967295]"
    path = steps(
        f"- {{id: a, cmd: x, verify: y, success: {codes}}}\n- {{id: b, cmd: x, verify: y}}\n"
        "- {id: c, cmd: findstr x y, risk: read, success: [0, 1]}"
    )
    a, b, c = load_playbook(path).steps
    assert a.success == (0, 3010, 1641, 1618, -1, 4294967295)
    assert (b.success, c.success) == ((0,), (0, 1))


def test_a_drill_may_answer_with_any_exit_code_of_windows(steps):
    for code in (3010, -1073741510, 4294967295):
        above = f"drill: {{steps: {{a: {{exit_code: {code}}}}}}}\n"
        path = steps("- {id: a, cmd: x, verify: y}", above=above)
        assert load_playbook(path).drill.steps["a"].exit_code == code


def test_the_rungs_of_the_hands_on_list_are_read_in_order(steps):
    above = (
        "hands_on:\n  - {rung: R2, seen: true, do: Restart it}\n"
        "  - {rung: R6, for: 'tag:vm', seen: false, do: Attach its disk}\n"
        "  - rung: R3\n    do: |\n      Safe mode.\n      By hand.\n"
    )
    playbook = load_playbook(steps("- manual: Ring", above=above))
    assert playbook.hands_on == (
        model.HandsOn(rung="R2", do="Restart it", seen=True),
        model.HandsOn(rung="R6", do="Attach its disk", for_="tag:vm", seen=False),
        model.HandsOn(rung="R3", do="Safe mode.\nBy hand.\n"),
    )
    stored = msgspec.json.encode(playbook)
    assert msgspec.json.decode(stored, type=model.Playbook) == playbook


def test_a_playbook_stored_before_there_was_a_hands_on_list_has_none(steps):
    stored = msgspec.to_builtins(load_playbook(steps("- {id: a, sh: x, verify: y}")))
    del stored["hands_on"], stored["steps"][0]["success"]
    found = msgspec.convert(stored, model.Playbook)
    assert (found.hands_on, found.steps[0].success) == ((), (0,))
