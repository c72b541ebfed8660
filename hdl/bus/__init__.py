"""The memory port and the control port: AXI4 and AXI4-Lite."""
