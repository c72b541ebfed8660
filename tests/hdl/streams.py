"""Drive and collect streams of a component under cocotb, with random stalls and protocol checks."""

from cocotb.triggers import RisingEdge


async def send(dut, name, payloads, rng, stall=0.5):
    """Offer each payload (an integer) on the input stream `name`; wait at random before each."""
    payload, valid, ready = (getattr(dut, f"{name}__{part}") for part in ("payload", "valid", "ready"))
    for value in payloads:
        while rng.random() < stall:
            await RisingEdge(dut.clk)
        payload.value = value
        valid.value = 1
        await RisingEdge(dut.clk)
        while not int(ready.value):
            await RisingEdge(dut.clk)
        valid.value = 0


async def collect(dut, name, into, rng, stall=0.5):
    """Append the output stream's payloads to the list `into`, for ever, being ready at random.

    Asserts that what is offered stays offered and unchanged until it is taken.
    """
    payload, valid, ready = (getattr(dut, f"{name}__{part}") for part in ("payload", "valid", "ready"))
    waiting = None
    while True:
        accept = rng.random() >= stall
        ready.value = accept
        await RisingEdge(dut.clk)
        offered = int(payload.value) if int(valid.value) else None
        assert waiting is None or offered == waiting, f"{name} offered {waiting}, then {offered}"
        if accept and offered is not None:
            into.append(offered)
        waiting = None if accept else offered


async def watch(dut, prefix, names, into):
    """Append a tuple of the signals `names` at each handshake of an AXI channel `prefix`, for ever.

    Asserts that valid stays high and the signals stay unchanged until ready.
    """
    signals = [getattr(dut, prefix + name) for name in names]
    valid, ready = getattr(dut, f"{prefix}valid"), getattr(dut, f"{prefix}ready")
    waiting = None
    while True:
        await RisingEdge(dut.clk)
        offered = tuple(int(signal.value) for signal in signals) if int(valid.value) else None
        assert waiting is None or offered == waiting, f"{prefix} offered {waiting}, then {offered}"
        taken = offered is not None and int(ready.value)
        if taken:
            into.append(offered)
        waiting = None if taken else offered


async def until(dut, condition, cycles=2000):
    """Wait until `condition()` holds; fails after `cycles`. Returns the cycles waited."""
    for waited in range(cycles):
        if condition():
            return waited
        await RisingEdge(dut.clk)
    raise AssertionError(f"nothing came within {cycles} cycles")


async def until_holds(dut, into, count, cycles=2000):
    """Wait until the list `into` holds `count` items; fails after `cycles`. Returns the cycles waited."""
    return await until(dut, lambda: len(into) >= count, cycles)


async def reset(dut, **inputs):
    """Give inputs their values (0 unless told) by name, then hold the reset for two cycles."""
    for name, value in inputs.items():
        getattr(dut, name).value = value
    dut.rst.value = 1
    for _ in range(2):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
