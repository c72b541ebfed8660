# Builds a bitstream: the accelerator beside the Zynq processing system.
#   vivado -mode batch -source build.tcl
# Written from the vendor's documentation and not yet run; the accelerator itself is what the
# project verifies.
set folder [file dirname [file normalize [info script]]]
create_project -force quantflow [file join $$folder vivado] -part $part
add_files [list [file join $$folder accelerator.v] [file join $$folder accelerator_ip.v]]
set_property board_part $vendor_board [current_project]
update_compile_order -fileset sources_1

create_bd_design system
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7 ps]
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \
    -config {make_external "FIXED_IO, DDR" apply_board_preset "1"} $$ps
set_property -dict [list CONFIG.PCW_USE_M_AXI_GP0 1 CONFIG.PCW_USE_S_AXI_HP0 1 \
    CONFIG.PCW_S_AXI_HP0_DATA_WIDTH 64 CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $clock_mhz \
    CONFIG.PCW_USE_FABRIC_INTERRUPT 1 CONFIG.PCW_IRQ_F2P_INTR 1] $$ps
create_bd_cell -type module -reference accelerator_ip accelerator
set reset [create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset]

# The HP ports speak AXI3 with bursts of at most 16 beats: the interconnects convert.
foreach name {control memory} {
    set cell [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect $$name]
    set_property -dict {CONFIG.NUM_SI 1 CONFIG.NUM_MI 1} $$cell
}
connect_bd_intf_net [get_bd_intf_pins ps/M_AXI_GP0] [get_bd_intf_pins control/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins control/M00_AXI] [get_bd_intf_pins accelerator/s_axil]
connect_bd_intf_net [get_bd_intf_pins accelerator/m_axi] [get_bd_intf_pins memory/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins memory/M00_AXI] [get_bd_intf_pins ps/S_AXI_HP0]

connect_bd_net [get_bd_pins ps/FCLK_CLK0] [get_bd_pins ps/M_AXI_GP0_ACLK] \
    [get_bd_pins ps/S_AXI_HP0_ACLK] [get_bd_pins reset/slowest_sync_clk] \
    [get_bd_pins control/aclk] [get_bd_pins memory/aclk] [get_bd_pins accelerator/clk]
connect_bd_net [get_bd_pins ps/FCLK_RESET0_N] [get_bd_pins reset/ext_reset_in]
connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins control/aresetn] \
    [get_bd_pins memory/aresetn]
connect_bd_net [get_bd_pins reset/peripheral_reset] [get_bd_pins accelerator/rst]
connect_bd_net [get_bd_pins accelerator/interrupt] [get_bd_pins ps/IRQ_F2P]

assign_bd_address
validate_bd_design
save_bd_design
make_wrapper -files [get_files system.bd] -top -import
set_property top system_wrapper [current_fileset]
launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
