"""What counts as a change that whoever decides on an older look has to hear of."""

from __future__ import annotations

from services.intake.application import Application
from services.intake.desk import may_see
from services.intake.items import Change, ItemState
from shared.web import Viewer
from shared.web.permissions import Reach
from tests.unit.intake.drawers import NOW, draft


def counted(app: Application, *actions: str) -> int:
    """The revision after these were noted and written."""
    app.entries = []
    for action in actions:
        app.note(NOW, "somebody", action)
    app.count_revision()
    return app.revision


def test_what_is_done_here_counts_once_a_writing() -> None:
    app = draft()
    app.revision = 0
    assert counted(app, "begun") == 1
    assert counted(app, "paper_received") == 2
    assert counted(app, "corrected", "material_completed", "handed_over") == 3


def test_a_step_of_review_and_a_repetition_count_nothing() -> None:
    """By it a channel would see that a case rests."""
    app = draft()
    app.revision = 7
    assert counted(app, "moved", "moved") == 7
    assert counted(app) == 7
    assert counted(app, "moved", "material_wanted") == 8


def test_a_verdict_on_an_item_counts_and_what_the_rules_say_does_not() -> None:
    app = draft()
    app.revision = 3
    for actor, revision in (("intake", 3), ("staff:A0101", 4)):
        app.items.changes = [
            Change("applicant", "id_front", NOW, actor, "moved", None, ItemState.ACCEPTED)
        ]
        assert counted(app) == revision


def caller(client: str | None, *, own_only: bool, branches: frozenset[str] | None) -> Viewer:
    reach = Reach(branches, client if own_only else None)
    return Viewer("x", "x", frozenset(), {}, reach, "en", client=client)


def test_a_channel_sees_what_it_began_within_its_branches() -> None:
    app = draft()
    branch = app.need_scope().branch
    app.client = "web"
    here, elsewhere = frozenset({branch}), frozenset({"9999"})
    assert may_see(app, caller("web", own_only=True, branches=None))
    assert may_see(app, caller("web", own_only=True, branches=here))
    assert not may_see(app, caller("web", own_only=True, branches=elsewhere))
    assert not may_see(app, caller("app", own_only=True, branches=None))
    assert may_see(app, caller("app", own_only=False, branches=here))
    assert may_see(app, caller(None, own_only=False, branches=here))
    app.client = None  # of the counter, or of a partner
    assert not may_see(app, caller("web", own_only=True, branches=None))
    assert not may_see(Application("unknown"), caller(None, own_only=False, branches=None))
