/* The driver: see quantflow.h. */
#include "quantflow.h"

#include <string.h>

#define CHUNK_BYTES 256u /* of one port, in one access of striped memory */
#define INTERRUPT 1u /* in the register that enables it, which a reset clears */
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

static quantflow_result stop_if_busy(const quantflow_accelerator *accelerator)
{
    uint32_t status;

    TRY(read_register(accelerator, QUANTFLOW_STATUS, &status));
    return status & QUANTFLOW_BUSY ? stop(accelerator) : QUANTFLOW_OK;
}

/* A machine that was reset would run with memory that is not its own. */
static quantflow_result check_configured(const quantflow_accelerator *accelerator)
{
    uint32_t enabled;

    TRY(read_register(accelerator, QUANTFLOW_INTERRUPT_ENABLE, &enabled));
    return enabled == INTERRUPT ? QUANTFLOW_OK : QUANTFLOW_WAS_RESET;
}

quantflow_result quantflow_open(quantflow_accelerator *accelerator, const quantflow_link *link,
                                const quantflow_network *network, const uint32_t *port_bases, const void *model)
{
    uint32_t identity, n;

    memset(accelerator, 0, sizeof *accelerator);
    accelerator->link = link;
    accelerator->network = network;
    TRY(read_register(accelerator, QUANTFLOW_IDENTITY, &identity));
    if (identity != network->identity) return QUANTFLOW_WRONG_MACHINE;
    TRY(stop_if_busy(accelerator)); /* a run from before a reset of this processor */
    for (n = 0; n < network->ports; n++) {
        accelerator->port_bases[n] = port_bases[n];
        TRY(write_register(accelerator, QUANTFLOW_PORT_BASE + 4 * n, port_bases[n]));
    }
    for (n = 0; n < QUANTFLOW_REGIONS; n++) {
        TRY(write_register(accelerator, QUANTFLOW_BASE + 4 * n, network->region_bases[n]));
        TRY(write_register(accelerator, QUANTFLOW_REGION_SIZE + 4 * n, network->region_sizes[n]));
    }
    TRY(write_register(accelerator, QUANTFLOW_INTERRUPT_ENABLE, INTERRUPT));
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

    TRY(check_configured(accelerator));
    TRY(stop_if_busy(accelerator)); /* a run whose end was not waited for */
    accelerator->program = program;
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
    TRY(check_configured(accelerator));
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

quantflow_result quantflow_profile(const quantflow_accelerator *accelerator, uint32_t *cycles)
{
    const quantflow_program *program = accelerator->program;
    const uint32_t layers = accelerator->network->layers;
    uint32_t layer, end, before = 0;

    if (!program || !program->recorded) return QUANTFLOW_NOT_RECORDED;
    for (layer = 0; layer < layers; layer++) {
        if (layer < layers - 1) {
            TRY(write_register(accelerator, QUANTFLOW_PROFILE_INDEX, program->layers[layer].last));
            TRY(read_register(accelerator, QUANTFLOW_PROFILE_CYCLES, &end));
        } else {
            TRY(read_register(accelerator, QUANTFLOW_CYCLES, &end)); /* the last one ends with the run */
        }
        cycles[layer] = end - before;
        before = end;
    }
    return QUANTFLOW_OK;
}
