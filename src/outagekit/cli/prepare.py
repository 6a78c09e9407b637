"""From the words of a command line to a plan that may run: what plan, run, exec and ping share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from outagekit.cli.command import came_from_environment
from outagekit.cli.places import Places, find_places
from outagekit.errors import InvalidInput, NothingMatched, Refused, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outagekit.cli.options import Approval, Consent, Given, Manner, Pace, Where
    from outagekit.cli.render import Screen
    from outagekit.credentials import SecretRef, Vault
    from outagekit.credentials.trusted import TrustedDigests
    from outagekit.events import ApprovalGiven
    from outagekit.inventory.model import Endpoint, Inventory
    from outagekit.inventory.select import Lookups
    from outagekit.plan.build import Mode
    from outagekit.plan.model import Plan
    from outagekit.playbook.model import Playbook
    from outagekit.transports.open import Access


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a command has before it: where it speaks, what it found, whom it may mean."""

    screen: Screen
    places: Places
    inventory: Inventory
    ssh_config: str | None = None
    """The SSH config a person names, or `none`; None: their own and the system's."""


def open_desk(
    screen: Screen, where: Where, state_dir: Path | None, pace: Pace | None = None
) -> Desk:
    """Find the workspace and settings, and load the inventory the options name.

    Raises `InvalidInput` with every problem of the inventory, `NothingMatched` if there is none.
    """
    places = find_places(
        state_dir,
        concurrency=pace.concurrency if pace else None,
        connecting=pace.connecting if pace else None,
    )
    if where.host:
        return Desk(screen, places, _adhoc(where), where.ssh_config)
    for name in ("os", "key", "password", "passphrase", "become", "sudo"):
        if getattr(where, name) and not came_from_environment(name):
            raise UsageError(f"--{name} goes with --host; an inventory says it itself")
    from outagekit.cli.imported import permit, say_taken
    from outagekit.inventory.load import load

    paths = where.inventory or _of_workspace(places)
    found = load(paths, permit=permit(screen, places), tell=lambda each: say_taken(screen, each))
    return Desk(screen, places, found, where.ssh_config)


def _adhoc(where: Where) -> Inventory:
    from outagekit.credentials import BadReference
    from outagekit.inventory.adhoc import adhoc

    if where.inventory and not came_from_environment("inventory"):
        raise UsageError("--host stands alone: it cannot be mixed with --inventory")
    if where.os is None:
        raise UsageError("--host needs --os", hint="add --os linux, --os macos or --os windows")
    try:
        return adhoc(
            where.host or (),
            os=where.os,
            key=_key(where),
            password=where.password,
            passphrase=where.passphrase,
            become=where.become,
            sudo=_sudo_reference(where),
        )
    except BadReference as error:
        message = (
            "--password, --passphrase and --sudo say where a secret is found, never what it is"
        )
        raise UsageError(message, hint=error.hint) from None  # it may quote the secret


def _key(where: Where) -> str | None:
    """Return the key file; one from the environment is of no use for Windows."""
    return None if where.os == "windows" and came_from_environment("key") else where.key


def _sudo_reference(where: Where) -> str | None:
    """Return where the sudo password is; one from the environment is of no use without sudo."""
    if where.sudo is None or where.become is not None:
        return where.sudo
    if came_from_environment("sudo"):
        return None
    raise UsageError("--sudo is the password for --become sudo", hint="add --become sudo")


def _of_workspace(places: Places) -> Sequence[Path]:
    if places.workspace is None:
        raise NothingMatched(
            "there is no inventory: no workspace is here or above, and none was named",
            hint="'outagekit init' makes a workspace; -i FILE names an inventory;"
            " --host USER@ADDRESS --os linux needs none",
        )
    return places.workspace.inventory_paths


def choose_endpoints(desk: Desk, where: Where, targets: str | None = None) -> tuple[Endpoint, ...]:
    """Return the endpoints the options choose. Raises `NothingMatched`, never returns none."""
    from outagekit.inventory.select import choose

    # Variables that choose among an inventory's endpoints do not mean those named by --host.
    limit = None if where.host and came_from_environment("limit") else where.limit
    clients = None if where.host and came_from_environment("client") else where.client
    return choose(
        desk.inventory,
        targets=targets,
        limit=limit,
        clients=clients or (),
        all_clients=where.all_clients,
        lookups=lookups(desk.places),
    )


def lookups(places: Places) -> Lookups:
    """Return what `run:` and `file:` of a selector are looked up in."""
    from outagekit.inventory.select import Lookups
    from outagekit.run.replay import EarlierRuns

    return Lookups(runs=EarlierRuns(places.state), folder=Path.cwd())


def read_playbook(word: str, places: Places) -> Playbook:
    """Find and read a playbook. Raises `NothingMatched` or `InvalidInput`."""
    from outagekit.playbook.catalogue import find_playbook
    from outagekit.playbook.load import load_playbook

    found = find_playbook(word, workspace_playbooks=places.playbooks)
    return load_playbook(found.path, origin=found.origin)


def make_plan(
    playbook: Playbook,
    desk: Desk,
    where: Where,
    given: Given | None,
    approval: Approval | None,
    *,
    manner: Manner | None = None,
) -> Plan:
    """Return the plan the options describe; `Refused` things stand in it, they do not raise."""
    from outagekit.plan.allowed import permissions
    from outagekit.plan.build import build_plan

    endpoints = choose_endpoints(desk, where, playbook.targets)
    return build_plan(
        playbook,
        params=_values(playbook, given),
        endpoints=endpoints,
        clients=desk.inventory.clients,
        selection=_selection(playbook, where),
        overrides=permissions(
            (approval.override or ()) if approval else (),
            approved_by=approval.approved_by if approval else None,
            because=approval.because if approval else None,
        ),
        mode=_mode(playbook, manner),
    )


def _mode(playbook: Playbook, manner: Manner | None) -> Mode:
    from outagekit.plan.build import LIVE, Mode

    if manner is None:
        return LIVE
    undo = manner.undo_on_failure
    if came_from_environment("undo_on_failure"):  # set for every run: there it may mean nothing
        undo = undo and not manner.dry_run
    elif undo and manner.dry_run:
        raise UsageError("--dry-run changes nothing, so --undo-on-failure has nothing to undo")
    elif undo and not any(step.changes and step.undo for step in playbook.steps):
        message = f"--undo-on-failure undoes nothing: no changing step of {playbook.name} can undo"
        raise UsageError(message, hint="give a step an `undo`, or leave the flag out")
    return Mode(dry_run=manner.dry_run, undo_on_failure=undo)


def _values(playbook: Playbook, given: Given | None) -> dict[str, object]:
    from outagekit.plan.params import from_words, typed_params

    if given is None:
        return typed_params(playbook, {})
    words = from_words(given.param or ())
    return typed_params(playbook, {**_from_paper(given), **words})


def _from_paper(given: Given) -> dict[str, object]:
    from outagekit.plan.params import from_file

    return from_file(given.params) if given.params else {}


def partial_values(playbook: Playbook, given: Given) -> dict[str, object]:
    """Return the given and default values only: a rehearsal makes the missing ones up."""
    import msgspec

    from outagekit.plan.params import from_words

    named = set(from_words(given.param or ())) | set(_from_paper(given))
    known = {n: p for n, p in playbook.params.items() if n in named or not p.required}
    return _values(msgspec.structs.replace(playbook, params=known), given)


def _selection(playbook: Playbook, where: Where) -> str:
    if where.host:
        return " ".join(where.host)
    parts = [f"({text})" for text in (playbook.targets, where.limit) if text]
    clients = [f"client:{client}" for client in where.client or ()]
    if clients:
        parts.insert(0, f"({' or '.join(clients)})")
    return " and ".join(parts)


def confirm(desk: Desk, plan: Plan, consent: Consent) -> tuple[ApprovalGiven, ...]:
    """Do everything that stands between a plan and its run; return what was answered beforehand.

    The agreement comes first, then the digest a person saw, then the question. The answers have
    no `os_user` yet. Raises `Refused`, `StoppedByPerson`, or `UsageError` for an answer to nothing.
    """
    from outagekit.plan.allowed import require_allowed
    from outagekit.plan.beforehand import beforehand
    from outagekit.plan.summary import confirmation, override_confirmations, require_same

    require_allowed(plan)
    if consent.plan is not None:
        require_same(plan, consent.plan)
    answers = beforehand(consent.approve or (), plan)
    for unlisted in override_confirmations(plan):
        desk.screen.ask(unlisted.text, expected=unlisted.expected, flag="")
    question = confirmation(plan, now=datetime.now(UTC))
    if question is not None and not consent.yes:
        desk.screen.ask(question.text, expected=question.expected, flag="--yes")
    return answers


def signed(answers: Sequence[ApprovalGiven]) -> tuple[ApprovalGiven, ...]:
    """Return answers with the user's name as the operating system knows it."""
    import msgspec

    from outagekit.run.inbox import user_name

    return tuple(msgspec.structs.replace(each, os_user=user_name()) for each in answers)


def require_trusted(desk: Desk, playbook: Playbook) -> None:
    """Have a playbook from outside trusted once, by digest. Raises `Refused` without a terminal."""
    from outagekit.credentials.trusted import TrustedDigests

    if playbook.origin != "outside":
        return
    known = TrustedDigests(desk.places.state / "trusted_playbooks.json")
    if known.knows(playbook.digest):
        return
    if not desk.screen.interactive:
        raise Refused(
            f"{playbook.path} is from outside and was never trusted on this machine",
            hint=f"read it, then: outagekit playbooks trust {playbook.path}",
        )
    from outagekit.playbook.outline import outline

    desk.screen.say(outline(playbook))
    desk.screen.ask("Trust this playbook, exactly as it is now? Type yes:", expected="yes", flag="")
    known.add(playbook.digest, playbook.path, datetime.now(UTC))


def open_access(desk: Desk, endpoints: Sequence[Endpoint]) -> Access:
    """Return how endpoints are reached; every question to a person is asked now, not later."""
    from outagekit.cli.reaching import make_access, offer_adhoc_keys, work_out_routes

    vault = make_vault(desk)
    access = make_access(desk, vault)
    work_out_routes(desk, access, endpoints)
    _require_key_files(desk, endpoints)
    for each in credentials_of(desk, endpoints):
        vault.prepare(each.reference, client=each.client, label=each.label)
        _warn_of_short(desk, each, vault)
    offer_adhoc_keys(desk, access, endpoints)
    return access


def _warn_of_short(desk: Desk, each: NeededSecret, vault: Vault) -> None:
    """Say of a secret that is too short to be hidden everywhere; a command's comes too late."""
    from outagekit.redaction import Redactor, Secret

    if each.reference.kind == "cmd":
        return
    value = vault.resolve(
        each.reference, client=each.client, endpoint=each.endpoint, label=each.label
    )
    for warning in Redactor([Secret(each.label, value)]).warnings:
        desk.screen.warn(warning)


def _require_key_files(desk: Desk, endpoints: Sequence[Endpoint]) -> None:
    """Raise `InvalidInput` for a key file that is not there: one fault here, not one for each."""
    used = ((e.client, name) for e in endpoints for name in _credential_names(desk, e))
    for client, name in dict.fromkeys(used):
        credential = desk.inventory.clients[client].credentials.get(name or "")
        for path in (credential.key, credential.certificate) if credential else ():
            if path is not None and not _is_file(path):
                raise InvalidInput(f"credential {name} of {client}: there is no file {path}")


def _credential_names(desk: Desk, endpoint: Endpoint) -> list[str]:
    """Return which credentials an endpoint needs: its own, and that of its site's jump host."""
    site = desk.inventory.clients[endpoint.client].sites.get(endpoint.site or "")
    jump = site.jump_credential if site is not None else None
    return [name for name in (endpoint.credential, jump) if name]


def _is_file(path: str) -> bool:
    try:
        return Path(path).expanduser().is_file()
    except (OSError, RuntimeError):  # it may not be looked at, or ~ leads nowhere
        return False


def make_vault(desk: Desk) -> Vault:
    """Return the vault that resolves this desk's secrets."""
    from outagekit.credentials import Vault, terminal_prompt

    return Vault(prompt=terminal_prompt(), trusted=trusted_commands(desk))


def trusted_commands(desk: Desk) -> TrustedDigests:
    """Return which `cmd` references a person has trusted on this machine."""
    from outagekit.credentials.trusted import TrustedDigests

    return TrustedDigests(desk.places.state / "trusted_commands.json")


@dataclass(frozen=True, slots=True)
class NeededSecret:
    """A secret that some endpoint's credential refers to."""

    client: str
    endpoint: str
    """The first endpoint that needs it."""
    label: str
    reference: SecretRef


def credentials_of(
    desk: Desk, endpoints: Sequence[Endpoint], *, every: bool = False
) -> list[NeededSecret]:
    """Return the secrets these endpoints need, each once per credential.

    The password for sudo is needed where an endpoint has `become`; with `every` it counts always.
    """
    import msgspec

    becoming = {(e.client, e.credential) for e in endpoints if e.become}
    needed: list[NeededSecret] = []
    first: dict[tuple[str, str], Endpoint] = {}
    for endpoint in endpoints:
        for name in _credential_names(desk, endpoint):
            first.setdefault((endpoint.client, name), endpoint)
    for (client, name), endpoint in first.items():
        credential = desk.inventory.clients[client].credentials[name]
        if not every and (client, name) not in becoming:
            credential = msgspec.structs.replace(credential, sudo=None)
        needed += [
            NeededSecret(client, endpoint.id, label, reference)
            for label, reference in credential.secrets()
        ]
    return needed
