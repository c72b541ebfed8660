// Block RAM with one read port and one write port; what is read comes a cycle after its address.
module storage_bank #(
    parameter WORDS = 512,
    parameter ADDRESS_BITS = 9,
    parameter COLUMNS = 2,  // of 32 bits, each with its own write enable
    parameter FILE = ""  // contents at power-up, for $readmemh; unknown where there is none
) (
    input wire clk,
    input wire [ADDRESS_BITS-1:0] read_address,
    output reg [32*COLUMNS-1:0] read_data,
    input wire [ADDRESS_BITS-1:0] write_address,
    input wire [32*COLUMNS-1:0] write_data,
    input wire [COLUMNS-1:0] write_enable
);
    (* ram_style = "block", no_rw_check *) reg [32*COLUMNS-1:0] words[0:WORDS-1];

    generate
        if (FILE != "") initial $readmemh(FILE, words);
    endgenerate

    integer column;
    always @(posedge clk) begin
        read_data <= words[read_address];
        for (column = 0; column < COLUMNS; column = column + 1)
            if (write_enable[column]) words[write_address][32*column+:32] <= write_data[32*column+:32];
    end
endmodule
