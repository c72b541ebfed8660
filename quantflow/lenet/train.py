"""Train the embedded LeNet-5 again: `python -m quantflow.lenet.train` (extras `train` and `demo`).

Writes `lenet5.onnx` beside this file (or to `--output`). The file's metadata records the digest of
the images that it was trained on and its accuracy on the official test images.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

from quantflow.lenet import digits

SEED = 5
EPOCHS = 40
BATCH = 128
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-2
# Random affine map of each training image: rotation in degrees, the others as fractions.
ROTATION, SCALING, SHEAR, SHIFT = 10.0, 0.1, 0.1, 0.08
OPSET, IR_VERSION = 17, 8
POOL = {"kernel_shape": [2, 2], "strides": [2, 2]}


class LeNet5(nn.Module):
    """conv 5x5 1->6 (padding 2), pool, conv 5x5 6->16, pool, fully connected 400-120-84-10."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, images):
        """Class scores [N, 10] of images [N, 1, 28, 28]."""
        maps = functional.max_pool2d(functional.relu(self.conv1(images)), 2)
        maps = functional.max_pool2d(functional.relu(self.conv2(maps)), 2)
        features = functional.relu(self.fc1(maps.flatten(1)))
        return self.fc3(functional.relu(self.fc2(features)))


def augment(images):
    """Each image under its own small random rotation, scaling, shear and shift."""
    count = len(images)

    def uniform(limit, *shape):
        return (2 * torch.rand(count, *shape) - 1) * limit

    angle = uniform(np.deg2rad(ROTATION))
    shear = uniform(SHEAR)
    width, height = 1 + uniform(SCALING), 1 + uniform(SCALING)
    row_x = torch.stack([angle.cos() * width, (shear - angle.sin()) * height], 1)
    row_y = torch.stack([angle.sin() * width, angle.cos() * height], 1)
    matrix = torch.cat([torch.stack([row_x, row_y], 1), 2 * uniform(SHIFT, 2, 1)], 2)
    grid = functional.affine_grid(matrix, images.shape, align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def train(images, labels, test_images, test_labels, epochs):
    """A LeNet5 trained on float images and integer labels; prints the test accuracy each epoch."""
    torch.manual_seed(SEED)
    model = LeNet5()
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(images))[: len(images) // BATCH * BATCH]
        for batch in order.split(BATCH):
            loss = functional.cross_entropy(model(augment(images[batch])), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: {accuracy(model, test_images, test_labels):.4f}", flush=True)
    return model


def accuracy(model, images, labels):
    """Fraction of images whose highest score is their label's."""
    model.eval()
    with torch.no_grad():
        found = torch.cat([model(part).argmax(1) for part in images.split(1000)])
    return (found == labels).double().mean().item()


def to_onnx(model, metadata):
    """The trained network as a plain ONNX model with a free batch size."""
    nodes, value = [], "image"

    def add(operator, name, parameters=(), **attributes):
        nonlocal value
        nodes.append(helper.make_node(operator, [value, *parameters], [name], name=name, **attributes))
        value = name

    def layer(operator, name, **attributes):
        add(operator, name, (f"{name}.weight", f"{name}.bias"), **attributes)

    layer("Conv", "conv1", kernel_shape=[5, 5], pads=[2, 2, 2, 2])
    add("Relu", "relu1")
    add("MaxPool", "pool1", **POOL)
    layer("Conv", "conv2", kernel_shape=[5, 5])
    add("Relu", "relu2")
    add("MaxPool", "pool2", **POOL)
    add("Flatten", "flatten")
    layer("Gemm", "fc1", transB=1)
    add("Relu", "relu3")
    layer("Gemm", "fc2", transB=1)
    add("Relu", "relu4")
    layer("Gemm", "fc3", transB=1)
    graph = helper.make_graph(
        nodes,
        "lenet5",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("fc3", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(tensor.numpy(), name) for name, tensor in model.state_dict().items()],
    )
    opset = helper.make_opsetid("", OPSET)
    result = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="quantflow")
    helper.set_model_props(result, metadata)
    onnx.checker.check_model(result, full_check=True)
    return result


def main():
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("lenet5.onnx"))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    data = digits.mnist()
    images, labels = digits.training_images(data["x_train"], data["y_train"], digits.demo_digits()[0])
    print(f"{len(data['x_train'])} training images, {len(images)} left without the demonstration's")
    test = torch.from_numpy(digits.as_input(data["x_test"])), torch.from_numpy(data["y_test"]).long()
    inputs = torch.from_numpy(digits.as_input(images)), torch.from_numpy(labels).long()
    model = train(*inputs, *test, arguments.epochs)
    metadata = {
        "test_accuracy": f"{accuracy(model, *test):.4f}",
        "training_images": str(len(images)),
        "training_set_sha256": digits.set_digest(images),
    }
    onnx.save(to_onnx(model, metadata), arguments.output)
    print(f"{arguments.output}: {metadata}")


if __name__ == "__main__":
    main()
