"""The AXI signatures' names, as tools and bus models look for them."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.bus.axi import burst_layout, lite_signature, named_ports, read_signature, write_signature
from quantflow.config import Config

CONFIG = Config(pixels=3, lanes=4, port_bits=32, burst_beats=16)


PORTS = wiring.Signature({
    "read": Out(read_signature(CONFIG)),
    "write": Out(write_signature(CONFIG)),
    "control": In(lite_signature(8)),
    "flags": Out(1).array(2),
    "gang": Out(read_signature(CONFIG)).array(3),
})


def test_ports_have_the_names_and_widths_of_axi():
    named = named_ports(PORTS.create(), {"read": "m_axi_", "write": "m_axi_", "control": "s_axil_", "gang": "g_axi_"})
    ports = {name: len(value) for name, (value, _) in named.items()}
    address = {"addr": 32, "len": 8, "size": 3, "burst": 2, "valid": 1, "ready": 1}
    for channel in ("ar", "aw"):
        for name, width in address.items():
            assert ports[f"m_axi_{channel}{name}"] == width
    assert (ports["m_axi_rdata"], ports["m_axi_wdata"], ports["m_axi_wstrb"]) == (32, 32, 4)
    assert (ports["s_axil_awaddr"], ports["s_axil_araddr"], ports["s_axil_wdata"]) == (8, 8, 32)
    assert ports["m_axi_rresp"] == ports["m_axi_bresp"] == ports["s_axil_bresp"] == 2
    assert ports["flags__1"] == 1
    assert not [name for name in ports if name.startswith(("read", "write", "control", "gang"))]
    assert [name for name in ports if name.startswith("g_") and name.endswith("rdata")] == [
        "g_axi_rdata", "g_axi1_rdata", "g_axi2_rdata",
    ]  # fmt: skip


def test_initiator_and_target_fit_together():
    signature = read_signature(CONFIG)
    assert signature.members["araddr"].flow == Out and signature.members["rdata"].flow == In
    assert signature.flip().flip() == signature


def test_a_burst_length_holds_the_longest_burst():
    assert burst_layout(CONFIG)["length"].shape == 4  # 16 beats
