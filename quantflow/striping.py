"""The machine's memory spread over its AXI4 ports, as `quantflow.registers.Register` says under PORT_BASE."""

import numpy as np


def stripes(address, data, *, ports, port_bytes, stride=0):
    """Where bytes of the machine's memory lie on the bus: a (bus address, bytes) for each port.

    `address` is a multiple of the beat of all ports; the last beat is filled up with zeros. Port k's
    part of the memory begins at bus address k * stride, as PORT_BASE must say; without a stride the
    addresses are from there on.
    """
    data = np.frombuffer(bytes(data), np.uint8)
    beats = np.pad(data, (0, -len(data) % (ports * port_bytes))).reshape(-1, ports, port_bytes)
    return [(port * stride + address // ports, beats[:, port].tobytes()) for port in range(ports)]


def joined(parts, port_bytes):
    """Bytes of the machine's memory from the ports' parts of them, the inverse of `stripes`."""
    return np.stack([np.frombuffer(part, np.uint8).reshape(-1, port_bytes) for part in parts], axis=1).tobytes()
