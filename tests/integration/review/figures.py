"""The addresses of the pages about all past decisions: weighed where there is something to show."""

from typing import Final

_REPLAYS = "/review/policies/{digest}/replays"
# page -> how many lines of a table it has at least
PAGES: Final = {
    _REPLAYS: 2,
    _REPLAYS + "/{run_id}": 12,
    _REPLAYS + "/{run_id}/progress": 0,
    _REPLAYS + "/{run_id}/cases": 2,
    "/review/policies/{digest}/shadow": 4,
    "/review/policies/{digest}/shadow/cases": 2,
}
_DRIFT = "/review/policies/drift"
DRIFT_PAGES: Final = {_DRIFT: 26, _DRIFT + "/{run_id}": 8, _DRIFT + "/{run_id}/progress": 0}
NO_PAGES: Final = {_REPLAYS + "/{run_id}/report", _DRIFT + "/{run_id}/report"}
