#include "quantflow.h"

#include <string.h>

#define CHUNK_BYTES 256u /* of one port, in one access of striped memory */
#define STOP_TURNS 100000u

#define TRY(call)                                     \
    do {                                              \
        const quantflow_result result_ = (call);      \
        if (result_ != QUANTFLOW_OK) return result_;  \
    } while (0)

static quantflow_result read_register(const quantflow_accelerator *accelerator, uint32_t address, uint32_t *value)
{
    const quantflow_link *link = accelerator->link;
    return link->read_register(link->context, address, value) ? QUANTFLOW_LINK_FAILED : QUANTFLOW_OK;
}

static quantflow_result write_register(const quantflow_accelerator *accelerator, uint32_t address, uint32_t value)
{
    const quantflow_link *link = accelerator->link;
    return link->write_register(link->context, address, value) ? QUANTFLOW_LINK_FAILED : QUANTFLOW_OK;
}

/* Bytes of the machine's own memory: beat n is port_bytes of every port, one port after the other. What is missing of
 * the last beat is written as zeros, and not read. */
static quantflow_result write_memory(const quantflow_accelerator *accelerator, uint32_t address, const void *data,
                                     uint32_t size)
{
    const quantflow_link *link = accelerator->link;
    const uint32_t ports = accelerator->network->ports, width = accelerator->network->port_bytes;
    const uint32_t beat = ports * width, most = CHUNK_BYTES / width * beat;
    const unsigned char *bytes = data;
    unsigned char part[CHUNK_BYTES];
    uint32_t first, port, offset;

    for (first = 0; first < size; first += most) {
        const uint32_t length = size - first < most ? size - first : most;
        for (port = 0; port < ports; port++) {
            uint32_t used = 0;
            memset(part, 0, sizeof part);
            for (offset = port * width; offset < length; offset += beat) {
                memcpy(part + used, bytes + first + offset, length - offset < width ? length - offset : width);
                used += width;
            }
            used = (length + beat - 1) / beat * width;
            if (link->write_memory(link->context, accelerator->port_bases[port] + (address + first) / ports, part, used))
                return QUANTFLOW_LINK_FAILED;
        }
    }
    return QUANTFLOW_OK;
}

static quantflow_result read_memory(const quantflow_accelerator *accelerator, uint32_t address, void *data,
                                    uint32_t size)
{
    const quantflow_link *link = accelerator->link;
    const uint32_t ports = accelerator->network->ports, width = accelerator->network->port_bytes;
    const uint32_t beat = ports * width, most = CHUNK_BYTES / width * beat;
    unsigned char *bytes = data;
    unsigned char part[CHUNK_BYTES];
    uint32_t first, port, offset;

    for (first = 0; first < size; first += most) {
        const uint32_t length = size - first < most ? size - first : most;
        for (port = 0; port < ports; port++) {
            const uint32_t share = (length + beat - 1) / beat * width;
            uint32_t used = 0;
            if (link->read_memory(link->context, accelerator->port_bases[port] + (address + first) / ports, part, share))
                return QUANTFLOW_LINK_FAILED;
            for (offset = port * width; offset < length; offset += beat) {
                memcpy(bytes + first + offset, part + used, length - offset < width ? length - offset : width);
                used += width;
            }
        }
    }
    return QUANTFLOW_OK;
}

static quantflow_result stop(const quantflow_accelerator *accelerator)
{
    uint32_t status, turn;

    TRY(write_register(accelerator, QUANTFLOW_CONTROL, QUANTFLOW_STOP));
    for (turn = 0; turn < STOP_TURNS; turn++) {
        TRY(read_register(accelerator, QUANTFLOW_STATUS, &status));
        if (!(status & QUANTFLOW_BUSY)) return QUANTFLOW_OK;
    }
    return QUANTFLOW_DOES_NOT_STOP;
}

quantflow_result quantflow_open(quantflow_accelerator *accelerator, const quantflow_link *link,
                                const quantflow_network *network, const uint32_t *port_bases, const void *model)
{
    uint32_t identity, status, n;

    memset(accelerator, 0, sizeof *accelerator);
    accelerator->link = link;
    accelerator->network = network;
    TRY(read_register(accelerator, QUANTFLOW_IDENTITY, &identity));
    if (identity != network->identity) return QUANTFLOW_WRONG_MACHINE;
    TRY(read_register(accelerator, QUANTFLOW_STATUS, &status));
    if (status & QUANTFLOW_BUSY) TRY(stop(accelerator)); /* a run from before a reset of this processor */
    for (n = 0; n < network->ports; n++) {
        accelerator->port_bases[n] = port_bases[n];
        TRY(write_register(accelerator, QUANTFLOW_PORT_BASE + 4 * n, port_bases[n]));
    }
    for (n = 0; n < QUANTFLOW_REGIONS; n++) {
        TRY(write_register(accelerator, QUANTFLOW_BASE + 4 * n, network->region_bases[n]));
        TRY(write_register(accelerator, QUANTFLOW_REGION_SIZE + 4 * n, network->region_sizes[n]));
    }
    TRY(write_register(accelerator, QUANTFLOW_INTERRUPT_ENABLE, 1));
    return write_memory(accelerator, network->model_address, model, network->model_bytes);
}

quantflow_result quantflow_write_image(quantflow_accelerator *accelerator, const void *input)
{
    const quantflow_network *network = accelerator->network;
    return write_memory(accelerator, network->input_address, input, network->input.bytes);
}

quantflow_result quantflow_start(quantflow_accelerator *accelerator)
{
    const quantflow_network *network = accelerator->network;
    const int warm = accelerator->weights_on_chip && network->warm.length;
    const quantflow_program *program = warm ? &network->warm : &network->cold;

    accelerator->weights_on_chip = 0; /* until this run has ended well */
    TRY(write_register(accelerator, QUANTFLOW_PROGRAM_ADDRESS, program->address));
    TRY(write_register(accelerator, QUANTFLOW_PROGRAM_LENGTH, program->length));
    return write_register(accelerator, QUANTFLOW_CONTROL, QUANTFLOW_START);
}

quantflow_result quantflow_wait(quantflow_accelerator *accelerator)
{
    const quantflow_link *link = accelerator->link;
    uint32_t status, turn;

    for (turn = 0;; turn++) {
        TRY(read_register(accelerator, QUANTFLOW_STATUS, &status));
        if (!(status & QUANTFLOW_BUSY)) break;
        if (link->wait(link->context, turn)) {
            TRY(stop(accelerator));
            return QUANTFLOW_OUT_OF_TIME;
        }
    }
    if (status & QUANTFLOW_FAILED) {
        TRY(read_register(accelerator, QUANTFLOW_ERROR, &accelerator->error));
        return QUANTFLOW_MACHINE_ERROR;
    }
    if (!(status & QUANTFLOW_DONE)) return QUANTFLOW_WAS_RESET;
    accelerator->weights_on_chip = 1;
    return read_register(accelerator, QUANTFLOW_CYCLES, &accelerator->cycles);
}

quantflow_result quantflow_read_result(quantflow_accelerator *accelerator, void *output)
{
    const quantflow_network *network = accelerator->network;
    return read_memory(accelerator, network->output_address, output, network->output.bytes);
}

quantflow_result quantflow_run(quantflow_accelerator *accelerator, const void *input, void *output)
{
    TRY(quantflow_write_image(accelerator, input));
    TRY(quantflow_start(accelerator));
    TRY(quantflow_wait(accelerator));
    return quantflow_read_result(accelerator, output);
}

quantflow_result quantflow_counter(const quantflow_accelerator *accelerator, uint32_t address, uint32_t *value)
{
    return read_register(accelerator, address, value);
}

/* The bit of memory at which a value of image `image` lies. */
static uint32_t place(const quantflow_map *map, uint32_t image, uint32_t channel, uint32_t y, uint32_t x)
{
    const uint32_t column = map->beside ? x * map->pitch + image : x;
    const uint32_t unit = column / map->phases, phase = column % map->phases;
    const uint32_t group = unit / map->pixels, bank = unit % map->pixels;
    const uint32_t row = channel / map->lanes * map->block_stride + y * map->row_stride + phase * map->groups + group;
    const uint32_t before = map->beside ? 0 : map->bytes / map->images * image;

    return 8 * (before + row * map->row_bytes) + (bank * map->lanes + channel % map->lanes) * map->container_bits;
}

/* The value of an image that a place of its map in memory, counted as [channel][y][x], has. */
static int32_t source(const quantflow_map *map, const int32_t *values, uint32_t index)
{
    uint32_t x, y, tap, row, column;

    if (!map->folded) return values[index];
    x = index % map->fold_width;
    y = index / map->fold_width % map->fold_height;
    tap = index / map->fold_width / map->fold_height;
    row = y * map->fold_row_stride + tap / map->fold_columns % map->fold_rows - map->fold_top;
    column = x * map->fold_stride + tap % map->fold_columns - map->fold_left;
    if (row >= map->height || column >= map->width) return 0; /* also those before the first: they wrap */
    return values[(tap / map->fold_columns / map->fold_rows * map->height + row) * map->width + column];
}

void quantflow_pack(const quantflow_map *map, const int32_t *values, void *memory)
{
    const uint32_t mask = ((uint32_t)1 << map->container_bits) - 1;
    unsigned char *bytes = memory;
    uint32_t image, channel, y, x;

    memset(bytes, 0, map->bytes);
    for (image = 0; image < map->images; image++) {
        uint32_t index = 0;
        for (channel = 0; channel < map->memory_channels; channel++)
            for (y = 0; y < map->memory_height; y++)
                for (x = 0; x < map->memory_width; x++) {
                    const uint32_t value = (uint32_t)source(map, values, index++) & mask;
                    const uint32_t bit = place(map, image, channel, y, x);
                    bytes[bit / 8] = (unsigned char)(bytes[bit / 8] | value << bit % 8);
                    if (map->container_bits == 16) bytes[bit / 8 + 1] = (unsigned char)(value >> 8);
                }
        values += map->channels * map->height * map->width;
    }
}

void quantflow_unpack(const quantflow_map *map, const void *memory, int32_t *values)
{
    const uint32_t mask = ((uint32_t)1 << map->bits) - 1, sign = (uint32_t)1 << (map->bits - 1);
    const unsigned char *bytes = memory;
    uint32_t image, channel, y, x;

    for (image = 0; image < map->images; image++)
        for (channel = 0; channel < map->memory_channels; channel++)
            for (y = 0; y < map->memory_height; y++)
                for (x = 0; x < map->memory_width; x++) {
                    const uint32_t bit = place(map, image, channel, y, x);
                    uint32_t value = (uint32_t)bytes[bit / 8] >> bit % 8;
                    if (map->container_bits == 16) value |= (uint32_t)bytes[bit / 8 + 1] << 8;
                    value &= mask;
                    *values++ = map->is_signed && value & sign ? (int32_t)value - (int32_t)mask - 1 : (int32_t)value;
                }
}
