"""The screens' words: everything has a Chinese text, every state a badge."""

from __future__ import annotations

from pathlib import Path

from services.notify import words
from services.notify.application import MessageState, SentEvidence, UnsentEvidence
from services.notify.messages import Channel, Template
from shared.web import i18n
from shared.web.states import MESSAGES

PACKAGE = Path(__file__).parents[3] / "services" / "notify"
SHARED = Path(i18n.__file__).parent / "locale"


def test_every_text_has_a_chinese_one() -> None:
    assert [str(found) for found in i18n.untranslated(PACKAGE, [SHARED])] == []


def test_everything_that_is_shown_has_a_name() -> None:
    assert set(words.STATES) == set(words.HAPPENINGS) == set(MessageState)
    assert set(words.CHANNELS) == set(Channel)
    assert set(MESSAGES) == set(Template)
    assert set(words.SENT) == set(SentEvidence)
    assert set(words.UNSENT) == set(UnsentEvidence)


def test_a_reason_is_told_in_words_as_far_as_there_are_any() -> None:
    assert words.reason_words("no-answer: ReadTimeout, http-503").startswith("the gateway gave no")
    assert words.reason_words("smtp-550") == "there is no such mailbox"
    assert words.reason_words("smtp-554") == "the mail server refused it"
    assert words.reason_words("quota-used-up") == "quota-used-up"
