"""The side bar shows what a viewer may open, and where they are."""

from __future__ import annotations

from shared.web import navigation
from shared.web.navigation import SECTIONS, current_entry, sections_for
from shared.web.permissions import Role
from tests.unit.web.test_permissions import viewer


def links(*roles: Role) -> list[str]:
    return [entry.href for section in sections_for(viewer(*roles)) for entry in section.entries]


def test_each_role_sees_the_links_of_its_work() -> None:
    assert "/intake/applications" in links(Role.ASSISTANT)
    assert "/review/queue" not in links(Role.ASSISTANT)
    assert "/review/queue" in links(Role.REVIEWER)
    assert "/intake/applications" not in links(Role.REVIEWER)
    assert "/notify/messages" not in links(Role.COMPLIANCE)
    assert "/reporting/reports/daily" not in links(Role.OPS)
    assert "/intake/audit" in links(Role.AUDITOR)
    assert "/intake/audit" not in links(Role.MANAGER)


def test_a_section_without_links_is_left_out() -> None:
    assert sections_for(viewer()) == []
    assert len(sections_for(viewer(Role.OPS))) == len(SECTIONS) - 2  # reports, oversight


def test_the_entry_of_a_page_is_the_longest_that_fits() -> None:
    assert current_entry("/review/queue") == "/review/queue"
    assert current_entry("/reporting/applications/0190") == "/reporting/applications"
    assert current_entry("/reporting/reports/daily/2026-11-24") == "/reporting/reports/daily"
    assert current_entry("/reporting/applicationsx") is None
    assert current_entry("/sign-in") is None


def test_every_link_leads_to_a_service_and_has_an_icon_that_we_ship() -> None:
    from shared.web.static_files import FOLDER

    sprite = (FOLDER / "vendor/tabler-icons/sprite.svg").read_text(encoding="utf-8")
    for section in navigation.SECTIONS:
        for entry in section.entries:
            assert f'id="{entry.icon}"' in sprite
