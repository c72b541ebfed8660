// iCE40's large RAM: one address for reads and writes, no contents at power-up. What was read stays until the next
// access; behind a write the part's output is undefined.
module storage_single #(
    parameter WORDS = 16384,
    parameter ADDRESS_BITS = 14,
    parameter COLUMNS = 1  // of 32 bits, each with its own write enable
) (
    input wire clk,
    input wire [ADDRESS_BITS-1:0] address,
    input wire read_enable,  // in cycles that do not write
    output reg [32*COLUMNS-1:0] read_data,
    input wire [32*COLUMNS-1:0] write_data,
    input wire [COLUMNS-1:0] write_enable
);
    genvar column;
    generate
        for (column = 0; column < COLUMNS; column = column + 1) begin : columns
            (* ram_style = "huge" *) reg [31:0] words[0:WORDS-1];
            always @(posedge clk)
                if (write_enable[column]) words[address] <= write_data[32*column+:32];
                else if (read_enable) read_data[32*column+:32] <= words[address];
        end
    endgenerate
endmodule
