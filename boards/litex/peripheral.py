"""The accelerator as a peripheral of a LiteX system, in any SoC with a LiteDRAM controller.

    system = BaseSoC(l2_size=0, ...)
    add_accelerator(system, "build/")

This file needs LiteX and LiteDRAM only: a build folder carries a copy.
"""

import json
from pathlib import Path

from litedram.frontend.axi import LiteDRAMAXI2Native
from litex.gen import LiteXModule
from litex.soc.integration.soc import SoCRegion
from litex.soc.interconnect import axi
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import ClockSignal, Instance, ResetSignal, Signal

REGISTER_ADDRESS_BITS = 8  # of the control port
ORIGIN = 0x9000_0000  # of the registers on the bus, where no processor of LiteX caches
CHANNELS = {  # members of each AXI channel, by what the accelerator drives; the rest of LiteX's bundles stays 0
    "ar": ("id addr len size burst cache prot valid", "ready"),
    "r": ("ready", "id data resp last valid"),
    "aw": ("id addr len size burst cache prot valid", "ready"),
    "w": ("data strb last valid", "ready"),
    "b": ("ready", "id resp valid"),
}
LITE_CHANNELS = {
    "ar": ("ready", "addr prot valid"),
    "r": ("data resp valid", "ready"),
    "aw": ("ready", "addr prot valid"),
    "w": ("ready", "data strb valid"),
    "b": ("resp valid", "ready"),
}


class Accelerator(LiteXModule):
    """The Verilog of a build folder, its ports as LiteX's bundles.

    `control` is the AXI4-Lite interface of the registers, `memory` the list of AXI4 interfaces, `interrupt` is high
    while a run's end has not been acknowledged.
    """

    def __init__(self, platform, build):
        build = Path(build)
        config = json.loads((build / "manifest.json").read_text())["config"]
        self.control = axi.AXILiteInterface(data_width=32, address_width=32)
        self.memory = [
            axi.AXIInterface(data_width=config["port_bits"], address_width=32, id_width=1)
            for _ in range(config["ports"])
        ]
        self.interrupt = Signal()
        ports = {"i_clk": ClockSignal(), "i_rst": ResetSignal(), "o_interrupt": self.interrupt}
        ports |= _connections("s_axil_", self.control, LITE_CHANNELS)
        for channel in ("ar", "aw"):
            ports[f"i_s_axil_{channel}addr"] = getattr(self.control, channel).addr[:REGISTER_ADDRESS_BITS]
        for number, interface in enumerate(self.memory):
            ports |= _connections(f"m_axi{number or ''}_", interface, CHANNELS)
        self.specials += Instance("accelerator", **ports)
        platform.add_source(str((build / "accelerator.v").resolve()))


def _connections(prefix, interface, channels):
    """Arguments of an Instance for an AXI port of the accelerator."""
    ports = {}
    for channel, directions in channels.items():
        for direction, names in zip("oi", directions, strict=True):
            for name in names.split():
                ports[f"{direction}_{prefix}{channel}{name}"] = getattr(getattr(interface, channel), name)
    return ports


def add_accelerator(soc, build, *, name="accelerator", origin=ORIGIN):
    """Add the accelerator of a build folder to a SoC behind its `add_sdram`.

    Its registers become the bus region `name` at address `origin`. Each of its memory ports gets a port of
    LiteDRAM's crossbar, in which main memory begins at the address that it has on the bus; a port as wide as the
    controller's needs no converter. A processor with interrupts gets the event `name`. The L2 cache must be off
    (`l2_size=0`): the accelerator writes behind it. Returns the Accelerator.
    """
    if hasattr(soc, "l2_cache"):
        raise ValueError("an L2 cache hides what the accelerator writes to memory: build the SoC with l2_size=0")
    accelerator = Accelerator(soc.platform, build)
    soc.add_module(name, accelerator)
    region = SoCRegion(origin=origin, size=1 << REGISTER_ADDRESS_BITS, cached=False)
    soc.bus.add_slave(name, accelerator.control, region)
    for number, interface in enumerate(accelerator.memory):
        bridge = LiteDRAMAXI2Native(
            axi=interface,
            port=soc.sdram.crossbar.get_port(data_width=interface.data_width),
            base_address=soc.bus.regions["main_ram"].origin,
        )
        setattr(accelerator, f"bridge{number}", bridge)
    if soc.irq.enabled:
        accelerator.ev = EventManager()
        accelerator.ev.end = EventSourceLevel()
        accelerator.ev.finalize()
        accelerator.comb += accelerator.ev.end.trigger.eq(accelerator.interrupt)
        soc.irq.add(name, use_loc_if_exists=True)
    return accelerator
