// An AXI4 memory with a latency, a periodic stall and several bursts outstanding, for simulation.
//
// Timing of reads: a beat may follow its burst's AR handshake after LATENCY cycles (at least 2).
// Bursts queue up, so that latencies overlap and bursts follow each other without a gap. After
// every STALL_PERIOD beats RVALID stays low for STALL_CYCLES cycles: a long read of N beats ends
// LATENCY + N - 1 + floor((N - 1) / STALL_PERIOD) * STALL_CYCLES cycles after its AR handshake.
// Writes stall in the same pattern on WREADY, independently of the reads; B follows the last beat
// after LATENCY cycles. Answers keep the order of their requests.
//
// Strictness: a burst that is not INCR, is narrower than the port, or crosses 4 KB, a beat outside
// SIZE_BYTES, or a misplaced WLAST is answered with SLVERR; such beats read 0 and write nothing.
//
// Contents move through files in the simulation's working directory, at the edges of a run only:
// a cycle with `backdoor_load` high reads LOAD_FILE ($readmemh: `@` addresses in words), a cycle
// with `backdoor_store` high writes the words backdoor_first to backdoor_last to STORE_FILE.
module axi_memory #(
    parameter DATA_WIDTH = 64,
    parameter ADDRESS_WIDTH = 32,
    parameter ID_WIDTH = 1,
    parameter SIZE_BYTES = 65536,
    parameter LATENCY = 10,
    parameter STALL_PERIOD = 16,
    parameter STALL_CYCLES = 4,
    parameter OUTSTANDING = 8,
    parameter LOAD_FILE = "memory_load.hex",
    parameter STORE_FILE = "memory_store.hex"
) (
    input wire clk,
    input wire rst,

    input wire [ID_WIDTH-1:0] s_axi_arid,
    input wire [ADDRESS_WIDTH-1:0] s_axi_araddr,
    input wire [7:0] s_axi_arlen,
    input wire [2:0] s_axi_arsize,
    input wire [1:0] s_axi_arburst,
    input wire s_axi_arvalid,
    output wire s_axi_arready,
    output reg [ID_WIDTH-1:0] s_axi_rid,
    output reg [DATA_WIDTH-1:0] s_axi_rdata,
    output reg [1:0] s_axi_rresp,
    output reg s_axi_rlast,
    output reg s_axi_rvalid,
    input wire s_axi_rready,

    input wire [ID_WIDTH-1:0] s_axi_awid,
    input wire [ADDRESS_WIDTH-1:0] s_axi_awaddr,
    input wire [7:0] s_axi_awlen,
    input wire [2:0] s_axi_awsize,
    input wire [1:0] s_axi_awburst,
    input wire s_axi_awvalid,
    output wire s_axi_awready,
    input wire [DATA_WIDTH-1:0] s_axi_wdata,
    input wire [DATA_WIDTH/8-1:0] s_axi_wstrb,
    input wire s_axi_wlast,
    input wire s_axi_wvalid,
    output wire s_axi_wready,
    output reg [ID_WIDTH-1:0] s_axi_bid,
    output reg [1:0] s_axi_bresp,
    output reg s_axi_bvalid,
    input wire s_axi_bready,

    input wire backdoor_load,
    input wire backdoor_store,
    input wire [ADDRESS_WIDTH-1:0] backdoor_first,
    input wire [ADDRESS_WIDTH-1:0] backdoor_last
);
    localparam BYTES = DATA_WIDTH / 8;
    localparam BYTE_BITS = $clog2(BYTES);
    localparam WORDS = SIZE_BYTES / BYTES;
    localparam SLOT_BITS = OUTSTANDING > 1 ? $clog2(OUTSTANDING) : 1;
    localparam [1:0] INCR = 2'b01, OKAY = 2'b00, SLVERR = 2'b10;

    reg [DATA_WIDTH-1:0] storage[0:WORDS-1];
    reg [63:0] cycle;

    integer word;
    initial for (word = 0; word < WORDS; word = word + 1) storage[word] = 0;

    function legal_burst(input [ADDRESS_WIDTH-1:0] address, input [7:0] len, input [2:0] size, input [1:0] burst);
        reg [31:0] first_word;
        begin
            first_word = {20'b0, address[11:0]} >> BYTE_BITS;
            legal_burst = burst == INCR && size == BYTE_BITS && first_word + {24'b0, len} < 4096 / BYTES;
        end
    endfunction

    function [SLOT_BITS-1:0] next_slot(input [SLOT_BITS-1:0] slot);
        next_slot = slot == OUTSTANDING - 1 ? 0 : slot + 1'b1;
    endfunction

    // Reads: a queue of bursts, each with the first cycle in which it may be answered.
    reg [ADDRESS_WIDTH-1:0] read_word[0:OUTSTANDING-1];
    reg [7:0] read_len[0:OUTSTANDING-1];
    reg [ID_WIDTH-1:0] read_id[0:OUTSTANDING-1];
    reg read_legal[0:OUTSTANDING-1];
    reg [63:0] read_due[0:OUTSTANDING-1];
    reg [SLOT_BITS-1:0] read_head, read_tail;
    reg [31:0] read_count, read_period, read_pause;
    reg [7:0] read_beat;

    wire read_push = s_axi_arvalid && s_axi_arready;
    wire read_advance = !s_axi_rvalid || s_axi_rready;
    wire read_issue = read_advance && read_pause == 0 && read_count != 0 && cycle >= read_due[read_head];
    wire read_last = read_beat == read_len[read_head];
    wire [ADDRESS_WIDTH-1:0] read_index = read_word[read_head] + read_beat;
    wire read_good = read_legal[read_head] && read_index < WORDS;
    assign s_axi_arready = read_count < OUTSTANDING;

    // Writes: a queue of announced bursts, and a queue of answers.
    reg [ADDRESS_WIDTH-1:0] write_word[0:OUTSTANDING-1];
    reg [7:0] write_len[0:OUTSTANDING-1];
    reg [ID_WIDTH-1:0] write_id[0:OUTSTANDING-1];
    reg write_legal[0:OUTSTANDING-1];
    reg [SLOT_BITS-1:0] write_head, write_tail;
    reg [31:0] write_count, write_period, write_pause;
    reg [7:0] write_beat;
    reg write_failed;

    reg [ID_WIDTH-1:0] answer_id[0:OUTSTANDING-1];
    reg answer_failed[0:OUTSTANDING-1];
    reg [63:0] answer_due[0:OUTSTANDING-1];
    reg [SLOT_BITS-1:0] answer_head, answer_tail;
    reg [31:0] answer_count;

    wire write_push = s_axi_awvalid && s_axi_awready;
    wire write_take = s_axi_wvalid && s_axi_wready;
    wire write_last = write_beat == write_len[write_head];
    wire write_pop = write_take && write_last;
    wire [ADDRESS_WIDTH-1:0] write_index = write_word[write_head] + write_beat;
    wire write_good = write_legal[write_head] && write_index < WORDS && s_axi_wlast == write_last;
    wire answer_issue = (!s_axi_bvalid || s_axi_bready) && answer_count != 0 && cycle >= answer_due[answer_head];
    assign s_axi_awready = write_count < OUTSTANDING;
    assign s_axi_wready = write_count != 0 && write_pause == 0 && answer_count < OUTSTANDING;

    // One block touches the storage, so its assignments may block: a read sees older writes only
    // because it comes first.
    integer lane;
    always @(posedge clk) begin
        if (read_issue) s_axi_rdata <= read_good ? storage[read_index] : 0;
        if (write_take && write_good)
            for (lane = 0; lane < BYTES; lane = lane + 1)
                if (s_axi_wstrb[lane]) storage[write_index][8*lane+:8] = s_axi_wdata[8*lane+:8];
        if (backdoor_load) $readmemh(LOAD_FILE, storage);
        if (backdoor_store) $writememh(STORE_FILE, storage, backdoor_first, backdoor_last);
    end

    always @(posedge clk) begin
        cycle <= cycle + 1;

        if (read_push) begin
            read_word[read_tail] <= s_axi_araddr >> BYTE_BITS;
            read_len[read_tail] <= s_axi_arlen;
            read_id[read_tail] <= s_axi_arid;
            read_legal[read_tail] <= legal_burst(s_axi_araddr, s_axi_arlen, s_axi_arsize, s_axi_arburst);
            read_due[read_tail] <= cycle + LATENCY - 1;
            read_tail <= next_slot(read_tail);
        end
        if (read_advance) s_axi_rvalid <= read_issue;
        if (read_advance && read_pause != 0) read_pause <= read_pause - 1;
        if (read_issue) begin
            s_axi_rid <= read_id[read_head];
            s_axi_rresp <= read_good ? OKAY : SLVERR;
            s_axi_rlast <= read_last;
            read_beat <= read_last ? 0 : read_beat + 1;
            if (read_last) read_head <= next_slot(read_head);
            read_period <= read_period == STALL_PERIOD - 1 ? 0 : read_period + 1;
            if (read_period == STALL_PERIOD - 1) read_pause <= STALL_CYCLES;
        end
        read_count <= read_count + (read_push ? 1 : 0) - (read_issue && read_last ? 1 : 0);

        if (write_push) begin
            write_word[write_tail] <= s_axi_awaddr >> BYTE_BITS;
            write_len[write_tail] <= s_axi_awlen;
            write_id[write_tail] <= s_axi_awid;
            write_legal[write_tail] <= legal_burst(s_axi_awaddr, s_axi_awlen, s_axi_awsize, s_axi_awburst);
            write_tail <= next_slot(write_tail);
        end
        if (write_pause != 0) write_pause <= write_pause - 1;
        if (write_take) begin
            write_beat <= write_last ? 0 : write_beat + 1;
            write_failed <= write_last ? 0 : write_failed || !write_good;
            write_period <= write_period == STALL_PERIOD - 1 ? 0 : write_period + 1;
            if (write_period == STALL_PERIOD - 1) write_pause <= STALL_CYCLES;
        end
        if (write_pop) begin
            write_head <= next_slot(write_head);
            answer_id[answer_tail] <= write_id[write_head];
            answer_failed[answer_tail] <= write_failed || !write_good;
            answer_due[answer_tail] <= cycle + LATENCY - 1;
            answer_tail <= next_slot(answer_tail);
        end
        write_count <= write_count + (write_push ? 1 : 0) - (write_pop ? 1 : 0);

        if (!s_axi_bvalid || s_axi_bready) s_axi_bvalid <= answer_issue;
        if (answer_issue) begin
            s_axi_bid <= answer_id[answer_head];
            s_axi_bresp <= answer_failed[answer_head] ? SLVERR : OKAY;
            answer_head <= next_slot(answer_head);
        end
        answer_count <= answer_count + (write_pop ? 1 : 0) - (answer_issue ? 1 : 0);

        if (rst) begin
            cycle <= 0;
            s_axi_rvalid <= 0;
            s_axi_bvalid <= 0;
            {read_head, read_tail, write_head, write_tail, answer_head, answer_tail} <= 0;
            {read_count, read_period, read_pause, read_beat} <= 0;
            {write_count, write_period, write_pause, write_beat, write_failed} <= 0;
            answer_count <= 0;
        end
    end
endmodule
