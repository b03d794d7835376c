"""Reads the lines of text on papers, in a process of its own: `python -m services.intake.card_ocr
FD`.

The only module that touches rapidocr, which `requirements-reading.lock` installs. Its models come
with it and are named by their files, so it has nothing to fetch. They are loaded once; each job
runs in a fresh fork with limits of memory, processor and time, in which nothing can be opened:
neither a file nor a connection.
"""

from __future__ import annotations

import itertools
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

# before numpy is loaded: a fork has only the thread that forked
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
# before onnxruntime is: it would keep a number of this machine and report to its maker
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import cv2
import numpy as np
import rapidocr
from PIL import Image, ImageDraw

from shared.paper_decoding import pages, serve

MOST_LINES: Final = 200  # on a page; a card has ten
LONGEST_LINE: Final = 100  # characters
_HIGH: Final = 16  # pixels, of a line in which glare is looked for
_BESIDE: Final = 2 * _HIGH
_LONGEST: Final = LONGEST_LINE * _HIGH
_BURNT: Final = 250  # of 255, in each colour
_MOST_OF_IT: Final = 0.9  # of a column
_MODELS: Final = Path(rapidocr.__file__).parent / "models"
_ONE: Final = "EngineConfig.onnxruntime."


def engine() -> Any:
    """The models, loaded and used once: whatever they need is there before the first fork."""
    cv2.setNumThreads(0)
    found = rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",  # it would log what it reads
            "Global.text_score": 0.0,  # how sure is sure enough is decided elsewhere
            "Global.max_side_len": 4000,  # the picture is as large as was asked for
            _ONE + "intra_op_num_threads": 1,
            _ONE + "inter_op_num_threads": 1,
            # text is found on a smaller picture and read on the whole one: half the time
            "Det.limit_type": "max",
            "Det.limit_side_len": 1120,
            "Det.model_path": _model("det"),
            "Cls.model_path": _model("cls"),
            "Rec.model_path": _model("rec"),
        }
    )
    image = Image.new("RGB", (400, 120), "white")
    ImageDraw.Draw(image).text((20, 30), "0123456789 0123", fill="black", font_size=36)
    lines_on(image, found)
    return found


def _model(task: str) -> str:
    """The file that the package brings; there is one for each task."""
    (file,) = [one for one in _MODELS.glob("*.onnx") if f"_{task}_" in one.name]
    return str(file)


def lines_on(image: Image.Image, found: Any) -> list[list[Any]]:
    """[text, a score for each character, four corners, heights of glare] of each line on a
    picture."""
    pixels = np.ascontiguousarray(np.asarray(image)[:, :, ::-1])
    read = found(pixels, return_word_box=True, return_single_char_box=True)
    if read.boxes is None or read.txts is None:
        return []
    words = (
        read.word_results if len(read.word_results or ()) == len(read.txts) else [()] * len(read)
    )
    return [
        [text[:LONGEST_LINE], _scores(text, score, one)[:LONGEST_LINE], corners.tolist(), glare]
        for text, score, one, corners, glare in itertools.islice(
            zip(read.txts, read.scores, words, read.boxes, _glare(pixels, read.boxes), strict=True),
            MOST_LINES,
        )
    ]


def _glare(pixels: np.ndarray, boxes: Sequence[np.ndarray]) -> list[float]:
    """How long the longest stretch is, in a line's heights, that shines too brightly on the line
    or right beside it to show anything. Where the paper itself is that bright nobody can tell: 0.
    """
    strips = [_strip(pixels, box) for box in boxes]
    paper = [np.percentile(strip[:, _BESIDE:-_BESIDE], 75) for strip in strips]
    if not strips or np.median(paper) >= _BURNT:
        return [0.0] * len(strips)
    return [_longest((strip >= _BURNT).mean(axis=0) > _MOST_OF_IT) / _HIGH for strip in strips]


def _strip(pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The darkest colour of each point of a line that is drawn upright, `_HIGH` high, with as much
    of what is before and behind it as two characters take."""
    upper_left, upper_right, _, lower_left = box.astype(np.float32)
    along, down = upper_right - upper_left, lower_left - upper_left
    wide, high = max(float(np.hypot(*along)), 1.0), max(float(np.hypot(*down)), 1.0)
    across = min(max(round(wide / high * _HIGH), 1), _LONGEST)
    beside = along / wide * high * (_BESIDE / _HIGH)
    seen = np.array([upper_left - beside, upper_right + beside, lower_left - beside], np.float32)
    drawn = np.array([[0, 0], [across + 2 * _BESIDE, 0], [0, _HIGH]], np.float32)
    strip = cv2.warpAffine(
        pixels, cv2.getAffineTransform(seen, drawn), (across + 2 * _BESIDE, _HIGH)
    )
    darkest: np.ndarray = strip.min(axis=2)
    return darkest


def _longest(burnt: np.ndarray) -> int:
    """How many in a row are true at most."""
    return max((len(list(run)) for is_so, run in itertools.groupby(burnt) if is_so), default=0)


def _scores(text: str, whole: float, words: Sequence[tuple[str, float, Any]]) -> list[float]:
    """How sure each character is; of a line that came in other pieces, the line as a whole."""
    if "".join(word for word, _, _ in words) == text and len(words) == len(text):
        return [float(score) for _, score, _ in words]
    return [float(whole)] * len(text)


def main(descriptor: int) -> None:
    """Serve until the control socket is closed."""
    found = engine()

    def answer(asked: Mapping[str, Any], blobs: Sequence[bytes]) -> tuple[Any, list[bytes]]:
        if asked["job"] == "ready":
            return None, []
        limits = asked["limits"]
        drawn = itertools.islice(pages(blobs[0], limits["pixels"]), limits["pages"])
        return [lines_on(image, found) for image in drawn], []

    serve(socket.socket(fileno=descriptor), answer, opens_files=False)


if __name__ == "__main__":
    Image.preinit()
    main(int(sys.argv[1]))
