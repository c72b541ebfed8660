/* The driver for bare metal, in C99: no allocation, no system calls, nothing but what a quantflow_link does.
 *
 *     quantflow_open       once: checks the machine, tells it where its memory is, loads the network
 *     quantflow_pack       an image's integers, as they lie in the machine's memory
 *     quantflow_run        write the image, start, wait, read the result
 *     quantflow_unpack     the result's integers
 *
 * docs/driver.md of quantflow describes the steps. `network.h` and `quantflow_registers.h` lie beside this file in a
 * build folder and are made with it. Every function that may fail returns a quantflow_result.
 */
#ifndef QUANTFLOW_H
#define QUANTFLOW_H

#include <stdint.h>

#include "quantflow_registers.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    QUANTFLOW_OK = 0,
    QUANTFLOW_LINK_FAILED,   /* a function of the link returned other than 0 */
    QUANTFLOW_WRONG_MACHINE, /* the bitstream is another build's */
    QUANTFLOW_MACHINE_ERROR, /* the machine stopped: see quantflow_accelerator.error */
    QUANTFLOW_OUT_OF_TIME,   /* the link's wait gave up; the machine was stopped */
    QUANTFLOW_WAS_RESET,     /* the machine was reset: open it again */
    QUANTFLOW_DOES_NOT_STOP, /* the memory does not answer: load the bitstream again */
    QUANTFLOW_NOT_RECORDED   /* the machine does not record its compute instructions' ends */
} quantflow_result;

/* How to reach a machine. Each function returns 0, or anything else where it fails. Addresses are bytes: of
 * registers from the start of the control port, of memory on the bus of the machine's ports; sizes are multiples of 4. */
typedef struct {
    void *context; /* handed to every function */
    int (*read_register)(void *context, uint32_t address, uint32_t *value);
    int (*write_register)(void *context, uint32_t address, uint32_t value);
    int (*read_memory)(void *context, uint32_t address, void *data, uint32_t size);
    int (*write_memory)(void *context, uint32_t address, const void *data, uint32_t size);
    /* Sleep until the interrupt, or for a moment. `turn` counts the calls of one wait, from 0: where the run has
     * taken too long, return other than 0. */
    int (*wait)(void *context, uint32_t turn);
} quantflow_link;

/* A layer, with what is fused to it, as one stage of the machine. */
typedef struct {
    const char *name;
    uint32_t last; /* number of its last compute instruction among the program's */
} quantflow_layer;

typedef struct {
    uint32_t address; /* in the machine's own memory */
    uint32_t length;  /* instructions; 0: there is no such program */
    uint32_t recorded; /* 1: the machine has room to record all compute instructions' ends */
    const quantflow_layer *layers; /* network->layers of them */
} quantflow_program;

/* A machine whose registers and memory the processor sees at addresses of its own. */
typedef struct {
    volatile uint32_t *registers; /* of the control port */
    unsigned char *memory;        /* where the processor sees the memory that is at `memory_address` on the bus */
    uint32_t memory_address;
    void (*flush)(void *data, uint32_t size);      /* writes caches back to memory; NULL where there are none */
    void (*invalidate)(void *data, uint32_t size); /* forgets what caches hold of memory; NULL where there are none */
    uint32_t turns;                                /* looks at a busy machine after which a run has taken too long */
} quantflow_mapping;

/* A link that polls. */
quantflow_link quantflow_mapped(quantflow_mapping *mapping);

/* A feature map of `images` images [channels][height][width] and how it lies in memory, see Transfer in
 * quantflow/compiler/transfer.py. The folded map's value [(c * fold_rows + j) * fold_columns + k][y][x] is that of
 * channel c, row y * fold_row_stride + j - fold_top, column x * fold_stride + k - fold_left; 0 outside the image. */
typedef struct {
    uint32_t bytes;
    uint32_t images, channels, height, width;
    uint32_t beside; /* 1: the images' columns alternate in one map; 0: the images lie one behind the other */
    uint32_t memory_channels, memory_height, memory_width; /* of one image; columns are `pitch` apart */
    uint32_t pitch;
    uint32_t folded, fold_rows, fold_row_stride, fold_top, fold_height;
    uint32_t fold_columns, fold_stride, fold_left, fold_width;
    uint32_t row_stride, block_stride, phases, groups; /* of the layout, in rows of banks */
    uint32_t pixels, lanes, row_bytes, container_bits;
    uint32_t bits, is_signed;
    int32_t fractional_length; /* a value is integer * 2^-fractional_length */
} quantflow_map;

typedef struct {
    uint32_t identity;
    uint32_t ports, port_bytes;
    uint32_t memory_bytes; /* of all ports together: each needs its share, rounded up to 4096 */
    uint32_t model_address, model_bytes, input_address, output_address;
    uint32_t region_bases[QUANTFLOW_REGIONS], region_sizes[QUANTFLOW_REGIONS];
    uint32_t layers;
    quantflow_program cold, warm;
    quantflow_map input, output;
} quantflow_network;

/* Its members are the driver's own, but `error` and `cycles`. */
typedef struct {
    const quantflow_link *link;
    const quantflow_network *network;
    uint32_t port_bases[QUANTFLOW_PORTS];
    const quantflow_program *program; /* that ran last */
    uint32_t weights_on_chip;
    uint32_t error;  /* after QUANTFLOW_MACHINE_ERROR: one of QUANTFLOW_ERROR_... */
    uint32_t cycles; /* of the last run that ended well */
} quantflow_accelerator;

/* `port_bases` are bus addresses, multiples of 4096, of the memory behind each port; `model` are the bytes of model.bin,
 * of which there are network->model_bytes. */
quantflow_result quantflow_open(quantflow_accelerator *accelerator, const quantflow_link *link,
                                const quantflow_network *network, const uint32_t *port_bases, const void *model);

/* One inference; `input` and `output` are network->input.bytes and network->output.bytes as they lie in memory. */
quantflow_result quantflow_run(quantflow_accelerator *accelerator, const void *input, void *output);

/* The steps of quantflow_run. */
quantflow_result quantflow_write_image(quantflow_accelerator *accelerator, const void *input);
quantflow_result quantflow_start(quantflow_accelerator *accelerator);
quantflow_result quantflow_wait(quantflow_accelerator *accelerator);
quantflow_result quantflow_read_result(quantflow_accelerator *accelerator, void *output);

/* A counter of the last run: QUANTFLOW_CYCLES and what follows it. */
quantflow_result quantflow_counter(const quantflow_accelerator *accelerator, uint32_t address, uint32_t *value);

/* The cycles of each of the last run's layers, from the end of the one before to its own; network->layers of them. */
quantflow_result quantflow_profile(const quantflow_accelerator *accelerator, uint32_t *cycles);

/* Integers [images][channels][height][width] to bytes of memory, and back; unpacking is for maps that are not folded. */
void quantflow_pack(const quantflow_map *map, const int32_t *values, void *memory);
void quantflow_unpack(const quantflow_map *map, const void *memory, int32_t *values);

#ifdef __cplusplus
}
#endif

#endif
