// The bare multiplier array with nothing around it but what makes all of its inputs toggle: 64 bits of a linear
// feedback shift register enter the operands in every cycle and move on through them.
module bare_array #(
    parameter ACTIVATIONS = 64,  // bits of the array's ports
    parameter WEIGHTS = 64,
    parameter ACCUMULATORS = 64,
    parameter STEPS = 72  // of a group
) (
    input wire clk,
    input wire rst,
    output wire [ACCUMULATORS-1:0] accumulators,
    output wire done
);
    localparam OPERANDS = ACTIVATIONS + WEIGHTS;
    reg [OPERANDS+63:0] operands;
    reg [63:0] noise;
    reg [15:0] step;

    always @(posedge clk) begin
        noise <= {noise[62:0], noise[63] ^ noise[62] ^ noise[60] ^ noise[59]};
        operands <= {operands[OPERANDS-1:0], noise};
        step <= step == STEPS - 1 ? 0 : step + 1;
        if (rst) begin
            noise <= 64'h9e3779b97f4a7c15;
            step <= 0;
        end
    end

    mac_array array (
        .clk(clk),
        .rst(rst),
        .activations(operands[WEIGHTS+:ACTIVATIONS]),
        .weights(operands[0+:WEIGHTS]),
        .valid(1'b1),
        .first(step == 0),
        .shift(1'b0),
        .last(step == STEPS - 1),
        .accumulators(accumulators),
        .done(done)
    );
endmodule
