"""Figures, ratios and goals: what can be wrong without anybody noticing."""

import re
from dataclasses import replace as replaced
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from bench.peers import compare, plot, report, results
from bench.peers.goals import GOALS, Goal, ratio
from bench.peers.load import Times, Told
from bench.peers.measure import in_order, reading
from bench.peers.ours import NAME as OURS
from bench.peers.ours import Books, differs
from bench.peers.results import Machine, Memory, NotMeasured, Results, Round
from bench.peers.upstream import Tally
from bench.peers.workloads import DIRECT, EVERYBODY, chosen

MACHINE = Machine(
    processor="A processor", cores=2, memory_gb=4.0, system="Linux 6", python="3.11.7", load_before=0.1, load_after=1.9
)
ROUND = Round(
    requests_per_s=0,
    chunks_per_s=0,
    cpu_us_per_request=None,
    cpu_us_per_chunk=None,
    helpers_us_per_request=None,
    core_share=1,
    latency_us=None,
    first_us=None,
    gap_us=None,
    settled_s=None,
    rss=0,
    reconnects=0,
)


def times(p50: float, p99: float) -> Times:
    return Times(count=9, mean=p50, p50=p50, p90=p99, p99=p99, p999=p99, max=p99)


def a_run() -> Results:
    run = Results(
        size="quick",
        when="2026-01-02T03:04:05+00:00",
        commit="abc1234",
        machine=MACHINE,
        versions={OURS: "0.1.0", "Envoy": "1.40.0"},
        left_out={"Portkey": "it would not start"},
        titles={"chat": "Chat", "chat_half": "Chat at half load"},
        memory=Memory(
            idle_pss=80_000_000, idle_rss=120_000_000, streams=100, before_pss=90_000_000, open_pss=93_000_000
        ),
    )
    for ours, envoy in ((1000.0, 2500.0), (1200.0, 2000.0), (900.0, 3000.0)):
        run.add("chat", OURS, msgspec.structs.replace(ROUND, requests_per_s=ours, cpu_us_per_request=1e6 / ours))
        run.add("chat", "Envoy", msgspec.structs.replace(ROUND, requests_per_s=envoy, cpu_us_per_request=250.0))
    run.add("chat", DIRECT, msgspec.structs.replace(ROUND, requests_per_s=50_000.0))
    run.add("chat_half", OURS, msgspec.structs.replace(ROUND, latency_us=times(2_500, 9_000)))
    run.add("chat_half", DIRECT, msgspec.structs.replace(ROUND, latency_us=times(500, 1_000)))
    return run


def goal(work: str, against: str) -> Goal:
    (found,) = (goal for goal in GOALS if (goal.work, goal.against) == (work, against))
    return found


def test_a_ratio_is_of_medians_and_spans_what_the_rounds_allow() -> None:
    found = ratio(a_run(), above=("chat", OURS, "requests_per_s"), below=("chat", "Envoy", "requests_per_s"))
    assert (found.middle, found.low, found.high) == (1000 / 2500, 900 / 3000, 1200 / 2000)


def test_the_ratio_by_cpu_time_goes_the_same_way() -> None:
    by_cpu = goal("chat, small body", "Envoy").by_cpu
    assert by_cpu
    assert by_cpu(a_run()).middle == 250.0 / 1000.0


def test_what_a_direct_call_takes_is_no_part_of_what_we_add() -> None:
    assert goal("whole answer at half load, p50", "a direct call").found(a_run()).middle == 2.0
    assert goal("whole answer at half load, p99", "a direct call").found(a_run()).middle == 8.0


def test_a_goal_is_met_from_its_own_side() -> None:
    more, less = goal("chat, small body", "Envoy"), goal("memory of an open stream", "nothing")
    assert not more.is_met(more.found(a_run()))
    assert more.is_met(replaced(more.found(a_run()), middle=0.5))
    assert less.found(a_run()).middle == 30.0
    assert not less.is_met(less.found(a_run()))
    assert less.is_met(replaced(less.found(a_run()), middle=20.0))


def test_what_was_not_measured_is_no_zero() -> None:
    with pytest.raises(NotMeasured):
        goal("chat, small body", "LiteLLM").found(a_run())
    with pytest.raises(NotMeasured):
        a_run().median("chat", DIRECT, "cpu_us_per_request")


def test_who_fails_has_no_figures_any_more() -> None:
    run = a_run()
    run.fail("chat", "Envoy", "another text")
    with pytest.raises(NotMeasured):
        run.median("chat", "Envoy", "requests_per_s")
    assert "| Envoy | failed: another text |" in report.table(run)


def test_a_run_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    results.write(a_run(), tmp_path / "new" / "run.json")
    assert results.read(tmp_path / "new" / "run.json") == a_run()


def test_a_round_counts_what_was_used_for_what_was_done() -> None:
    told = Told(
        sent=110,
        ok=110,
        wrong=0,
        failed=0,
        hanging=0,
        reconnects=0,
        seconds=2.0,
        requests=100,
        chunks=400,
        bytes=1,
        statuses={"200": 110},
        latency_us=None,
        first_us=None,
        gap_us=None,
        first_wrong="",
    )
    found = reading(told, gateway_s=1.0, helpers_s=0.5, settled_s=0.1, rss=7, rate=0)
    assert (found.requests_per_s, found.chunks_per_s, found.core_share) == (50, 200, 0.5)
    assert (found.cpu_us_per_request, found.cpu_us_per_chunk, found.helpers_us_per_request) == (10_000, 2_500, 5_000)


def test_books_that_differ_from_the_tally_in_one_thing_are_told_apart() -> None:
    tally = Tally(requests=2, streams=0, prompt_tokens=40, completion_tokens=6, events=0, aborted=0, unknown=0)
    before = Books(records=5, input_tokens=10, cost_nanos=100, charges=5, charged_nanos=100)
    right = Books(
        records=7, input_tokens=50, output_tokens=6, cost_nanos=180, charges=7, charged_nanos=180, open_records=0
    )
    assert differs(before, right, tally=tally) == []
    for name in ("records", "open_records", "input_tokens", "output_tokens", "cost_nanos", "charges", "charged_nanos"):
        assert len(differs(before, replaced(right, **{name: getattr(right, name) + 1}), tally=tally)) == 1, name


def test_rounds_come_in_changing_order_and_with_everybody() -> None:
    orders = [in_order(EVERYBODY, number) for number in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == sorted(EVERYBODY) for order in orders)


@pytest.mark.parametrize("full", [False, True])
def test_goals_are_about_work_that_is_done(full: bool) -> None:
    work = {one.name: one for one in chosen(full=full)}
    assert all(one.half_of in {"", *work} for one in work.values())
    assert all(set(one.who) <= set(EVERYBODY) for one in work.values())
    for one in work.values():
        body = msgspec.json.decode(one.body("a model"))
        assert len(body["messages"][0]["content"]) >= one.body_bytes
        assert body["max_tokens"] >= one.tokens
        assert bool(body.get("stream")) == one.stream


def test_the_table_tells_goals_and_spreads() -> None:
    assert "| chat, small body | Envoy | ≥ 0.5 times | 0.4 times (0.3 to 0.6) | 0.25 | **not reached** |" in (
        report.goals(a_run())
    )
    assert "| memory of the idle edge | nothing | ≤ 150 MB | 80 MB |  | reached |" in report.goals(a_run())
    assert f"| {OURS} | 1,000 (900 to 1,200) | 1,000.0 |" in report.table(a_run())


def test_the_report_says_how_soon_the_books_were_right() -> None:
    run = a_run()
    assert "no bill" in report.books(run)
    run.add("chat", OURS, msgspec.structs.replace(ROUND, settled_s=0.25))
    assert "each of 1 rounds, 0.25 s after the last answer (at most 0.25 s)" in report.books(run)


def test_the_page_keeps_what_stands_around_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, picture = tmp_path / "page.md", tmp_path / "picture.svg"
    page.write_text(f"Before\n{report.BEGIN}\nold\n{report.END}\nAfter\n")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "PICTURE", picture)
    results.write(a_run(), tmp_path / "run.json")
    assert report.main([str(tmp_path / "run.json")]) == 0
    text = page.read_text()
    assert text.startswith(f"Before\n{report.BEGIN}\n")
    assert text.endswith(f"{report.END}\nAfter\n")
    assert "old" not in text
    assert "Portkey took no part: it would not start" in text
    assert ET.fromstring(picture.read_text()).tag.endswith("svg")  # noqa: S314 - we have just made it


def test_the_page_of_this_repository_has_its_marks() -> None:
    text = report.PAGE.read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1


def test_bars_are_longer_for_more_and_without_the_direct_call() -> None:
    drawn = plot.bars(a_run())
    widths = [float(width) for width in re.findall(r'width="([0-9.]+)" height="18"', drawn)]
    assert len(widths) == 2
    assert widths[0] > widths[1]
    assert "1,000 (1,000 µs each)" in drawn


def test_two_runs_are_compared_by_figures_and_by_ratios(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    later = a_run()
    later.rounds["chat"][OURS] = [msgspec.structs.replace(ROUND, requests_per_s=2000.0, cpu_us_per_request=500.0)]
    results.write(a_run(), tmp_path / "a.json")
    results.write(later, tmp_path / "b.json")
    assert compare.main([str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "chat PrivateRouter requests_per_s 1,000.0 2,000.0 +100.0% better" in lines
    assert "chat PrivateRouter cpu_us_per_request 1,000.0 500.0 -50.0% better" in lines
    assert "chat Envoy requests_per_s 2,500.0 2,500.0 +0.0%" in lines
    assert "chat, small body, against Envoy 0.400 0.800 +100.0%" in lines
