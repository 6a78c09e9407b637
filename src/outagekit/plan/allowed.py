"""The agreement gate: what a client does not allow does not run, unless a person answers for it.

Every step says what it needs; every client's agreement says what it allows. A client without an
agreement allows `diagnose` only: looking at a machine is all nobody has to agree to, while even
`collect` takes data away from it.

The client `adhoc` stands for a machine the technician named on the command line. There is no
agreement it could go against: the technician's own word counts, so nothing is refused there and
the ordinary confirmation of a changing run is enough.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, cast, get_args

import msgspec

from outagekit.errors import Refused, UsageError
from outagekit.events import Allow
from outagekit.inventory.adhoc import ADHOC
from outagekit.inventory.model import Client
from outagekit.plan.model import Override, Plan, Refusal
from outagekit.playbook.model import Step
from outagekit.text import closest, fold_list, visible_line

ALLOWS: Final[tuple[Allow, ...]] = get_args(Allow)
WITHOUT_AGREEMENT: Final[tuple[Allow, ...]] = ("diagnose",)
"""What a client without an agreement allows."""

_MAX_NAME = 200
_MAX_REASON = 2_000


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says on the command line to go beyond an agreement."""

    allow: Allow
    approved_by: str
    because: str


def permissions(
    allows: Sequence[str], *, approved_by: str | None, because: str | None
) -> tuple[Permission, ...]:
    """Return what `--override`, `--approved-by` and `--because` say together.

    The texts are cut of blanks and made visible, because they are shown and logged. Raises
    `UsageError` if one of the three is missing, too long, or if nothing of that name can be
    allowed.
    """
    if not allows and approved_by is None and because is None:
        return ()
    name = _said(approved_by, "--approved-by", _MAX_NAME)
    reason = _said(because, "--because", _MAX_REASON)
    if not allows:
        raise UsageError("--approved-by and --because belong to an --override", hint=_HOW)
    for allow in allows:
        if allow not in ALLOWS:
            meant = closest(allow, ALLOWS)
            hint = f"did you mean {meant}?" if meant else f"known are {fold_list(ALLOWS)}"
            raise UsageError(f"no agreement knows {visible_line(allow)!r}", hint=hint)
    return tuple(
        Permission(allow=cast("Allow", allow), approved_by=name, because=reason)
        for allow in dict.fromkeys(allows)
    )


def refusals(steps: Sequence[Step], clients: Iterable[Client]) -> tuple[Refusal, ...]:
    """Return what the clients do not allow of the steps: one for each client and kind of need."""
    return tuple(
        Refusal(
            client=client.client,
            allow=allow,
            steps=needing,
            approvers=client.agreement.approvers if client.agreement else (),
        )
        for client in clients
        for allow in ALLOWS
        if not _allowed(client, allow)
        and (needing := tuple(step.id for step in steps if allow in step.needs))
    )


def override_of(permission: Permission, refused: Iterable[Refusal]) -> Override:
    """Return the override a permission makes of the refusals it answers.

    It is `listed` only if the name stands among the approvers of every client concerned; case
    and spacing do not matter. Raises `UsageError` if nothing of that kind was refused.
    """
    concerned = [refusal for refusal in refused if refusal.allow == permission.allow]
    if not concerned:
        message = f"--override {permission.allow} overrides nothing: it is not refused here"
        raise UsageError(message, hint="leave it out, so that no consent is logged in vain")
    name = _folded(permission.approved_by)
    return Override(
        allow=permission.allow,
        clients=tuple(refusal.client for refusal in concerned),
        approved_by=permission.approved_by,
        because=permission.because,
        listed=all(name in map(_folded, refusal.approvers) for refusal in concerned),
    )


def remaining(refused: Iterable[Refusal], overrides: Sequence[Override]) -> tuple[Refusal, ...]:
    """Return the refusals that no override answers."""
    answered = {(client, given.allow) for given in overrides for client in given.clients}
    return tuple(r for r in refused if (r.client, r.allow) not in answered)


def require_allowed(plan: Plan) -> None:
    """Raise `Refused` if anything in the plan is still not allowed.

    The message names every client, what it does not allow, the steps that need it and who may
    approve it; the hint holds the flags to paste.
    """
    if not plan.refusals:
        return
    lines = [_sentence(refusal, plan.client(refusal.client)) for refusal in plan.refusals]
    if len(lines) == 1:
        raise Refused(lines[0], hint=f"to do it all the same, add {flags(plan.refusals)}")
    message = "this goes beyond what was agreed:" + "".join(f"\n  {line}" for line in lines)
    raise Refused(message, hint=f"to do all of it all the same, add {flags(plan.refusals)}")


def flags(refused: Sequence[Refusal]) -> str:
    """Return the words that override the refusals, to be pasted; NAME and WHY stay to be typed.

    An approver is filled in if one person may approve everything for all clients concerned.
    """
    wanted = dict.fromkeys(refusal.allow for refusal in refused)
    first, *others = (refusal.approvers for refusal in refused)
    common = [a for a in first if all(_folded(a) in map(_folded, more) for more in others)]
    name = next((a for a in common if not set(a) & set("\"'$`\\%!")), "NAME")
    words = " ".join(f"--override {allow}" for allow in wanted)
    return f'{words} --approved-by "{name}" --because "WHY"'


def _sentence(refusal: Refusal, client: Client) -> str:
    agreement = client.agreement
    steps = fold_list(refusal.steps)
    need = "needs" if len(refusal.steps) == 1 else "need"
    who = fold_list(map(visible_line, refusal.approvers))
    who = f"{who} may approve it" if who else "it names nobody who may approve it"
    if agreement is None:
        only = (
            f"{client.client} has no agreement, so only {fold_list(WITHOUT_AGREEMENT)} is allowed"
        )
        return f"{only}: {steps} {need} {refusal.allow}"
    named = f"the agreement {visible_line(agreement.id)} of {client.client}"
    return f"{named} does not allow {refusal.allow}, which {steps} {need}; {who}"


def _allowed(client: Client, allow: Allow) -> bool:
    if client.agreement is not None:
        return allow in client.agreement.allows
    return client.client == ADHOC or allow in WITHOUT_AGREEMENT


def _said(given: str | None, flag: str, limit: int) -> str:
    said = " ".join(visible_line(given or "").split())
    if not said:
        raise UsageError(f"an override needs {flag}", hint=_HOW)
    if len(said) > limit:
        raise UsageError(f"{flag} is longer than {limit} characters")
    return said


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


_HOW: Final = 'write --override ALLOW --approved-by "NAME" --because "WHY"'
