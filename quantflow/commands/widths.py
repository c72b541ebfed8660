"""What `tune` is told about bit widths: numbers, single layers, or `auto` under limits; and the search for them."""

from dataclasses import dataclass, field

from quantflow.bit_widths import Limits, Problem, search, tune_chosen
from quantflow.bit_widths.costs import Machine
from quantflow.bit_widths.search import EXCHANGES
from quantflow.bit_widths.trials import Trials
from quantflow.bit_widths.widths import ACTIVATION, WEIGHT, make_space
from quantflow.commands.console import add_row, console, progress, table
from quantflow.errors import UserError
from quantflow.tuner.tune import tune
from quantflow.wording import count, decibels, percent

AUTO = "auto"
TRIALS = "bit_widths.jsonl"  # beside the tuned network: what a search has measured


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the command line says about widths, checked as far as it can be without the network."""

    weight_bits: int | None  # None: to be searched
    activation_bits: int | None
    layers: dict = field(default_factory=dict)  # name to (weight bits, activation bits), each may be None
    limits: Limits = field(default_factory=Limits)
    machine: Machine | None = None
    exchanges: int = EXCHANGES

    @property
    def searched(self):
        return self.weight_bits is None or self.activation_bits is None


def wanted(weight_bits, activation_bits, layer_bits=(), *, board=None, exchanges=EXCHANGES, **limits):
    """Options of the command line as `Wanted`; `limits` are those of `Limits`, None where not given.

    Raises UserError for what cannot be meant.
    """
    bits = {
        "weight_bits": _bits("--weight-bits", weight_bits),
        "activation_bits": _bits("--activation-bits", activation_bits),
    }
    limits, searched = Limits(**limits), None in bits.values()
    for name, value in vars(limits).items():
        if value is None:
            continue
        option = f"--{name.replace('_', '-')}"
        if not searched:
            raise UserError(f"{option} limits a search, which --weight-bits auto or --activation-bits auto asks for")
        if not 0 <= value < float("inf"):
            raise UserError(f"{option} is a number of at least 0, not {value}")
        if name != "max_drop" and bits["weight_bits"] is not None:
            raise UserError(f"{option} limits the weights' widths, which --weight-bits auto asks for")
    if searched and limits == Limits():
        raise UserError("auto widths need a limit: --max-drop POINTS, --max-bytes BYTES or --max-cycles CYCLES")
    if limits.max_cycles is not None and board is None:
        raise UserError("--max-cycles counts the cycles of a machine, which --board NAME chooses")
    if board is not None and not searched:
        raise UserError("--board is for a search: --weight-bits auto with --max-cycles, say")
    return Wanted(
        **bits, layers=_layers(layer_bits), limits=limits, machine=_machine(board), exchanges=max(0, exchanges)
    )


def _bits(option, text):
    if str(text) == AUTO:
        return None
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{option} is a whole number from 2 to 16, or auto, not {text}") from None


def _layers(texts):
    """NAME=W, NAME=W/A or NAME=/A as {name: (W, A)}; names may hold both signs."""
    found = {}
    for text in texts or ():
        name, _, widths = text.rpartition("=")
        weight, _, activation = widths.partition("/")
        try:
            found[name] = tuple(int(part) if part else None for part in (weight, activation))
        except ValueError:
            found[name] = None, None
        if not name or found[name] == (None, None):
            raise UserError(f"--layer-bits is NAME=WEIGHTS, NAME=WEIGHTS/OUTPUT or NAME=/OUTPUT in bits, not {text}")
    return found


def _machine(board):
    if board is None:
        return None
    import boards

    found = boards.find(board)
    return Machine(config=found.config, timing=found.memory)


def settle(network, calibration, wanted_, output, **options):
    """The widths for `tune`, and the search's figures: (options of `tune`, function in its place, figures).

    `options` are the further ones of `tune`. A search writes what it measured into the folder `output`, and
    goes on from there if it is asked for again. Without a search there are no figures.
    """
    given = {WEIGHT: wanted_.weight_bits, ACTIVATION: wanted_.activation_bits}
    if not wanted_.searched and not wanted_.layers:
        return given, tune, {}
    space = make_space(network, **given, fixed=wanted_.layers)
    if not wanted_.searched:
        return space.widest().to_json(), tune, {}
    trials = Trials(output / TRIALS)
    fields = {"limits": wanted_.limits, "machine": wanted_.machine, "options": options, "trials": trials}
    problem = Problem.of(network, calibration, space=space, **fields)
    found = search(problem, exchanges=wanted_.exchanges, stage=progress)
    show_search(problem, found)
    held_out = {"held_out_images": len(problem.held_out), "limits": vars(wanted_.limits)}
    figures = {"bit_widths": found.to_json() | held_out, "path": [trial.to_json() for trial in found.path]}

    def tuner(_, images, **said):
        return tune_chosen(problem, found, images, **{name: said[name] for name in said.keys() - options.keys()})

    return {}, tuner, figures


def show_search(problem, found):
    """Print what was measured, the chosen choice marked, and what that cost."""
    judged = "top-1" if problem.held_out.labels is not None else "agreement"
    title = f"\nWidths measured on the {len(problem.held_out):,} calibration images that were not tuned on"
    cycles = ["cycles"] if problem.machine is not None else []
    rows = table("weights", "outputs", "bytes", *cycles, "agreement", f"{judged} lost", "output", "<", title=title)
    for trial in found.path:
        mark = "chosen" if trial == found.chosen else "best uniform" if trial == found.uniform else ""
        figures = [count(trial.parameter_bytes), *([count(trial.cycles)] if cycles else []), percent(trial.agreement)]
        lost = f"{trial.drop:.2f} points"
        widths = (_span(getattr(trial.widths, kind)) for kind in (WEIGHT, ACTIVATION))
        add_row(rows, *widths, *figures, lost, decibels(trial.output_sqnr_db), mark)
    console.print(rows)
    known = f", {found.known} more known from before" if found.known else ""
    cut = "; interrupted" if found.interrupted else ""
    text = f"{found.tunes} choices of widths tuned and measured{known}, in {found.seconds:.0f} s{cut}\n"
    console.print(text, highlight=False)


def _span(bits):
    """Widths by name as "4", or as "2 to 8"."""
    low, high = min(bits.values()), max(bits.values())
    return str(low) if low == high else f"{low} to {high}"
