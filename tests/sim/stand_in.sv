// Stands in for the accelerator where a test needs a machine that misbehaves to order: a start
// copies BEATS beats from the input to the output region and retires as many instructions as told.
// What goes wrong is read from the file behaviour.hex in the build folder, so that one compiled
// simulation serves every test; a number that no counter reaches means never.
module accelerator #(
    parameter DATA_WIDTH = 64,
    parameter BEATS = 1,  // at most 256, inside one 4 KB page
    parameter LOADS = 1,
    parameter COMPUTES = 1,
    parameter STORES = 1,
    parameter INPUT_BASE = 'h1c,  // addresses of quantflow.registers.Register
    parameter OUTPUT_BASE = 'h20,
    parameter INTERRUPT_ENABLE = 'h28,
    parameter CYCLES = 'h40,
    parameter LOAD_RETIRED = 'h5c,
    parameter COMPUTE_RETIRED = 'h60,
    parameter STORE_RETIRED = 'h64
) (
    input wire clk,
    input wire rst,
    output wire m_axi_arid,
    output wire [31:0] m_axi_araddr,
    output wire [7:0] m_axi_arlen,
    output wire [2:0] m_axi_arsize,
    output wire [1:0] m_axi_arburst,
    output wire [3:0] m_axi_arcache,
    output wire [2:0] m_axi_arprot,
    output wire m_axi_arvalid,
    input wire m_axi_arready,
    input wire m_axi_rid,
    input wire [DATA_WIDTH-1:0] m_axi_rdata,
    input wire [1:0] m_axi_rresp,
    input wire m_axi_rlast,
    input wire m_axi_rvalid,
    output wire m_axi_rready,
    output wire m_axi_awid,
    output wire [31:0] m_axi_awaddr,
    output wire [7:0] m_axi_awlen,
    output wire [2:0] m_axi_awsize,
    output wire [1:0] m_axi_awburst,
    output wire [3:0] m_axi_awcache,
    output wire [2:0] m_axi_awprot,
    output wire m_axi_awvalid,
    input wire m_axi_awready,
    output wire [DATA_WIDTH-1:0] m_axi_wdata,
    output wire [DATA_WIDTH/8-1:0] m_axi_wstrb,
    output wire m_axi_wlast,
    output wire m_axi_wvalid,
    input wire m_axi_wready,
    input wire m_axi_bid,
    input wire [1:0] m_axi_bresp,
    input wire m_axi_bvalid,
    output wire m_axi_bready,
    input wire [7:0] s_axil_awaddr,
    input wire [2:0] s_axil_awprot,
    input wire s_axil_awvalid,
    output wire s_axil_awready,
    input wire [31:0] s_axil_wdata,
    input wire [3:0] s_axil_wstrb,
    input wire s_axil_wvalid,
    output wire s_axil_wready,
    output wire [1:0] s_axil_bresp,
    output reg s_axil_bvalid,
    input wire s_axil_bready,
    input wire [7:0] s_axil_araddr,
    input wire [2:0] s_axil_arprot,
    input wire s_axil_arvalid,
    output wire s_axil_arready,
    output reg [31:0] s_axil_rdata,
    output wire [1:0] s_axil_rresp,
    output reg s_axil_rvalid,
    input wire s_axil_rready,
    output wire interrupt,
    output wire trace_load_retired,
    output wire trace_compute_retired,
    output wire trace_store_retired,
    output wire trace_load_waiting,
    output wire trace_compute_waiting,
    output wire trace_store_waiting,
    output wire trace_load_busy,
    output wire trace_compute_busy,
    output wire trace_store_busy
);
    localparam IDLE = 0, LOADING = 1, COMPUTING = 2, ADDRESSING = 3, COPYING = 4, ANSWERED = 5, STORING = 6;

    reg [31:0] behaviour[0:5];
    initial $readmemh("../behaviour.hex", behaviour);
    wire [31:0] identity = behaviour[0];
    wire [31:0] wrong_beat = behaviour[1];  // bit 0 of this beat is inverted
    wire [31:0] hang_after = behaviour[2];  // computes after which nothing moves any more
    wire hang_waiting = behaviour[3][0];  // the hanging unit waits for a token; otherwise it works
    wire [31:0] error_after = behaviour[4];  // computes after which error_code stops the machine
    wire [31:0] error_code = behaviour[5];

    reg [31:0] registers[0:63];
    reg [2:0] state;
    reg [31:0] cycles, loads, computes, stores, beat;
    reg done, failed, enable;
    wire running = state != IDLE;

    // Control: the write channels are taken together.
    wire write = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
    assign s_axil_awready = write;
    assign s_axil_wready = write;
    assign s_axil_bresp = 0;
    assign s_axil_arready = !s_axil_rvalid;
    assign s_axil_rresp = 0;
    assign interrupt = enable && (done || failed);

    // A busy unit that is not stuck in a token retires one instruction per cycle.
    wire hangs = computes == hang_after, fails = computes == error_after;
    assign trace_load_retired = state == LOADING && loads < LOADS;
    assign trace_compute_retired = state == COMPUTING && !hangs && !fails && computes < COMPUTES;
    assign trace_store_retired = state == STORING && stores < STORES;
    assign trace_load_waiting = 0;
    assign trace_compute_waiting = state == COMPUTING && hangs && hang_waiting;
    assign trace_store_waiting = running && state != STORING;
    assign trace_load_busy = state == LOADING;
    assign trace_compute_busy = state == COMPUTING;
    assign trace_store_busy = state == STORING;

    assign m_axi_arid = 0;
    assign m_axi_araddr = registers[INPUT_BASE / 4];
    assign m_axi_arlen = BEATS - 1;
    assign m_axi_arsize = $clog2(DATA_WIDTH / 8);
    assign m_axi_arburst = 1;
    assign m_axi_arvalid = state == ADDRESSING && m_axi_awready;
    assign m_axi_rready = state == COPYING && m_axi_wready;
    assign m_axi_awid = 0;
    assign m_axi_awaddr = registers[OUTPUT_BASE / 4];
    assign m_axi_awlen = BEATS - 1;
    assign m_axi_awsize = $clog2(DATA_WIDTH / 8);
    assign m_axi_awburst = 1;
    assign m_axi_awvalid = state == ADDRESSING && m_axi_arready;
    assign m_axi_wdata = m_axi_rdata ^ (beat == wrong_beat);
    assign m_axi_wstrb = -1;
    assign m_axi_wlast = m_axi_rlast;
    assign m_axi_wvalid = state == COPYING && m_axi_rvalid;
    assign m_axi_bready = 1;

    always @(posedge clk) begin
        if (running) cycles <= cycles + 1;
        loads <= loads + (trace_load_retired ? 1 : 0);
        computes <= computes + (trace_compute_retired ? 1 : 0);
        stores <= stores + (trace_store_retired ? 1 : 0);

        if (s_axil_bready) s_axil_bvalid <= 0;
        if (write) begin
            s_axil_bvalid <= 1;
            registers[s_axil_awaddr[7:2]] <= s_axil_wdata;
            if (s_axil_awaddr == INTERRUPT_ENABLE) enable <= s_axil_wdata[0];
            if (s_axil_awaddr == 0 && s_axil_wdata[0]) begin
                state <= LOADING;
                {done, failed, cycles, loads, computes, stores, beat} <= 0;
            end
        end
        if (s_axil_rready) s_axil_rvalid <= 0;
        if (s_axil_arvalid && s_axil_arready) begin
            s_axil_rvalid <= 1;
            case (s_axil_araddr)
                'h04: s_axil_rdata <= {failed, done, running};
                'h08: s_axil_rdata <= failed ? error_code : 0;
                'h0c: s_axil_rdata <= identity;
                CYCLES: s_axil_rdata <= cycles;
                LOAD_RETIRED: s_axil_rdata <= loads;
                COMPUTE_RETIRED: s_axil_rdata <= computes;
                STORE_RETIRED: s_axil_rdata <= stores;
                default: s_axil_rdata <= 0;
            endcase
        end

        case (state)
            LOADING: if (loads == LOADS) state <= COMPUTING;
            COMPUTING:
            if (fails) begin
                failed <= 1;
                state <= IDLE;
            end else if (computes == COMPUTES) state <= ADDRESSING;
            ADDRESSING: if (m_axi_arready && m_axi_awready) state <= COPYING;
            COPYING:
            if (m_axi_rvalid && m_axi_rready) begin
                beat <= beat + 1;
                if (m_axi_rlast) state <= ANSWERED;
            end
            ANSWERED: if (m_axi_bvalid) state <= STORING;
            STORING:
            if (stores == STORES) begin
                done <= 1;
                state <= IDLE;
            end
            default: ;
        endcase
        if (rst) begin
            state <= IDLE;
            {done, failed, enable, s_axil_bvalid, s_axil_rvalid} <= 0;
        end
    end
endmodule
