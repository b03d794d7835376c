"""Whether a name is one of the bank's own list: as it is written, and as it sounds (pinyin).

Pure. Characters are compared with characters and sounds with sounds; each has a likeness of its
own from which on it counts (`checks.yaml`, screening), because many a name sounds like another
one. What is alike but does not count is kept beside it, so that whoever judges a match sees what
else there is.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from math import prod
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from rapidfuzz import fuzz, process

from shared.formats import normalise_name
from shared.parameters import InternalList, Screening
from shared.parameters.models import Listed, ListedKind

# names are read character by character; its phrases would take 40 MB
os.environ.setdefault("PYPINYIN_NO_PHRASES", "true")
from pypinyin import Style, pinyin

_MOST_READINGS = 256  # of one name: some characters have several sounds, few names so many
_MOST_KEPT = 20  # matches and alternatives of one search

How = Literal["written", "sound"]


class OwnMatch(BaseModel):
    """An entry of the bank's own list that a name is like. `listed`: the name or alias that it is
    like, `how` in what, `likeness` up to 1; `counts`: whether it was enough."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)

    entry: str
    kind: ListedKind
    reason: str
    listed: str
    how: How
    likeness: Annotated[float, Field(ge=0, le=1)]
    counts: bool


def search(names: Iterable[str], listed: InternalList, terms: Screening) -> list[OwnMatch]:
    """Every entry that one of a person's names is like, what counts and what is most alike first;
    of each entry the likeness that tells most. Some milliseconds for thousands of entries, seconds
    for the first search of a list."""
    best: dict[str, OwnMatch] = {}
    index = _index_of(listed)
    ways: tuple[tuple[How, Callable[[str], list[str]], float], ...] = (
        ("written", _written, terms.written),
        ("sound", _sounds, terms.sound),
    )
    for how, asked, enough in ways:
        choices, places = index[how]
        for one in {text for name in names for text in asked(name)}:
            cutoff = min(enough, terms.alternatives) * 100
            for _, score, number in process.extract(
                one, choices, scorer=fuzz.ratio, score_cutoff=cutoff, limit=None
            ):
                likeness, (entry, name) = round(score / 100, 4), places[number]
                counts, held = likeness >= enough, best.get(entry.entry)
                if held is None or (counts, likeness) > (held.counts, held.likeness):
                    best[entry.entry] = OwnMatch(
                        entry=entry.entry,
                        kind=entry.kind,
                        reason=entry.reason,
                        listed=name,
                        how=how,
                        likeness=likeness,
                        counts=counts,
                    )
    found = sorted(best.values(), key=lambda one: (not one.counts, -one.likeness, one.entry))
    return found[:_MOST_KEPT]


_Index = Mapping[How, tuple[list[str], list[tuple[Listed, str]]]]
_held: dict[str, _Index] = {}  # of the last list, by its digest


def _index_of(listed: InternalList) -> _Index:
    """{how: (texts to be compared with, of each the entry and the name that it stands for)}"""
    index = _held.get(listed.digest)
    if index is None:
        index = {"written": ([], []), "sound": ([], [])}
        for entry in listed.entries:
            for name in (entry.name, *entry.aliases):
                orders = {order for one in readings(name) for order in _orders(one)}
                texts: Mapping[How, list[str]] = {"written": _written(name), "sound": list(orders)}
                for how, (choices, places) in index.items():
                    choices.extend(texts[how])
                    places.extend([(entry, name)] * len(texts[how]))
        _held.clear()
        _held[listed.digest] = index
    return index


def _written(name: str) -> list[str]:
    return [normalise_name(name)]


def _sounds(name: str) -> list[str]:
    return [one.replace(" ", "") for one in readings(name)]


def _orders(reading: str) -> set[str]:
    """A reading without its blanks, as it stands and with a family name of one or two syllables
    behind the rest."""
    parts = reading.split()
    return {"".join((*parts[first:], *parts[:first])) for first in range(min(3, len(parts)))}


def readings(name: str) -> tuple[str, ...]:
    """How a name may be read: syllables of pinyin without tones, in small letters, a blank between
    them; what is written in Latin letters is its own reading.

    Every way to read it, at most 256: of what could be read in more ways, as no name is, the last
    sounds of the characters with most of them are left out.
    """
    syllables = [
        [one.strip() for one in sounds if one.strip()]
        for part in normalise_name(name).replace("·", " ").split()
        for sounds in pinyin(part, style=Style.NORMAL, heteronym=True)
    ]
    # without tones some of a character's sounds are one
    spoken = [list(dict.fromkeys(map(_plain, sounds))) for sounds in syllables if sounds]
    while prod(map(len, spoken)) > _MOST_READINGS:
        max(spoken, key=len).pop()  # as a rule what is usual stands first
    return tuple(" ".join(one) for one in product(*spoken))


def _plain(sound: str) -> str:
    """Without accents, and with the yu of passports in LYU where pinyin has lv for lü."""
    parts = unicodedata.normalize("NFKD", sound)
    return (
        "".join(one for one in parts if not unicodedata.combining(one)).lower().replace("v", "yu")
    )
