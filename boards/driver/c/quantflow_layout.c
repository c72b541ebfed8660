/* Feature maps as they lie in the machine's memory: see quantflow_map in quantflow.h. */
#include "quantflow.h"

#include <string.h>

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
