"""Which stage of the network took which cycles, from the testbench's record of retirements."""


def read_timelines(path, programs, results, manifest):
    """For each run the cycles of each stage: from the last retirement of the stage before to its own.

    The first stage begins with the run and the last ends with it, so that the stages' cycles add
    up to the run's. `programs` are the runs' program names, `results` what sim/host.py reports.
    """
    timelines, retired = [], []
    for line in path.read_text().splitlines():
        cycle, event = line.split()
        if event == "C":
            retired.append(int(cycle))
        elif event == "I":
            number = len(timelines)
            if number == len(programs):
                break
            program = manifest.programs[programs[number]]
            start = int(cycle) - results[number]["cycles"]
            timelines.append(_stage_cycles(program, retired, start, int(cycle), len(manifest.stages)))
            retired = []
    if len(timelines) != len(programs):
        raise RuntimeError(f"{path} records {len(timelines)} of {len(programs)} runs")
    return timelines


def _stage_cycles(program, retired, start, end, stage_count):
    ends = [start] * stage_count
    for (_, record), cycle in zip(program.of_unit("compute"), retired, strict=True):
        ends[record.stage] = cycle
    ends[-1] = end
    return tuple(after - before for before, after in zip([start, *ends[:-1]], ends, strict=True))
