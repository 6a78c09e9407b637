"""Records a run that holds every kind of event: `python make.py`, once per format, never again.

A recorded log is never made anew after a release: later versions must go on reading it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

from outagekit.events import (
    AgreementOverridden,
    ApprovalAsked,
    ApprovalGiven,
    AttemptId,
    ClockJumped,
    EndpointExpired,
    EndpointId,
    EndpointKeyTrusted,
    EndpointParked,
    EndpointReturned,
    EndState,
    EvidenceSaved,
    FailureKind,
    GateLimit,
    GateSum,
    InboxRefused,
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
from outagekit.log.folder import RunFolder
from outagekit.log.writer import LogWriter

RUN = RunId("20261122T081403Z-recorded-v1x7")
WEB, POS = EndpointId("acme/web-01"), EndpointId("acme/pos-01")
STEP = StepId("restart")


def first_life(folder: RunFolder) -> tuple[object, ...]:
    """Return what happened until the power was lost."""
    long = "line of output\n" * 1000
    files = {
        "plan.json": folder.freeze("plan.json", b'{"steps": ["restart"]}\n'),
        "inventory.json": folder.freeze("inventory.json", b'{"endpoints": 2}\n'),
    }
    return (
        RunOpened(
            playbook="restart", title="Restart the service", plan="7f3a91", clients=("acme",),
            endpoints=2, os_user="ops", machine="laptop", version="0.1.0",
        ),
        PlanFrozen(files=files),
        AgreementOverridden(
            allow="remediate", clients=("acme",), approved_by="the duty manager",
            because="the shop is closed", listed=False,
        ),
        StageOpened(stage=0, phase="fix", steps=(STEP,), endpoints=2),
        EndpointKeyTrusted(endpoint=WEB, machine_id="m-1", key="SHA256:abc"),
        StepStarted(endpoint=WEB, step=STEP, attempt=AttemptId("a1")),
        StepPart(
            endpoint=WEB, step=STEP, attempt=AttemptId("a1"), part="script", command="0" * 64,
            exit_code=0, duration_ms=812,
            stdout=Output(long[:100], long[-100:], len(long), folder.spool(long)),
            stderr=Output(text="Grüße \u202e\x1b[2J"),
        ),
        StepFinished(
            endpoint=WEB, step=STEP, state=EndState.CHANGED, attempt=AttemptId("a1"),
            duration_ms=900, result={"impacted": True, "left": [1, None]},
        ),
        StepStarted(endpoint=POS, step=STEP, attempt=AttemptId("a2")),
        StepFinished(
            endpoint=POS, step=STEP, state=EndState.FAILED, attempt=AttemptId("a2"),
            failure=FailureKind.EXIT_CODE, detail="exit code 1", duration_ms=40, retry_in_ms=1000,
        ),
        StepStarted(endpoint=POS, step=STEP, attempt=AttemptId("a3"), number=2),
        StepInDoubt(endpoint=POS, step=STEP, attempt=AttemptId("a3"), why="stopped twice"),
        Note(text="a lone surrogate: \udc80", who="ops", endpoint=POS),
        Note(text=object()),  # type: ignore[arg-type]
        ClockJumped(by_ms=-2500),
        *waves(),
        LogWriteFailed(why="No space left on device"),
        RunStopping(why="Ctrl-C", running=1),
        RunPaused(why="a person"),
    )  # fmt: skip


def waves() -> tuple[object, ...]:
    """Return what waves, doubts, the waiting room and people's answers look like."""
    limits = (GateLimit("failed", 0, 1, "wave"), GateLimit("unknown", 0, 1, "run"))
    sums = (GateSum("failed", 0, 1, "wave", 1, holds=False),)
    again = {"endpoint": POS, "step": STEP, "attempt": AttemptId("a5")}
    question = "doubt-restart@acme/pos-01"
    return (
        WavesCut(stage=0, sizes=(1, 1), outside=0, sha256="0" * 64),
        WaveOpened(stage=0, wave=1, waves=2, endpoints=1, limits=limits),
        StepStarted(**again, number=3, purpose="probe"),
        StepResolved(
            **again, how="probed", state=EndState.FAILED, failure=FailureKind.VERIFY,
            detail="verify is false",
        ),
        StepUndone(**again, state=EndState.CHANGED, duration_ms=30),
        WaveStopped(stage=0, wave=1, sums=sums),
        WaveJudged(stage=0, wave=1, passed=False, sums=sums),
        WaveReopened(stage=0, wave=1, sums=sums, because="an old till", who="the duty manager"),
        WaveBaking(stage=0, wave=1, endpoints=1, for_ms=900_000),
        StepVerified(**again, state=EndState.CHANGED, duration_ms=30, boot_id="b-2"),
        StepTidied(endpoint=WEB, step=STEP),
        EndpointParked(endpoint=POS, for_ms=14_400_000),
        EndpointReturned(endpoint=POS),
        EndpointExpired(endpoint=POS),
        ApprovalAsked(
            question=question, kind="doubt", text="Was it restarted?", step=STEP, endpoint=POS,
            answers=("done", "rerun", "failed", "unknown"), client="acme", for_ms=3_600_000,
        ),
        ApprovalGiven(
            question=question, answer="done", who="the duty manager", os_user="ops",
            because="the till works", how="inbox",
        ),
        InboxRefused(name="stop.json", why="it belongs to somebody else"),
        OnceFinished(step=StepId("call"), client="acme", state=EndState.OK, detail="done"),
    )  # fmt: skip


def acts() -> tuple[object, ...]:
    """Return what is done to a client's trust; in fact that is a log of its own."""
    where = {"server": WEB, "name": "[10.1.4.11]:2222"}
    old, new = ("ssh-ed25519 SHA256:abc",), ("ssh-ed25519 SHA256:def",)
    return (
        TrustAdded(**where, key=old[0], source="/home/ops/.ssh/known_hosts", os_user="ops"),
        TrustPinned(endpoint=WEB, machine_id="m-1", os_user="ops"),
        TrustReplaced(
            **where, old=old, new=new, because="set up anew", machine_id="m-1", os_user="ops"
        ),
        TrustRemoved(**where, old=new, because="it was an impostor", os_user="ops"),
    )


def second_life(folder: RunFolder) -> tuple[object, ...]:
    """Return what happened after the resume."""
    saved = folder.evidence / "acme" / "0123456789abcdef-app.log"
    saved.parent.mkdir()
    saved.write_bytes(b"evidence\n")
    return (
        RunResumed(os_user="ops", version="0.1.0"),
        EvidenceSaved(
            endpoint=WEB, step=STEP, attempt=AttemptId("a4"), source="/var/log/app.log",
            path=saved.relative_to(folder.path).as_posix(), size_bytes=9,
            sha256=hashlib.sha256(b"evidence\n").hexdigest(),
        ),
        *acts(),
        RunClosed(counts={EndState.CHANGED: 1, EndState.FAILED: 1}, exit_code=3),
    )  # fmt: skip


def main() -> None:
    """Write the run folder beside this file."""
    with TemporaryDirectory() as state, RunFolder.create(Path(state), RUN) as folder:
        events = first_life(folder)
        writer = LogWriter.create(folder, lag_s=60)
        for event in events:
            writer.append(event).wait()  # type: ignore[arg-type]
        writer.close()
        # The last checkpoint is torn, so that the log holds a repair; its anchors go with it.
        content = folder.log.read_bytes()
        folder.log.write_bytes(content[:-20])
        folder.anchors.unlink()
        with LogWriter.resume(folder) as writer:
            for event in second_life(folder):
                writer.append(event).wait()  # type: ignore[arg-type]
        keep(folder)


def keep(folder: RunFolder) -> None:
    """Copy what a verifier needs."""
    target = Path(__file__).parent / RUN
    names = (folder.log, folder.anchors, folder.plan, folder.inventory, *folder.output.iterdir())
    for path in (*names, *folder.path.glob("log.torn-*"), *folder.evidence.rglob("*-*")):
        copy = target / path.relative_to(folder.path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())


if __name__ == "__main__":
    main()
