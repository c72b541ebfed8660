/* A link to a machine that the processor has in its own address space: see quantflow_mapping in quantflow.h. */
#include "quantflow.h"

#include <string.h>

static int mapped_read_register(void *context, uint32_t address, uint32_t *value)
{
    const quantflow_mapping *mapping = context;
    *value = mapping->registers[address / 4];
    return 0;
}

static int mapped_write_register(void *context, uint32_t address, uint32_t value)
{
    const quantflow_mapping *mapping = context;
    mapping->registers[address / 4] = value;
    return 0;
}

static int mapped_read_memory(void *context, uint32_t address, void *data, uint32_t size)
{
    const quantflow_mapping *mapping = context;
    unsigned char *memory = mapping->memory + (address - mapping->memory_address);
    if (mapping->invalidate) mapping->invalidate(memory, size);
    memcpy(data, memory, size);
    return 0;
}

static int mapped_write_memory(void *context, uint32_t address, const void *data, uint32_t size)
{
    const quantflow_mapping *mapping = context;
    unsigned char *memory = mapping->memory + (address - mapping->memory_address);
    memcpy(memory, data, size);
    if (mapping->flush) mapping->flush(memory, size);
    return 0;
}

static int mapped_wait(void *context, uint32_t turn)
{
    const quantflow_mapping *mapping = context;
    return turn >= mapping->turns;
}

quantflow_link quantflow_mapped(quantflow_mapping *mapping)
{
    quantflow_link link;
    link.context = mapping;
    link.read_register = mapped_read_register;
    link.write_register = mapped_write_register;
    link.read_memory = mapped_read_memory;
    link.write_memory = mapped_write_memory;
    link.wait = mapped_wait;
    return link;
}
