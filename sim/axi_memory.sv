// An AXI4 memory of one or several ports for simulation: one address space, several ways to it.
//
// Timing: a beat may follow its burst's AR handshake after `latency` cycles (at least 2). Bursts
// queue up, so that latencies overlap and bursts follow each other without a gap: a long read of N
// beats ends latency + N - 1 cycles after its AR handshake. B follows the last beat after `latency`
// cycles. Answers keep the order of their requests; ports do not wait for each other.
//
// `bandwidth` limits the sum over all ports' reads and writes, in 1/256 bytes per cycle (0: no limit).
// What is left of it in a cycle is kept for the next ones, up to two beats of all ports. Where it does
// not suffice for all, reads and writes of all ports take turns.
//
// `stalls`: with so many in 256 chances each channel of each port stands still in a cycle, from the
// pseudo-random numbers that `seed` begins. All of these may change while the memory is idle.
//
// Strictness: a burst that is not INCR, is narrower than the port, or crosses 4 KB, a beat outside
// SIZE_BYTES or among the words error_first to error_last, or a misplaced WLAST is answered with
// SLVERR; such beats read 0 and write nothing. Words are as wide as a port.
//
// Contents move through files in the simulation's working directory, at the edges of a run only:
// a cycle with `backdoor_load` high reads LOAD_FILE ($readmemh: `@` addresses in words), a cycle
// with `backdoor_store` high writes the words backdoor_first to backdoor_last to STORE_FILE.
module axi_memory #(
    parameter PORTS = 1,
    parameter DATA_WIDTH = 64,
    parameter ADDRESS_WIDTH = 32,
    parameter ID_WIDTH = 1,
    parameter SIZE_BYTES = 65536,
    parameter OUTSTANDING = 16,
    parameter LOAD_FILE = "memory_load.hex",
    parameter STORE_FILE = "memory_store.hex"
) (
    input wire clk,
    input wire rst,

    input wire [31:0] latency,
    input wire [31:0] bandwidth,
    input wire [7:0] stalls,
    input wire [31:0] seed,
    input wire [ADDRESS_WIDTH-1:0] error_first,
    input wire [ADDRESS_WIDTH-1:0] error_last,

    input wire [PORTS*ID_WIDTH-1:0] s_axi_arid,
    input wire [PORTS*ADDRESS_WIDTH-1:0] s_axi_araddr,
    input wire [PORTS*8-1:0] s_axi_arlen,
    input wire [PORTS*3-1:0] s_axi_arsize,
    input wire [PORTS*2-1:0] s_axi_arburst,
    input wire [PORTS-1:0] s_axi_arvalid,
    output wire [PORTS-1:0] s_axi_arready,
    output wire [PORTS*ID_WIDTH-1:0] s_axi_rid,
    output reg [PORTS*DATA_WIDTH-1:0] s_axi_rdata,
    output wire [PORTS*2-1:0] s_axi_rresp,
    output wire [PORTS-1:0] s_axi_rlast,
    output wire [PORTS-1:0] s_axi_rvalid,
    input wire [PORTS-1:0] s_axi_rready,

    input wire [PORTS*ID_WIDTH-1:0] s_axi_awid,
    input wire [PORTS*ADDRESS_WIDTH-1:0] s_axi_awaddr,
    input wire [PORTS*8-1:0] s_axi_awlen,
    input wire [PORTS*3-1:0] s_axi_awsize,
    input wire [PORTS*2-1:0] s_axi_awburst,
    input wire [PORTS-1:0] s_axi_awvalid,
    output wire [PORTS-1:0] s_axi_awready,
    input wire [PORTS*DATA_WIDTH-1:0] s_axi_wdata,
    input wire [PORTS*DATA_WIDTH/8-1:0] s_axi_wstrb,
    input wire [PORTS-1:0] s_axi_wlast,
    input wire [PORTS-1:0] s_axi_wvalid,
    output wire [PORTS-1:0] s_axi_wready,
    output wire [PORTS*ID_WIDTH-1:0] s_axi_bid,
    output wire [PORTS*2-1:0] s_axi_bresp,
    output wire [PORTS-1:0] s_axi_bvalid,
    input wire [PORTS-1:0] s_axi_bready,

    input wire backdoor_load,
    input wire backdoor_store,
    input wire [ADDRESS_WIDTH-1:0] backdoor_first,
    input wire [ADDRESS_WIDTH-1:0] backdoor_last
);
    localparam BYTES = DATA_WIDTH / 8;
    localparam WORDS = SIZE_BYTES / BYTES;
    localparam USERS = 2 * PORTS;  // reads of the ports, then their writes
    localparam integer COST = 256 * BYTES;  // of a beat of one port, as `bandwidth` counts
    localparam integer MOST_CREDIT = 2 * PORTS * COST;

    reg [DATA_WIDTH-1:0] storage[0:WORDS-1];

    integer word;
    initial for (word = 0; word < WORDS; word = word + 1) storage[word] = 0;

    // Who wants a beat in this cycle, and who gets one.
    wire [USERS-1:0] wants;
    reg [USERS-1:0] granted;
    wire [PORTS*ADDRESS_WIDTH-1:0] read_index, write_index;
    wire [PORTS-1:0] read_good, write_good;

    integer first, next_first, turn, user;  // the last one that got a beat is the last one in the next cycle
    reg [31:0] credit, left;
    always @(*) begin
        granted = bandwidth == 0 ? wants : 0;
        left = credit;
        next_first = first;
        user = 0;
        for (turn = 0; turn < USERS; turn = turn + 1) begin
            user = first + turn < USERS ? first + turn : first + turn - USERS;
            if (bandwidth != 0 && wants[user] && left >= COST) begin
                granted[user] = 1;
                left = left - COST;
                next_first = user + 1 < USERS ? user + 1 : 0;
            end
        end
    end

    always @(posedge clk) begin
        credit <= left + bandwidth > MOST_CREDIT ? MOST_CREDIT : left + bandwidth;
        first <= next_first;
        if (rst) begin
            credit <= 0;
            first <= 0;
        end
    end

    // One block touches the storage, so its assignments may block: a read sees older writes only
    // because it comes first.
    integer port, lane;
    always @(posedge clk) begin
        for (port = 0; port < PORTS; port = port + 1)
            if (granted[port])
                s_axi_rdata[port*DATA_WIDTH+:DATA_WIDTH] <=
                    read_good[port] ? storage[read_index[port*ADDRESS_WIDTH+:ADDRESS_WIDTH]] : 0;
        for (port = 0; port < PORTS; port = port + 1)
            if (granted[PORTS+port] && write_good[port])
                for (lane = 0; lane < BYTES; lane = lane + 1)
                    if (s_axi_wstrb[port*BYTES+lane])
                        storage[write_index[port*ADDRESS_WIDTH+:ADDRESS_WIDTH]][8*lane+:8]
                            = s_axi_wdata[port*DATA_WIDTH+8*lane+:8];
        if (backdoor_load) $readmemh(LOAD_FILE, storage);
        if (backdoor_store) $writememh(STORE_FILE, storage, backdoor_first, backdoor_last);
    end

    assign s_axi_wready = granted[PORTS+:PORTS];

    genvar n;
    generate
        for (n = 0; n < PORTS; n = n + 1) begin : ports
            axi_memory_port #(
                .NUMBER(n),
                .BYTES(BYTES),
                .WORDS(WORDS),
                .ADDRESS_WIDTH(ADDRESS_WIDTH),
                .ID_WIDTH(ID_WIDTH),
                .OUTSTANDING(OUTSTANDING)
            ) port (
                .clk(clk),
                .rst(rst),
                .latency(latency),
                .stalls(stalls),
                .seed(seed),
                .error_first(error_first),
                .error_last(error_last),
                .arid(s_axi_arid[n*ID_WIDTH+:ID_WIDTH]),
                .araddr(s_axi_araddr[n*ADDRESS_WIDTH+:ADDRESS_WIDTH]),
                .arlen(s_axi_arlen[n*8+:8]),
                .arsize(s_axi_arsize[n*3+:3]),
                .arburst(s_axi_arburst[n*2+:2]),
                .arvalid(s_axi_arvalid[n]),
                .arready(s_axi_arready[n]),
                .rid(s_axi_rid[n*ID_WIDTH+:ID_WIDTH]),
                .rresp(s_axi_rresp[n*2+:2]),
                .rlast(s_axi_rlast[n]),
                .rvalid(s_axi_rvalid[n]),
                .rready(s_axi_rready[n]),
                .read_wanted(wants[n]),
                .read_granted(granted[n]),
                .read_index(read_index[n*ADDRESS_WIDTH+:ADDRESS_WIDTH]),
                .read_good(read_good[n]),
                .awid(s_axi_awid[n*ID_WIDTH+:ID_WIDTH]),
                .awaddr(s_axi_awaddr[n*ADDRESS_WIDTH+:ADDRESS_WIDTH]),
                .awlen(s_axi_awlen[n*8+:8]),
                .awsize(s_axi_awsize[n*3+:3]),
                .awburst(s_axi_awburst[n*2+:2]),
                .awvalid(s_axi_awvalid[n]),
                .awready(s_axi_awready[n]),
                .wlast(s_axi_wlast[n]),
                .wvalid(s_axi_wvalid[n]),
                .write_wanted(wants[PORTS+n]),
                .write_granted(granted[PORTS+n]),
                .write_index(write_index[n*ADDRESS_WIDTH+:ADDRESS_WIDTH]),
                .write_good(write_good[n]),
                .bid(s_axi_bid[n*ID_WIDTH+:ID_WIDTH]),
                .bresp(s_axi_bresp[n*2+:2]),
                .bvalid(s_axi_bvalid[n]),
                .bready(s_axi_bready[n])
            );
        end
    endgenerate
endmodule

// The channels of one port: queues of bursts and answers, and which word is to be moved next.
module axi_memory_port #(
    parameter NUMBER = 0,
    parameter BYTES = 8,
    parameter WORDS = 8192,
    parameter ADDRESS_WIDTH = 32,
    parameter ID_WIDTH = 1,
    parameter OUTSTANDING = 16
) (
    input wire clk,
    input wire rst,

    input wire [31:0] latency,
    input wire [7:0] stalls,
    input wire [31:0] seed,
    input wire [ADDRESS_WIDTH-1:0] error_first,
    input wire [ADDRESS_WIDTH-1:0] error_last,

    input wire [ID_WIDTH-1:0] arid,
    input wire [ADDRESS_WIDTH-1:0] araddr,
    input wire [7:0] arlen,
    input wire [2:0] arsize,
    input wire [1:0] arburst,
    input wire arvalid,
    output wire arready,
    output reg [ID_WIDTH-1:0] rid,
    output reg [1:0] rresp,
    output reg rlast,
    output reg rvalid,
    input wire rready,
    output wire read_wanted,
    input wire read_granted,
    output wire [ADDRESS_WIDTH-1:0] read_index,
    output wire read_good,

    input wire [ID_WIDTH-1:0] awid,
    input wire [ADDRESS_WIDTH-1:0] awaddr,
    input wire [7:0] awlen,
    input wire [2:0] awsize,
    input wire [1:0] awburst,
    input wire awvalid,
    output wire awready,
    input wire wlast,
    input wire wvalid,
    output wire write_wanted,
    input wire write_granted,
    output wire [ADDRESS_WIDTH-1:0] write_index,
    output wire write_good,
    output reg [ID_WIDTH-1:0] bid,
    output reg [1:0] bresp,
    output reg bvalid,
    input wire bready
);
    localparam BYTE_BITS = $clog2(BYTES);
    localparam SLOT_BITS = OUTSTANDING > 1 ? $clog2(OUTSTANDING) : 1;
    localparam [1:0] INCR = 2'b01, OKAY = 2'b00, SLVERR = 2'b10;

    function legal_burst(input [ADDRESS_WIDTH-1:0] address, input [7:0] len, input [2:0] size, input [1:0] burst);
        reg [31:0] first_word;
        begin
            first_word = {20'b0, address[11:0]} >> BYTE_BITS;
            legal_burst = burst == INCR && size == BYTE_BITS && first_word + {24'b0, len} < 4096 / BYTES;
        end
    endfunction

    function exists(input [ADDRESS_WIDTH-1:0] index);
        exists = index < WORDS && !(index >= error_first && index <= error_last);
    endfunction

    function [SLOT_BITS-1:0] next_slot(input [SLOT_BITS-1:0] slot);
        next_slot = slot == OUTSTANDING - 1 ? 0 : slot + 1'b1;
    endfunction

    function [31:0] next_noise(input [31:0] value);  // Marsaglia's xorshift
        reg [31:0] mixed;
        begin
            mixed = value ^ (value << 13);
            mixed = mixed ^ (mixed >> 17);
            next_noise = mixed ^ (mixed << 5);
        end
    endfunction

    reg [63:0] cycle;
    reg [31:0] noise;
    wire address_stall = noise[7:0] < stalls, read_stall = noise[15:8] < stalls;
    wire write_stall = noise[23:16] < stalls, answer_stall = noise[31:24] < stalls;

    // Reads: a queue of bursts, each with the first cycle in which it may be answered.
    reg [ADDRESS_WIDTH-1:0] read_word[0:OUTSTANDING-1];
    reg [7:0] read_len[0:OUTSTANDING-1];
    reg [ID_WIDTH-1:0] read_id[0:OUTSTANDING-1];
    reg read_legal[0:OUTSTANDING-1];
    reg [63:0] read_due[0:OUTSTANDING-1];
    reg [SLOT_BITS-1:0] read_head, read_tail;
    reg [31:0] read_count;
    reg [7:0] read_beat;

    wire read_push = arvalid && arready;
    wire read_advance = !rvalid || rready;
    wire read_last = read_beat == read_len[read_head];
    assign read_wanted = read_advance && !read_stall && read_count != 0 && cycle >= read_due[read_head];
    assign read_index = read_word[read_head] + read_beat;
    assign read_good = read_legal[read_head] && exists(read_index);
    assign arready = read_count < OUTSTANDING && !address_stall;

    // Writes: a queue of announced bursts, and a queue of answers.
    reg [ADDRESS_WIDTH-1:0] write_word[0:OUTSTANDING-1];
    reg [7:0] write_len[0:OUTSTANDING-1];
    reg [ID_WIDTH-1:0] write_id[0:OUTSTANDING-1];
    reg write_legal[0:OUTSTANDING-1];
    reg [SLOT_BITS-1:0] write_head, write_tail;
    reg [31:0] write_count;
    reg [7:0] write_beat;
    reg write_failed;

    reg [ID_WIDTH-1:0] answer_id[0:OUTSTANDING-1];
    reg answer_failed[0:OUTSTANDING-1];
    reg [63:0] answer_due[0:OUTSTANDING-1];
    reg [SLOT_BITS-1:0] answer_head, answer_tail;
    reg [31:0] answer_count;

    wire write_push = awvalid && awready;
    wire write_last = write_beat == write_len[write_head];
    wire write_pop = write_granted && write_last;
    wire answer_issue = (!bvalid || bready) && !answer_stall && answer_count != 0 && cycle >= answer_due[answer_head];
    assign write_wanted = wvalid && !write_stall && write_count != 0 && answer_count < OUTSTANDING;
    assign write_index = write_word[write_head] + write_beat;
    assign write_good = write_legal[write_head] && exists(write_index) && wlast == write_last;
    assign awready = write_count < OUTSTANDING && !address_stall;

    always @(posedge clk) begin
        cycle <= cycle + 1;
        if (stalls != 0) noise <= next_noise(noise);

        if (read_push) begin
            read_word[read_tail] <= araddr >> BYTE_BITS;
            read_len[read_tail] <= arlen;
            read_id[read_tail] <= arid;
            read_legal[read_tail] <= legal_burst(araddr, arlen, arsize, arburst);
            read_due[read_tail] <= cycle + latency - 1;
            read_tail <= next_slot(read_tail);
        end
        if (read_advance) rvalid <= read_granted;
        if (read_granted) begin
            rid <= read_id[read_head];
            rresp <= read_good ? OKAY : SLVERR;
            rlast <= read_last;
            read_beat <= read_last ? 0 : read_beat + 1;
            if (read_last) read_head <= next_slot(read_head);
        end
        read_count <= read_count + (read_push ? 1 : 0) - (read_granted && read_last ? 1 : 0);

        if (write_push) begin
            write_word[write_tail] <= awaddr >> BYTE_BITS;
            write_len[write_tail] <= awlen;
            write_id[write_tail] <= awid;
            write_legal[write_tail] <= legal_burst(awaddr, awlen, awsize, awburst);
            write_tail <= next_slot(write_tail);
        end
        if (write_granted) begin
            write_beat <= write_last ? 0 : write_beat + 1;
            write_failed <= write_last ? 0 : write_failed || !write_good;
        end
        if (write_pop) begin
            write_head <= next_slot(write_head);
            answer_id[answer_tail] <= write_id[write_head];
            answer_failed[answer_tail] <= write_failed || !write_good;
            answer_due[answer_tail] <= cycle + latency - 1;
            answer_tail <= next_slot(answer_tail);
        end
        write_count <= write_count + (write_push ? 1 : 0) - (write_pop ? 1 : 0);

        if (!bvalid || bready) bvalid <= answer_issue;
        if (answer_issue) begin
            bid <= answer_id[answer_head];
            bresp <= answer_failed[answer_head] ? SLVERR : OKAY;
            answer_head <= next_slot(answer_head);
        end
        answer_count <= answer_count + (write_pop ? 1 : 0) - (answer_issue ? 1 : 0);

        if (rst) begin
            cycle <= 0;
            // Never 0, and another one for each port.
            noise <= ((seed + NUMBER) * 32'h9e3779b9) | 1;
            rvalid <= 0;
            bvalid <= 0;
            {read_head, read_tail, write_head, write_tail, answer_head, answer_tail} <= 0;
            {read_count, read_beat, write_count, write_beat, write_failed, answer_count} <= 0;
        end
    end
endmodule
