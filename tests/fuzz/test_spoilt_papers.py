"""Papers that were spoilt at random: each is a paper or refused, and what is taken can be shown."""

from __future__ import annotations

from hypothesis import strategies as st

from deploy.demo.papers import paper, pdf
from shared.paper_images import CheckedPaper, DocumentRefusedError, PaperReader
from tests.fuzz.over_http import each
from tests.papers import picture, turned_jpeg

_GOOD = (picture("good"), paper("image/jpeg", "good"), turned_jpeg(), pdf(["good", "second"]))
_TOKENS = (
    *(
        b"",
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"IDAT",
        b"IEND",
        b"PLTE",
    ),
    *(
        b"\xff\xd9",
        b"\xff\xc2",
        b"\xff\xda",
        b"endobj",
        b"stream\n",
        b"<<",
        b">>",
        b"9 0 R",
        b"null",
    ),
    *(b"/Kids[", b"/Length -1", b"/Count 99999999", b"xref", b"%%EOF", b"/Rotate 45", b"1e99"),
)
_EXAMPLES = 60


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A good paper with some places replaced, or cut off."""
    content = draw(st.sampled_from(_GOOD))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        token = draw(st.sampled_from(_TOKENS) | st.binary(min_size=1, max_size=4))
        length = draw(st.sampled_from((0, len(token), 1)))
        content = content[:place] + token + content[place + length :]
    return content


async def test_a_spoilt_paper_is_a_paper_or_refused() -> None:
    contents: list[bytes] = []
    each(spoilt(), _EXAMPLES, None, contents.append)
    reader = PaperReader()
    try:
        found = await reader.check_all(contents)
        taken = [one.content for one in found if isinstance(one, CheckedPaper)]
        shown = await reader.render_all(taken)
    finally:
        reader.close()
    assert len(found) == len(contents)
    assert 0 < len(taken) < len(contents)
    for pages in shown:
        # what could be decoded and not be drawn is said, and never an empty paper
        assert isinstance(pages, DocumentRefusedError) or pages
