// The simulated system: the accelerator with its memory, and what the host in Python may touch.
//
// The control port and the memory's backdoor are ports of this module. What must be looked at in
// every cycle is looked at here: `stalled` is high after WATCHDOG_CYCLES cycles without a beat on any
// memory channel, a retirement or a cycle with `rearm`, and TRACE_FILE gets a line "<cycle> <event>"
// for each event of a run, see sim/timeline.py:
//
//     L C S   the load, compute or store unit retires an instruction
//     l c s   it becomes busy, or is not any more
//     I       the interrupt rises
//     T       TICK_CYCLES more have passed; up to here the file is complete while the simulation runs
//
// Waves are recorded from `waves_first` to `waves_last` - 1, cycles since the reset or, with
// `waves_by_compute`, compute instructions retired since then; the macro WAVES must be defined.
// sim/testbench.py repeats the lines that name the accelerator's first memory port, `m_axi_` and 0, for
// the further ones.
module testbench #(
    parameter PORTS = 1,
    parameter DATA_WIDTH = 64,
    parameter SIZE_BYTES = 65536,
    parameter WATCHDOG_CYCLES = 20000,
    parameter TICK_CYCLES = 4096,
    parameter TRACE_FILE = "trace.txt"
) (
    input wire clk,
    input wire rst,

    input wire [7:0] s_axil_awaddr,
    input wire s_axil_awvalid,
    output wire s_axil_awready,
    input wire [31:0] s_axil_wdata,
    input wire s_axil_wvalid,
    output wire s_axil_wready,
    output wire [1:0] s_axil_bresp,
    output wire s_axil_bvalid,
    input wire s_axil_bready,
    input wire [7:0] s_axil_araddr,
    input wire s_axil_arvalid,
    output wire s_axil_arready,
    output wire [31:0] s_axil_rdata,
    output wire [1:0] s_axil_rresp,
    output wire s_axil_rvalid,
    input wire s_axil_rready,
    output wire interrupt,

    input wire [31:0] latency,  // of the memory, see sim/axi_memory.sv; set before the reset
    input wire [31:0] bandwidth,
    input wire [7:0] stalls,
    input wire [31:0] seed,
    input wire [31:0] error_first,
    input wire [31:0] error_last,

    input wire backdoor_load,
    input wire backdoor_store,
    input wire [31:0] backdoor_first,
    input wire [31:0] backdoor_last,

    input wire waves_by_compute,
    input wire [63:0] waves_first,
    input wire [63:0] waves_last,

    input wire rearm,
    output wire stalled,
    output reg [63:0] cycle,
    output wire [2:0] waiting,  // bit 1 << isa.Unit
    output wire [2:0] busy
);
    wire [PORTS-1:0] arid, awid, rid, bid;
    wire [PORTS*32-1:0] araddr, awaddr;
    wire [PORTS*8-1:0] arlen, awlen;
    wire [PORTS*3-1:0] arsize, awsize;
    wire [PORTS*2-1:0] arburst, awburst, rresp, bresp;
    wire [PORTS-1:0] arvalid, arready, awvalid, awready, rlast, rvalid, rready, wlast, wvalid, wready, bvalid, bready;
    wire [PORTS*DATA_WIDTH-1:0] rdata, wdata;
    wire [PORTS*DATA_WIDTH/8-1:0] wstrb;
    wire load_retired, compute_retired, store_retired;

    axi_memory #(
        .PORTS(PORTS),
        .DATA_WIDTH(DATA_WIDTH),
        .SIZE_BYTES(SIZE_BYTES)
    ) memory (
        .clk(clk),
        .rst(rst),
        .latency(latency),
        .bandwidth(bandwidth),
        .stalls(stalls),
        .seed(seed),
        .error_first(error_first),
        .error_last(error_last),
        .s_axi_arid(arid),
        .s_axi_araddr(araddr),
        .s_axi_arlen(arlen),
        .s_axi_arsize(arsize),
        .s_axi_arburst(arburst),
        .s_axi_arvalid(arvalid),
        .s_axi_arready(arready),
        .s_axi_rid(rid),
        .s_axi_rdata(rdata),
        .s_axi_rresp(rresp),
        .s_axi_rlast(rlast),
        .s_axi_rvalid(rvalid),
        .s_axi_rready(rready),
        .s_axi_awid(awid),
        .s_axi_awaddr(awaddr),
        .s_axi_awlen(awlen),
        .s_axi_awsize(awsize),
        .s_axi_awburst(awburst),
        .s_axi_awvalid(awvalid),
        .s_axi_awready(awready),
        .s_axi_wdata(wdata),
        .s_axi_wstrb(wstrb),
        .s_axi_wlast(wlast),
        .s_axi_wvalid(wvalid),
        .s_axi_wready(wready),
        .s_axi_bid(bid),
        .s_axi_bresp(bresp),
        .s_axi_bvalid(bvalid),
        .s_axi_bready(bready),
        .backdoor_load(backdoor_load),
        .backdoor_store(backdoor_store),
        .backdoor_first(backdoor_first),
        .backdoor_last(backdoor_last)
    );

    accelerator accelerator (
        .clk(clk),
        .rst(rst),
        .m_axi_arid(arid[0]),
        .m_axi_araddr(araddr[0 * 32 +: 32]),
        .m_axi_arlen(arlen[0 * 8 +: 8]),
        .m_axi_arsize(arsize[0 * 3 +: 3]),
        .m_axi_arburst(arburst[0 * 2 +: 2]),
        .m_axi_arcache(),
        .m_axi_arprot(),
        .m_axi_arvalid(arvalid[0]),
        .m_axi_arready(arready[0]),
        .m_axi_rid(rid[0]),
        .m_axi_rdata(rdata[0 * DATA_WIDTH +: DATA_WIDTH]),
        .m_axi_rresp(rresp[0 * 2 +: 2]),
        .m_axi_rlast(rlast[0]),
        .m_axi_rvalid(rvalid[0]),
        .m_axi_rready(rready[0]),
        .m_axi_awid(awid[0]),
        .m_axi_awaddr(awaddr[0 * 32 +: 32]),
        .m_axi_awlen(awlen[0 * 8 +: 8]),
        .m_axi_awsize(awsize[0 * 3 +: 3]),
        .m_axi_awburst(awburst[0 * 2 +: 2]),
        .m_axi_awcache(),
        .m_axi_awprot(),
        .m_axi_awvalid(awvalid[0]),
        .m_axi_awready(awready[0]),
        .m_axi_wdata(wdata[0 * DATA_WIDTH +: DATA_WIDTH]),
        .m_axi_wstrb(wstrb[0 * DATA_WIDTH / 8 +: DATA_WIDTH / 8]),
        .m_axi_wlast(wlast[0]),
        .m_axi_wvalid(wvalid[0]),
        .m_axi_wready(wready[0]),
        .m_axi_bid(bid[0]),
        .m_axi_bresp(bresp[0 * 2 +: 2]),
        .m_axi_bvalid(bvalid[0]),
        .m_axi_bready(bready[0]),
        .s_axil_awaddr(s_axil_awaddr),
        .s_axil_awprot(3'b0),
        .s_axil_awvalid(s_axil_awvalid),
        .s_axil_awready(s_axil_awready),
        .s_axil_wdata(s_axil_wdata),
        .s_axil_wstrb(4'b1111),
        .s_axil_wvalid(s_axil_wvalid),
        .s_axil_wready(s_axil_wready),
        .s_axil_bresp(s_axil_bresp),
        .s_axil_bvalid(s_axil_bvalid),
        .s_axil_bready(s_axil_bready),
        .s_axil_araddr(s_axil_araddr),
        .s_axil_arprot(3'b0),
        .s_axil_arvalid(s_axil_arvalid),
        .s_axil_arready(s_axil_arready),
        .s_axil_rdata(s_axil_rdata),
        .s_axil_rresp(s_axil_rresp),
        .s_axil_rvalid(s_axil_rvalid),
        .s_axil_rready(s_axil_rready),
        .interrupt(interrupt),
        .trace_load_retired(load_retired),
        .trace_compute_retired(compute_retired),
        .trace_store_retired(store_retired),
        .trace_load_waiting(waiting[0]),
        .trace_compute_waiting(waiting[1]),
        .trace_store_waiting(waiting[2]),
        .trace_load_busy(busy[0]),
        .trace_compute_busy(busy[1]),
        .trace_store_busy(busy[2])
    );

    wire memory_event = |(arvalid & arready | rvalid & rready | awvalid & awready | wvalid & wready | bvalid & bready);
    wire [2:0] retired = {store_retired, compute_retired, load_retired};
    reg [31:0] quiet_cycles;
    reg interrupt_before;
    reg [2:0] busy_before;
    integer trace;
    assign stalled = quiet_cycles >= WATCHDOG_CYCLES;

    initial trace = $fopen(TRACE_FILE, "w");

    always @(posedge clk) begin
        cycle <= cycle + 1;
        interrupt_before <= interrupt;
        busy_before <= busy;
        if (!stalled) quiet_cycles <= quiet_cycles + 1;
        if (memory_event || retired != 0 || rearm) quiet_cycles <= 0;
        if (retired != 0 || busy != busy_before) begin
            if (retired[0]) $fdisplay(trace, "%0d L", cycle);
            if (retired[1]) $fdisplay(trace, "%0d C", cycle);
            if (retired[2]) $fdisplay(trace, "%0d S", cycle);
            if (busy[0] != busy_before[0]) $fdisplay(trace, "%0d l", cycle);
            if (busy[1] != busy_before[1]) $fdisplay(trace, "%0d c", cycle);
            if (busy[2] != busy_before[2]) $fdisplay(trace, "%0d s", cycle);
        end
        if (interrupt && !interrupt_before) begin
            $fdisplay(trace, "%0d I", cycle);
            $fflush(trace);
        end
        if (cycle % TICK_CYCLES == 0) begin
            $fdisplay(trace, "%0d T", cycle);
            $fflush(trace);
        end
        if (rst) begin
            cycle <= 0;
            quiet_cycles <= 0;
            interrupt_before <= 0;
            busy_before <= 0;
        end
    end

`ifdef WAVES
    reg recording = 0;
    reg [63:0] computed;
    wire [63:0] position = waves_by_compute ? computed : cycle;
    wire in_window = position >= waves_first && position < waves_last;

    always @(posedge clk) begin
        computed <= rst ? 0 : computed + retired[1];
        recording <= in_window;
`ifdef VERILATOR
        if (in_window && !recording) $dumpfile("dump.vcd");
        if (!in_window && recording) $c("vlSymsp->_traceDumpClose();");  // it ignores $dumpoff
`else
        if (in_window && !recording) $dumpfile("dump.fst");
        if (!in_window && recording) $dumpoff;
`endif
        if (in_window && !recording) $dumpvars;
    end
`endif
endmodule
