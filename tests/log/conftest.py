from __future__ import annotations

from datetime import UTC, datetime

import pytest

from outagekit.events import (
    AgreementOverridden,
    ApprovalAsked,
    ApprovalGiven,
    AttemptId,
    Checkpoint,
    ClockJumped,
    EndpointExpired,
    EndpointId,
    EndpointKeyTrusted,
    EndpointParked,
    EndpointReturned,
    EndState,
    EventUnencodable,
    EvidenceSaved,
    FailureKind,
    GateLimit,
    GateSum,
    InboxRefused,
    LogRepaired,
    LogWriteFailed,
    Note,
    OnceFinished,
    Output,
    PlanFrozen,
    RunClosed,
    RunId,
    RunOpened,
    RunPaused,
    RunResumed,
    RunStopping,
    StageOpened,
    StepFinished,
    StepId,
    StepInDoubt,
    StepPart,
    StepResolved,
    StepStarted,
    StepTidied,
    StepUndone,
    StepVerified,
    TrustAdded,
    TrustPinned,
    TrustRemoved,
    TrustReplaced,
    WaveBaking,
    WaveJudged,
    WaveOpened,
    WaveReopened,
    WavesCut,
    WaveStopped,
)
from outagekit.log.folder import RunFolder, new_run_id
from outagekit.testing.log_file import log_lines

ENDPOINT = EndpointId("acme/web-01")
STEP = StepId("restart")
ATTEMPT = AttemptId("a1")


class ManualClock:
    """Time stands still until a test moves it."""

    def __init__(self) -> None:
        self.wall = 1_795_334_400_000_000_000
        self.mono = 5_000_000_000

    def wall_ns(self) -> int:
        return self.wall

    def mono_ns(self) -> int:
        return self.mono

    def pass_s(self, seconds: float) -> None:
        self.wall += int(seconds * 1e9)
        self.mono += int(seconds * 1e9)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def run():
    return RunId("20261122T081403Z-restart-x7q2")


@pytest.fixture
def make_folder(tmp_path):
    made = []

    def make(title="Restart"):
        run = new_run_id(title, datetime(2026, 11, 22, 8, 14, 3, tzinfo=UTC))
        made.append(RunFolder.create(tmp_path / "state", run))
        return made[-1]

    yield make
    for folder in made:
        folder.close()


@pytest.fixture
def folder(make_folder):
    return make_folder()


@pytest.fixture
def opened():
    return RunOpened(
        playbook="restart",
        title="Restart",
        plan="7f3a91",
        clients=("acme",),
        endpoints=1,
        os_user="ops",
        machine="laptop",
        version="0.1.0",
    )


def waves_and_people():
    limits = (GateLimit("failed", 1, 40, "wave"), GateLimit("unknown", 2, 50, "run"))
    sums = (GateSum("failed", 1, 40, "wave", 2, holds=False),)
    end = {
        "endpoint": ENDPOINT,
        "step": STEP,
        "attempt": ATTEMPT,
        "state": EndState.FAILED,
        "failure": FailureKind.VERIFY,
        "detail": "verify is false",
    }
    return (
        WavesCut(stage=2, sizes=(1, 9, 30), outside=4, sha256="4" * 64),
        WaveOpened(stage=2, wave=1, waves=3, endpoints=1, limits=limits),
        WaveBaking(stage=2, wave=1, endpoints=1, for_ms=900_000),
        WaveJudged(stage=2, wave=1, passed=False, sums=sums),
        WaveStopped(stage=2, wave=2, sums=sums),
        WaveReopened(stage=2, wave=2, sums=sums, because="an old till", who="the duty manager"),
        StepResolved(**end, how="answered", who="the duty manager"),
        StepVerified(**end, duration_ms=5, boot_id="b-2"),
        StepUndone(**end, duration_ms=6),
        StepTidied(endpoint=ENDPOINT, step=STEP),
        OnceFinished(
            step=STEP, client="acme", state=EndState.SKIPPED, detail="refused", refused=True
        ),
        EndpointParked(endpoint=ENDPOINT, for_ms=14_400_000),
        EndpointReturned(endpoint=ENDPOINT),
        EndpointExpired(endpoint=ENDPOINT),
        ApprovalAsked(
            question="call@acme",
            kind="manual",
            text="Ring the contact",
            answers=("yes", "skip", "no"),
            step=STEP,
            endpoint=ENDPOINT,
            client="acme",
            for_ms=3_600_000,
        ),
        ApprovalGiven(
            question="call@acme",
            answer="yes",
            who="the duty manager",
            os_user="ops",
            because="rang",
            how="inbox",
        ),
        InboxRefused(name="stop.json", why="it belongs to somebody else"),
    )


@pytest.fixture
def every_event(opened):
    """One of each kind of event, with every field that is not its default."""
    output = Output(text="begin", tail="end", size_bytes=9000, sha256="0" * 64)
    return (
        opened,
        PlanFrozen(files={"plan.json": "1" * 64}),
        RunResumed(os_user="ops", version="0.1.0", retry=False),
        RunStopping(why="Ctrl-C", running=3, who="the duty manager"),
        RunPaused(why="a gate", exit_code=5),
        RunClosed(counts={EndState.OK: 3, EndState.FAILED: 1}, exit_code=3, why="gate"),
        StageOpened(stage=1, phase="fix", steps=(STEP,), endpoints=4),
        *waves_and_people(),
        StepStarted(endpoint=ENDPOINT, step=STEP, attempt=ATTEMPT, number=2, purpose="probe"),
        StepPart(
            endpoint=ENDPOINT,
            step=STEP,
            attempt=ATTEMPT,
            part="script",
            command="2" * 64,
            exit_code=1,
            duration_ms=12,
            stdout=output,
            stderr=Output(text="x"),
        ),
        StepFinished(
            endpoint=ENDPOINT,
            step=STEP,
            state=EndState.FAILED,
            attempt=ATTEMPT,
            failure=FailureKind.EXIT_CODE,
            detail="exit code 1",
            duration_ms=13,
            result={"impacted": True, "list": [1, None, "x"]},
            retry_in_ms=5,
            boot_id="b-1",
            would_change=True,
            refused=True,
        ),
        StepInDoubt(
            endpoint=ENDPOINT,
            step=STEP,
            attempt=ATTEMPT,
            why="stopped twice",
            failure=FailureKind.LOST,
            duration_ms=4,
        ),
        EndpointKeyTrusted(endpoint=ENDPOINT, machine_id="m", key="SHA256:x"),
        TrustAdded(server="acme/a", name="[::1]:2", key="k", source="/x", os_user="ops"),
        TrustReplaced(
            server="acme/a", name="a", old=("k",), new=("l", "m"), because="new", machine_id="m"
        ),
        TrustRemoved(server="acme/a", name="a", old=(), because="gone", os_user="ops"),
        TrustPinned(endpoint=ENDPOINT, machine_id="m", os_user="ops"),
        EvidenceSaved(
            endpoint=ENDPOINT,
            step=STEP,
            attempt=ATTEMPT,
            source="/var/log/x",
            path="evidence/acme/0-x",
            size_bytes=3,
            sha256="3" * 64,
        ),
        Note(text="rang the client", who="ops", endpoint=ENDPOINT),
        AgreementOverridden(
            allow="reboot", clients=("acme",), approved_by="ops", because="down", listed=True
        ),
        Checkpoint(head_seq=4, head_sha="4" * 64),
        ClockJumped(by_ms=-3_600_000),
        LogRepaired(offset=7, removed_bytes=8, removed_sha256="5" * 64, kept_as="log.torn-1"),
        LogWriteFailed(why="disk full"),
        EventUnencodable(kind="note", text="?"),
    )


@pytest.fixture
def fifty(run, opened):
    """The lines of a log of 50 records, synced eight at a time."""
    steps = (
        StepStarted(endpoint=ENDPOINT, step=STEP, attempt=AttemptId(f"a{number}"))
        for number in range(49)
    )
    return log_lines(run, (opened, *steps), group=8)
