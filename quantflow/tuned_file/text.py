"""`network.json` as text: laid out to be read and edited, parsed without trust."""

import json
import textwrap
from collections import Counter

from quantflow.errors import UserError
from quantflow.tuned_file.record import shown

WIDTH = 100  # columns, where a value can be broken at all
MAX_DEPTH = 24  # of objects and lists within each other; what `save` writes needs 4, and `tuning` a few


def readable(value, indent="", spread=True):
    """JSON text; an object is on one line where it fits, but each object of a list has a line for each entry."""
    line = json.dumps(value, allow_nan=False, default=_plain)
    objects = isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value)
    if not value or not isinstance(value, dict | list | tuple):
        return line
    if not spread and not objects and len(indent) + len(line) <= WIDTH:
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {readable(item, inner, spread=False)}" for key, item in value.items()]
    elif any(isinstance(item, str | dict | list | tuple) for item in value):
        items = [readable(item, inner, spread=objects) for item in value]
    else:
        items = textwrap.wrap(line[1:-1], WIDTH - len(inner))
        items = [item.removesuffix(",") for item in items]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    body = ",\n".join(inner + item for item in items)
    return f"{opening}\n{body}\n{indent}{closing}"


def parse(text, path):
    """The object in `text`. Raises UserError, naming `path`, for anything but one plain JSON object.

    Python's parser alone would take NaN for a number, keep the last of two entries of one name, and let text
    pass that no file can hold.
    """

    def constant(name):
        raise UserError(f"{path} holds {name}, which is no number in JSON")

    def unique(pairs):
        entries = dict(pairs)
        if len(entries) < len(pairs):
            twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
            raise UserError(f"{path} has the entry {shown(twice)} twice in one object")
        return entries

    try:
        structure = json.loads(text, parse_constant=constant, object_pairs_hook=unique)
        json.dumps(structure, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not valid JSON") from None
    if not isinstance(structure, dict):
        raise UserError(f"{path} does not describe a tuned network")
    _check_depth(structure, path)
    return structure


def _check_depth(structure, path):
    level = [structure]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
    if level:
        raise UserError(f"{path} has objects or lists more than {MAX_DEPTH} deep in each other")


def _plain(value):
    """The Python number of a numpy one."""
    return value.item()
