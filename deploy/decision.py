"""`banka decision explain|verify`: why an application, or a change of a card's limit, was decided
so, and if it still holds."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deploy.operating import Database, Name, Who, with_service
from services.review import evidence, limit_store, store
from services.review.case import Entry
from services.review.desk import NOTE_CLASS
from services.review.evidence import NOTE_FIELD, LimitVerification, Verification
from services.review.explaining import Explanation, grounds_of
from services.review.explaining import explain as in_words
from services.review.limit_changes import REASONS_AGAINST
from services.review.limit_grounds import SUSPICION
from services.review.policy_store import PolicyNotHeldError, PolicyShelf
from shared.clock import open_clock
from shared.identifiers import ApplicationNumberError, parse_application_number
from shared.privacy.vault import KeyUnavailableError, SealBrokenError
from shared.privacy.vault_database import open_vault
from shared.redrive import CannotRedrive
from shared.settings import Settings
from shared.web.audit import record_view

decision = typer.Typer(no_args_is_help=True, help="Decisions of review, explained and verified.")

Which = Annotated[
    str, typer.Argument(help="number or id of the application, or of the change of a limit (…-L1)")
]
_console = Console()


@decision.command("verify")
def verify(which: Which, name: Name = None, database: Database = None) -> None:
    """Compute a decision again from its frozen inputs, by the policy that made it. Exit code 1
    where the bytes differ."""
    found, _history = _verified(which, name, database, look=None)
    if isinstance(found, LimitVerification):
        policy = f"policy {found.policy.version}" if found.policy else "no policy asked"
        typer.echo(
            f"{found.decision.number}  {found.decision.outcome}  {policy}"
            f"  {'same bytes' if found.same else 'OTHER BYTES'}"
        )
        if not found.same:
            raise typer.Exit(1)
        return
    typer.echo(
        f"{found.decision.decision_id}  {found.decision.outcome}  policy {found.policy.version}"
        f"  {found.policy.digest[:12]}  {'same bytes' if found.same else 'OTHER BYTES'}"
    )
    if not found.same:
        raise typer.Exit(1)


@decision.command("explain")
def explain(
    which: Which,
    why: Annotated[str, typer.Option("--why", help="kept in the audit log; amounts are shown")],
    who: Who = "",
    as_json: Annotated[bool, typer.Option("--json", help="for a program")] = False,
    name: Name = None,
    database: Database = None,
) -> None:
    """Say what was decided for and by whom, what review and the policy had found, what each factor
    of the score card gave, and how the limit came about. What is compliance's alone is left out, of
    every decision alike."""
    if not why.strip():
        typer.echo("banka: say why with --why", err=True)
        raise typer.Exit(1)
    found, history = _verified(which, name, database, look=(who or getpass.getuser(), why))
    if isinstance(found, LimitVerification):
        _explain_change(found, as_json=as_json)
        return
    told = in_words(found.policy, found.verdict, "en", confidential=False)
    decided = found.decision
    grounds = grounds_of(decided, found.verdict, history)
    if as_json:
        inputs = json.loads(found.inputs.freeze())
        inputs.pop("watchlist")  # of every case: of the held alone, that it is gone would tell
        about = {
            "decision_id": decided.decision_id,
            "outcome": decided.outcome,
            "automatic": decided.automatic,
            "decided_by": decided.decided_by,
            "decided_at": decided.at.isoformat(),
            "reasons": dict(grounds.reasons),
            "primary_reason": grounds.primary,
            "category": decided.category,
            "reapply_from": decided.reapply_from.isoformat() if decided.reapply_from else None,
            "found_beside": dict(grounds.beside),
            "limit": decided.limit.minor if decided.limit else None,
            "policy_version": found.policy.version,
            "policy_digest": found.policy.digest,
            "same_bytes": found.same,
            "inputs": inputs,
            "verdict": asdict(told),
        }
        typer.echo(json.dumps(about, ensure_ascii=False, indent=2))
        return
    by = "the policy alone" if decided.automatic else "two people"
    limit = f", limit {decided.limit}" if decided.limit else ""
    _console.print(f"{decided.outcome} on {decided.at:%Y-%m-%d %H:%M} UTC by {by}{limit}")
    if decided.decided_by:
        proposed, signed = decided.decided_by
        _console.print(f"proposed by {proposed}, signed by {signed}")
    if decided.outcome == "decline":
        _console.print(f"declined for, as {decided.category}:")
    elif grounds.reasons:
        _console.print("approved although:")
    for code, words in grounds.reasons:
        _console.print(f"  {code}: {words}{' (primary)' if code == grounds.primary else ''}")
    if decided.reapply_from:
        _console.print(f"may apply again from {decided.reapply_from}")
    if grounds.beside:
        _console.print("review itself had found:")
    for code, words in grounds.beside:
        _console.print(f"  {code}: {words}")
    _console.print(f"policy {found.policy.version}  {found.policy.digest}")
    _console.print(f"computed again: {'the same bytes' if found.same else 'OTHER BYTES'}")
    _console.print(f"the policy said: {told.outcome}, advice {told.advice}")
    _print_verdict(told)


def _print_verdict(told: Explanation) -> None:
    for code, words in told.findings:
        _console.print(f"  {code}: {words}")
    if told.factors:
        card = Table("factor", "fits", "points", "of at most", title="score card")
        for one in told.factors:
            card.add_row(one.label, one.band, str(one.points), str(one.most))
        card.add_row("sum", "", str(told.points), "")
        _console.print(card)
    _print_steps("limit", told.steps, told.strategy)
    if told.pricing:
        _console.print(f"pricing class: {told.pricing}")


def _print_steps(heading: str, steps: Sequence[Mapping[str, Any]], title: str = "") -> None:
    if steps:
        lines = Table(heading, "yuan", title=title or None)
        for step in steps:
            lines.add_row(step["words"], f"{step['sign']} {step['amount'] / 100:,.2f}".strip())
        _console.print(lines)


def _explain_change(found: LimitVerification, *, as_json: bool) -> None:
    """Why a change of a limit was decided so: what stood against it, between which bounds it could
    be granted, and what the policy had said."""
    decided, weighed = found.decision, found.weighed
    told = None
    if found.policy is not None and found.verdict is not None:
        told = in_words(found.policy, found.verdict, "en", confidential=False)
    against = {code: REASONS_AGAINST[code] for code in weighed.obstacles if code != SUSPICION}
    steps = [one.as_json() for one in weighed.steps]
    if as_json:
        grounds, inputs = json.loads(found.grounds.freeze()), None
        if grounds["worked_out"]:
            grounds["worked_out"].pop("suspicious")  # compliance's alone
        if found.inputs is not None:
            inputs = json.loads(found.inputs.freeze())
            inputs.pop("watchlist")
        about = {
            "change_id": decided.change_id,
            "number": decided.number,
            "kind": decided.kind,
            "outcome": decided.outcome,
            "automatic": not decided.decided_by,
            "decided_at": decided.at.isoformat(),
            "limit": decided.granted.minor if decided.granted else None,
            "policy_version": decided.policy_version,
            "policy_digest": decided.policy_digest,
            "same_bytes": found.same,
            "grounds": grounds,
            "against": against,
            "steps": steps,
            "inputs": inputs,
            "verdict": asdict(told) if told else None,
        }
        typer.echo(json.dumps(about, ensure_ascii=False, indent=2))
        return
    by = ("no person", "one person", "two people")[len(decided.decided_by)]
    limit = f", limit {decided.granted}" if decided.granted is not None else ""
    _console.print(
        f"{decided.kind} {decided.outcome} on {decided.at:%Y-%m-%d %H:%M} UTC by {by}{limit}"
    )
    _console.print(f"weighed again: {'the same bytes' if found.same else 'OTHER BYTES'}")
    for code, words in against.items():
        _console.print(f"  {code}: {words}")
    _print_steps("change", steps)
    if told is not None and found.policy is not None:
        _console.print(f"policy {found.policy.version}  {found.policy.digest}")
        _console.print(f"the policy said: {told.outcome}, advice {told.advice}")
        _print_verdict(told)


def _verified(
    which: str, name: str | None, database: str | None, look: tuple[str, str] | None
) -> tuple[Verification | LimitVerification, list[Entry]]:
    """The decision, computed again, and the history of the case as others than compliance read it;
    look: who sees the amounts, and why, which is recorded."""

    async def work(
        conn: Any, settings: Settings
    ) -> tuple[Verification | LimitVerification, list[Entry]]:
        application_id = which
        change = await limit_store.application_of(conn, which)
        if change is not None:
            application_id, _change_id = change
        else:
            try:
                number = str(parse_application_number(which))
                application_id = await store.id_of_number(conn, None, number) or which
            except ApplicationNumberError:
                pass
        case = await store.find_case(conn, application_id)
        if case is None or case.hand_over is None:
            raise CannotRedrive(f"review has no application {which}")
        vault, pool = await open_vault(settings, "review", max_size=1)
        try:
            shelf = PolicyShelf.beside(settings.parameters)

            async def opened() -> Any:
                return vault

            found: Verification | LimitVerification | None
            if change is not None:
                found = await evidence.verify_change(conn, opened, shelf, case, change[1])
            else:
                found = await evidence.verify(conn, opened, shelf, case)
            if found is None:
                raise CannotRedrive(
                    f"{which} is not decided by review, or its grounds were not kept"
                )
            if look is not None:
                who, why = look
                keys = await vault.party_keys(
                    case.need_hand_over().examined.party_id, case.application_id
                )
                await record_view(
                    conn,
                    case.application_id,
                    who,
                    "decision",
                    open_clock(settings).now(),
                    why="other",
                    reason=str(keys.seal(NOTE_CLASS, NOTE_FIELD, why)),
                )
            return found, await store.history_of(conn, case.application_id, confidential=False)
        except KeyUnavailableError:
            raise CannotRedrive("the applicant's data was erased: nothing can be opened") from None
        except SealBrokenError:
            raise CannotRedrive("what was kept cannot be opened: somebody has changed it") from None
        except PolicyNotHeldError as problem:
            raise CannotRedrive(str(problem)) from None
        finally:
            await pool.close()

    return with_service("review", name, database, work)
