"""Where a run's cycles went: the machine's counters and, where it keeps them, each layer's cycles."""

from dataclasses import asdict, dataclass

from quantflow.registers import Register


@dataclass(frozen=True, kw_only=True)
class LayerProfile:
    """One stage of the machine: a layer, with what is fused to it."""

    name: str
    macs: int  # of all images of the run
    cycles: int  # from the end of the stage before to its own
    predicted_cycles: int
    utilization: float  # macs / (cycles x multipliers)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One run."""

    program: str
    seconds: float  # at the clock of the build
    counters: dict[str, int]
    layers: tuple[LayerProfile, ...] | None  # None: the machine does not record its instructions' ends

    @classmethod
    def read(cls, link, manifest, name, counters):
        """The profile of a run of the program `name`, from the machine's registers."""
        program = manifest.programs[name]
        retired = read_retirements(link, manifest.config, len(program.of_unit("compute")))
        layers = None
        if retired is not None:
            cycles = program.stage_cycles(retired, counters["cycles"])
            rows = zip(manifest.stages, cycles, program.predicted, strict=True)
            layers = tuple(_layer(stage, count, predicted, manifest.config) for stage, count, predicted in rows)
        return cls(
            program=name, seconds=counters["cycles"] / (manifest.clock_mhz * 1e6), counters=counters, layers=layers
        )

    def to_json(self):
        return asdict(self)


def read_retirements(link, config, count):
    """The cycles in which a run's `count` compute instructions retired; None where the machine does not keep them.

    The machine has room for the first `config.profile_depth` of them.
    """
    if count > config.profile_depth:
        return None
    retired = []
    for index in range(count):
        link.write_register(Register.PROFILE_INDEX, index)
        retired.append(link.read_register(Register.PROFILE_CYCLES))
    return retired


def _layer(stage, cycles, predicted, config):
    return LayerProfile(
        name=stage.name,
        macs=stage.macs,
        cycles=cycles,
        predicted_cycles=predicted.cycles,
        utilization=stage.macs / (max(1, cycles) * config.multipliers),
    )
