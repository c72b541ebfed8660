"""Stages and shares done, from what the tools print."""

from boards.flow import watching
from boards.flow.watching import RouterWatch, Stopwatch, SynthesisWatch

ROUTER = """
Info: Packing constants..
Info: iter=321 steplen=0.947 a=161.8 penalty=[0.17, 0.17, 0.17, 0.17]
Info:     at iteration #3, type ALL: wirelen solved = 282, spread = 774, legal = 1119; time = 0.02s
Info: Routing globals...
Info: Routing..
Info: Routing 400 arcs.
Info:            |   (re-)routed arcs  |   delta    | remaining|       time spent     |
Info:       1000 |      372        627 |  372   627 |       300|       8.00       8.00|
Info:       1536 |      102        401 |  102   401 |         0|       0.23       0.23|
"""


def test_router():
    seen = []
    watch = RouterWatch(lambda *report: seen.append(report))
    for line in ROUTER.splitlines():
        watch(line)
    assert [(stage, share) for stage, share, _ in seen] == [
        ("placement", None),
        ("placement", None),
        ("placement", None),
        ("routing", 0.0),
        ("routing", 0.25),
        ("routing", 1.0),
    ]
    assert [what for _, _, what in seen[1:3]] == ["iteration 321", "iteration 3"]
    assert "300 arcs" in seen[4][2]


NEGOTIATED = """
Info:   at iteration #5: temp = 0.000000, timing cost = 6, wirelen = 2327
Info: Running main router loop...
Info:     iter=1 wires=4184 overused=200 overuse=346 tmgfail=0 archfail=NA
Info:     iter=2 wires=4301 overused=50 overuse=51 tmgfail=0 archfail=NA
Info:     iter=3 wires=4345 overused=0 overuse=0 tmgfail=0 archfail=0
Info: Running router1 to check that route is legal...
Info: Routing 0 arcs.
"""


def test_a_router_that_negotiates():
    """It is further the fewer wires are in conflict; the check at its end is no new beginning."""
    seen = []
    watch = RouterWatch(lambda *report: seen.append(report))
    for line in NEGOTIATED.splitlines():
        watch(line)
    assert seen == [
        ("placement", None, ""),
        ("placement", None, "iteration 5"),
        ("routing", 0.0, "200 wires in conflict"),
        ("routing", 0.75, "50 wires in conflict"),
        ("routing", 1.0, "0 wires in conflict"),
    ]


def test_synthesis():
    seen = []
    watch = SynthesisWatch(lambda *report: seen.append(report))
    for line in ("2.3.1. Executing PROC_CLEAN pass (remove empty switches).", "Cleaned up 3 empty switches."):
        watch(line)
    assert [what for _, _, what in seen] == ["", "proc clean"]


def test_stopwatch_gives_each_stage_its_seconds(monkeypatch):
    """A stage that comes back goes on counting."""
    now = iter((0, 2, 2, 5, 5, 9))
    monkeypatch.setattr(watching.time, "perf_counter", lambda: next(now))
    seen = []
    stopwatch = Stopwatch(lambda *report: seen.append(report[0]))
    for stage in ("synthesis", "synthesis", "packing", "synthesis"):
        stopwatch(stage)
    stopwatch.stop()
    assert stopwatch.seconds == {"synthesis": 6, "packing": 3} and len(seen) == 4
