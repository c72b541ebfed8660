"""Layers as the tuner and as the machine know them, joined."""


def joined_layers(tuned, simulated):
    """One dict for each stage of the machine, with the keys of the tuned layers that it computes.

    A stage is a layer, or a layer and what is fused to it ("conv1+pool1"): its weights are the first layer's, its
    output the last one's. `bytes` are those that it moves, `difference` is the predicted cycles' from the measured
    ones, as a share of them. Layers without weights that no stage computes, as a concatenation by addresses is,
    follow alone. Raises KeyError where a layer with weights is in no stage.
    """
    by_name = {layer["name"]: layer for layer in tuned}
    computed = {name for stage in simulated for name in stage["layers"]}
    left = [layer for layer in tuned if layer["name"] not in computed]
    for layer in left:
        if layer["weight_bits"] is not None:
            raise KeyError(f"layer {layer['name']} is not in the simulation")
    return [_tuned(stage, by_name) | stage | _derived(stage) for stage in simulated] + left


def _tuned(stage, by_name):
    layers = [by_name[name] for name in stage["layers"] if name in by_name]
    if not layers:
        return {}
    weights = next((layer for layer in layers if layer["weight_bits"] is not None), layers[0])
    return layers[-1] | {key: weights[key] for key in ("weight_bits", "weight_fl")}


def _derived(stage):
    return {
        "bytes": sum(stage["bytes_moved"].values()),
        "difference": stage["predicted_cycles"] / max(1, stage["cycles"]) - 1,
    }
