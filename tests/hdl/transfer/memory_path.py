"""Load and store unit with their scratchpads, between the memory ports and sim/axi_memory.sv: a bench's parts."""

from amaranth import Cat, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.bus.axi import ADDRESS_BITS, named_ports, numbered, read_signature, write_signature
from hdl.bus.burst_splitter import BurstSplitter
from hdl.bus.memory_reader import LOAD, MemoryReader
from hdl.bus.memory_writer import MemoryWriter
from hdl.scratchpad.activation_scratchpad import ActivationScratchpad
from hdl.scratchpad.word_scratchpad import parameter_scratchpad, weight_scratchpad
from hdl.transfer.load_unit import LoadUnit
from hdl.transfer.store_unit import StoreUnit
from hdl.verilog import to_verilog
from quantflow.isa import Region
from sim.testbench import memory_source

TOP = "memory_path_bench"
MEMORY_INPUTS = {"latency": 32, "bandwidth": 32, "stalls": 8, "seed": 32, "error_first": 32, "error_last": 32}
MEMORY_INPUTS |= {"backdoor_load": 1, "backdoor_store": 1, "backdoor_first": 32, "backdoor_last": 32}


class MemoryPath(wiring.Component):
    """What lies between the instructions of loads and stores and the memory; the compute unit's sides stay idle."""

    def __init__(self, config):
        self.config = config
        self._load, self._store = LoadUnit(config), StoreUnit(config)
        super().__init__({
            "loads": self._load.signature.members["instructions"],
            "stores": self._store.signature.members["instructions"],
            "port_bases": In(data.ArrayLayout(ADDRESS_BITS, config.ports)),
            "weight_address": In(config.weight_address_bits),
            "weight_data": Out(weight_scratchpad(config).read_data.shape()),
            "read": Out(read_signature(config)).array(config.ports),
            "write": Out(write_signature(config)).array(config.ports),
            **{name: Out(1) for name in ("load_done", "store_done", "read_beat", "write_beat", "idle", "error")},
            **{name: Out(1) for name in ("read_error", "write_error")},
        })

    def elaborate(self, platform):
        m = Module()
        config, load, store = self.config, self._load, self._store
        m.submodules.load, m.submodules.store = load, store
        m.submodules.reader = reader = MemoryReader(config)
        m.submodules.writer = writer = MemoryWriter(config)
        m.submodules.load_splitter = load_splitter = BurstSplitter(config)
        m.submodules.store_splitter = store_splitter = BurstSplitter(config)
        m.submodules.activations = activations = ActivationScratchpad(config)
        m.submodules.weights = weights = weight_scratchpad(config)
        m.submodules.parameters = parameters = parameter_scratchpad(config)
        for port in range(config.ports):
            connect(m, reader.axi[port], flipped(self.read[port]))
            connect(m, writer.axi[port], flipped(self.write[port]))
        connect(m, flipped(self.loads), load.instructions)
        connect(m, flipped(self.stores), store.instructions)
        connect(m, load.requests, load_splitter.requests)
        connect(m, load_splitter.bursts, reader.bursts[LOAD])
        connect(m, reader.beats[LOAD], load.beats)
        connect(m, store.requests, store_splitter.requests)
        connect(m, store_splitter.bursts, writer.bursts)
        connect(m, store.beats, writer.beats)
        connect(m, load.activation_write, activations.load_write)
        connect(m, store.store_read, activations.store_read)
        connect(m, activations.rows, store.rows)
        errors = (load.error_illegal, load.error_address_weight, store.error_illegal, activations.error)
        m.d.comb += [
            *(unit.bases[region].eq(0) for unit in (load, store) for region in Region),
            *(agent.bases.eq(self.port_bases) for agent in (reader, writer)),
            store.written.eq(writer.idle),
            weights.write.eq(load.weight_write),
            weights.read_address.eq(self.weight_address),
            self.weight_data.eq(weights.read_data),
            parameters.write.eq(load.parameter_write),
            self.load_done.eq(load.done),
            self.store_done.eq(store.done),
            self.read_beat.eq(reader.beat),
            self.write_beat.eq(writer.beat),
            self.idle.eq(~load.busy & ~store.busy & reader.idle & writer.idle),
            self.error.eq(Cat(errors).any()),
            self.read_error.eq(reader.error),
            self.write_error.eq(writer.error),
        ]
        return m


def bench_source(config, size_bytes):
    """Verilog of `TOP`: a MemoryPath with its memory, the AXI ports joined inside."""
    path = MemoryPath(config)
    verilog_ports = named_ports(path, {"read": "m_axi_", "write": "m_axi_"})
    verilog = to_verilog(path, "memory_path", ports=verilog_ports)
    outputs = {"load_done", "store_done", "read_beat", "write_beat", "idle", "error", "read_error", "write_error"}
    outputs |= {"weight_data", "loads__ready", "stores__ready"}
    outer, wires, joints, names = [], [], ["  .clk(clk), .rst(rst)"], {}
    for name, (value, _) in verilog_ports.items():
        joints.append(f"  .{name}({name})")
        if not name.startswith("m_axi"):
            outer.append(f"{'output' if name in outputs else 'input'} wire [{len(value) - 1}:0] {name}")
            continue
        wires.append(f"  wire [{len(value) - 1}:0] {name};")
        names.setdefault(name.split("_", 2)[2], []).append(name)
    memory = ["  .clk(clk), .rst(rst)", *(f"  .{name}({name})" for name in MEMORY_INPUTS)]
    for signal in names:
        if signal[2:] not in ("cache", "prot"):
            parts = [numbered("m_axi_", port) + signal for port in reversed(range(config.ports))]
            memory.append(f"  .s_axi_{signal}({{{', '.join(parts)}}})")
    outer += [f"input wire [{width - 1}:0] {name}" for name, width in MEMORY_INPUTS.items()]
    head = ",\n  ".join(["input wire clk", "input wire rst", *outer])
    parts = [f"module {TOP} (\n  {head}\n);", *wires]
    parts += ["memory_path path (", ",\n".join(joints), ");"]
    parts += ["axi_memory memory (", ",\n".join(memory), ");", "endmodule"]
    parameters = {"PORTS": config.ports, "DATA_WIDTH": config.port_bits, "SIZE_BYTES": size_bytes}
    return "\n".join([verilog, memory_source(**parameters), *parts])
