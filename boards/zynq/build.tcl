# Builds a bitstream: the accelerator beside the Zynq-7000's processing system.
#   vivado -mode batch -source build.tcl
# Leaves system.bit and system.hwh (for PYNQ), system.xsa (for bare metal: all of it and the processor's start-up code),
# timing.rpt and utilization.rpt beside this script; the project that it works in is the folder vivado/. Ends with an
# error where a step fails or timing is missed.
# Written from the vendor's documentation (UG835, UG994, PG059, PG082) for Vivado 2020 or later, and not yet run.

set folder [file dirname [file normalize [info script]]]
source [file join $folder board.tcl]

create_project -force quantflow [file join $folder vivado] -part $part
foreach source $sources {
    add_files [file join $folder $source]
}
# Board files are extra packages of Vivado: without them the settings of board.tcl describe the board. DRAM and pins
# are set up by whatever boots the processor; a bitstream alone changes neither.
set board_parts [list]
if {$vendor_board ne ""} {
    set board_parts [get_board_parts -quiet -latest_file_version $vendor_board:*]
}
set preset [expr {[llength $board_parts] > 0}]
if {$preset} {
    set_property board_part [lindex $board_parts 0] [current_project]
}
update_compile_order -fileset sources_1

# The processing system: its DDR3 and its fixed pins go outside, a general purpose port comes to the registers.
create_bd_design system
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7 ps]
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \
    -config [list make_external "FIXED_IO, DDR" apply_board_preset $preset Master Disable Slave Disable] $ps
if {!$preset} {
    puts "Vivado has no board files for \"$vendor_board\": the processing system gets the settings in board.tcl."
    foreach {name value} $processing_system {
        set_property CONFIG.$name $value $ps
    }
}
set_property -dict [list CONFIG.PCW_USE_M_AXI_GP0 1 CONFIG.PCW_EN_CLK0_PORT 1 CONFIG.PCW_EN_RST0_PORT 1 \
    CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $clock_mhz \
    CONFIG.PCW_USE_FABRIC_INTERRUPT 1 CONFIG.PCW_IRQ_F2P_INTR 1 CONFIG.PCW_IRQ_F2P_MODE DIRECT] $ps
foreach hp {HP0 HP1 HP2 HP3} {
    set_property CONFIG.PCW_USE_S_AXI_$hp [expr {$hp in $memory_ports}] $ps
}
# Its PLLs reach few frequencies. The driver must count with the one that it got.
set reached_mhz [get_property CONFIG.PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ $ps]
puts "FCLK_CLK0: $reached_mhz MHz, $clock_mhz MHz asked for"

# The accelerator, one clock and one reset for everything.
create_bd_cell -type module -reference accelerator_ip accelerator
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset
connect_bd_net [get_bd_pins ps/FCLK_RESET0_N] [get_bd_pins reset/ext_reset_in]
connect_bd_net [get_bd_pins reset/peripheral_reset] [get_bd_pins accelerator/rst]
connect_bd_net [get_bd_pins accelerator/interrupt] [get_bd_pins ps/IRQ_F2P]
set clocked [list reset/slowest_sync_clk accelerator/clk ps/M_AXI_GP0_ACLK]
set cleared [list]

# The processing system speaks AXI3. A protocol converter is all that lies between: ports of the same width and the
# same clock need no interconnect. It also splits bursts of more than AXI3's 16 beats, but lets only one at a time
# pass then (PG059): the boards' own configurations ask for 16.
proc convert {name from to from_pin to_pin} {
    global clocked cleared
    set cell [create_bd_cell -type ip -vlnv xilinx.com:ip:axi_protocol_converter $name]
    set_property -dict [list CONFIG.SI_PROTOCOL $from CONFIG.MI_PROTOCOL $to] $cell
    connect_bd_intf_net [get_bd_intf_pins $from_pin] [get_bd_intf_pins $name/S_AXI]
    connect_bd_intf_net [get_bd_intf_pins $name/M_AXI] [get_bd_intf_pins $to_pin]
    lappend clocked $name/aclk
    lappend cleared $name/aresetn
}
convert control AXI3 AXI4LITE ps/M_AXI_GP0 accelerator/s_axil
foreach {port hp} $memory_ports {
    set_property CONFIG.PCW_S_AXI_${hp}_DATA_WIDTH $port_bits $ps
    convert memory_$hp AXI4 AXI3 accelerator/$port ps/S_AXI_$hp
    lappend clocked ps/S_AXI_${hp}_ACLK
}
foreach pin $clocked {
    connect_bd_net [get_bd_pins ps/FCLK_CLK0] [get_bd_pins $pin]
}
foreach pin $cleared {
    connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins $pin]
}

# The registers lie where the driver looks for them; every memory port sees the whole DRAM at the addresses of the
# processor.
set registers [get_bd_addr_segs -of_objects [get_bd_intf_pins accelerator/s_axil]]
if {[llength $registers] != 1} {
    error "the accelerator's registers are [llength $registers] address segments instead of one"
}
assign_bd_address -offset $control_address -range 4K -target_address_space [get_bd_addr_spaces ps/Data] $registers
foreach {port hp} $memory_ports {
    assign_bd_address -target_address_space [get_bd_addr_spaces accelerator/$port] \
        [get_bd_addr_segs ps/S_AXI_$hp/${hp}_DDR_LOWOCM]
}
validate_bd_design
save_bd_design
make_wrapper -files [get_files system.bd] -top -import
set_property top system_wrapper [current_fileset]
update_compile_order -fileset sources_1

proc finish {run} {
    wait_on_run $run
    if {[get_property PROGRESS [get_runs $run]] ne "100%"} {
        error "$run failed: [get_property STATUS [get_runs $run]]"
    }
}
launch_runs synth_1 -jobs 4
finish synth_1
launch_runs impl_1 -to_step write_bitstream -jobs 4
finish impl_1

open_run impl_1
report_timing_summary -file [file join $folder timing.rpt]
report_utilization -file [file join $folder utilization.rpt]
foreach {name text} {WNS setup WHS hold} {
    set slack [get_property STATS.$name [get_runs impl_1]]
    if {![string is double -strict $slack] || $slack < 0} {
        error "timing is missed at $reached_mhz MHz: $text slack \"$slack\" ns; see timing.rpt, generate for a lower clock"
    }
}
set output [file join $folder vivado]
file copy -force [file join $output quantflow.runs impl_1 system_wrapper.bit] [file join $folder system.bit]
set handoff [glob [file join $output quantflow.{gen,srcs} sources_1 bd system hw_handoff system.hwh]]
file copy -force [lindex $handoff 0] [file join $folder system.hwh]
write_hw_platform -fixed -include_bit -force -file [file join $folder system.xsa]
puts "system.bit at $reached_mhz MHz, registers at $control_address"
