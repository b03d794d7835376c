"""The benchmark's figures: quantiles of what was measured, medians of rounds."""

from __future__ import annotations

import pytest

from tests.bench.__main__ import arguments, middle
from tests.bench.driving import Measured, quantiles
from tests.bench.workload import decide, form


def test_quantiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(1, 1002)]
    assert quantiles(values) == {"p50": 501.0, "p99": 991.0, "p99.9": 1000.0}
    assert quantiles([7.0]) == {"p50": 7.0, "p99": 7.0, "p99.9": 7.0}
    assert quantiles([]) == {}


def test_rounds_become_medians_figure_by_figure() -> None:
    rounds = [
        Measured(10, 50, rate, {"p50": p50}, cpu={"intake": rate}, kept_up=rate > 1)
        for rate, p50 in ((3.0, 0.5), (1.0, 0.1), (2.0, 0.9))
    ]
    found = middle(rounds)
    assert found is not None
    assert (found["rate"], found["rates"]) == (2.0, [3.0, 1.0, 2.0])
    assert (found["latency"], found["cpu"]) == ({"p50": 0.5}, {"intake": 2.0})
    assert not found["kept_up"], "one round fell behind"
    assert middle([]) is None


def test_a_wrong_pipeline_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["--pipelines", "plain,thick"])
    assert "no pipeline thick" in capsys.readouterr().err
    assert arguments(["--loads", "none"]).loads == []


def test_the_thin_workload_decides_both_ways() -> None:
    forms = [form(f"a-{nth}", nth) for nth in range(200)]
    decided = {decide(int(f["income"]), int(f["wanted"]))[0] for f in forms}
    assert decided == {"approved", "declined"}
